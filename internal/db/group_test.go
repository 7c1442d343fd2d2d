package db

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// openTest opens a migrated SQLite database and shows its writer.
func openTest(t *testing.T, o Options) (*DB, *writer) {
	t.Helper()
	d, err := OpenWith(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "t.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, d.engine.(*sqliteEngine).writer
}

func insert(ctx context.Context, tx *Tx, name string) error {
	_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ($1, '', 0)`, name)
	return err
}

func rows(t *testing.T, d *DB) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	err := d.Read(context.Background(), func(ctx context.Context, tx *Tx) error {
		names, err := All(ctx, tx, Text, `SELECT name FROM settings`)
		for _, n := range names {
			got[n] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// hold keeps the writer of d busy until release is called, and returns when it is held.
func hold(t *testing.T, d *DB) (release func()) {
	t.Helper()
	held, end, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once // the function may run again
	go func() {
		defer close(over)
		err := d.Write(context.Background(), func(context.Context, *Tx) error {
			once.Do(func() { close(held) })
			<-end
			return nil
		})
		if err != nil && !errors.Is(err, ErrUnavailable) { // it is a member of the group too
			t.Errorf("holder: %v", err)
		}
	}()
	<-held
	return func() {
		close(end)
		<-over
	}
}

// outcome is how one Write ended.
type outcome struct {
	err      error
	panicked any
	exited   bool
}

// together runs all fns in one group: the writer is held until each is queued, in order.
func together(t *testing.T, d *DB, w *writer, fns ...func(context.Context, *Tx) error) []outcome {
	t.Helper()
	release := hold(t, d)
	var wg sync.WaitGroup
	out := make([]outcome, len(fns))
	for i, fn := range fns {
		queued := len(w.queue)
		wg.Go(func() {
			out[i].exited = true
			defer func() { out[i].panicked = recover() }()
			err := d.Write(t.Context(), fn)
			out[i].err, out[i].exited = err, false
		})
		for len(w.queue) == queued {
			runtime.Gosched()
		}
	}
	release()
	wg.Wait()
	return out
}

func TestGroupSharesOneCommit(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	before := d.Stats()
	fns := make([]func(context.Context, *Tx) error, groupMax-1)
	for i := range fns {
		fns[i] = func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, fmt.Sprint(i)) }
	}
	for i, o := range together(t, d, w, fns...) {
		if o.err != nil {
			t.Errorf("member %d: %v", i, o.err)
		}
	}
	after := d.Stats()
	if got := after.Commits - before.Commits; got != 1 {
		t.Errorf("%d commits, want 1", got)
	}
	if got := after.Transactions - before.Transactions; got != groupMax {
		t.Errorf("%d transactions, want %d", got, groupMax)
	}
	if got := len(rows(t, d)); got != groupMax-1 {
		t.Errorf("%d rows, want %d", got, groupMax-1)
	}
}

// Every way in which a member can fail takes back its own changes only.
func TestFailingMemberRollsBackAlone(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	mine := errors.New("mine")
	out := together(t, d, w,
		func(ctx context.Context, tx *Tx) error { // before there is anything to keep
			return errors.Join(insert(ctx, tx, "early"), mine)
		},
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "a") },
		func(ctx context.Context, tx *Tx) error { return errors.Join(insert(ctx, tx, "error"), mine) },
		func(ctx context.Context, tx *Tx) error {
			if err := insert(ctx, tx, "panic"); err != nil {
				return err
			}
			panic(mine)
		},
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "b") },
		func(ctx context.Context, tx *Tx) error {
			if err := insert(ctx, tx, "exit"); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		},
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "a") },
		func(ctx context.Context, tx *Tx) error { // drops the error of its statement
			if err := insert(ctx, tx, "dropped"); err != nil {
				return err
			}
			insert(ctx, tx, "b")
			return nil
		},
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "c") },
	)
	for i, want := range []error{mine, nil, mine, nil, nil, nil, ErrConflict, ErrConflict, nil} {
		if !errors.Is(out[i].err, want) {
			t.Errorf("member %d: got %v, want %v", i, out[i].err, want)
		}
		if wantPanic := i == 3; wantPanic != (out[i].panicked != nil) {
			t.Errorf("member %d: panic %v", i, out[i].panicked)
		}
		if wantExit := i == 3 || i == 5; wantExit != out[i].exited {
			t.Errorf("member %d: goroutine ended is %v, want %v", i, out[i].exited, wantExit)
		}
	}
	if err, ok := out[3].panicked.(error); !ok || !errors.Is(err, mine) {
		t.Errorf("panic came out as %v", out[3].panicked)
	}
	got := rows(t, d)
	if len(got) != 3 || !got["a"] || !got["b"] || !got["c"] {
		t.Errorf("rows %v, want a, b and c", got)
	}
}

func TestFailedCommitRunsEachAlone(t *testing.T) {
	t.Parallel()
	disk := errors.New("disk")
	mine := errors.New("mine")
	var fail atomic.Int32
	d, w := openTest(t, Options{Fault: func(s Step) error {
		if s == BeforeCommit && fail.CompareAndSwap(1, 0) {
			return disk
		}
		return nil
	}})
	fail.Store(1)
	runs := 0
	out := together(t, d, w,
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "a") },
		func(ctx context.Context, tx *Tx) error { return errors.Join(insert(ctx, tx, "lost"), mine) },
		func(ctx context.Context, tx *Tx) error {
			runs++
			return insert(ctx, tx, "b")
		},
		func(ctx context.Context, tx *Tx) error {
			insert(ctx, tx, "exit")
			runtime.Goexit()
			return nil
		},
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "c") },
	)
	for i, want := range []error{nil, mine, nil, nil, nil} {
		if !errors.Is(out[i].err, want) || want == nil && out[i].err != nil {
			t.Errorf("member %d: got %v, want %v", i, out[i].err, want)
		}
	}
	if runs != 2 {
		t.Errorf("member ran %d times, want 2", runs)
	}
	if got := rows(t, d); len(got) != 3 || !got["a"] || !got["b"] || !got["c"] {
		t.Errorf("rows %v, want a, b and c", got)
	}
	if got := d.Stats().Alone; got == 0 {
		t.Error("none ran alone")
	}
}

func TestLostGroupThatCannotBeginAgainIsUnavailable(t *testing.T) {
	t.Parallel()
	var w *writer
	var d *DB
	var fail atomic.Int32
	nowhere := t.TempDir()
	d, w = openTest(t, Options{Fault: func(s Step) error {
		if s == BeforeCommit && fail.CompareAndSwap(1, 0) {
			w.conn.broken, w.path = true, nowhere // in the writer's goroutine
			return errors.New("disk")
		}
		return nil
	}})
	path := w.path
	fail.Store(1)
	member := func(name string) func(context.Context, *Tx) error {
		return func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, name) }
	}
	for i, o := range together(t, d, w, member("a"), member("b"), member("c")) {
		if !errors.Is(o.err, ErrUnavailable) {
			t.Errorf("member %d: got %v, want ErrUnavailable", i, o.err)
		}
	}
	w.path = path
	if err := d.Write(t.Context(), member("d")); err != nil {
		t.Errorf("mended: %v", err)
	}
	if got := rows(t, d); len(got) != 1 || !got["d"] {
		t.Errorf("rows %v, want d", got)
	}
}

// A function that ends its goroutine while it runs alone leaves the rest to a new one.
func TestExitWhileAloneLeavesTheRest(t *testing.T) {
	t.Parallel()
	var fail atomic.Int32
	d, w := openTest(t, Options{Fault: func(s Step) error {
		if s == BeforeCommit && fail.CompareAndSwap(1, 0) {
			return errors.New("disk")
		}
		return nil
	}})
	fail.Store(1)
	runs := 0
	out := together(t, d, w,
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "a") },
		func(ctx context.Context, tx *Tx) error {
			if runs++; runs == 2 {
				runtime.Goexit()
			}
			return insert(ctx, tx, "exit")
		},
		func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "b") },
	)
	if out[0].err != nil || !out[1].exited || out[2].err != nil {
		t.Errorf("outcomes %+v", out)
	}
	if got := rows(t, d); len(got) != 2 || !got["a"] || !got["b"] {
		t.Errorf("rows %v, want a and b", got)
	}
}

func TestFullDiskFailsOnlyWhoDoesNotFit(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	pages := func(limit string) {
		t.Helper()
		err := d.Write(t.Context(), func(context.Context, *Tx) error {
			return w.conn.do("PRAGMA max_page_count = " + limit)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	pages("1") // SQLite takes that as what the file has
	big := func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ('big', $1, 0)`, strings.Repeat("x", 100_000))
		return err
	}
	small := func(name string) func(context.Context, *Tx) error {
		return func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, name) }
	}
	out := together(t, d, w, small("a"), big, small("b"))
	if out[0].err != nil || out[2].err != nil {
		t.Errorf("small rows: %v, %v", out[0].err, out[2].err)
	}
	if !errors.Is(out[1].err, ErrUnavailable) {
		t.Errorf("big row: got %v, want ErrUnavailable", out[1].err)
	}
	if got := rows(t, d); len(got) != 2 || !got["a"] || !got["b"] {
		t.Errorf("rows %v, want a and b", got)
	}
	pages("1000000")
	if err := d.Write(t.Context(), big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
