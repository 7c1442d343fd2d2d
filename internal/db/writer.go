package db

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

const (
	// groupMax bounds the transactions that share a commit, and with it how long the
	// first of them waits for the last.
	groupMax = 64
	// maxTries bounds how often a function is run for one call of Write.
	maxTries = 20
)

// writer owns the only SQLite connection that writes. Its goroutine takes waiting
// requests, runs them in one transaction and answers after its commit:
//
//	BEGIN IMMEDIATE ─ request 1 ─ SAVEPOINT ─ request 2 ─ RELEASE ─ … ─ COMMIT ─ answer all
//
// One wait for the disk thus serves all who came during the one before. A request that
// fails takes back only its own savepoint. When the commit fails, or the engine ends the
// transaction by itself, each request runs again alone, so that no caller is told of
// another's failure or success. For the same reason a request that failed is answered
// after the commit too: what it saw may have been a neighbour's unfinished work.
type writer struct {
	path  string
	fault func(Step) error
	stats *counters

	queue chan *request
	quit  chan struct{} // closed to stop
	gone  chan struct{} // closed when the goroutine has ended
	stop  sync.Once
	ended error // of closing the connection; read after gone

	// The rest is the goroutine's own.
	conn    *conn      // nil while it is broken
	open    bool       // a transaction is open
	saved   bool       // the request under way has a savepoint
	lost    bool       // the open transaction cannot be committed
	kept    int        // requests whose changes are in the open transaction
	group   []*request // what has run in the open transaction
	alone   []*request // what remains to be run alone
	current *request   // its function is running
}

// Where a request stands: its caller may leave only while it waits.
const (
	waiting int32 = iota
	running
	left
)

type request struct {
	ctx   context.Context
	fn    func(context.Context, *Tx) error
	where atomic.Int32
	done  chan struct{} // closed when answered

	err   error
	crash *crash // fn panicked
	exit  bool   // fn ended its goroutine, as testing.T.FailNow does
}

// crash is a panic on its way to the goroutine of the caller, with the stack it left.
type crash struct {
	value any
	stack []byte
}

func (c *crash) Error() string { return fmt.Sprintf("%v\n\n%s", c.value, c.stack) }

func (c *crash) Unwrap() error {
	err, _ := c.value.(error)
	return err
}

func newWriter(path string, c *conn, fault func(Step) error, stats *counters) *writer {
	w := &writer{
		path: path, conn: c, fault: fault, stats: stats,
		queue: make(chan *request, 4*groupMax),
		quit:  make(chan struct{}),
		gone:  make(chan struct{}),
	}
	go w.loop()
	return w
}

// do queues fn and waits for its answer.
func (w *writer) do(ctx context.Context, fn func(context.Context, *Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-w.quit:
		return errClosed
	default:
	}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.where.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
		<-r.done
	case <-w.gone:
		// The goroutine may have ended between its last look at the queue and our send.
		if r.where.CompareAndSwap(waiting, left) {
			return errClosed
		}
		<-r.done
	}
	switch {
	case r.crash != nil:
		panic(r.crash)
	case r.exit:
		runtime.Goexit()
	}
	return r.err
}

// close waits for what is queued and closes the connection.
func (w *writer) close() error {
	w.stop.Do(func() { close(w.quit) })
	<-w.gone
	return w.ended
}

// loop serves until quit. A function that ends its goroutine unwinds through here; the
// work goes on in a new goroutine where it stopped.
func (w *writer) loop() {
	finished := false
	defer func() {
		if !finished {
			go w.loop()
		}
	}()
	w.resume()
	for r := w.wait(); r != nil; r = w.wait() {
		w.join(r)
		w.serve()
	}
	finished = true
	if w.conn != nil {
		w.ended = w.conn.Close()
	}
	close(w.gone)
}

// wait gives the next request, or nil when the writer is to end.
func (w *writer) wait() *request {
	select {
	case r := <-w.queue:
		return r
	case <-w.quit:
	}
	select {
	case r := <-w.queue: // came before quit
		return r
	default:
		return nil
	}
}

// resume goes on after a function ended the goroutine before this one.
func (w *writer) resume() {
	r := w.current
	if r == nil {
		return
	}
	w.current = nil
	r.exit = true
	if w.alone != nil {
		w.rollback()
		w.answer(r)
		w.runAlone()
		return
	}
	w.settle(r)
	w.serve()
}

// serve lets waiting requests join the group, commits it and answers.
func (w *writer) serve() {
gather:
	for !w.lost && len(w.group) < groupMax {
		select {
		case r := <-w.queue:
			w.join(r)
		default:
			break gather
		}
	}
	if !w.lost && w.open {
		switch err := w.commit(); {
		case errors.Is(err, errUnknown):
			for _, r := range w.group {
				r.err = err
			}
		case err != nil:
			w.lost = true
		}
	}
	if w.lost {
		w.rollback()
		w.alone, w.group = w.group, nil
		w.runAlone()
		return
	}
	for _, r := range w.group {
		w.answer(r)
	}
	clear(w.group)
	w.group, w.kept = w.group[:0], 0
}

// join runs r in the open transaction, or in a new one.
func (w *writer) join(r *request) {
	if !r.where.CompareAndSwap(waiting, running) {
		return
	}
	if err := w.begin(); err != nil {
		r.err = err
		w.answer(r)
		w.refuse(err)
		return
	}
	w.group = append(w.group, r)
	w.call(r)
	w.settle(r)
}

// refuse answers all who wait: whatever kept a transaction from beginning has been waited
// for already, and each of them would wait for it anew.
func (w *writer) refuse(err error) {
	for {
		select {
		case r := <-w.queue:
			if r.where.CompareAndSwap(waiting, running) {
				r.err = err
				w.answer(r)
			}
		default:
			return
		}
	}
}

// settle keeps or takes back what r did, now that its function is over.
func (w *writer) settle(r *request) {
	saved := w.saved
	w.saved = false
	var err error
	switch ok := r.err == nil && r.crash == nil && !r.exit; {
	case w.conn.AutocommitEnabled():
		// The engine took the whole transaction back by itself: disk full, for one.
		w.lost = true
	case ok:
		w.kept++
		if saved {
			err = w.conn.do("RELEASE member")
		}
	case w.kept == 0:
		err = w.conn.do("ROLLBACK")
		w.open = err != nil
	case saved:
		if err = w.conn.do("ROLLBACK TO member"); err == nil {
			err = w.conn.do("RELEASE member")
		}
	}
	if err != nil {
		w.lost = true
	}
}

// runAlone gives each request that was in a lost group a transaction of its own.
func (w *writer) runAlone() {
	for len(w.alone) > 0 {
		r := w.alone[0]
		w.alone = w.alone[1:]
		if r.crash == nil && !r.exit {
			w.stats.alone.Add(1)
			w.runOne(r)
		}
		w.answer(r)
	}
	w.alone = nil
}

func (w *writer) runOne(r *request) {
	for range maxTries {
		r.err = w.begin()
		if r.err != nil {
			return
		}
		w.call(r)
		if r.err == nil && r.crash == nil {
			r.err = w.commit()
		}
		w.rollback()
		if !errors.Is(r.err, ErrSerialization) && !errors.Is(r.err, ErrConnectionLost) {
			return
		}
		w.stats.retries.Add(1)
	}
}

// call runs the function of r. When it ends the goroutine, current stays set for resume.
func (w *writer) call(r *request) {
	tx := &Tx{run: w, fault: w.fault}
	w.current = r
	returned := false
	defer func() {
		tx.done = true
		if returned {
			return
		}
		if v := recover(); v != nil {
			r.crash = &crash{value: v, stack: debug.Stack()}
			w.current = nil
		}
	}()
	err := r.fn(r.ctx, tx)
	returned = true
	r.err = tx.finish(err)
	w.current = nil
}

func (w *writer) answer(r *request) {
	if r.err == nil && r.crash == nil && !r.exit {
		w.stats.transactions.Add(1)
	} else {
		w.stats.rollbacks.Add(1)
	}
	close(r.done)
}

// begin opens a transaction, on a new connection if the last one broke.
func (w *writer) begin() error {
	if w.open {
		return nil
	}
	if w.conn == nil {
		c, err := openConn(w.path, false)
		if err != nil {
			return err
		}
		w.conn = c
	}
	if err := w.conn.do("BEGIN IMMEDIATE"); err != nil {
		w.rollback()
		return err
	}
	w.open, w.lost, w.kept = true, false, 0
	return nil
}

func (w *writer) commit() error {
	if w.fault != nil {
		if err := w.fault(BeforeCommit); err != nil {
			return err
		}
	}
	if err := w.conn.do("COMMIT"); err != nil {
		return err
	}
	w.open = false
	w.stats.commits.Add(1)
	if w.fault != nil {
		if err := w.fault(AfterCommit); err != nil {
			w.stats.unknown.Add(1)
			return fmt.Errorf("%w: %w", errUnknown, err)
		}
	}
	return nil
}

// rollback leaves no transaction open, and no connection that may not be used again.
func (w *writer) rollback() {
	w.open, w.saved, w.lost, w.kept = false, false, false, 0
	if w.conn == nil {
		return
	}
	if !w.conn.AutocommitEnabled() {
		if err := w.conn.do("ROLLBACK"); err != nil {
			w.conn.broken = true
		}
	}
	if w.conn.broken {
		w.conn.Close()
		w.conn = nil
	}
}

// exec and query make writer the runner of the request under way. Only what a request
// changes beside the changes of others needs a savepoint.

func (w *writer) exec(ctx context.Context, query string, args []any) (int64, error) {
	if err := w.save(query); err != nil {
		return 0, err
	}
	return w.conn.exec(ctx, query, args)
}

func (w *writer) query(ctx context.Context, query string, args []any, row func(Row) bool) error {
	if err := w.save(query); err != nil {
		return err
	}
	return w.conn.query(ctx, query, args, row)
}

func (w *writer) save(query string) error {
	if w.kept == 0 || w.saved || reads(query) {
		return nil
	}
	if err := w.conn.do("SAVEPOINT member"); err != nil {
		return err
	}
	w.saved = true
	return nil
}
