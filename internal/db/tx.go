package db

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
)

// Tx is one transaction, valid until the function that got it returns. It belongs to the
// goroutine of that function.
type Tx struct {
	run  runner
	n    *atomic.Int64 // statements run, of all transactions
	read bool          // takes only SELECT and WITH
	busy bool          // a row is being scanned
	done bool          // the function has returned
	err  error         // of the first statement that failed
}

// runner runs statements on the connection of one transaction.
type runner interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	// query calls row for each row until it returns false.
	query(ctx context.Context, query string, args []any, row func(Row) bool) error
}

// Row is one row of a result, read by a scan function.
type Row interface {
	// Scan copies the columns in order into dest: *string and pointers to named strings,
	// *int64, *int, *bool, *[]byte, *Time, and JSON(&v). NULL becomes the zero value.
	Scan(dest ...any) error
}

// Exec runs a statement for its effect and says how many rows it changed. Its arguments
// are strings and named strings, int, int64, bool, []byte, nil (NULL, as is a nil []byte),
// and JSON(v); an instant is passed as At or AtOrNull. Text that is not valid UTF-8 or
// holds a NUL is refused. Exec fails with ErrConflict or ErrReference when a constraint refuses; after any error
// the transaction takes no further statement and cannot commit.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (rows int64, err error) {
	if err := t.before(ctx, query); err != nil {
		return 0, err
	}
	rows, err = t.run.exec(ctx, query, args)
	return rows, t.after(err)
}

// One runs query and scans its first row, or fails with ErrNotFound when it has none.
// Further rows are left alone; a statement with RETURNING still changes all its rows.
func One[T any](ctx context.Context, t *Tx, scan func(Row) (T, error), query string, args ...any) (T, error) {
	var (
		out     T
		scanErr = ErrNotFound
	)
	err := t.query(ctx, query, args, func(r Row) bool {
		out, scanErr = scan(r)
		return false
	})
	if err == nil {
		err = scanErr
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

// All runs query and scans every row, in the order of the result. No row is no error.
func All[T any](ctx context.Context, t *Tx, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	var (
		out     []T
		scanErr error
	)
	err := t.query(ctx, query, args, func(r Row) bool {
		var v T
		if v, scanErr = scan(r); scanErr != nil {
			return false
		}
		out = append(out, v)
		return true
	})
	if err == nil {
		err = scanErr
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Text scans a single text column.
func Text(r Row) (string, error) {
	var v string
	err := r.Scan(&v)
	return v, err
}

// Int scans a single integer column.
func Int(r Row) (int64, error) {
	var v int64
	err := r.Scan(&v)
	return v, err
}

// Bool scans a single boolean column.
func Bool(r Row) (bool, error) {
	var v bool
	err := r.Scan(&v)
	return v, err
}

func (t *Tx) query(ctx context.Context, query string, args []any, row func(Row) bool) error {
	if err := t.before(ctx, query); err != nil {
		return err
	}
	t.busy = true
	defer func() { t.busy = false }()
	return t.after(t.run.query(ctx, query, args, row))
}

// before refuses a statement that this transaction must not run.
func (t *Tx) before(ctx context.Context, query string) error {
	t.n.Add(1)
	switch {
	case t.done:
		return errDone
	case t.busy:
		return errBusy
	case t.err != nil:
		return fmt.Errorf("db: transaction has failed already: %w", t.err)
	}
	switch firstWord(query) {
	case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE":
		return t.after(fmt.Errorf("db: the transaction is not the function's to end: %.40q", query))
	}
	if t.read && !reads(query) {
		return t.after(fmt.Errorf("db: not a reading statement: %.40q", query))
	}
	// The end of ctx is noticed between statements, never in the middle of one: cutting
	// a statement short would cost its connection.
	return t.after(ctx.Err())
}

// after remembers the first failure. PostgreSQL refuses every statement after one that
// failed; SQLite would go on, so it is held to the same.
func (t *Tx) after(err error) error {
	if err != nil && t.err == nil {
		t.err = err
	}
	return err
}

// finish closes the Tx and says how the transaction ends: with the error of its function,
// or with that of a statement whose failure the function did not report.
func (t *Tx) finish(err error) error {
	t.done = true
	if err == nil && t.err != nil {
		return fmt.Errorf("db: a statement failed and its error was dropped: %w", t.err)
	}
	return err
}

// reads says whether query only reads: a SELECT, or a WITH that leads to no change.
func reads(query string) bool {
	switch firstWord(query) {
	case "SELECT":
		return true
	case "WITH":
		for word := range strings.FieldsFuncSeq(query, notLetter) {
			switch strings.ToUpper(word) {
			case "INSERT", "UPDATE", "DELETE":
				return false
			}
		}
		return true
	}
	return false
}

func notLetter(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' }

// firstWord is the first word of query in capitals, past white space and comments.
func firstWord(query string) string {
	for {
		query = strings.TrimLeft(query, " \t\r\n")
		if !strings.HasPrefix(query, "--") {
			break
		}
		_, query, _ = strings.Cut(query, "\n")
	}
	end := strings.IndexFunc(query, notLetter)
	if end < 0 {
		end = len(query)
	}
	return strings.ToUpper(query[:end])
}
