package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"zombiezen.com/go/sqlite"
)

// sqliteEngine is one database file: a writer goroutine with the only connection that
// writes, and a pool of connections that read.
type sqliteEngine struct {
	path   string
	writer *writer
	stats  *counters

	slots chan struct{} // one element a reader in use
	quit  chan struct{} // closed by close
	mu    sync.Mutex
	idle  []*conn // the most recently used last: its cache is warm
	shut  bool
}

func openSQLite(ctx context.Context, path string, o Options, stats *counters) (engine, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("db: sqlite: needs the path of a file")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// SQLite would create the file readable to all, and gives its -wal and -shm files the
	// mode of the file itself.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: open sqlite database: %w", ErrUnavailable, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("%w: open sqlite database: %w", ErrUnavailable, err)
	}
	c, err := openWriter(path)
	if err != nil {
		return nil, err
	}
	return &sqliteEngine{
		path:   path,
		stats:  stats,
		slots:  make(chan struct{}, runtime.GOMAXPROCS(0)+2),
		quit:   make(chan struct{}),
		writer: newWriter(path, c, o.Fault, stats),
	}, nil
}

func (e *sqliteEngine) name() string { return "sqlite" }

func (e *sqliteEngine) write(ctx context.Context, fn func(context.Context, *Tx) error) error {
	return e.writer.do(ctx, fn)
}

func (e *sqliteEngine) read(ctx context.Context, fn func(context.Context, *Tx) error) error {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.quit:
		return errClosed
	}
	defer func() { <-e.slots }()
	c, err := e.take()
	if err != nil {
		return err
	}
	defer e.put(c) // also when fn panics
	if err := c.do("BEGIN"); err != nil {
		return err
	}
	e.stats.reads.Add(1)
	tx := &Tx{run: c, n: &e.stats.statements, read: true}
	defer func() { tx.done = true }()
	return tx.finish(fn(ctx, tx))
}

func (e *sqliteEngine) take() (*conn, error) {
	e.mu.Lock()
	if e.shut {
		e.mu.Unlock()
		return nil, errClosed
	}
	if n := len(e.idle); n > 0 {
		c := e.idle[n-1]
		e.idle = e.idle[:n-1]
		e.mu.Unlock()
		return c, nil
	}
	e.mu.Unlock()
	return openReader(e.path)
}

// put ends the transaction of c and keeps c for the next reader, if it is fit.
func (e *sqliteEngine) put(c *conn) {
	if !c.AutocommitEnabled() {
		if err := c.do("COMMIT"); err != nil {
			c.broken = true
		}
	}
	e.mu.Lock()
	keep := !e.shut && !c.broken
	if keep {
		e.idle = append(e.idle, c)
	}
	e.mu.Unlock()
	if !keep {
		c.Close()
	}
}

func (e *sqliteEngine) pool() (open, inUse, limit int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	inUse = len(e.slots)
	return len(e.idle) + inUse + 1, inUse, cap(e.slots) + 1
}

func (e *sqliteEngine) close() error {
	e.mu.Lock()
	if e.shut {
		e.mu.Unlock()
		return nil
	}
	e.shut = true
	e.mu.Unlock()
	close(e.quit)
	for range cap(e.slots) { // until every reader has come back
		e.slots <- struct{}{}
	}
	var errs []error
	for _, c := range e.idle {
		errs = append(errs, c.Close())
	}
	e.idle = nil
	// Last, because the last connection to close empties the write-ahead log.
	return errors.Join(append(errs, e.writer.close())...)
}

// sqliteErr says what an error of the engine means to a caller.
func sqliteErr(err error) error {
	if err == nil {
		return nil
	}
	code := sqlite.ErrCode(err)
	switch code {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey, sqlite.ResultConstraintRowID:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case sqlite.ResultConstraintForeignKey:
		return fmt.Errorf("%w: %w", ErrReference, err)
	}
	switch code.ToPrimary() {
	case sqlite.ResultBusy:
		return fmt.Errorf("%w: another process holds the lock: %w", ErrUnavailable, err)
	case sqlite.ResultFull:
		return fmt.Errorf("%w: disk full: %w", ErrUnavailable, err)
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%w: the file is damaged: %w", ErrUnavailable, err)
	}
	if damaged(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// damaged says that err came from the file rather than from a statement, so that the
// connection may hold a stale view of it and is opened anew before it is used again.
func damaged(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultIOErr, sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultNoMem,
		sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultProtocol, sqlite.ResultPerm:
		return true
	}
	return false
}
