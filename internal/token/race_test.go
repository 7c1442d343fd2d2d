package token

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// together runs fn n times at once and counts the answers and the errors.
func together(n int, fn func() (string, error)) (answers map[string]int, failures map[error]int) {
	answers, failures = map[string]int{}, map[error]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-gate
			next, err := fn()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures[err]++
			} else {
				answers[next]++
			}
		})
	}
	close(gate)
	wg.Wait()
	return answers, failures
}

func TestConcurrentRefreshHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{}, start)
		for _, foundBefore := range []bool{true, false} {
			found, err := w.find(raw, start, 0)
			if err != nil {
				t.Fatal(err)
			}
			answers, failures := together(100, func() (string, error) {
				if foundBefore { // all, before the first of them rotates
					return w.rotate(found, start)
				}
				return w.refresh(raw, start, 0)
			})
			if len(answers) != 1 || failures[ErrReused] != 99 {
				t.Fatalf("answers %v, failures %v; want one and 99 times reuse", answers, failures)
			}
			for next, n := range answers {
				if f, err := w.find(next, start, 0); n != 1 || err != nil || f.State != Current {
					t.Errorf("the winner's token, given %d times, is %s, %v", n, f.State, err)
				}
				raw = next
			}
		}
	})
}

func TestConcurrentRefreshInsideGraceGivesOneSuccessor(t *testing.T) {
	const grace = 10 * time.Second
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{}, start)
		for _, foundBefore := range []bool{true, false} {
			found, err := w.find(raw, start, grace)
			if err != nil {
				t.Fatal(err)
			}
			answers, failures := together(100, func() (string, error) {
				if foundBefore {
					return w.rotate(found, start)
				}
				return w.refresh(raw, start, grace)
			})
			if len(answers) != 1 || len(failures) != 0 {
				t.Fatalf("%d answers, failures %v; want one answer for all", len(answers), failures)
			}
			for next := range answers {
				if f, err := w.find(next, start, grace); err != nil || f.State != Current {
					t.Errorf("the successor is %s, %v", f.State, err)
				}
				raw = next
			}
		}
	})
}

// Each of twenty goes on with what it was given, at once.
func TestConcurrentChainsStayTogether(t *testing.T) {
	const grace = time.Minute
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{}, start)
		var rotations atomic.Int64
		answers, failures := together(20, func() (string, error) {
			own := raw
			for range 3 {
				next, err := w.refresh(own, start, grace)
				if err != nil {
					return "", err
				}
				if next != own {
					rotations.Add(1)
				}
				own = next
			}
			return own, nil
		})
		if len(failures) != 0 {
			t.Errorf("failures %v, want none", failures)
		}
		for next := range answers {
			if _, err := w.find(next, start, grace); err != nil {
				t.Errorf("a token that was given out: %v", err)
			}
		}
		if rotations.Load() == 0 {
			t.Error("nothing was rotated")
		}
	})
}

func TestEndedFamilyStaysEndedUnderARace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for i := range 20 {
			raw := w.issue(Family{}, start)
			found, err := w.find(raw, start, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			gate := make(chan struct{})
			var next string
			wg.Go(func() {
				<-gate
				var err error
				if next, err = w.rotate(found, start); err != nil && !errors.Is(err, ErrUnknown) {
					t.Errorf("Rotate: %v, want success or %v", err, ErrUnknown)
				}
			})
			wg.Go(func() {
				<-gate
				write(t, d, func(ctx context.Context, tx *db.Tx) error {
					_, err := EndByUserClient(ctx, tx, "u", "c")
					return err
				})
			})
			close(gate)
			wg.Wait()
			for _, raw := range []string{raw, next} {
				if _, err := w.find(raw, start, time.Minute); !errors.Is(err, ErrUnknown) {
					t.Fatalf("round %d: %v after the end, want %v", i, err, ErrUnknown)
				}
			}
		}
	})
}

// The database commits and the answer is lost: with a grace the client's retry
// is answered; without one it counts as reuse, as a copy's would.
func TestLostCommitIsRepeatedInsideGrace(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		var lose atomic.Bool
		d, err := db.OpenWith(t.Context(), url, db.Options{Fault: func(s db.Step) error {
			if s == db.AfterCommit && lose.CompareAndSwap(true, false) {
				return db.ErrConnectionLost
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, d)
		for grace, want := range map[time.Duration]error{0: ErrReused, time.Minute: nil} {
			raw := w.issue(Family{}, start)
			lose.Store(true)
			if _, err := w.refresh(raw, start, grace); !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("grace %v: %v, want %v", grace, err, db.ErrUnavailable)
			}
			if _, err := w.refresh(raw, start.Add(time.Second), grace); !errors.Is(err, want) {
				t.Errorf("grace %v, again: %v, want %v", grace, err, want)
			}
		}
	})
}

func TestRotationSurvivesSerializationFailures(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		var fail atomic.Int64
		d, err := db.OpenWith(t.Context(), url, db.Options{Fault: func(s db.Step) error {
			if s == db.BeforeCommit && fail.Add(-1) >= 0 {
				return db.ErrSerialization
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, d)
		for _, grace := range []time.Duration{0, time.Minute} {
			raw := w.issue(Family{}, start)
			fail.Store(2)
			next, err := w.refresh(raw, start, grace)
			if err != nil {
				t.Fatal(err)
			}
			if f, err := w.find(next, start, grace); err != nil || f.State != Current {
				t.Errorf("grace %v: %s, %v; want current", grace, f.State, err)
			}
		}
	})
}

// browser simulates fifty tabs that share one stored token and wake together
// each quarter of an hour, over a network that delays and loses answers.
type browser struct {
	world
	rng     *rand.Rand
	now     time.Time
	events  []event
	stored  string               // what the tabs share
	since   time.Time            // the server's time of that answer
	current string               // what the server should hold
	rotated map[string]time.Time // when each older token was rotated

	refreshes, repeats, replays int
}

type event struct {
	at time.Time
	do func()
}

const (
	tabGrace = 10 * time.Second
	hop      = 300 * time.Millisecond // the longest way of a message
	tries    = 3
)

func (b *browser) after(d time.Duration, do func()) {
	b.events = append(b.events, event{b.now.Add(d), do})
}

func (b *browser) soon() time.Duration { return time.Duration(b.rng.Int64N(int64(hop))) }

func (b *browser) run() {
	for len(b.events) > 0 {
		i := 0
		for j, e := range b.events {
			if e.at.Before(b.events[i].at) {
				i = j
			}
		}
		e := b.events[i]
		b.events = slices.Delete(b.events, i, i+1)
		b.now = e.at
		e.do()
	}
}

// attempt sends a token: the server finds it, then rotates it, then answers.
func (b *browser) attempt(raw string, left int) {
	b.after(b.soon(), func() {
		found, err := b.find(raw, b.now, tabGrace)
		b.judge(raw, found, err)
		if err != nil {
			return
		}
		b.after(b.soon(), func() {
			next, err := b.rotate(found, b.now)
			if err != nil {
				b.Fatalf("Rotate inside the grace: %v", err)
			}
			at, want := b.now, b.current
			switch {
			case found.State == Repeat:
				want = found.Successor
			case raw == b.current: // this is the one that rotates
				want = next
				b.rotated[raw], b.current = b.now, next
			}
			if next != want {
				b.Fatalf("%s answered with %.8s, want %.8s", found.State, next, want)
			}
			if left > 1 && b.rng.IntN(4) == 0 {
				b.after(2*hop, func() { b.attempt(raw, left-1) }) // the answer is lost
				return
			}
			b.after(b.soon(), func() {
				if at.After(b.since) { // an older answer does not replace a newer one
					b.stored, b.since = next, at
				}
			})
		})
	})
}

// judge compares what Find says of a token with what is true of it.
func (b *browser) judge(raw string, f Found, err error) {
	b.refreshes++
	at, old := b.rotated[raw]
	switch {
	case !old:
		if err != nil || f.State != Current {
			b.Fatalf("the current token is %s, %v", f.State, err)
		}
	case b.now.Sub(at) < tabGrace:
		b.repeats++
		if err != nil || f.State != Repeat || f.Successor != b.current {
			b.Fatalf("%v after its rotation: %s, %v; want the current token", b.now.Sub(at), f.State, err)
		}
	default:
		b.replays++
		if !errors.Is(err, ErrReused) {
			b.Fatalf("%v after its rotation: %v, want %v", b.now.Sub(at), err, ErrReused)
		}
	}
}

func TestTabsAreNeverTakenForThieves(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for seed := range uint64(4) {
			b := &browser{world: newWorldOnce(t, d, seed == 0), rng: rand.New(rand.NewPCG(seed, 1)), now: start, rotated: map[string]time.Time{}}
			b.stored = b.issue(Family{}, start)
			b.current = b.stored
			for burst := range 3 {
				wake := time.Duration(burst) * 15 * time.Minute
				for range 50 {
					b.after(wake+time.Duration(b.rng.Int64N(int64(2*time.Second))), func() {
						raw := b.stored
						b.attempt(raw, tries)
					})
				}
				// A thief tries an old token of each quarter of an hour.
				b.after(wake+time.Minute, func() {
					for raw := range b.rotated {
						f, err := b.find(raw, b.now, tabGrace)
						b.judge(raw, f, err)
					}
				})
			}
			b.run()
			if f, err := b.find(b.stored, b.now, tabGrace); err != nil || f.State != Current {
				t.Errorf("seed %d: in the end the tabs hold a token that is %s, %v", seed, f.State, err)
			}
			if b.repeats == 0 || b.replays == 0 {
				t.Errorf("seed %d: %d refreshes with %d repeats and %d replays: too tame", seed, b.refreshes, b.repeats, b.replays)
			}
		}
	})
}

func newWorldOnce(t testing.TB, d *db.DB, first bool) world {
	if first {
		return newWorld(t, d)
	}
	return world{t, d, processKey(t)}
}
