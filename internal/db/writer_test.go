package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestCallerLeavesTheQueueWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	release := hold(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	answer := make(chan error, 1)
	go func() {
		answer <- d.Write(ctx, func(context.Context, *Tx) error {
			ran = true
			return nil
		})
	}()
	for len(w.queue) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	release()
	if err := d.Write(t.Context(), func(context.Context, *Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if ran {
		t.Error("a caller that had left was served")
	}
}

func TestBegunWriteTellsTheTruthAfterItsContextEnds(t *testing.T) {
	t.Parallel()
	d, _ := openTest(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Write(ctx, func(ctx context.Context, tx *Tx) error {
		err := insert(ctx, tx, "a")
		cancel()
		return err
	})
	if err != nil || !rows(t, d)["a"] {
		t.Errorf("got %v with rows %v, want the row and no error", err, rows(t, d))
	}
	ctx, cancel = context.WithCancel(t.Context())
	err = d.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if err := insert(ctx, tx, "b"); err != nil {
			return err
		}
		cancel()
		return insert(ctx, tx, "c")
	})
	if !errors.Is(err, context.Canceled) || len(rows(t, d)) != 1 {
		t.Errorf("got %v with rows %v, want context.Canceled and a only", err, rows(t, d))
	}
}

func TestBrokenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	path := w.path
	broken := func(path string) error {
		return d.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			if path != "" {
				w.path = path
			}
			// As if the file system had turned read-only.
			if err := w.conn.do("PRAGMA query_only = ON"); err != nil {
				return err
			}
			return insert(ctx, tx, "a")
		})
	}
	if err := broken(t.TempDir()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no way back: got %v, want ErrUnavailable", err)
	}
	if err := d.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return nil }); !errors.Is(err, ErrUnavailable) {
		t.Errorf("still broken: got %v, want ErrUnavailable", err)
	}
	w.path = path // the goroutine is idle: it has answered
	if err := d.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "b") }); err != nil {
		t.Errorf("mended: %v", err)
	}
	if got := rows(t, d); len(got) != 1 || !got["b"] {
		t.Errorf("rows %v, want b", got)
	}
}

func TestLockOfAnotherProcessEndsInUnavailable(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	other, err := Open(t.Context(), "sqlite:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w.conn.SetBusyTimeout(20 * time.Millisecond)
	err = other.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		if err := insert(ctx, tx, "theirs"); err != nil {
			return err
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				err := d.Write(t.Context(), func(context.Context, *Tx) error { return nil })
				if !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
		wg.Wait()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, "mine") }); err != nil {
		t.Errorf("after they let go: %v", err)
	}
}

func TestCloseFinishesWhatIsQueued(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	release := hold(t, d)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if err := d.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, fmt.Sprint(i)) }); err != nil {
				t.Errorf("queued before close: %v", err)
			}
		})
	}
	for len(w.queue) < 10 {
		runtime.Gosched()
	}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	release()
	wg.Wait()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	nothing := func(context.Context, *Tx) error { return nil }
	if err := d.Write(t.Context(), nothing); !errors.Is(err, ErrUnavailable) {
		t.Errorf("write after close: got %v, want ErrUnavailable", err)
	}
	if err := d.Read(t.Context(), nothing); !errors.Is(err, ErrUnavailable) {
		t.Errorf("read after close: got %v, want ErrUnavailable", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	again, err := Open(t.Context(), "sqlite:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := len(rows(t, again)); got != 10 {
		t.Errorf("%d rows, want 10", got)
	}
}

func TestStatementsKeptAreBounded(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	err := d.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		for i := range statementsKept + 10 {
			if _, err := One(ctx, tx, Int, fmt.Sprintf(`SELECT %d`, i)); err != nil {
				return err
			}
		}
		if n := len(w.conn.stmts); n > statementsKept {
			t.Errorf("%d statements kept, want at most %d", n, statementsKept)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLogIsCopiedInTheBackground(t *testing.T) {
	t.Parallel()
	d, w := openTest(t, Options{})
	size := func() int64 {
		info, err := os.Stat(w.path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	var wg sync.WaitGroup
	for i := range groupMax {
		wg.Go(func() {
			for n := range checkpointEvery/groupMax + 1 {
				if err := d.Write(t.Context(), func(ctx context.Context, tx *Tx) error { return insert(ctx, tx, fmt.Sprint(i, ".", n)) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for size() == before && t.Context().Err() == nil {
		time.Sleep(time.Millisecond) // a file tells nobody that it has grown
	}
}
