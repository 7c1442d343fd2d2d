package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/job"
)

func TestServesAndStops(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		s, log := newServer(t, Options{Config: testConfig(url)})
		r := start(t, s)
		for path, want := range map[string]string{
			"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ok"}`,
			"/.well-known/jwks.json": `{"keys":[{"kty":"RSA"`, "/keymaster/.well-known/jwks.json": `{"keys":[{"kty":"RSA"`,
		} {
			if status, body := get(t, r.url+path); status != 200 || !strings.HasPrefix(body, want) {
				t.Errorf("%s: got %d %s, want 200 %s…", path, status, body, want)
			}
		}
		if err := r.stop(); err != nil {
			t.Errorf("Run ended with %v", err)
		}
		if _, err := browser.Get(r.url + "/healthz"); err == nil {
			t.Error("it still answers after it stopped")
		}
		if err := s.db.Ping(t.Context()); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("database after the stop: got %v, want it closed", err)
		}
		for line := range strings.Lines(strings.TrimSpace(log.String())) {
			if !json.Valid([]byte(line)) {
				t.Errorf("log line is not JSON: %s", line)
			}
		}
		if !strings.Contains(log.String(), `"request_id":"`) {
			t.Errorf("no request id in the log:\n%s", log)
		}
	})
}

func TestStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	entered, release := make(chan struct{}), make(chan struct{})
	s.handler = s.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		// The database is still there for what a request has to write.
		if err := s.db.Ping(r.Context()); err != nil {
			w.WriteHeader(500)
		}
		io.WriteString(w, "finished")
	}))
	r := start(t, s)
	answer := make(chan string, 1)
	go func() {
		res, err := browser.Get(r.url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(res.StatusCode, " ", string(body), " ", err)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	for { // no new connections from now on
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	if failing := s.ready.check(t.Context()); !slices.Equal(failing, []string{"stopping"}) {
		t.Errorf("readiness while stopping: got %q", failing)
	}
	select {
	case err := <-stopped:
		t.Fatalf("it stopped with a request in flight: %v", err)
	default:
	}
	close(release)
	if got, want := <-answer, "200 finished <nil>"; got != want {
		t.Errorf("request in flight: got %q, want %q", got, want)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s, log := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	s.stopDeadline = 50 * time.Millisecond
	entered := make(chan struct{})
	s.handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	r := start(t, s)
	failed := make(chan error, 1)
	go func() {
		_, err := browser.Get(r.url)
		failed <- err
	}()
	<-entered
	if err := r.stop(); err != nil {
		t.Errorf("Run ended with %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
	if !strings.Contains(log.String(), "requests were cut off") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

func TestStopFinishesJobs(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	entered, release := make(chan struct{}), make(chan struct{})
	s.jobs.Handlers["test"] = job.Handler{Run: func(context.Context, job.Job) error {
		close(entered)
		<-release
		return nil
	}}
	enqueue(t, s, "test", nil)
	r := start(t, s)
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(t.Context(), s.cfg.Database.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if counts, err := countJobs(t.Context(), d); err != nil || len(counts) != 0 {
		t.Errorf("jobs after the stop: got %v, %v; want none", counts, err)
	}
}
