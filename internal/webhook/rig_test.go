package webhook

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/outbound"
	"sallyport/internal/secret"
)

var start = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// world is a database with one client, a courier and a runner for its jobs.
type world struct {
	*testing.T
	db      *db.DB
	now     time.Time
	key     *secret.Key
	client  client.ID
	courier *Courier
	runner  *job.Runner
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	k, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: d, now: start, key: k}
	w.client = w.newClient()
	clock := func() time.Time { return w.now }
	w.courier = &Courier{DB: d, Key: k, Now: clock, Client: outbound.Client(outbound.Options{Allow: loopback, Timeout: Timeout})}
	t.Cleanup(w.courier.Client.CloseIdleConnections)
	w.runner = &job.Runner{
		DB: d, Now: clock, Log: slog.New(slog.DiscardHandler),
		Handlers: map[job.Kind]job.Handler{Kind: w.courier.Handler()},
	}
	return w
}

func (w *world) write(fn func(ctx context.Context, tx *db.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.Context(), fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) newClient() client.ID {
	w.Helper()
	id := client.NewID()
	w.write(func(ctx context.Context, tx *db.Tx) error {
		return client.Create(ctx, tx, client.Client{ID: id, Name: "Demo", Active: true, CreatedAt: start})
	})
	return id
}

// newUser makes a user with places in clients, of the given statuses.
func (w *world) newUser(places map[client.ID]client.Status) identity.UserID {
	w.Helper()
	u := identity.NewUserID()
	w.write(func(ctx context.Context, tx *db.Tx) error {
		err := identity.Create(ctx, tx, identity.User{ID: u, Email: string(u) + "@example.com", DisplayName: "Jane Doe", Status: identity.Active, CreatedAt: start, UpdatedAt: start})
		for c, s := range places {
			if err == nil {
				_, err = client.Enrol(ctx, tx, client.Enrolment{UserID: u, ClientID: c, Status: s, CreatedAt: start})
			}
		}
		return err
	})
	return u
}

// subscribe makes a subscription of the world's client.
func (w *world) subscribe(url string, es ...Event) (hook Webhook, shown string) {
	w.Helper()
	return w.subscribeFor(w.client, url, es...)
}

func (w *world) subscribeFor(c client.ID, url string, es ...Event) (hook Webhook, shown string) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		hook, shown, err = Subscribe(ctx, tx, w.key, Webhook{ClientID: c, URL: url, Events: es}, w.now)
		return err
	})
	return hook, shown
}

func (w *world) record(e audit.Event) {
	w.Helper()
	e.Announce = true
	w.write(func(ctx context.Context, tx *db.Tx) error { return audit.Record(ctx, tx, w.now, e) })
}

func (w *world) fanOut() {
	w.Helper()
	if err := w.courier.FanOut(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) ping(hook Webhook) (id string) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		id, err = SendPing(ctx, tx, hook.ClientID, hook.ID, w.now)
		return err
	})
	return id
}

// deliver makes all attempts that are due, and checks how many that were.
func (w *world) deliver(want int) {
	w.Helper()
	if n, err := w.runner.RunOnce(w.Context()); n != want || err != nil {
		w.Fatalf("%d attempts, %v; want %d", n, err, want)
	}
}

// log is all of a subscription's log, newest first.
func (w *world) log(id ID) (ds []Delivery) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		var total int
		ds, total, err = Deliveries(ctx, tx, id, 1000, 0)
		if total != len(ds) {
			w.Errorf("%d deliveries of %d", len(ds), total)
		}
		return err
	})
	return ds
}

// only is the only entry of a subscription's log.
func (w *world) only(id ID) Delivery {
	w.Helper()
	ds := w.log(id)
	if len(ds) != 1 {
		w.Fatalf("%d deliveries, want 1: %+v", len(ds), ds)
	}
	return ds[0]
}

// request is what an endpoint got.
type request struct {
	header http.Header
	body   string
}

// endpoint is a subscriber's server that records what it gets. Its answer can be
// changed at any time.
type endpoint struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	mu     sync.Mutex
	got    []request
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func newEndpoint(t *testing.T, answer http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.set(answer)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("endpoint: %v", err)
		}
		e.mu.Lock()
		e.got = append(e.got, request{r.Header, string(b)})
		e.mu.Unlock()
		(*e.answer.Load())(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) set(answer http.HandlerFunc) { e.answer.Store(&answer) }

func (e *endpoint) requests() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]request(nil), e.got...)
}

func isUUID(s string) bool {
	_, ok := identity.ParseID(s)
	return ok && strings.ToLower(s) == s
}
