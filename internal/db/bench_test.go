package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

const benchRows = 10_000

// engines runs a benchmark on each engine as it is in service: durable commits, and the
// pool's own size on PostgreSQL.
func engines(b *testing.B, f func(b *testing.B, d *db.DB)) {
	urls := map[string]func(testing.TB) string{
		"sqlite": dbtest.SQLiteURL,
		"postgres": func(tb testing.TB) string {
			return strings.NewReplacer("synchronous_commit=off", "synchronous_commit=on", "pool_max_conns=4", "pool_max_conns=8").
				Replace(dbtest.PostgresURL(tb))
		},
	}
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			d, err := db.Open(b.Context(), urls[name](b))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { d.Close() })
			if _, err := d.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			fill(b, d)
			f(b, d)
		})
	}
}

// fill makes a user, a client and benchRows refresh families.
func fill(b *testing.B, d *db.DB) {
	b.Helper()
	err := d.Write(b.Context(), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at)
			VALUES ('u', '', '', '', 'active', '', 0, 0)`)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO clients (id, is_console, name, bundle_id, active, policy, has_webhooks, created_at, updated_at)
			VALUES ('c', FALSE, '', '', TRUE, '{}', FALSE, 0, 0)`)
		if err != nil {
			return err
		}
		for i := range benchRows {
			_, err := tx.Exec(ctx, `INSERT INTO refresh_families (id, hash, recent, user_id, client_id, session_id, device_id, amr,
				created_at, used_at, expires_at, sweep_at) VALUES ($1, $2, '', 'u', 'c', 's', 'd', '["pwd"]', 0, 0, 1, 1)`, i, make([]byte, 32))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// share spreads b.N calls of f over n goroutines.
func share(b *testing.B, n int, f func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for int(next.Add(1)) <= b.N {
				if err := f(rand.IntN(benchRows)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkWrite replaces the hash of one refresh family, as a rotation does.
func BenchmarkWrite(b *testing.B) {
	engines(b, func(b *testing.B, d *db.DB) {
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
				before := d.Stats()
				hash := make([]byte, 32)
				share(b, n, func(i int) error {
					return d.Write(b.Context(), func(ctx context.Context, tx *db.Tx) error {
						_, err := db.One(ctx, tx, db.Text, `UPDATE refresh_families SET hash = $2, used_at = used_at + 1
							WHERE id = $1 AND hash = $2 AND expires_at > 0 RETURNING user_id`, i, hash)
						return err
					})
				})
				after := d.Stats()
				b.ReportMetric(float64(after.Transactions-before.Transactions)/float64(max(1, after.Commits-before.Commits)), "writes/commit")
			})
		}
	})
}

// BenchmarkRead reads one refresh family by its key.
func BenchmarkRead(b *testing.B) {
	engines(b, func(b *testing.B, d *db.DB) {
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
				share(b, n, func(i int) error {
					return d.Read(b.Context(), func(ctx context.Context, tx *db.Tx) error {
						_, err := db.One(ctx, tx, db.Text, `SELECT user_id FROM refresh_families WHERE id = $1 AND expires_at > 0`, i)
						return err
					})
				})
			})
		}
	})
}
