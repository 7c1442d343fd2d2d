package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// TestManyRunners: eight runners and 500 jobs, some of which fail at first. Each
// job succeeds once, and never runs twice at the same time.
func TestManyRunners(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const jobs, runners = 500, 8
		c := newClock()
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			for i := range jobs {
				if _, err := Enqueue(ctx, tx, "test", fmt.Appendf(nil, "%d", i), start, start); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		running, done := map[string]bool{}, map[string]int{}
		finished := make(chan struct{})
		h := Handler{Parallel: 4, Retry: []time.Duration{time.Second, time.Second}, Run: func(_ context.Context, j Job) error {
			mu.Lock()
			if running[j.ID] {
				t.Errorf("job %s runs twice at once", j.Payload)
			}
			running[j.ID] = true
			mu.Unlock()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				running[j.ID] = false
			}()
			if j.Attempts == 1 && j.Payload[len(j.Payload)-1] == '7' {
				c.Step(20 * time.Millisecond) // so that the retries come due
				return errors.New("not yet")
			}
			mu.Lock()
			defer mu.Unlock()
			done[j.ID]++
			if len(done) == jobs {
				close(finished)
			}
			return nil
		}}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range runners {
			r, _ := runner(d, c, "test", h)
			all.Go(func() {
				if err := r.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		// The clock moves only while nothing runs for long, so no lease ends early.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(60 * time.Second)
	wait:
		for {
			select {
			case <-finished:
				break wait
			case <-tick.C:
				c.Step(100 * time.Millisecond)
			case <-deadline:
				t.Error("the jobs are not done after a minute")
				break wait
			}
		}
		stop()
		all.Wait()
		for id, n := range done {
			if n != 1 {
				t.Errorf("job %s succeeded %d times", id, n)
			}
		}
		if live, dead := counts(t, d); live+dead != 0 || len(done) != jobs {
			t.Errorf("%d jobs done, %d live, %d dead; want all done", len(done), live, dead)
		}
	})
}

// TestRunStopsAfterItsJobs: Run returns once the job in flight has ended, does
// not interrupt it, and starts no other.
func TestRunStopsAfterItsJobs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		running, release := make(chan struct{}), make(chan struct{})
		var interrupted atomic.Bool
		r, _ := runner(d, newClock(), "test", Handler{Parallel: 1, Run: func(ctx context.Context, _ Job) error {
			close(running) // a second job would panic here
			<-release
			interrupted.Store(ctx.Err() != nil)
			return nil
		}})
		enqueue(t, d, "test", "1", start)
		enqueue(t, d, "test", "2", start)
		ctx, stop := context.WithCancel(t.Context())
		returned := make(chan struct{})
		go func() { defer close(returned); r.Run(ctx) }()
		<-running
		stop()
		select {
		case <-returned:
			t.Error("Run returned before its job")
		case <-time.After(30 * time.Millisecond):
		}
		close(release)
		<-returned
		if live, dead := counts(t, d); interrupted.Load() || live != 1 || dead != 0 {
			t.Errorf("interrupted %v, %d live, %d dead; want the first job done and the second waiting", interrupted.Load(), live, dead)
		}
	})
}

// TestSlowKindDoesNotHoldUpAnother: the slots are per kind.
func TestSlowKindDoesNotHoldUpAnother(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		release, quick := make(chan struct{}), make(chan struct{})
		r, _ := runner(d, newClock(), "slow", Handler{Parallel: 2, Run: func(context.Context, Job) error { <-release; return nil }})
		r.Handlers["quick"] = Handler{Run: func(context.Context, Job) error { close(quick); return nil }}
		for range 10 {
			enqueue(t, d, "slow", "", start)
		}
		enqueue(t, d, "quick", "", start)
		ctx, stop := context.WithCancel(t.Context())
		returned := make(chan struct{})
		go func() { defer close(returned); r.Run(ctx) }()
		select {
		case <-quick:
		case <-time.After(time.Minute):
			t.Error("the quick job waits for the slow ones")
		}
		stop()
		close(release)
		<-returned
	})
}

func TestEveryRepeatsWhateverHappens(t *testing.T) {
	d := dbtest.SQLite(t)
	var n atomic.Int64
	thrice := make(chan struct{})
	r, log := runner(d, newClock(), "test", Handler{Run: func(context.Context, Job) error { return nil }})
	r.Every = []Every{{Name: "sweep", Interval: time.Millisecond, Run: func(ctx context.Context) error {
		switch n.Add(1) {
		case 1:
			return errors.New("first time fails")
		case 2:
			panic("second time panics")
		case 3:
			close(thrice)
		}
		<-ctx.Done()
		return ctx.Err()
	}}}
	ctx, stop := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() { defer close(returned); r.Run(ctx) }()
	<-thrice
	stop()
	<-returned
	s := log.String()
	if !strings.Contains(s, "first time fails") || !strings.Contains(s, "second time panics") || strings.Contains(s, "context canceled") {
		t.Errorf("the log says %s", s)
	}
	r.Every = []Every{{Name: "nonsense"}}
	if err := r.Run(t.Context()); err == nil {
		t.Error("work without an interval is taken")
	}
}

func TestRunLogsAnUnreachableDatabaseOnce(t *testing.T) {
	d := dbtest.SQLite(t)
	r, log := runner(d, newClock(), "test", Handler{Run: func(context.Context, Job) error { return nil }})
	closed, err := db.Open(t.Context(), dbtest.SQLiteURL(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	r.DB = closed
	polls := make(chan struct{}, 100)
	r.Now = func() time.Time { polls <- struct{}{}; return start }
	ctx, stop := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() { defer close(returned); r.Run(ctx) }()
	for range 5 {
		<-polls
	}
	stop()
	<-returned
	if n := strings.Count(log.String(), "cannot claim jobs"); n != 1 {
		t.Errorf("logged %d times, want once: %s", n, log)
	}
}

func TestJitter(t *testing.T) {
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := jitter(time.Second)
		low, high = min(low, d), max(high, d)
	}
	if low < 900*time.Millisecond || low > 920*time.Millisecond || high > 1100*time.Millisecond || high < 1080*time.Millisecond {
		t.Errorf("jitter of a second is %v to %v, want 0.9 s to 1.1 s", low, high)
	}
}
