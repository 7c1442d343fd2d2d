package server

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// readyz asks once and returns the status code and what fails.
func readyz(t *testing.T, h *ready) (int, []string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	var body status
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	if got := w.Header().Get("Retry-After"); (got == "") != (w.Code == 200) {
		t.Errorf("Retry-After of a %d: got %q", w.Code, got)
	}
	return w.Code, body.Failing
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		clock := time.Now()
		s, _ := newServer(t, Options{Config: testConfig(url), Now: func() time.Time { return clock }})
		check := func(code int, failing ...string) {
			t.Helper()
			clock = clock.Add(readyFor)
			if c, f := readyz(t, s.ready); c != code || !slices.Equal(f, failing) {
				t.Errorf("got %d %q, want %d %q", c, f, code, failing)
			}
		}
		check(200)
		s.ready.ring = &jwks.Ring{}
		check(503, "signing_key")
		s.ready.ring = s.keys.Ring
		check(200)
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
		if c, _ := readyz(t, s.ready); c != 200 {
			t.Errorf("within a second of an answer: got %d, want the same answer", c)
		}
		check(503, "database")
		s.ready.stop()
		check(503, "stopping")
	})
}

func TestReadinessNeedsTheSchema(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		d, err := db.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		h := &ready{db: d, ring: &jwks.Ring{}, now: time.Now}
		if c, f := readyz(t, h); c != 503 || !slices.Equal(f, []string{"schema", "signing_key"}) {
			t.Errorf("got %d %q, want 503 and schema, signing_key", c, f)
		}
	})
}

func TestProbesShareOneAnswer(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	s, _ := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t)), Now: func() time.Time { return clock }})
	defer s.Close()
	before := s.db.Stats().Transactions
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { readyz(t, s.ready) })
	}
	all.Wait()
	if got := s.db.Stats().Transactions - before; got != 1 {
		t.Errorf("50 probes within a second wrote %d times, want once", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	c := testConfig(dbtest.SQLiteURL(t))
	c.MetricsListen = "127.0.0.1:0"
	s, _ := newServer(t, Options{Config: c})
	defer s.Close()
	enqueue(t, s, "test", nil)
	for _, path := range []string{"/.well-known/jwks.json", "/keymaster/.well-known/jwks.json", "/secret-in-a-path", "/healthz"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path+"?token=hunter2", nil))
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 404 {
		t.Errorf("/metrics beside a listener of its own: got %d, want 404", w.Code)
	}
	w = httptest.NewRecorder()
	s.operations().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`sallyport_requests_total{method="GET",route="/.well-known/jwks.json",status="200",surface="oidc"} 1`,
		`sallyport_requests_total{method="GET",route="/.well-known/jwks.json",status="200",surface="keymaster"} 1`,
		`sallyport_requests_total{method="GET",route="",status="404",surface=""} 2`,
		`sallyport_requests_total{method="GET",route="/healthz",status="200",surface="server"} 1`,
		`sallyport_request_duration_seconds_count{route="/.well-known/jwks.json",surface="oidc"} 1`,
		`sallyport_jobs{kind="test",state="live"} 1`, `sallyport_db_writes_total{outcome="committed"}`,
		`sallyport_password_slots{state="all"}`, "go_goroutines", "process_start_time_seconds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, secret := range []string{"hunter2", "secret-in-a-path"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
}

func TestMetricsWithoutDatabase(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	from := httptest.NewRequest("GET", "/metrics", nil)
	from.RemoteAddr = "127.0.0.1:1"
	s.Handler().ServeHTTP(w, from)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "sallyport_jobs_scrape_failed 1") {
		t.Errorf("got %d\n%s", w.Code, w.Body)
	}
}

func TestSweepRemovesWhatHasExpired(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := time.Now()
		const n = 2*sweepBatch + 1
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for i := range n + 1 {
				at := now.Add(-time.Hour)
				if i == n {
					at = now.Add(time.Hour)
				}
				_, err := tx.Exec(ctx, `INSERT INTO onetime_secrets (hash, purpose, email, data, tries, created_at, expires_at) VALUES ($1, 'reset', '', '{}', 0, $2, $3)`,
					[]byte{byte(i), byte(i >> 8)}, db.At(now), db.At(at))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := sweepAll(t.Context(), d, func() time.Time { return now }); err != nil {
			t.Fatal(err)
		}
		var left int64
		err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			left, err = db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM onetime_secrets`)
			return err
		})
		if err != nil || left != 1 {
			t.Errorf("got %d rows, %v; want the one that has not expired", left, err)
		}
	})
}

func TestSweepsGoOnAfterAFailure(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DROP TABLE sessions`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := d.Stats().Transactions
	err = sweepAll(t.Context(), d, time.Now)
	if err == nil || !strings.Contains(err.Error(), "sweep sessions") || strings.Contains(err.Error(), "sweep limits") {
		t.Errorf("got %v", err)
	}
	if got, want := d.Stats().Transactions-before, int64(len(sweeps)-1); got != want {
		t.Errorf("got %d sweeps done, want %d", got, want)
	}
}
