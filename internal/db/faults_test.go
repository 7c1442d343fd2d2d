package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// Two counters are moved in one transaction. Whatever the engine does beneath, they stay
// equal, and each Write that was answered with nil counted once.
func TestFaultsDoNotShow(t *testing.T) {
	t.Parallel()
	const callers, each = 8, 12
	dbtest.EachFaulty(t, dbtest.Faults{Seed: 1, Serialization: 0.05, Lost: 0.05, Delay: time.Millisecond}, func(t *testing.T, d *db.DB) {
		write(t, d, set("a", ""))
		write(t, d, set("b", ""))
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for n := range each {
					err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
						for _, name := range []string{"a", "b"} {
							if _, err := tx.Exec(ctx, `UPDATE settings SET updated_at = updated_at + 1 WHERE name = $1`, name); err != nil {
								return fmt.Errorf("count: %w", err)
							}
						}
						return set(fmt.Sprint(i, ".", n), "")(ctx, tx)
					})
					if err != nil {
						t.Errorf("caller %d, write %d: %v", i, n, err)
					}
				}
			})
		}
		wg.Wait()
		counted := counters(t, d)
		if want := int64(1 + callers*each); counted[0] != want || counted[1] != want {
			t.Errorf("counters %v, want both %d", counted, want)
		}
		if s := d.Stats(); s.Retries+s.Alone == 0 || s.Unknown != 0 {
			t.Errorf("no fault happened: %+v", s)
		}
	})
}

// A commit whose answer is lost is reported as ErrUnavailable and not made twice. Work
// that carries its own identity is then simply asked for again.
func TestUnknownCommitIsNotRepeated(t *testing.T) {
	t.Parallel()
	const callers, each = 4, 25
	dbtest.EachFaulty(t, dbtest.Faults{Seed: 2, Serialization: 0.02, Lost: 0.02, Unknown: 0.2}, func(t *testing.T, d *db.DB) {
		setUp := func(name string) {
			for err := d.Write(t.Context(), set(name, "")); err != nil && !errors.Is(err, db.ErrConflict); {
				err = d.Write(t.Context(), set(name, ""))
			}
		}
		setUp("a")
		setUp("b")
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for n := range each {
					id := fmt.Sprint(i, ".", n)
					for {
						err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
							made, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ($1, '', 0) ON CONFLICT DO NOTHING`, id)
							if err != nil || made == 0 {
								return err
							}
							_, err = tx.Exec(ctx, `UPDATE settings SET updated_at = updated_at + 1 WHERE name IN ('a', 'b')`)
							return err
						})
						if err == nil {
							break
						}
						if !errors.Is(err, db.ErrUnavailable) {
							t.Errorf("caller %d, write %d: %v", i, n, err)
							break
						}
					}
				}
			})
		}
		wg.Wait()
		counted := counters(t, d)
		if want := int64(1 + callers*each); counted[0] != want || counted[1] != want {
			t.Errorf("counters %v, want both %d", counted, want)
		}
		if d.Stats().Unknown == 0 {
			t.Error("no commit was lost")
		}
	})
}

func counters(t *testing.T, d *db.DB) []int64 {
	t.Helper()
	var n []int64
	err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = db.All(ctx, tx, db.Int, `SELECT updated_at FROM settings WHERE name IN ('a', 'b')`)
		return err
	})
	if err != nil || len(n) != 2 {
		t.Fatalf("counters %v: %v", n, err)
	}
	return n
}
