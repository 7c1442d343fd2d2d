package db

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgErr says what an error of the server or of the connection means to a caller.
func pgErr(err error) error {
	if err == nil {
		return nil
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if lostConnection(err) {
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrConnectionLost, err)
		}
		return err
	}
	switch {
	case pg.Code == "23505":
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case pg.Code == "23503":
		return fmt.Errorf("%w: %w", ErrReference, err)
	case pg.Code == "40001", pg.Code == "40P01":
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrSerialization, err)
	case gone(pg.Code), pg.Code == "40003":
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrConnectionLost, err)
	case pg.Code[:2] == "53", pg.Code == "55P03", pg.Code == "57014":
		// Disk full, out of memory, too many connections; lock or statement timeout.
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// gone says that the server behind this connection no longer takes writes: it is
// stopping (57P01 to 57P03), was demoted (25006) or lost the connection (08xxx).
func gone(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03", "57P05", "25006":
		return true
	}
	return len(code) == 5 && code[:2] == "08"
}

// lostConnection says that err is the connection's, not the statement's.
func lostConnection(err error) bool {
	var safe interface{ SafeToRetry() bool }
	var netErr interface{ Timeout() bool }
	return errors.As(err, &safe) || errors.As(err, &netErr) || pgconn.Timeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errConnect)
}

// refused says that err is the server's own answer over a connection that lives on, so
// that a commit which got it did not happen.
func refused(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Severity == "ERROR" && pg.Code != "40003"
}

// again says that nothing was committed and that another run may succeed.
func again(err error) bool {
	if errors.Is(err, errUnknown) {
		return false
	}
	return errors.Is(err, ErrSerialization) || unreachable(err)
}

// unreachable says that err is for want of a working connection.
func unreachable(err error) bool {
	return errors.Is(err, ErrConnectionLost) || errors.Is(err, errConnect)
}

func poolSizeGiven(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Query().Has("pool_max_conns")
}
