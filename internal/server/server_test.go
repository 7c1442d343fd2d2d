package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/job"
	"sallyport/internal/mail"
	"sallyport/internal/mail/mailtest"
	"sallyport/internal/secret"
)

// testKey is the process key of all tests here.
var testKey = func() *secret.Key {
	k, err := secret.NewKey(bytes.Repeat([]byte{7}, secret.KeySize))
	if err != nil {
		panic(err)
	}
	return k
}()

// testConfig is a configuration for a database, listening on free ports.
func testConfig(database string) config.Config {
	return config.Config{
		Listen: "127.0.0.1:0", PublicURL: "http://localhost:8080", Database: secret.Value(database), SecretKey: testKey,
		Mail: "smtp://127.0.0.1:1", MailFrom: "Sallyport <no-reply@example.com>", Root: config.Surfaces, Source: "a test",
	}
}

// lines is a log that a test may read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newServer(t *testing.T, o Options) (*Server, *lines) {
	t.Helper()
	log := &lines{}
	if o.Log == nil {
		o.Log = NewLog(log, config.Log{Format: "json", Level: slog.LevelInfo})
	}
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// running is a server that listens.
type running struct {
	url  string
	stop func() error // tells it to stop and returns what Run did
}

func start(t *testing.T, s *Server) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	at, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- s.Run(ctx, func(a net.Addr) { at <- a }) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	select {
	case a := <-at:
		return running{"http://" + a.String(), stop}
	case err := <-done:
		t.Fatalf("Run ended with %v", err)
		panic("unreachable")
	}
}

// browser makes requests of servers under test, each on a connection of its own.
var browser = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := browser.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func enqueue(t *testing.T, s *Server, kind job.Kind, payload []byte) {
	t.Helper()
	err := s.db.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		now := s.now()
		_, err := job.Enqueue(ctx, tx, kind, payload, now, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQueuedMailIsSent(t *testing.T) {
	t.Parallel()
	sink := mailtest.New(t, mailtest.Options{})
	c := testConfig(dbtest.SQLiteURL(t))
	c.Mail = secret.Value(sink.URL())
	s, _ := newServer(t, Options{Config: c})
	enqueue(t, s, job.Mail, mail.Pack(testKey, mail.VerifyEmail, "jane@example.com", mail.Data{ClientName: "Demo", Link: "https://auth.example.com/x", Minutes: 5}))
	start(t, s)
	if m := sink.WaitFor(t, "jane@example.com"); m.Link() != "https://auth.example.com/x" {
		t.Errorf("got link %q", m.Link())
	}
}

func TestUnreadableMailIsGivenUp(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	defer s.Close()
	enqueue(t, s, job.Mail, []byte("not sealed"))
	if n, err := s.Jobs().RunOnce(t.Context()); n != 1 || err != nil {
		t.Fatalf("got %d jobs, %v", n, err)
	}
	if counts, err := countJobs(t.Context(), s.db); err != nil || len(counts) != 1 || counts[0].Dead != 1 {
		t.Errorf("got %+v, %v; want one dead job", counts, err)
	}
}

func TestSchemaOfAnotherReleaseIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO migrations (name, applied_at) VALUES ('9999_later', 0)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(t.Context(), Options{Config: testConfig(""), DB: d})
		if got, ok := errors.AsType[*SchemaError](err); !ok || !slices.Equal(got.Unknown, []string{"9999_later"}) {
			t.Errorf("newer: got %v, want *SchemaError", err)
		}
	})
	for want, s := range map[string]db.Schema{
		"": {Applied: []string{"a"}},
		"the database is older than this release (it lacks b, c); run: sallyport migrate": {Applied: []string{"a"}, Pending: []string{"b", "c"}},
		"the database was made by a newer release (it has z); run that release":           {Applied: []string{"a"}, Unknown: []string{"z"}},
		"the database was made by a newer release (it has y); run that release" + "":      {Pending: []string{"b"}, Unknown: []string{"y"}},
	} {
		got := ""
		if err := CheckSchema(s); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
	}
}

func TestNewFailsWithOneSentence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := dbtest.SQLiteURL(t)
	s, _ := newServer(t, Options{Config: testConfig(good)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := secret.NewKey(bytes.Repeat([]byte{8}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is not a database\n", 200)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*config.Config)
		want string
	}{
		{"no directory", func(c *config.Config) { c.Database = secret.Value("sqlite:" + dir + "/none/x.db") }, "cannot open the database"},
		{"not a database", func(c *config.Config) { c.Database = secret.Value("sqlite:" + text) }, "database"},
		{"nobody listens", func(c *config.Config) { c.Database = "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1" }, "cannot use the database (setting database)"},
		{"another key", func(c *config.Config) { c.SecretKey = other }, "secret_key is not the one that this database was made with"},
		{"surface to come", func(c *config.Config) { c.Hosts = map[string]string{"x.example": "console"} }, "this release has no surface console"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(good)
			c.edit(&cfg)
			_, err := New(t.Context(), Options{Config: cfg})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a password: %v", err)
			}
		})
	}
}

func TestBusyAddressIsOneSentence(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, setting := range []string{"listen", "metrics_listen", "hackillinois_private_listen"} {
		c := testConfig(dbtest.SQLiteURL(t))
		switch setting {
		case "listen":
			c.Listen = ln.Addr().String()
		case "metrics_listen":
			c.MetricsListen = ln.Addr().String()
		default:
			c.HackPrivate = ln.Addr().String()
		}
		s, _ := newServer(t, Options{Config: c})
		err = s.Run(t.Context(), nil)
		want := fmt.Sprintf("cannot listen on %s (setting %s): bind: address already in use", ln.Addr(), setting)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	defer s.Close()
	var deadline time.Duration
	var failed error
	h := s.wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if at, ok := r.Context().Deadline(); ok {
			deadline = time.Until(at)
		}
		_, failed = io.Copy(io.Discard, r.Body)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", bytes.NewReader(make([]byte, maxBody+1))))
	if _, ok := errors.AsType[*http.MaxBytesError](failed); !ok {
		t.Errorf("a body over the limit: got %v", failed)
	}
	if deadline <= 0 || deadline > requestDeadline {
		t.Errorf("deadline: got %v, want up to %v", deadline, requestDeadline)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("X-Request-Id") == "" {
		t.Errorf("headers: got %v", w.Header())
	}
	srv := s.newHTTP(h)
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.WriteTimeout == 0 || srv.IdleTimeout == 0 || srv.MaxHeaderBytes == 0 {
		t.Errorf("time-outs are missing: %+v", srv)
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	s, log := newServer(t, Options{Config: testConfig(dbtest.SQLiteURL(t))})
	defer s.Close()
	w := httptest.NewRecorder()
	s.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "purpose") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "on purpose") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}
