package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgTx is the connection of one transaction and how far it got. Nothing is sent before
// the first statement, and BEGIN goes with it in one round trip. A reading transaction
// needs no BEGIN: each statement has its own snapshot with or without one.
type pgTx struct {
	engine *pgEngine
	caller context.Context // whose end is the caller's own
	budget context.Context // bounds the wait for a connection
	work   context.Context // of the statements, whose time bound limits
	conn   *pgxpool.Conn   // nil before the first statement
	read   bool
	begun  bool
}

func (p *pgTx) acquire() error {
	if p.conn != nil {
		return nil
	}
	c, err := p.engine.conns.Acquire(p.budget)
	if err != nil {
		if p.caller.Err() != nil {
			return p.caller.Err()
		}
		return fmt.Errorf("%w: %w", errConnect, err)
	}
	p.conn = c
	return nil
}

// bound limits one statement. A transaction may have any number: an operator's
// file of thousands of users is one.
func (p *pgTx) bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.work, p.engine.workTime)
}

// ready makes the arguments plain and the connection present.
func (p *pgTx) ready(args []any) ([]any, error) {
	plainArgs := make([]any, len(args))
	for i, a := range args {
		v, err := plain(a)
		if err != nil {
			return nil, fmt.Errorf("db: argument $%d: %w", i+1, err)
		}
		plainArgs[i] = v
	}
	if err := p.acquire(); err != nil {
		return nil, err
	}
	return plainArgs, p.step(BeforeStatement)
}

func (p *pgTx) exec(_ context.Context, query string, args []any) (int64, error) {
	args, err := p.ready(args)
	if err != nil {
		return 0, err
	}
	work, cancel := p.bound()
	defer cancel()
	var tag pgconn.CommandTag
	if p.read || p.begun {
		tag, err = p.conn.Exec(work, query, args...)
	} else {
		r := p.first(work, query, args)
		if _, err = r.Exec(); err == nil {
			tag, err = r.Exec()
		}
		if e := r.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return 0, p.failed(err)
	}
	if tag.Select() {
		return 0, nil // rows it gave, none that it changed
	}
	return tag.RowsAffected(), nil
}

func (p *pgTx) query(_ context.Context, query string, args []any, row func(Row) bool) error {
	args, err := p.ready(args)
	if err != nil {
		return err
	}
	work, cancel := p.bound()
	defer cancel()
	if p.read || p.begun {
		rows, err := p.conn.Query(work, query, args...)
		if err == nil {
			err = eachRow(rows, row)
		}
		return p.failed(err)
	}
	r := p.first(work, query, args)
	defer r.Close() // also when row panics
	if _, err = r.Exec(); err == nil {
		var rows pgx.Rows
		if rows, err = r.Query(); err == nil {
			err = eachRow(rows, row)
		}
	}
	if e := r.Close(); err == nil {
		err = e
	}
	return p.failed(err)
}

// first sends BEGIN and the first statement together. Its results are those of both.
func (p *pgTx) first(work context.Context, query string, args []any) pgx.BatchResults {
	p.begun = true
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue(query, args...)
	return p.conn.SendBatch(work, b)
}

func eachRow(rows pgx.Rows, row func(Row) bool) error {
	defer rows.Close() // also when row panics
	r := &pgRow{rows: rows}
	for rows.Next() {
		if !row(r) {
			break
		}
	}
	rows.Close() // reads what is left, and its error
	return rows.Err()
}

// commit makes the changes last. An error after the server may have begun to commit is
// errUnknown, never a reason to run the function again.
func (p *pgTx) commit() error {
	if p.read || !p.begun {
		return nil
	}
	if err := p.step(BeforeCommit); err != nil {
		return err
	}
	work, cancel := p.bound()
	defer cancel()
	tag, err := p.conn.Exec(work, "COMMIT")
	if err != nil {
		// pgconn.SafeToRetry is no help: after a connection that ended while its answer
		// was awaited, it says that nothing was sent.
		if refused(err) {
			return p.failed(err)
		}
		p.engine.stats.unknown.Add(1)
		return fmt.Errorf("%w: %w", errUnknown, p.failed(err))
	}
	if tag.String() != "COMMIT" {
		return errors.New("db: the server rolled back at commit")
	}
	p.engine.stats.commits.Add(1)
	if p.engine.fault != nil {
		if err := p.engine.fault(AfterCommit); err != nil {
			p.engine.stats.unknown.Add(1)
			p.cut()
			return fmt.Errorf("%w: %w", errUnknown, err)
		}
	}
	return nil
}

// step calls the test's fault. A connection it loses before a statement is cut, and the
// statement finds out by itself; before a commit the cut shows that nothing was sent.
func (p *pgTx) step(s Step) error {
	if p.engine.fault == nil || p.read {
		return nil
	}
	err := p.engine.fault(s)
	if errors.Is(err, ErrConnectionLost) {
		p.cut()
		if s == BeforeStatement {
			return nil
		}
	}
	return err
}

func (p *pgTx) cut() { p.conn.Conn().PgConn().Conn().Close() }

// failed says what err means. After one that speaks of the server rather than of the
// statement, the other connections of the pool are no better.
func (p *pgTx) failed(err error) error {
	err = pgErr(err)
	if errors.Is(err, ErrConnectionLost) {
		p.cut()
		p.engine.conns.Reset()
	}
	return err
}

// end gives the connection back, rolled back if the transaction is still open. The pool
// closes a connection that is broken, or still inside a transaction.
func (p *pgTx) end() {
	if p.conn == nil {
		return
	}
	defer p.conn.Release()
	if pg := p.conn.Conn().PgConn(); !pg.IsClosed() && pg.TxStatus() != 'I' {
		// An error leaves the status, and so the rest to Release.
		work, cancel := p.bound()
		defer cancel()
		_, _ = p.conn.Exec(work, "ROLLBACK")
	}
}
