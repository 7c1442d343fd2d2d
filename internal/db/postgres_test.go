package db_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// postgres opens and migrates url.
func postgres(t *testing.T, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// with sets a parameter of a URL.
func with(t *testing.T, raw, name, value string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestLostServerIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	p, url := viaProxy(t, dbtest.PostgresURL(t))
	d := postgres(t, url)
	write(t, d, set("before", ""))
	p.stop()
	start := time.Now()
	if err := d.Write(t.Context(), set("during", "")); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("write: got %v, want ErrUnavailable", err)
	}
	err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		_, err := db.One(ctx, tx, db.Int, `SELECT 1`)
		return err
	})
	if !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("read: got %v, want ErrUnavailable", err)
	}
	if err := d.Ping(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("ping: got %v, want ErrUnavailable", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("three answers took %v", took)
	}
	p.start(t)
	write(t, d, set("after", ""))
	if got := settings(t, d); !slices.Equal(got, []string{"after", "before"}) {
		t.Errorf("rows %v, want after and before", got)
	}
}

func TestShortAbsenceOfTheServerDoesNotShow(t *testing.T) {
	t.Parallel()
	p, url := viaProxy(t, dbtest.PostgresURL(t))
	d := postgres(t, url)
	p.stop()
	back := time.AfterFunc(100*time.Millisecond, func() { p.start(t) })
	defer back.Stop()
	write(t, d, set("a", ""))
}

func TestConnectionLostInsideATransactionRunsItAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		place string
		act   action
	}{{"INSERT INTO settings", cutBefore}, {"INSERT INTO settings", cutAfter}, {"UPDATE settings", cutBefore}, {"UPDATE settings", cutAfter}} {
		// In exec mode the text of the statement is sent each time.
		p, url := viaProxy(t, with(t, dbtest.PostgresURL(t), "default_query_exec_mode", "exec"))
		d := postgres(t, url)
		runs := 0
		p.cutOn(c.place, c.act)
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			runs++
			if err := set("a", "")(ctx, tx); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE settings SET updated_at = updated_at + 1`)
			return err
		})
		if err != nil || runs != 2 {
			t.Errorf("%s, %v: %d runs, %v; want 2 and no error", c.place, c.act, runs, err)
		}
		if got := settings(t, d); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s, %v: rows %v, want a", c.place, c.act, got)
		}
	}
}

func TestConnectionLostDuringCommitIsUnknownAndNotRepeated(t *testing.T) {
	t.Parallel()
	for act, want := range map[action][]string{cutBefore: nil, cutAfter: {"a"}} {
		url := dbtest.PostgresURL(t)
		p, through := viaProxy(t, url)
		d := postgres(t, through)
		runs := 0
		p.cutOn("COMMIT\x00", act)
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			runs++
			return set("a", "")(ctx, tx)
		})
		if !errors.Is(err, db.ErrUnavailable) || runs != 1 {
			t.Errorf("%v: %d runs, %v; want 1 and ErrUnavailable", act, runs, err)
		}
		if d.Stats().Unknown != 1 {
			t.Errorf("%v: stats %+v, want one unknown", act, d.Stats())
		}
		// The server may still be at it: a second writer of the same row waits for it.
		err = d.Write(t.Context(), set("a", ""))
		if made := err == nil; made != (want == nil) || !made && !errors.Is(err, db.ErrConflict) {
			t.Errorf("%v: second write: %v", act, err)
		}
	}
}

func TestFrozenServerIsUnavailable(t *testing.T) {
	t.Parallel()
	p, url := viaProxy(t, with(t, dbtest.PostgresURL(t), "connect_timeout", "1"))
	d := postgres(t, url)
	db.SetWorkTime(d, 300*time.Millisecond)
	p.freeze()
	start := time.Now()
	if err := d.Write(t.Context(), set("a", "")); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
	p.stop()
	p.start(t)
	write(t, d, set("b", ""))
}

func TestCallerLeavesWhileTheServerIsGone(t *testing.T) {
	t.Parallel()
	p, url := viaProxy(t, dbtest.PostgresURL(t))
	d := postgres(t, url)
	p.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.Write(ctx, set("a", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

// Connections that serve no more are replaced without anyone noticing: the server was
// demoted, an operator ended the session, a pooler forgot the statements, a migration
// changed a column.
func TestUnfitConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, d, other *db.DB){
		"demoted": func(t *testing.T, d, _ *db.DB) {
			write(t, d, exec(`SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY`))
		},
		"statements forgotten": func(t *testing.T, d, _ *db.DB) {
			write(t, d, exec(`DEALLOCATE ALL`))
		},
		"terminated": func(t *testing.T, d, other *db.DB) {
			err := other.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := db.One(ctx, tx, db.Int, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
					WHERE application_name = $1`, strings.ReplaceAll(t.Name(), "/", "."))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		},
		"column changed": func(t *testing.T, _, other *db.DB) {
			write(t, other, exec(`ALTER TABLE settings ALTER COLUMN value TYPE VARCHAR(50)`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := dbtest.PostgresURL(t)
			d := postgres(t, with(t, with(t, url, "pool_max_conns", "1"), "application_name", strings.ReplaceAll(t.Name(), "/", ".")))
			other := postgres(t, url)
			use := func(n string) {
				t.Helper()
				write(t, d, func(ctx context.Context, tx *db.Tx) error {
					if err := set(n, n)(ctx, tx); err != nil {
						return err
					}
					got, err := db.One(ctx, tx, db.Text, `SELECT value FROM settings WHERE name = $1`, n)
					if err == nil && got != n {
						t.Errorf("got %q, want %q", got, n)
					}
					return err
				})
				err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					_, err := db.One(ctx, tx, db.Text, `SELECT value FROM settings WHERE name = $1`, n)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
			use("a")
			spoil(t, d, other)
			use("b")
			if d.Stats().Retries == 0 {
				t.Error("nothing was run again: the connection was not spoilt")
			}
		})
	}
}

func exec(query string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, query)
		return err
	}
}

func TestDeadlockIsRunAgain(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	write(t, d, set("a", ""))
	write(t, d, set("b", ""))
	var met, wg sync.WaitGroup
	met.Add(2)
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		first := true
		wg.Go(func() {
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				for i, name := range order {
					if _, err := tx.Exec(ctx, `UPDATE settings SET updated_at = updated_at + 1 WHERE name = $1`, name); err != nil {
						return err
					}
					if i == 0 && first {
						first = false
						met.Done()
						met.Wait()
					}
				}
				return nil
			})
			if err != nil {
				t.Errorf("%v: %v", order, err)
			}
		})
	}
	wg.Wait()
	if got := counters(t, d); got[0] != 3 || got[1] != 3 {
		t.Errorf("counters %v, want both 3", got)
	}
	if d.Stats().Retries == 0 {
		t.Error("there was no deadlock")
	}
}

// At SERIALIZABLE the server refuses what READ COMMITTED lets pass; nobody hears of it.
func TestSerializableIsRunAgain(t *testing.T) {
	t.Parallel()
	d := postgres(t, with(t, dbtest.PostgresURL(t), "default_transaction_isolation", "serializable"))
	write(t, d, set("a", ""))
	write(t, d, set("b", ""))
	const callers = 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				n, err := db.One(ctx, tx, db.Int, `SELECT updated_at FROM settings WHERE name = 'a'`)
				if err != nil {
					return err
				}
				_, err = tx.Exec(ctx, `UPDATE settings SET updated_at = $1 WHERE name IN ('a', 'b')`, n+1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := counters(t, d); got[0] != 1+callers || got[1] != 1+callers {
		t.Errorf("counters %v, want both %d", got, 1+callers)
	}
}

func TestSeveralHostsLeadToThePrimary(t *testing.T) {
	t.Parallel()
	raw := dbtest.PostgresURL(t)
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port where nothing is, once closed
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	ln.Close()
	d := postgres(t, with(t, strings.Replace(raw, u.Host, dead+","+u.Host, 1), "target_session_attrs", "read-write"))
	write(t, d, set("a", ""))
}

func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	d := postgres(t, with(t, dbtest.PostgresURL(t), "pool_max_conns", "3"))
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if err := d.Write(t.Context(), set(fmt.Sprint(i), "")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := d.Stats(); s.Limit != 3 || s.Open > 3 || s.InUse != 0 {
		t.Errorf("stats %+v, want at most 3 connections and none in use", s)
	}
}

func TestEmptyWriteSendsNothing(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), "postgres://nobody@127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	write(t, d, func(context.Context, *db.Tx) error { return nil })
}
