// Package dbtest opens databases for tests: a fresh one on every engine for each test,
// already migrated. It holds no test itself and no stand-in for an engine.
package dbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/db"
)

// Variable names the environment variable that holds the URL of a PostgreSQL server on
// which tests may make schemas.
const Variable = "SALLYPORT_TEST_POSTGRES"

// Each runs f once on SQLite and once on PostgreSQL, each time with an empty migrated
// database of its own. Without a server the PostgreSQL half is skipped.
func Each(t *testing.T, f func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// EachURL runs f once for each engine with the URL of an empty database that is not
// migrated, for tests that start a program or open it themselves.
func EachURL(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLiteURL(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, PostgresURL(t)) })
}

// SQLite is an empty migrated database in a file of its own.
func SQLite(t testing.TB) *db.DB {
	t.Helper()
	return open(t, migratedSQLite(t), db.Options{})
}

// migratedSQLite is the URL of a copy of the empty database: to migrate takes a
// hundred times as long as to copy.
func migratedSQLite(t testing.TB) string {
	t.Helper()
	empty, err := emptySQLite()
	if err != nil {
		t.Fatalf("migrate: %v", err)
	}
	url := SQLiteURL(t)
	if err := os.WriteFile(strings.TrimPrefix(url, "sqlite:"), empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return url
}

// emptySQLite is the file of an empty migrated database, made once.
var emptySQLite = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sallyport-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background() // all tests' and none's
	file := filepath.Join(dir, "sallyport.db")
	d, err := db.Open(ctx, "sqlite:"+file)
	if err != nil {
		return nil, err
	}
	_, err = d.Migrate(ctx)
	// Closing moves what is in the write-ahead log into the file.
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// Postgres is an empty migrated database in a schema of its own; without a server the
// test is skipped.
func Postgres(t testing.TB) *db.DB {
	t.Helper()
	return open(t, borrowed(t), db.Options{})
}

// SQLiteURL is the URL of a file that does not exist yet.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "sallyport.db")
}

// PostgresURL is the URL of an empty schema, which is dropped when the test ends.
func PostgresURL(t testing.TB) string {
	t.Helper()
	s := newSchema(t)
	t.Cleanup(func() {
		if err := s.drop(); err != nil {
			t.Error(err)
		}
	})
	return s.url
}

func open(t testing.TB, url string, o db.Options) *db.DB {
	t.Helper()
	d, err := db.OpenWith(t.Context(), url, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}
