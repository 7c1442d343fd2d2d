// Package db owns the two engines, SQLite and PostgreSQL: connections, transactions,
// the meaning of a column value, and the migrations. It does not own any table but
// "migrations"; every other row belongs to the record that names it.
//
// There are two doors. [DB.Read] and [DB.Write] hand a [Tx] to a function, and that Tx
// with [One] and [All] is the only way to a statement:
//
//	Read ── fn ── SELECT …                       SQLite: one snapshot; PostgreSQL: a snapshot a statement
//	Write ─ fn ── guarded statements ── commit   run again when the engine asks for it (40001, lost connection)
//
// The function may therefore run more than once: it changes only its transaction and its
// own locals. It must be right at READ COMMITTED, which holds when every decision is one
// guarded statement whose row count is the answer.
//
// One SQL text serves both engines, with $1 … bound by number. A statement that fails
// ends its transaction on both: an expected conflict is ON CONFLICT DO NOTHING, not an
// error to be caught and ignored. What no test can hold to one meaning: text is ordered by
// bytes on SQLite and by the database's collation on PostgreSQL, lower() knows only ASCII
// on SQLite, and LIKE has an escape character there only if ESCAPE names one.
package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound says that a statement which should give a row gave none.
	ErrNotFound = errors.New("db: no such row")
	// ErrConflict says that a unique constraint refused a row.
	ErrConflict = errors.New("db: row already exists")
	// ErrReference says that a foreign key refused a row or its removal.
	ErrReference = errors.New("db: referenced row is missing or still in use")
	// ErrUnavailable says that the engine cannot serve now (not reachable, full,
	// read-only, locked by another process), or that the connection was lost during
	// commit so that the outcome is not known. Trying again later is right if the
	// work carries its own identity.
	ErrUnavailable = errors.New("db: unavailable")
)

var (
	errNested = errors.New("db: transaction inside a transaction")
	errDone   = errors.New("db: transaction is over")
	errBusy   = errors.New("db: statement inside a row of another statement")
	errClosed = fmt.Errorf("%w: closed", ErrUnavailable)
	// errConnect is that no connection could be had; nothing was sent.
	errConnect = fmt.Errorf("%w: no connection", ErrUnavailable)
	// errUnknown is a commit that was sent and not answered.
	errUnknown = fmt.Errorf("%w: outcome of commit unknown", ErrUnavailable)
)

// Step is a moment in a write at which Options.Fault may interfere.
type Step int

// The steps, in the order in which a write meets them.
const (
	BeforeStatement Step = iota // a statement is about to run
	BeforeCommit                // all statements have run, nothing is committed
	AfterCommit                 // the engine has committed, the caller has not been told
)

// Faults for Options.Fault to return. Anything else it returns fails the step as it is.
var (
	// ErrSerialization has the effect of SQLSTATE 40001 from the engine.
	ErrSerialization = fmt.Errorf("%w: serialization failure", ErrUnavailable)
	// ErrConnectionLost cuts the connection at that step.
	ErrConnectionLost = fmt.Errorf("%w: connection lost", ErrUnavailable)
)

// Options are what tests change beneath the transactions; the zero value is normal service.
type Options struct {
	// Fault, if set, is called at each step of every write and may wait, or fail the step
	// by returning an error. It must be safe for concurrent use.
	Fault func(Step) error
}

// DB is one open database. It is safe for concurrent use.
type DB struct {
	engine engine
	stats  *counters
}

// engine is what SQLite and PostgreSQL each do in their own way.
type engine interface {
	name() string
	read(ctx context.Context, fn func(context.Context, *Tx) error) error
	write(ctx context.Context, fn func(context.Context, *Tx) error) error
	// ledger makes the table of migrations if it is missing, and hasLedger is the query
	// that counts it: 0 or 1.
	ledger(ctx context.Context) error
	hasLedger() string
	// script runs a migration once: it records name and runs text in one transaction,
	// and reports false when name was recorded already.
	script(ctx context.Context, name, text string) (bool, error)
	pool() (open, inUse, limit int)
	close() error
}

// Open opens "sqlite:PATH" or a "postgres://…" URL and does not migrate. PATH is created
// with mode 0600 if it is missing. A PostgreSQL URL takes libpq's parameters, several
// hosts with target_session_attrs, and pgx's pool_max_conns and default_query_exec_mode;
// the server is not contacted before the first use. ctx bounds the opening only.
func Open(ctx context.Context, url string) (*DB, error) {
	return OpenWith(ctx, url, Options{})
}

// OpenWith is Open with options beneath the transactions.
func OpenWith(ctx context.Context, url string, o Options) (*DB, error) {
	d := &DB{stats: &counters{}}
	var err error
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		d.engine, err = openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"), o, d.stats)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		d.engine, err = openPostgres(ctx, url, o, d.stats)
	default:
		// The URL may hold a password: it is not repeated.
		err = errors.New("db: the database URL must begin with sqlite: or postgres://")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Close waits for transactions under way, closes every connection and makes later use
// fail with ErrUnavailable.
func (d *DB) Close() error { return d.engine.close() }

// Engine is "sqlite" or "postgres".
func (d *DB) Engine() string { return d.engine.name() }

// inTx marks the context handed to a transaction, so that a second one opened from
// inside fails at once instead of waiting for itself.
type inTx struct{}

func enter(ctx context.Context) (context.Context, error) {
	if ctx.Value(inTx{}) != nil {
		return nil, errNested
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, inTx{}, true), nil
}

// Read runs fn with a Tx that takes only SELECT and WITH. On SQLite all statements of fn
// see one snapshot; on PostgreSQL each sees what was committed when it began, so a
// decision that spans statements belongs in one statement, or in Write.
// fn may run again when a connection is lost.
func (d *DB) Read(ctx context.Context, fn func(context.Context, *Tx) error) error {
	ctx, err := enter(ctx)
	if err != nil {
		return err
	}
	return d.engine.read(ctx, fn)
}

// Write runs fn in a transaction and commits it when fn returns nil; any error or panic
// of fn rolls back and comes out of Write as it is. fn may run again, so it changes only
// its transaction and its locals, and does nothing slow. If ctx ends before fn has begun,
// fn does not run; a commit that has begun is waited for, so the answer is the true one.
func (d *DB) Write(ctx context.Context, fn func(context.Context, *Tx) error) error {
	ctx, err := enter(ctx)
	if err != nil {
		return err
	}
	return d.engine.write(ctx, fn)
}

// Ping makes one small durable write, so that it fails where a request would fail: on a
// full disk, a read-only file or a standby server, not only on a dead connection.
func (d *DB) Ping(ctx context.Context) error {
	return d.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ('db.ping', '', 0)
			ON CONFLICT (name) DO UPDATE SET updated_at = settings.updated_at + 1`)
		return err
	})
}
