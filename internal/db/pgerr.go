package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgErr says what an error of the server or of the connection means to a caller.
func pgErr(err error) error {
	if err == nil {
		return nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if kind := sqlState(pg); kind != nil {
			return fmt.Errorf("%w: %w", kind, err)
		}
		return err
	}
	if connectionError(err) {
		return fmt.Errorf("%w: %w", ErrConnectionLost, err)
	}
	return err
}

// sqlState sorts the codes of PostgreSQL's appendix A; nil is a plain error.
func sqlState(pg *pgconn.PgError) error {
	switch pg.Code {
	case "23505": // unique_violation
		return ErrConflict
	case "23503": // foreign_key_violation
		return ErrReference
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return ErrSerialization
	case "25006", "57P01", "57P02", "57P03", "57P05", "40003":
		// Demoted to a standby, stopping, starting, cut for idling, outcome not known.
		return ErrConnectionLost
	case "26000": // a pooler or DISCARD ALL took the prepared statement away
		return ErrConnectionLost
	case "0A000":
		// A migration changed the columns under a prepared statement.
		if pg.Routine == "RevalidateCachedQuery" {
			return ErrConnectionLost
		}
	case "08P01": // protocol_violation: a wrong number of arguments, in exec mode
		return nil
	case "55P03", "57014": // lock or statement timeout set by the operator
		return ErrUnavailable
	}
	switch class := pg.Code[:min(2, len(pg.Code))]; class {
	case "08": // connection_exception
		return ErrConnectionLost
	case "53", "58": // out of disk, memory or connections; a failing disk
		return ErrUnavailable
	}
	return nil
}

// connectionError says that err, which is not the server's, is the connection's.
func connectionError(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// refused says that err is the server's answer over a connection that lives on, so that a
// commit which got it did not happen.
func refused(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.SeverityUnlocalized == "ERROR" && pg.Code != "40003"
}
