package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

var start = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// clock is a settable time.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.UnixMicro())
	return c
}
func (c *clock) Now() time.Time       { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) Step(d time.Duration) { c.at.Add(d.Microseconds()) }

// logged is a log that can be searched.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func runner(d *db.DB, c *clock, kind Kind, h Handler) (*Runner, *logged) {
	l := &logged{}
	return &Runner{
		DB: d, Now: c.Now, Poll: 5 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(l, nil)), Handlers: map[Kind]Handler{kind: h},
	}, l
}

func write(t testing.TB, d *db.DB, fn func(ctx context.Context, tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.WithoutCancel(t.Context()), fn); err != nil {
		t.Fatal(err)
	}
}

func enqueue(t testing.TB, d *db.DB, kind Kind, payload string, runAt time.Time) (id string) {
	t.Helper()
	write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
		id, err = Enqueue(ctx, tx, kind, []byte(payload), runAt, start)
		return err
	})
	return id
}

func counts(t testing.TB, d *db.DB) (live, dead int) {
	t.Helper()
	for _, c := range allCounts(t, d) {
		live, dead = live+c.Live, dead+c.Dead
	}
	return live, dead
}

func allCounts(t testing.TB, d *db.DB) (cs []Count) {
	t.Helper()
	err := d.Read(context.WithoutCancel(t.Context()), func(ctx context.Context, tx *db.Tx) (err error) {
		cs, err = Counts(ctx, tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func once(t testing.TB, r *Runner, want int) {
	t.Helper()
	if n, err := r.RunOnce(t.Context()); n != want || err != nil {
		t.Fatalf("RunOnce = %d, %v; want %d jobs", n, err, want)
	}
}

func TestJobRunsWhenDue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		var got []Job
		r, _ := runner(d, c, "test", Handler{Run: func(_ context.Context, j Job) error { got = append(got, j); return nil }})
		id := enqueue(t, d, "test", "hello", start.Add(time.Minute))
		once(t, r, 0)
		c.Step(time.Minute)
		once(t, r, 1)
		once(t, r, 0)
		if len(got) != 1 || got[0].ID != id || string(got[0].Payload) != "hello" || got[0].Attempts != 1 || got[0].Kind != "test" || !got[0].CreatedAt.Equal(start) {
			t.Errorf("got %+v", got)
		}
		if live, dead := counts(t, d); live != 0 || dead != 0 {
			t.Errorf("%d live and %d dead jobs are left", live, dead)
		}
	})
}

func TestJobsOfUnknownKindsWait(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, _ := runner(d, newClock(), "known", Handler{Run: func(context.Context, Job) error { return nil }})
		enqueue(t, d, "known", "", start)
		enqueue(t, d, "unknown", "", start)
		once(t, r, 1)
		if cs := allCounts(t, d); len(cs) != 1 || cs[0] != (Count{Kind: "unknown", Live: 1, Oldest: start}) {
			t.Errorf("got %+v, want one job of the unknown kind", cs)
		}
	})
}

func TestEnqueueRollsBackWithItsCause(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		cause := errors.New("cause")
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if _, err := Enqueue(ctx, tx, "test", nil, start, start); err != nil {
				return err
			}
			return cause
		})
		if live, _ := counts(t, d); !errors.Is(err, cause) || live != 0 {
			t.Errorf("got %v and %d jobs, want none", err, live)
		}
	})
}

// TestJobRetries: the delays are the handler's, give or take a tenth; after the
// last the job is dead, and can be revived.
func TestJobRetries(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		fail := true
		var attempts []int
		r, log := runner(d, c, "test", Handler{
			Retry: []time.Duration{time.Minute, time.Hour},
			Run: func(_ context.Context, j Job) error {
				attempts = append(attempts, j.Attempts)
				if fail {
					return errors.New("no luck\x00")
				}
				return nil
			},
		})
		id := enqueue(t, d, "test", "x", start)
		once(t, r, 1)
		c.Step(53 * time.Second)
		once(t, r, 0)
		c.Step(14 * time.Second)
		once(t, r, 1)
		c.Step(53 * time.Minute)
		once(t, r, 0)
		c.Step(14 * time.Minute)
		once(t, r, 1)
		c.Step(1000 * time.Hour)
		once(t, r, 0)
		if len(attempts) != 3 {
			t.Fatalf("attempts %v, want three", attempts)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings, want 2:\n%s", n, log)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d errors, want 1:\n%s", n, log)
		}

		var dead []Dead
		write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
			dead, err = ListDead(ctx, tx, 10)
			return err
		})
		if len(dead) != 1 || dead[0].ID != id || dead[0].Error != "no luck" || dead[0].Attempts != 3 || dead[0].DiedAt.Before(start.Add(time.Hour)) {
			t.Fatalf("dead jobs: %+v", dead)
		}
		fail = false
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return Revive(ctx, tx, id, c.Now()) })
		once(t, r, 1)
		if live, dead := counts(t, d); live+dead != 0 {
			t.Errorf("%d live and %d dead jobs are left", live, dead)
		}
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return Revive(ctx, tx, id, c.Now()) })
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("reviving a job that is gone: %v, want ErrNotFound", err)
		}
	})
}

func TestGiveUpIsAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		r, _ := runner(d, c, "test", Handler{
			Retry: []time.Duration{time.Second},
			Run:   func(context.Context, Job) error { return fmt.Errorf("%w: the address is not one", ErrGiveUp) },
		})
		enqueue(t, d, "test", "x", start)
		once(t, r, 1)
		if live, dead := counts(t, d); live != 0 || dead != 1 {
			t.Errorf("%d live and %d dead jobs, want one dead", live, dead)
		}
		sweep := func(before time.Time) (n int64) {
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
				n, err = SweepDead(ctx, tx, before, 10)
				return err
			})
			return n
		}
		if early, late := sweep(start), sweep(start.Add(time.Second)); early != 0 || late != 1 {
			t.Errorf("swept %d before and %d after it died, want 0 and 1", early, late)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		panics := true
		r, log := runner(d, c, "test", Handler{Retry: []time.Duration{time.Second}, Run: func(context.Context, Job) error {
			if panics {
				panic("oh no")
			}
			return nil
		}})
		enqueue(t, d, "test", "x", start)
		once(t, r, 1)
		if !strings.Contains(log.String(), "oh no") || !strings.Contains(log.String(), "job_test.go") {
			t.Errorf("the log lacks the panic and its place: %s", log)
		}
		panics = false
		c.Step(2 * time.Second)
		once(t, r, 1)
		if live, dead := counts(t, d); live+dead != 0 {
			t.Errorf("%d live and %d dead jobs are left", live, dead)
		}
	})
}

func TestTimeoutIsAFailure(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, log := runner(d, newClock(), "test", Handler{Timeout: time.Millisecond, Run: func(ctx context.Context, _ Job) error { <-ctx.Done(); return ctx.Err() }})
		enqueue(t, d, "test", "x", start)
		once(t, r, 1)
		if !strings.Contains(log.String(), context.DeadlineExceeded.Error()) {
			t.Errorf("the log lacks the timeout: %s", log)
		}
	})
}

// TestLease: nobody else gets a job while its lease lasts; afterwards the next
// one does, and what the first one reports no longer counts.
func TestLease(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		running, release := make(chan struct{}), make(chan error)
		slow, log := runner(d, c, "test", Handler{Timeout: time.Minute, Retry: []time.Duration{time.Second, time.Second}, Run: func(context.Context, Job) error {
			close(running)
			return <-release
		}})
		var second atomic.Int64
		other, _ := runner(d, c, "test", Handler{Timeout: time.Minute, Retry: []time.Duration{time.Second, time.Second}, Run: func(_ context.Context, j Job) error {
			second.Store(int64(j.Attempts))
			return errors.New("fails")
		}})
		enqueue(t, d, "test", "x", start)
		done := make(chan struct{})
		go func() { defer close(done); slow.RunOnce(t.Context()) }()
		<-running
		c.Step(time.Minute + margin - time.Second)
		once(t, other, 0)
		c.Step(2 * time.Second)
		once(t, other, 1)
		if second.Load() != 2 {
			t.Errorf("the second runner's is attempt %d, want 2", second.Load())
		}
		release <- nil // the first one succeeds, but too late
		<-done
		if !strings.Contains(log.String(), "outlived its lease") {
			t.Errorf("the log lacks the lost lease: %s", log)
		}
		if live, _ := counts(t, d); live != 1 {
			t.Errorf("%d live jobs; the late result must not remove what the second runner postponed", live)
		}
	})
}

// TestCrashesAreCounted: a job whose node dies each time is given up in the end.
func TestCrashesAreCounted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		ran := 0
		h := Handler{Retry: []time.Duration{time.Second}, Run: func(context.Context, Job) error { ran++; return nil }}
		r, log := runner(d, c, "test", h)
		enqueue(t, d, "test", "x", start)
		for range len(h.Retry) + 1 + crashes {
			if jobs, _, err := r.claim(t.Context(), "test", h, 1); err != nil || len(jobs) != 1 {
				t.Fatalf("claim: %v, %v", jobs, err)
			}
			c.Step(time.Hour) // the node is gone, its lease ends
		}
		once(t, r, 1)
		if live, dead := counts(t, d); ran != 0 || live != 0 || dead != 1 {
			t.Errorf("ran %d times, %d live, %d dead; want it dead without a run:\n%s", ran, live, dead, log)
		}
	})
}
