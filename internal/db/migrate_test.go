package db_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func open(t *testing.T, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestMigrateGoesForwardOnce(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		d := open(t, url)
		fresh, err := d.Schema(t.Context())
		if err != nil || !fresh.Fresh || len(fresh.Applied) != 0 || len(fresh.Pending) == 0 || !slices.IsSorted(fresh.Pending) {
			t.Fatalf("empty database: %+v, %v", fresh, err)
		}
		applied, err := d.Migrate(t.Context())
		if err != nil || !slices.Equal(applied, fresh.Pending) {
			t.Fatalf("applied %v, %v; want %v", applied, err, fresh.Pending)
		}
		done, err := d.Schema(t.Context())
		if err != nil || done.Fresh || len(done.Pending) != 0 || !slices.Equal(done.Applied, fresh.Pending) || len(done.Unknown) != 0 {
			t.Errorf("migrated database: %+v, %v", done, err)
		}
		if applied, err := d.Migrate(t.Context()); err != nil || len(applied) != 0 {
			t.Errorf("second time: applied %v, %v; want none", applied, err)
		}
		write(t, d, exec(`INSERT INTO migrations (name, applied_at) VALUES ('9999_later', 0)`))
		newer, err := d.Schema(t.Context())
		if err != nil || !slices.Equal(newer.Unknown, []string{"9999_later"}) {
			t.Errorf("database of a newer program: %+v, %v", newer, err)
		}
		at, err := readOne(t, d, `SELECT min(applied_at) FROM migrations WHERE name <> '9999_later'`)
		if err != nil || at < 1_700_000_000_000_000 {
			t.Errorf("applied_at %d, %v; want microseconds since the epoch", at, err)
		}
	})
}

func readOne(t *testing.T, d *db.DB, query string) (n int64, err error) {
	t.Helper()
	err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		n, err = db.One(ctx, tx, db.Int, query)
		return err
	})
	return n, err
}

func TestNodesThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		const nodes = 6
		var mu sync.Mutex
		var all []string
		var ready, wg sync.WaitGroup
		ready.Add(nodes)
		for range nodes {
			wg.Go(func() {
				ready.Done()
				ready.Wait()
				d, err := db.Open(t.Context(), url)
				if err != nil {
					t.Error(err)
					return
				}
				defer d.Close()
				applied, err := d.Migrate(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				all = append(all, applied...)
				mu.Unlock()
				if s, err := d.Schema(t.Context()); err != nil || len(s.Pending) != 0 {
					t.Errorf("a node went on with %+v, %v", s, err)
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		if want := migrationNames(t); !slices.Equal(all, want) {
			t.Errorf("applied %v in all, want %v", all, want)
		}
	})
}

func migrationNames(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".sql"))
	}
	return names
}

// The same file runs on both engines only with the types that mean the same on both.
func TestMigrationsUseTheFourTypes(t *testing.T) {
	t.Parallel()
	column := regexp.MustCompile(`(?m)^  ([a-z_]+) +([A-Z]+)`)
	allowed := []string{"TEXT", "BIGINT", "BOOLEAN", "BYTEA"}
	for _, name := range migrationNames(t) {
		text, err := os.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		found := column.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Logf("%s: no columns", name)
		}
		for _, m := range found {
			if !slices.Contains(allowed, m[2]) {
				t.Errorf("%s: column %s is %s, want one of %v", name, m[1], m[2], allowed)
			}
		}
	}
}
