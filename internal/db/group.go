package db

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// This file is the writer's work on one group; all of it runs in the writer's goroutine.

// serve lets waiting requests join the group, commits it and answers.
func (w *writer) serve() {
	w.gather()
	if w.open && !w.lost {
		switch err := w.commit(); {
		case errors.Is(err, errUnknown):
			for _, r := range w.group {
				if r.err == nil {
					r.err = err
				}
			}
		case err != nil:
			w.lost = true
		}
	}
	w.alone = []*request{}
	for _, r := range w.group {
		if w.lost || r.again {
			w.alone = append(w.alone, r)
		} else {
			w.answer(r)
		}
	}
	clear(w.group)
	w.group = w.group[:0]
	w.rollback()
	w.runAlone()
}

// gather runs those who wait in the open transaction, up to groupMax in all.
func (w *writer) gather() {
	yielded := false
	for !w.lost && len(w.group) < groupMax {
		select {
		case r := <-w.queue:
			w.join(r)
			continue
		default:
		}
		// Callers answered a moment ago are often about to come again: one turn of the
		// scheduler lets them in, and costs nothing when there are none.
		if yielded {
			return
		}
		yielded = true
		runtime.Gosched()
	}
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
	var refused error
	for len(w.alone) > 0 {
		r := w.alone[0]
		w.alone = w.alone[1:]
		switch {
		case r.crash != nil || r.exit:
		case refused != nil: // as in refuse: the rest would wait for the same
			r.err = refused
		default:
			w.stats.alone.Add(1)
			refused = w.runOne(r)
		}
		w.answer(r)
	}
	w.alone = nil
}

// runOne runs r in transactions of its own until one needs no other. Its error is that no
// transaction can begin.
func (w *writer) runOne(r *request) error {
	for range maxTries {
		if r.err = w.begin(); r.err != nil {
			return r.err
		}
		w.call(r)
		if r.err == nil && r.crash == nil {
			r.err = w.commit()
			r.again = again(r.err)
		}
		w.rollback()
		if !r.again {
			break
		}
		w.stats.retries.Add(1)
	}
	return nil
}

// again says that err is a fault that asks for another run. SQLite itself has none: it
// has one writer.
func again(err error) bool {
	return !errors.Is(err, errUnknown) && (errors.Is(err, ErrSerialization) || errors.Is(err, ErrConnectionLost))
}

// call runs the function of r. When it ends the goroutine, current stays set for resume.
func (w *writer) call(r *request) {
	tx := &Tx{run: w, n: &w.stats.statements}
	w.current = r
	r.err, r.again = nil, false
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
	r.again = r.err != nil && again(tx.err)
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
		c, err := openWriter(w.path)
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
	if w.logged += max(w.kept, 1); w.logged >= checkpointEvery {
		w.logged = 0
		w.check.ask()
	}
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

// exec and query make writer the runner of the request under way.

func (w *writer) exec(ctx context.Context, query string, args []any) (int64, error) {
	if err := w.before(query); err != nil {
		return 0, err
	}
	return w.conn.exec(ctx, query, args)
}

func (w *writer) query(ctx context.Context, query string, args []any, row func(Row) bool) error {
	if err := w.before(query); err != nil {
		return err
	}
	return w.conn.query(ctx, query, args, row)
}

// before makes a savepoint for a request that is about to change something, if the
// transaction holds the changes of others.
func (w *writer) before(query string) error {
	if w.fault != nil {
		if err := w.fault(BeforeStatement); err != nil {
			return err
		}
	}
	if w.kept == 0 || w.saved || reads(query) {
		return nil
	}
	if err := w.conn.do("SAVEPOINT member"); err != nil {
		return err
	}
	w.saved = true
	return nil
}
