package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
)

// To migrate a schema of PostgreSQL and to drop it takes most of a short test's time. So
// one that a test leaves as it was, but for rows, is emptied and lent to the next test of
// the process. Nothing tells a process that its last test is over: what it leaves behind
// is dropped by one that begins when it must be gone.

// life is more than a process of tests has.
const life = time.Hour

var started = time.Now()

// lent are the schemas of this process that are empty and migrated, by their URLs, and
// what each of them looks like.
var lent struct {
	mu    sync.Mutex
	free  []schema
	shape string
}

type schema struct{ url, name string }

// drop removes the schema and what is in it.
func (s schema) drop() error { return run(s.url, `DROP SCHEMA IF EXISTS `+s.name+` CASCADE`) }

// server is the URL of the server that tests may make schemas on.
func server(t testing.TB) string {
	t.Helper()
	raw := os.Getenv(Variable)
	if raw == "" {
		t.Skipf("%s is not set: not tested on PostgreSQL", Variable)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	return with(u, map[string]string{
		"pool_max_conns":     "4",   // many tests share the server
		"synchronous_commit": "off", // nothing here outlives the server
	})
}

// with is u with the settings that it does not have.
func with(u *url.URL, settings map[string]string) string {
	q := u.Query()
	for name, value := range settings {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	v := *u
	v.RawQuery = q.Encode()
	return v.String()
}

// newSchema makes an empty schema.
func newSchema(t testing.TB) schema {
	t.Helper()
	raw := server(t)
	sweep(raw)
	name := fmt.Sprintf("t_%d_%s", started.Unix(), strings.ToLower(rand.Text()))
	if err := run(raw, `CREATE SCHEMA `+name); err != nil {
		t.Fatalf("PostgreSQL at %s: %v", Variable, err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return schema{with(u, map[string]string{"search_path": name}), name}
}

// borrowed is the URL of a migrated schema without rows. It goes back when the test ends,
// after what the test opened there was closed.
func borrowed(t testing.TB) string {
	t.Helper()
	lent.mu.Lock()
	var s schema
	n := len(lent.free)
	if n > 0 {
		s, lent.free = lent.free[n-1], lent.free[:n-1]
	}
	lent.mu.Unlock()
	if n == 0 {
		s = newMigrated(t)
	}
	t.Cleanup(func() {
		var after string
		err := use(s.url, func(ctx context.Context, tx *db.Tx) (err error) {
			if _, err := tx.Exec(ctx, deleteAll); err != nil {
				return err
			}
			after, err = db.One(ctx, tx, db.Text, shape)
			return err
		})
		lent.mu.Lock()
		same := err == nil && after == lent.shape
		if same {
			lent.free = append(lent.free, s)
		}
		lent.mu.Unlock()
		if same {
			return
		}
		if err := s.drop(); err != nil {
			t.Error(err)
		}
	})
	return s.url
}

// newMigrated makes a schema to lend.
func newMigrated(t testing.TB) schema {
	t.Helper()
	s := newSchema(t)
	d, err := db.Open(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		looks, err := db.One(ctx, tx, db.Text, shape)
		lent.mu.Lock()
		lent.shape = looks
		lent.mu.Unlock()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deleteAll deletes all rows, in any order. It refuses a schema that had many: the planner
// knows it as it was.
const deleteAll = `DO $$
DECLARE
	t regclass;
BEGIN
	SET LOCAL session_replication_role = replica;
	SET LOCAL lock_timeout = '5s';
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace)
			AND relkind = 'r' AND relname <> 'migrations' AND pg_relation_size(oid) > 0 LOOP
		ASSERT pg_relation_size(t) <= 262144;
		EXECUTE 'DELETE FROM ' || t;
	END LOOP;
END $$`

// shape tells whether a test changed more than rows.
const shape = `SELECT (SELECT count(*) FROM migrations) || ' ' ||
	md5(string_agg(concat_ws(' ', c.relname, a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' ORDER BY c.relname, a.attnum))
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = CAST(current_schema() AS regnamespace)`

var swept sync.Once

// sweep drops what earlier processes left.
func sweep(raw string) {
	swept.Do(func() {
		var all []string
		err := use(raw, func(ctx context.Context, tx *db.Tx) (err error) {
			all, err = db.All(ctx, tx, db.Text, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\_%\_%'`)
			return err
		})
		if err != nil {
			return // whoever makes a schema hears of it
		}
		for _, name := range all {
			born, err := strconv.ParseInt(strings.Split(name, "_")[1], 10, 64)
			if err == nil && started.Sub(time.Unix(born, 0)) > life {
				_ = schema{raw, name}.drop() // another may do the same
			}
		}
	})
}

func run(at, statement string) error {
	return use(at, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, statement)
		return err
	})
}

// use runs a transaction of the test's own, also after the test has ended.
func use(at string, fn func(context.Context, *db.Tx) error) error {
	ctx := context.Background()
	d, err := db.Open(ctx, at)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Write(ctx, fn)
}
