package db

import (
	"context"
	"fmt"
	"runtime"
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
	check *checkpointer

	queue chan *request
	quit  chan struct{} // closed to stop
	gone  chan struct{} // closed when the goroutine has ended
	stop  sync.Once
	ended error // of closing the connection; read after gone

	// The rest is the goroutine's own.
	conn    *conn      // nil while it is broken
	logged  int        // transactions since the last checkpoint was asked for
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
	again bool   // the engine asked for another run
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
		path: path, conn: c, fault: fault, stats: stats, check: newCheckpointer(path),
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
	w.check.close()
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
