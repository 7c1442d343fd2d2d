package limit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/throttled/throttled/v2"
	"pgregory.net/rapid"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/limit"
)

// memory is a store for the throttled package that knows one settable time.
type memory struct {
	now time.Time
	tat map[string]int64
}

func (m *memory) GetWithTime(_ context.Context, key string) (int64, time.Time, error) {
	if v, ok := m.tat[key]; ok {
		return v, m.now, nil
	}
	return -1, m.now, nil
}

func (m *memory) SetIfNotExistsWithTTL(_ context.Context, key string, v int64, _ time.Duration) (bool, error) {
	m.tat[key] = v
	return true, nil
}

func (m *memory) CompareAndSwapWithTTL(_ context.Context, key string, _, v int64, _ time.Duration) (bool, error) {
	m.tat[key] = v
	return true, nil
}

// TestTakeAgreesWithThrottled compares every answer and every wait with those of
// throttled/v2, an independent GCRA, over random rules and arrival times.
func TestTakeAgreesWithThrottled(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			n := rapid.IntRange(1, 8).Draw(rt, "n")
			interval := time.Duration(rapid.IntRange(1, 300_000_000).Draw(rt, "interval in µs")) * time.Microsecond
			rule := limit.Rule{Name: "oracle", Key: fmt.Sprint("run ", runs), N: n, Per: time.Duration(n) * interval}
			steps := rapid.SliceOfN(rapid.IntRange(0, int(2*interval/time.Microsecond)), 1, 25).Draw(rt, "steps in µs")

			store := &memory{now: now, tat: map[string]int64{}}
			oracle, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(n, rule.Per), MaxBurst: n - 1})
			if err != nil {
				rt.Fatal(err)
			}
			// Half of the arrivals come at once: a burst is what a limit is for.
			err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				store.now, store.tat = now, map[string]int64{}
				for i, step := range steps {
					if i%2 == 1 {
						store.now = store.now.Add(time.Duration(step) * time.Microsecond)
					}
					foreseen, _, err := limit.Wait(ctx, tx, store.now, rule)
					if err != nil {
						return err
					}
					got, _, err := limit.Take(ctx, tx, store.now, rule)
					if err != nil {
						return err
					}
					limited, result, err := oracle.RateLimitCtx(ctx, rule.Key, 1)
					if err != nil {
						return err
					}
					want := max(0, result.RetryAfter)
					if limited != (got > 0) || got != want || foreseen != want {
						return fmt.Errorf("arrival %d at %v: Take says %v, Wait says %v, throttled says %v (limited: %v)",
							i, store.now.Sub(now), got, foreseen, want, limited)
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		})
	})
}
