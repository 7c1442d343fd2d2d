package limit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/limit"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// The two limits of a Keymaster sign-in.
func perEmail(email string) limit.Rule {
	return limit.Rule{Name: "login per email", Key: email, N: 5, Per: 15 * time.Minute}
}

func perIP(ip string) limit.Rule {
	return limit.Rule{Name: "login per ip", Key: ip, N: 20, Per: 15 * time.Minute}
}

// denied is what a caller returns to roll back.
type denied struct {
	wait time.Duration
	hit  int
}

func (d denied) Error() string { return fmt.Sprintf("rule %d says wait %v", d.hit, d.wait) }

// take is one attempt as an operation makes it: denied rolls back.
func take(t *testing.T, d *db.DB, at time.Time, rules ...limit.Rule) error {
	return d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		wait, hit, err := limit.Take(ctx, tx, at, rules...)
		if err == nil && wait > 0 {
			err = denied{wait, hit}
		}
		return err
	})
}

func wait(t *testing.T, d *db.DB, at time.Time, rules ...limit.Rule) (w time.Duration, hit int) {
	t.Helper()
	err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		w, hit, err = limit.Wait(ctx, tx, at, rules...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, hit
}

func write(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// admit takes n times and fails the test if one is denied.
func admit(t *testing.T, d *db.DB, n int, at time.Time, rules ...limit.Rule) {
	t.Helper()
	for i := range n {
		if err := take(t, d, at, rules...); err != nil {
			t.Fatalf("attempt %d of %d: %v", i+1, n, err)
		}
	}
}

func TestRuleAdmitsABurstAndThenOneEachInterval(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := perEmail("jane@example.com")
		admit(t, d, 5, now, r)
		if err := take(t, d, now, r); err != (denied{3 * time.Minute, 0}) {
			t.Fatalf("sixth attempt: got %v, want a wait of 3m", err)
		}
		if err := take(t, d, now.Add(3*time.Minute-time.Microsecond), r); err != (denied{time.Microsecond, 0}) {
			t.Fatalf("a microsecond early: got %v, want a wait of 1µs", err)
		}
		admit(t, d, 1, now.Add(3*time.Minute), r)
		if err := take(t, d, now.Add(3*time.Minute), r); err != (denied{3 * time.Minute, 0}) {
			t.Fatalf("after the one: got %v, want a wait of 3m", err)
		}
		admit(t, d, 5, now.Add(time.Hour), r)
	})
}

func TestRulesAreSeparateBuckets(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		rule := func(name, key string) limit.Rule { return limit.Rule{Name: name, Key: key, N: 1, Per: time.Hour} }
		rules := []limit.Rule{rule("a", "b"), rule("b", "a"), rule("ab", ""), rule("", "ab"), rule("a:b", "c"), rule("a", "b:c")}
		for _, r := range rules {
			admit(t, d, 1, now, r)
		}
		for _, r := range rules {
			if err := take(t, d, now, r); err != (denied{time.Hour, 0}) {
				t.Errorf("%q of %q: got %v, want a wait of 1h", r.Key, r.Name, err)
			}
		}
	})
}

func TestTakeCountsAllRulesOrNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ip, jane, john := perIP("192.0.2.1"), perEmail("jane@example.com"), perEmail("john@example.com")
		admit(t, d, 5, now, ip, jane)
		for range 10 {
			if err := take(t, d, now, ip, jane); err != (denied{3 * time.Minute, 1}) {
				t.Fatalf("got %v, want rule 1 to say 3m", err)
			}
		}
		// Fifteen are left of the address's twenty: the denied ones cost nothing.
		for i := range 15 {
			admit(t, d, 1, now, perEmail(fmt.Sprintf("user%d@example.com", i)), ip)
		}
		if err := take(t, d, now, john, ip); err != (denied{45 * time.Second, 1}) {
			t.Errorf("got %v, want rule 1 to say 45s", err)
		}
		if err := take(t, d, now, ip, jane); err != (denied{3 * time.Minute, 0}) {
			t.Errorf("both deny: got %v, want the first to be named and the longer wait", err)
		}
		if w, hit := wait(t, d, now, jane, ip); w != 3*time.Minute || hit != 0 {
			t.Errorf("Wait: rule %d says %v, want rule 0 and 3m", hit, w)
		}
		if w, hit := wait(t, d, now, john, ip); w != 45*time.Second || hit != 1 {
			t.Errorf("Wait: rule %d says %v, want rule 1 and 45s", hit, w)
		}
		if w, hit := wait(t, d, now, john); w != 0 || hit != 0 {
			t.Errorf("Wait on an empty bucket: rule %d says %v, want no wait", hit, w)
		}
	})
}

// TestADeniedCallerMayStillCommit is the silent limit: the address has been
// counted though the mailbox has had enough.
func TestADeniedCallerMayStillCommit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ip := limit.Rule{Name: "forgot per ip", Key: "192.0.2.1", N: 10, Per: 15 * time.Minute}
		email := limit.Rule{Name: "forgot per email", Key: "jane@example.com", N: 3, Per: 15 * time.Minute}
		var hits []int
		for range 11 {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				wait, hit, err := limit.Take(ctx, tx, now, ip, email)
				if wait == 0 {
					hit = -1
				}
				hits = append(hits, hit)
				return err
			})
		}
		if got, want := fmt.Sprint(hits), "[-1 -1 -1 1 1 1 1 1 1 1 0]"; got != want {
			t.Errorf("hits %s, want %s", got, want)
		}
	})
}

func TestTakeIsExactUnderRace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		rules func(caller int) []limit.Rule
		want  int
	}{
		{"one rule", func(int) []limit.Rule { return []limit.Rule{perEmail("jane@example.com")} }, 5},
		{"two rules, in either order", func(caller int) []limit.Rule {
			if caller%2 == 0 {
				return []limit.Rule{perEmail("jane@example.com"), perIP("192.0.2.1")}
			}
			return []limit.Rule{perIP("192.0.2.1"), perEmail("jane@example.com")}
		}, 5},
		{"many addresses, one source", func(caller int) []limit.Rule {
			return []limit.Rule{perEmail(fmt.Sprintf("user%d@example.com", caller)), perIP("192.0.2.1")}
		}, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				const callers = 100
				start, errs := make(chan struct{}), make([]error, callers)
				var wg sync.WaitGroup
				for i := range callers {
					wg.Go(func() {
						<-start
						errs[i] = take(t, d, now, c.rules(i)...)
					})
				}
				close(start)
				wg.Wait()
				admitted := 0
				for i, err := range errs {
					if err == nil {
						admitted++
					} else if e, ok := errors.AsType[denied](err); !ok || e.wait <= 0 {
						t.Errorf("caller %d: %v", i, err)
					}
				}
				if admitted != c.want {
					t.Errorf("%d of %d callers were admitted, want %d", admitted, callers, c.want)
				}
			})
		})
	}
}

func TestGiveTakesBackOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		email, ip := perEmail("jane@example.com"), perIP("192.0.2.1")
		admit(t, d, 5, now, email, ip)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return limit.Give(ctx, tx, email, ip) })
		admit(t, d, 1, now, email)
		if err := take(t, d, now, email); err != (denied{3 * time.Minute, 0}) {
			t.Errorf("got %v, want a wait of 3m", err)
		}
		admit(t, d, 16, now, ip)
		if err := take(t, d, now, ip); err != (denied{45 * time.Second, 0}) {
			t.Errorf("got %v, want a wait of 45s", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return limit.Give(ctx, tx, perEmail("nobody@example.com")) })
		admit(t, d, 5, now, perEmail("nobody@example.com"))
	})
}

// TestGivingFarTooMuchAdmitsNoMore: a bucket is never more than full.
func TestGivingFarTooMuchAdmitsNoMore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := perEmail("jane@example.com")
		admit(t, d, 1, now, r)
		for range 20 {
			write(t, d, func(ctx context.Context, tx *db.Tx) error { return limit.Give(ctx, tx, r) })
		}
		admit(t, d, 5, now, r)
		if err := take(t, d, now, r); err != (denied{3 * time.Minute, 0}) {
			t.Errorf("got %v, want a wait of 3m", err)
		}
	})
}

func TestResetForgets(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		email, ip := perEmail("jane@example.com"), perIP("192.0.2.1")
		admit(t, d, 5, now, email, ip)
		other := perEmail("john@example.com")
		admit(t, d, 5, now, other)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return limit.Reset(ctx, tx, email, other) })
		admit(t, d, 5, now, email)
		admit(t, d, 5, now, other)
		admit(t, d, 15, now, ip)
		if err := take(t, d, now, ip); err != (denied{45 * time.Second, 0}) {
			t.Errorf("the other rule: got %v, want a wait of 45s", err)
		}
	})
}

func TestSweepDeletesOnlyFullBuckets(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for i := range 4 {
			admit(t, d, 1, now, perEmail(fmt.Sprintf("user%d@example.com", i))) // full again at 12:03
		}
		live := perEmail("jane@example.com")
		admit(t, d, 2, now, live) // at 12:06
		for _, want := range []int64{3, 1, 0} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				n, err := limit.Sweep(ctx, tx, now.Add(3*time.Minute), 3)
				if err == nil && n != want {
					t.Errorf("swept %d, want %d", n, want)
				}
				return err
			})
		}
		admit(t, d, 4, now.Add(3*time.Minute), live)
		if err := take(t, d, now.Add(3*time.Minute), live); err != (denied{3 * time.Minute, 0}) {
			t.Errorf("the live bucket: got %v, want a wait of 3m", err)
		}
	})
}

// TestSweepLeavesWhatIsCountedMeanwhile lets a sweep find a full bucket and wait
// for the transaction that is counting in it. SQLite has one writer at a time.
func TestSweepLeavesWhatIsCountedMeanwhile(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	r := perEmail("jane@example.com")
	admit(t, d, 1, now.Add(-time.Hour), r)
	swept := make(chan error, 1)
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		if _, _, err := limit.Take(ctx, tx, now, r); err != nil {
			return err
		}
		go func() {
			swept <- d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := limit.Sweep(ctx, tx, now, 10)
				return err
			})
		}()
		for waiting := int64(0); waiting == 0; {
			var err error
			waiting, err = db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM pg_locks w JOIN pg_locks h ON h.pid = w.pid
				WHERE NOT w.granted AND h.relation = 'limits'::regclass`)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := <-swept; err != nil {
		t.Fatal(err)
	}
	admit(t, d, 4, now, r)
	if err := take(t, d, now, r); err != (denied{3 * time.Minute, 0}) {
		t.Errorf("got %v, want a wait of 3m: the count was swept away", err)
	}
}

func TestTableHoldsNoSubjects(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		admit(t, d, 1, now, perEmail("jane@example.com"), perIP("192.0.2.1"))
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			keys, err := db.All(ctx, tx, db.Text, `SELECT key FROM limits`)
			for _, k := range keys {
				if len(k) != 32 || strings.Trim(k, "0123456789abcdef") != "" {
					t.Errorf("key %q is not a hash", k)
				}
			}
			if len(keys) != 2 {
				t.Errorf("%d rows, want 2", len(keys))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestBadRulesAreRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		good := perEmail("jane@example.com")
		for name, rules := range map[string][]limit.Rule{
			"too many": {perIP("1"), perIP("2"), perIP("3"), perIP("4"), perIP("5")},
			"twice":    {perIP("1"), good, perIP("1")},
			"N":        {{Name: "n", N: 0, Per: time.Minute}},
			"no time":  {{Name: "n", N: 1}},
			"too fast": {{Name: "n", N: 1001, Per: time.Millisecond}},
			"too slow": {{Name: "n", N: 1, Per: 1 << 62}},
		} {
			if err := take(t, d, now, rules...); !errors.Is(err, limit.ErrRule) {
				t.Errorf("%s: got %v, want ErrRule", name, err)
			}
		}
		admit(t, d, 1, now, good, perIP("1"), perIP("2"), perIP("3"))
	})
}

func TestNoRulesAdmitEverything(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		admit(t, d, 3, now)
		if w, hit := wait(t, d, now); w != 0 || hit != 0 {
			t.Errorf("rule %d says %v, want no wait", hit, w)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(limit.Give(ctx, tx), limit.Reset(ctx, tx))
		})
	})
}

func TestRetryAfterRoundsUp(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]int{
		0: 1, time.Microsecond: 1, time.Second: 1, time.Second + 1: 2, 3 * time.Minute: 180, 583*time.Second - 1: 583, -time.Hour: 1,
	} {
		if got := limit.RetryAfter(wait); got != want {
			t.Errorf("RetryAfter(%v) = %d, want %d", wait, got, want)
		}
	}
}
