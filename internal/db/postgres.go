package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// dialTimeout bounds the connecting to one host, if the URL has no connect_timeout.
	dialTimeout = 3 * time.Second
	// tryTime bounds the waits for a connection and the pauses between the runs of one
	// function; when it is over the caller hears that the server is not to be had.
	tryTime = 5 * time.Second
	// workTime is pgEngine.workTime: no statement here has slow work, so longer means a
	// server that is frozen or cut off.
	workTime = 10 * time.Second
	// lossesMax bounds the runs that ended with a lost connection; with their pauses that
	// is more than a second, which bridges a restart of the server.
	lossesMax = 10
)

// pgEngine is a PostgreSQL server, or several of which one is the primary.
type pgEngine struct {
	conns    *pgxpool.Pool
	workTime time.Duration // bounds each statement
	fault    func(Step) error
	stats    *counters
}

func openPostgres(ctx context.Context, raw string, o Options, stats *counters) (engine, error) {
	config, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("db: %w", err) // pgx masks the password
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = dialTimeout
	}
	if _, set := config.ConnConfig.RuntimeParams["application_name"]; !set {
		config.ConnConfig.RuntimeParams["application_name"] = "sallyport"
	}
	if u, err := url.Parse(raw); err == nil && !u.Query().Has("pool_max_conns") {
		// A connection is a process of the server: more than a few for each core here
		// only move the queue there.
		config.MaxConns = int32(min(max(4*runtime.GOMAXPROCS(0), 8), 64))
	}
	if config.PingTimeout == 0 {
		config.PingTimeout = dialTimeout
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("db: %w", err)
	}
	return &pgEngine{conns: pool, workTime: workTime, fault: o.Fault, stats: stats}, nil
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
	return e.retry(ctx, func(budget context.Context) (verdict, error) {
		return e.once(ctx, budget, fn, true)
	})
}

func (e *pgEngine) write(ctx context.Context, fn func(context.Context, *Tx) error) error {
	err := e.retry(ctx, func(budget context.Context) (verdict, error) {
		return e.once(ctx, budget, fn, false)
	})
	if err != nil {
		e.stats.rollbacks.Add(1)
	} else {
		e.stats.transactions.Add(1)
	}
	return err
}

// verdict is what the end of one run means for another.
type verdict int

const (
	final    verdict = iota // committed, refused for good, or not known: never run again
	conflict                // another transaction was in the way
	lost                    // no connection, or not the one to a primary
)

// judge gives the verdict over a run in which cause was the error of a statement or of
// the commit. Nothing was committed unless cause is errUnknown.
func judge(cause error) verdict {
	switch {
	case errors.Is(cause, errUnknown):
		return final
	case errors.Is(cause, ErrSerialization):
		return conflict
	case errors.Is(cause, ErrConnectionLost), errors.Is(cause, errConnect):
		return lost
	}
	return final
}

// retry calls run again until its verdict is final or the bounds are reached. The budget
// it hands to run ends with ctx or with tryTime.
func (e *pgEngine) retry(ctx context.Context, run func(budget context.Context) (verdict, error)) error {
	budget, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	pause, losses := time.Millisecond, 0
	for try := 1; ; try++ {
		v, err := run(budget)
		if v == final || try == maxTries {
			return err
		}
		if v == lost {
			if losses++; losses == lossesMax {
				return err
			}
			pause = max(pause, 20*time.Millisecond)
		}
		// Jitter, so that two that met once do not meet again.
		timer := time.NewTimer(pause/4 + rand.N(pause))
		select {
		case <-timer.C:
		case <-budget.Done():
			timer.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		e.stats.retries.Add(1)
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// once runs fn in one transaction, whose connection is taken at its first statement.
func (e *pgEngine) once(ctx, budget context.Context, fn func(context.Context, *Tx) error, read bool) (verdict, error) {
	// The end of ctx is noticed between statements (Tx.before). A statement under way is
	// bounded by e.workTime only: to stop one costs its connection, and to stop a commit
	// costs the knowledge of its outcome.
	p := &pgTx{engine: e, caller: ctx, budget: budget, work: context.WithoutCancel(ctx), read: read}
	defer p.end() // also when fn panics
	tx := &Tx{run: p, n: &e.stats.statements, read: read}
	defer func() { tx.done = true }()
	if err := tx.finish(fn(ctx, tx)); err != nil {
		// The function may have put its own words in place of the statement's error.
		return judge(tx.err), err
	}
	err := p.commit()
	return judge(err), err
}
