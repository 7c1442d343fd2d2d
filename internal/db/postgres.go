package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// dialTimeout bounds the connecting to one host, if the URL has no connect_timeout.
	dialTimeout = 3 * time.Second
	// acquireTimeout bounds the wait for a free connection of the pool.
	acquireTimeout = 4 * time.Second
	// workTimeout bounds all statements of one transaction: longer means a server that is
	// frozen or cut off, because no transaction here has slow work.
	workTimeout = 15 * time.Second
	// retryTime bounds all runs of one function together with the pauses between them.
	retryTime = 5 * time.Second
	// connectionTries bounds the runs that ended with a lost connection. A pool may hold
	// many connections to a server that is gone, but each loss empties it.
	connectionTries = 4
)

// pgEngine is a PostgreSQL server, or several of which one is the primary.
type pgEngine struct {
	conns *pgxpool.Pool
	fault func(Step) error
	stats *counters
}

func openPostgres(ctx context.Context, url string, o Options, stats *counters) (engine, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("db: %w", err) // pgx leaves the password out
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = dialTimeout
	}
	if _, set := config.ConnConfig.RuntimeParams["application_name"]; !set {
		config.ConnConfig.RuntimeParams["application_name"] = "sallyport"
	}
	if !poolSizeGiven(url) {
		// A connection is a process of the server: more than a few for each core here
		// only move the queue there.
		config.MaxConns = int32(min(max(4*runtime.GOMAXPROCS(0), 8), 64))
	}
	config.PingTimeout = dialTimeout
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("db: %w", err)
	}
	return &pgEngine{conns: pool, fault: o.Fault, stats: stats}, nil
}

func (e *pgEngine) name() string { return "postgres" }

func (e *pgEngine) close() error {
	e.conns.Close()
	return nil
}

func (e *pgEngine) pool() (open, inUse, limit int) {
	s := e.conns.Stat()
	return int(s.TotalConns()), int(s.AcquiredConns()), int(s.MaxConns())
}

func (e *pgEngine) read(ctx context.Context, fn func(context.Context, *Tx) error) error {
	e.stats.reads.Add(1)
	return e.retry(ctx, func() error { return e.once(ctx, fn, true) })
}

func (e *pgEngine) write(ctx context.Context, fn func(context.Context, *Tx) error) error {
	err := e.retry(ctx, func() error { return e.once(ctx, fn, false) })
	if err != nil {
		e.stats.rollbacks.Add(1)
	} else {
		e.stats.transactions.Add(1)
	}
	return err
}

// retry runs once again as long as its error says that nothing was committed and that
// another try may succeed.
func (e *pgEngine) retry(ctx context.Context, once func() error) error {
	budget, cancel := context.WithTimeout(ctx, retryTime)
	defer cancel()
	pause, lost := time.Millisecond, 0
	for try := 1; ; try++ {
		err := once()
		if err == nil || !again(err) || try == maxTries {
			return err
		}
		if unreachable(err) {
			if lost++; lost == connectionTries {
				return err
			}
			pause = max(pause, 20*time.Millisecond)
		}
		e.stats.retries.Add(1)
		// Full jitter: two that met once do not meet again.
		timer := time.NewTimer(rand.N(pause) + pause/4)
		select {
		case <-timer.C:
		case <-budget.Done():
			timer.Stop()
			return err
		}
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// once runs fn in one transaction. Its connection is taken at the first statement.
func (e *pgEngine) once(ctx context.Context, fn func(context.Context, *Tx) error, read bool) error {
	// The caller's end is noticed between statements (Tx.before); the statements
	// themselves are bounded by workTimeout only, because stopping one costs its
	// connection, and stopping a commit the knowledge of its outcome.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTimeout)
	defer cancel()
	p := &pgTx{engine: e, caller: ctx, work: work, read: read}
	defer p.end() // also when fn panics
	tx := &Tx{run: p, read: read}
	if !read {
		tx.fault = e.fault
	}
	defer func() { tx.done = true }()
	if err := tx.finish(fn(ctx, tx)); err != nil {
		return err
	}
	return p.commit()
}

// pgTx is the connection of one transaction and how far it got.
type pgTx struct {
	engine *pgEngine
	caller context.Context // bounds the wait for a connection
	work   context.Context // bounds the statements
	conn   *pgxpool.Conn   // nil before the first statement
	read   bool
	begun  bool
}

// begin is sent with the first statement, in one round trip.
const begin = "BEGIN"

func (p *pgTx) acquire() error {
	if p.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.caller, acquireTimeout)
	defer cancel()
	c, err := p.engine.conns.Acquire(ctx)
	if err != nil {
		if p.caller.Err() != nil {
			return p.caller.Err()
		}
		return fmt.Errorf("%w: %w", errConnect, err)
	}
	p.conn = c
	return nil
}

// errConnect says that no connection could be had.
var errConnect = fmt.Errorf("%w: no connection", ErrUnavailable)

func (p *pgTx) exec(_ context.Context, query string, args []any) (int64, error) {
	args, err := plainAll(args)
	if err != nil {
		return 0, err
	}
	if err := p.acquire(); err != nil {
		return 0, err
	}
	var tag pgconn.CommandTag
	if p.read || p.begun {
		tag, err = p.conn.Exec(p.work, query, args...)
	} else {
		p.begun = true
		b := &pgx.Batch{}
		b.Queue(begin)
		b.Queue(query, args...)
		r := p.conn.SendBatch(p.work, b)
		if _, err = r.Exec(); err == nil {
			tag, err = r.Exec()
		}
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		return 0, pgErr(err)
	}
	return tag.RowsAffected(), nil
}

func (p *pgTx) query(_ context.Context, query string, args []any, row func(Row) bool) error {
	args, err := plainAll(args)
	if err != nil {
		return err
	}
	if err := p.acquire(); err != nil {
		return err
	}
	if p.read || p.begun {
		rows, err := p.conn.Query(p.work, query, args...)
		if err != nil {
			return pgErr(err)
		}
		return pgErr(eachRow(rows, row))
	}
	p.begun = true
	b := &pgx.Batch{}
	b.Queue(begin)
	b.Queue(query, args...)
	r := p.conn.SendBatch(p.work, b)
	defer r.Close() // after a panic of row
	_, err = r.Exec()
	if err == nil {
		var rows pgx.Rows
		if rows, err = r.Query(); err == nil {
			err = eachRow(rows, row)
		}
	}
	if e := r.Close(); err == nil {
		err = e
	}
	return pgErr(err)
}

func eachRow(rows pgx.Rows, row func(Row) bool) error {
	defer rows.Close()
	r := &pgRow{rows: rows}
	for rows.Next() {
		if !row(r) {
			break
		}
	}
	rows.Close()
	return rows.Err()
}

// commit makes the changes last. An error after the server may have begun to commit is
// errUnknown, never a reason to run the function again.
func (p *pgTx) commit() error {
	if p.read || !p.begun {
		return nil
	}
	if f := p.engine.fault; f != nil {
		if err := f(BeforeCommit); err != nil {
			return p.cut(err)
		}
	}
	tag, err := p.conn.Exec(p.work, "COMMIT")
	if err != nil {
		if refused(err) || pgconn.SafeToRetry(err) {
			return pgErr(err)
		}
		p.engine.stats.unknown.Add(1)
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	p.begun = false
	if tag.String() != "COMMIT" {
		return errors.New("db: postgres: the transaction was rolled back")
	}
	p.engine.stats.commits.Add(1)
	if f := p.engine.fault; f != nil {
		if err := f(AfterCommit); err != nil {
			p.engine.stats.unknown.Add(1)
			return fmt.Errorf("%w: %w", errUnknown, p.cut(err))
		}
	}
	return nil
}

// cut carries out an ErrConnectionLost of the test's fault.
func (p *pgTx) cut(err error) error {
	if errors.Is(err, ErrConnectionLost) {
		p.conn.Conn().PgConn().Conn().Close()
	}
	return err
}

// end gives the connection back, rolled back if the transaction is still open.
func (p *pgTx) end() {
	if p.conn == nil {
		return
	}
	defer p.conn.Release() // a closed connection leaves the pool
	pg := p.conn.Conn().PgConn()
	if pg.IsClosed() || pg.TxStatus() == 'I' {
		return
	}
	if _, err := p.conn.Exec(p.work, "ROLLBACK"); err != nil {
		p.conn.Conn().Close(p.work)
	}
}

func plainAll(args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, a := range args {
		v, err := plain(a)
		if err != nil {
			return nil, fmt.Errorf("db: argument $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}
