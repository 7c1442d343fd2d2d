package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestPanicRollsBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		mine := errors.New("mine")
		recovered := func(f func()) (v any) {
			defer func() { v = recover() }()
			f()
			return nil
		}
		for _, place := range []string{"function", "scan of a first statement", "scan of a second"} {
			v := recovered(func() {
				d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					if place != "scan of a first statement" {
						if err := set("a", "")(ctx, tx); err != nil {
							return err
						}
					}
					if place == "function" {
						panic(mine)
					}
					_, err := db.One(ctx, tx, func(db.Row) (int, error) { panic(mine) },
						`INSERT INTO settings (name, value, updated_at) VALUES ('b', '', 0) RETURNING name`)
					return err
				})
			})
			if err, ok := v.(error); !ok || !errors.Is(err, mine) {
				t.Errorf("%s: recovered %v, want the panic of the function", place, v)
			}
		}
		v := recovered(func() { d.Read(t.Context(), func(context.Context, *db.Tx) error { panic(mine) }) })
		if v == nil {
			t.Error("the panic of a read was lost")
		}
		if got := settings(t, d); len(got) != 0 {
			t.Errorf("rows %v, want none", got)
		}
		write(t, d, set("c", "")) // and the connections are fit
	})
}

func TestEndedContextStopsBetweenStatements(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := set("a", "")(ctx, tx); err != nil {
				return err
			}
			cancel()
			return set("b", "")(ctx, tx)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		ran := false
		mark := func(context.Context, *db.Tx) error { ran = true; return nil }
		if err := d.Write(ctx, mark); !errors.Is(err, context.Canceled) || ran {
			t.Errorf("write with an ended context: got %v, ran %v", err, ran)
		}
		if err := d.Read(ctx, mark); !errors.Is(err, context.Canceled) || ran {
			t.Errorf("read with an ended context: got %v, ran %v", err, ran)
		}
		// A commit under way is not cut: the answer is the true one.
		ctx, cancel = context.WithCancel(t.Context())
		err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			defer cancel()
			return set("c", "")(ctx, tx)
		})
		if err != nil {
			t.Errorf("commit after the context ended: %v", err)
		}
		if got := settings(t, d); !slices.Equal(got, []string{"c"}) {
			t.Errorf("rows %v, want c", got)
		}
	})
}

func TestGuardedUpdateHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, set("code", "fresh"))
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

func TestConcurrentWritesFailAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		mine := errors.New("mine")
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				bad := i%4 == 3
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					if err := set(fmt.Sprintf("row%02d", i), "")(ctx, tx); err != nil || !bad {
						return err
					}
					return mine
				})
				if bad != errors.Is(err, mine) || !bad && err != nil {
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

func TestPingWrites(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for range 2 {
			if err := d.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		s := d.Stats()
		if s.Commits == 0 || s.Open == 0 || s.Limit == 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mysql://root:hunter2@localhost/x", "sqlite:", "sqlite::memory:",
		"postgres://u:hunter2@host:port/x", "sqlite:" + t.TempDir(), "sqlite:" + t.TempDir() + "/none/x.db"} {
		d, err := db.Open(t.Context(), url)
		if err == nil {
			d.Close()
			t.Errorf("%s: opened", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
