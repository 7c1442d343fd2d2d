package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

const insertSetting = `INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)`

func set(name, value string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, insertSetting, name, value, 1)
		return err
	}
}

func settings(t *testing.T, d *db.DB) []string {
	t.Helper()
	var names []string
	err := d.Read(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		var err error
		names, err = db.All(ctx, tx, db.Text, `SELECT name FROM settings ORDER BY name`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestGuardedUpdateHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Write(t.Context(), set("code", "fresh")); err != nil {
			t.Fatal(err)
		}
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				n := int64(0)
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
					n, err = tx.Exec(ctx, `UPDATE settings SET value = 'spent' WHERE name = $1 AND value = 'fresh'`, "code")
					return err
				})
				if err != nil {
					t.Error(err)
				}
				won.Add(n)
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d winners, want 1", won.Load())
		}
	})
}

func TestFailedWriteRollsBackAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		mine := errors.New("mine")
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					if err := set(fmt.Sprintf("row%02d", i), "x")(ctx, tx); err != nil {
						return err
					}
					if i%4 == 3 {
						return mine
					}
					return nil
				})
				if (i%4 == 3) != errors.Is(err, mine) || i%4 != 3 && err != nil {
					t.Errorf("row %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if got := len(settings(t, d)); got != 48 {
			t.Errorf("%d rows, want 48", got)
		}
	})
}
