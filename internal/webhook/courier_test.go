package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/job"
	"sallyport/internal/outbound"
	"sallyport/internal/secret"
)

// TestSignature is test case 2 of RFC 4231, and the contract's rule that the
// key is the secret's text: hex-decoding it gives another signature.
func TestSignature(t *testing.T) {
	if got, want := Signature([]byte("Jefe"), "what do ya want for nothing?"), "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// printf '{"a":1}' | openssl dgst -sha256 -hmac 4a656665
	if got, want := Signature([]byte("4a656665"), `{"a":1}`), "sha256=7aa2b59912d2ecc5a0b3f4f751b6006fdeb92e7dd64ad9e9d9175c5ab291c915"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDeliveryOnTheWire(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.URL.RequestURI() != "/hooks?x=1" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			rw.WriteHeader(http.StatusAccepted)
			io.WriteString(rw, "thanks")
		})
		hook, shown := w.subscribe(e.URL+"/hooks?x=1", UserLogin)
		u := w.newUser(nil)
		w.record(audit.Event{Action: audit.UserLogin, ClientID: w.client, UserID: u, Detail: map[string]any{"email": "user@example.com", "name": "Jane", "method": "password"}})
		w.fanOut()
		w.now = start.Add(1500 * time.Millisecond)
		w.deliver(1)
		w.deliver(0)

		got := w.only(hook.ID)
		if got.Status != Delivered || got.Attempts != 1 || got.ResponseStatus != 202 || got.ResponseBody != "thanks" || got.Error != "" || !got.DeliveredAt.Equal(w.now) || !got.NextRetryAt.IsZero() {
			t.Errorf("log: %+v", got)
		}
		rs := e.requests()
		if len(rs) != 1 || rs[0].body != got.Body {
			t.Fatalf("the endpoint got %+v, want the body %s", rs, got.Body)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "X-Keymaster-Event": "user.login", "X-Keymaster-Delivery": got.ID,
			"X-Keymaster-Timestamp": strconv.FormatInt(start.Unix()+1, 10), "X-Keymaster-Signature": Signature([]byte(shown), got.Body),
		} {
			if v := rs[0].header.Values(name); len(v) != 1 || v[0] != want {
				t.Errorf("%s: %q, want %q", name, v, want)
			}
		}
	})
}

func TestPing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(200))
		hook, _ := w.subscribe(e.URL, UserLogin) // not to ping
		id := w.ping(hook)
		w.deliver(1)
		want := `{"event":"ping","timestamp":"2026-03-17T12:00:00Z","app_id":"` + string(w.client) + `","data":{"message":"ping"}}`
		if rs := e.requests(); len(rs) != 1 || rs[0].body != want || rs[0].header.Get("X-Keymaster-Event") != "ping" || rs[0].header.Get("X-Keymaster-Delivery") != id {
			t.Errorf("got %+v, want %s", rs, want)
		}
	})
}

// TestSchedule: attempts at 0, 1 min, 5 min, 30 min, 2 h and 12 h with the same
// id and bytes and a fresh timestamp, then failed (contract §9.2).
func TestSchedule(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(500))
		hook, shown := w.subscribe(e.URL)
		id := w.ping(hook)
		for i, at := range schedule {
			if i > 0 {
				w.now = start.Add(at - time.Second)
				w.deliver(0)
			}
			w.now = start.Add(at)
			w.deliver(1)
			got := w.only(hook.ID)
			want := Delivery{ID: id, WebhookID: hook.ID, Event: Ping, Body: got.Body, Status: Pending, Attempts: i + 1, ResponseStatus: 500, Error: "answered 500", CreatedAt: start}
			if i+1 < len(schedule) {
				want.NextRetryAt = start.Add(schedule[i+1])
			} else {
				want.Status = Failed
			}
			if got != want {
				t.Errorf("after attempt %d:\n got %+v\nwant %+v", i+1, got, want)
			}
		}
		w.now = w.now.Add(48 * time.Hour)
		w.deliver(0)

		rs := e.requests()
		if len(rs) != 6 {
			t.Fatalf("%d requests, want 6", len(rs))
		}
		for i, r := range rs {
			if r.body != rs[0].body || r.header.Get("X-Keymaster-Delivery") != id || r.header.Get("X-Keymaster-Signature") != Signature([]byte(shown), rs[0].body) {
				t.Errorf("attempt %d differs: %+v", i+1, r)
			}
			if want := strconv.FormatInt(start.Add(schedule[i]).Unix(), 10); r.header.Get("X-Keymaster-Timestamp") != want {
				t.Errorf("attempt %d has timestamp %s, want %s", i+1, r.header.Get("X-Keymaster-Timestamp"), want)
			}
		}
	})
}

func TestEndpointRecovers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(503))
		hook, _ := w.subscribe(e.URL)
		w.ping(hook)
		w.deliver(1)
		e.set(status(204))
		w.now = start.Add(time.Minute)
		w.deliver(1)
		if got := w.only(hook.ID); got.Status != Delivered || got.Attempts != 2 || got.ResponseStatus != 204 || got.Error != "" || !got.DeliveredAt.Equal(w.now) || !got.NextRetryAt.IsZero() {
			t.Errorf("log: %+v", got)
		}
		w.now = start.Add(24 * time.Hour)
		w.deliver(0)
	})
}

// TestBehindSchedule: after an outage of ours the attempts that were missed are
// not made all at once.
func TestBehindSchedule(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(500))
		hook, _ := w.subscribe(e.URL)
		w.ping(hook)
		w.deliver(1)
		w.now = start.Add(3 * time.Hour)
		w.deliver(1)
		if got := w.only(hook.ID); !got.NextRetryAt.Equal(w.now.Add(time.Minute)) {
			t.Errorf("next attempt at %v, want a minute after %v", got.NextRetryAt, w.now)
		}
	})
}

// TestBadEndpoints: whatever an endpoint does, the log says it in a few words
// and holds at most 1 KB of the answer, and the next attempt is planned.
func TestBadEndpoints(t *testing.T) {
	target := newEndpoint(t, status(200))
	untrusted := httptest.NewUnstartedServer(status(200))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused := "http://" + l.Addr().String()
	l.Close()

	answer := func(h http.HandlerFunc) string { return newEndpoint(t, h).URL }
	for name, c := range map[string]struct {
		url    string
		status int
		reason string
		body   string
	}{
		"redirect": {answer(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		}), 307, "answered 307: redirects are not followed", ""},
		"not found": {answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such hook", 404) }), 404, "answered 404", "no such hook\n"},
		"huge": {answer(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, strings.Repeat("x", 1<<20))
		}), 400, "answered 400", strings.Repeat("x", 1024)},
		"binary": {answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); w.Write([]byte("a\x00b\xff\xfec")) }), 400, "answered 400", "a?b?c"},
		"cut character": {answer(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, strings.Repeat("x", 1023)+"ü")
		}), 400, "answered 400", strings.Repeat("x", 1023) + "?"},
		"hangs up":  {answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), 0, "connection failed", ""},
		"refused":   {unused, 0, "connection refused", ""},
		"private":   {"https://10.255.255.1/", 0, "address is not allowed", ""},
		"not https": {"http://app.example.com/", 0, "URL is not allowed", ""},
		"untrusted": {untrusted.URL, 0, "certificate is not trusted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				w := newWorld(t, d)
				hook, _ := w.subscribe(c.url)
				w.ping(hook)
				w.deliver(1)
				got := w.only(hook.ID)
				if got.Status != Pending || got.ResponseStatus != c.status || got.Error != c.reason || !strings.HasPrefix(got.ResponseBody, c.body) || len(got.ResponseBody) > 1024 || !utf8.ValidString(got.ResponseBody) || !got.NextRetryAt.Equal(start.Add(time.Minute)) {
					t.Errorf("got %d %q, body %q, next %v", got.ResponseStatus, got.Error, got.ResponseBody, got.NextRetryAt)
				}
			})
		})
	}
	if n := len(target.requests()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestSlowEndpoint: no answer in time is a failure; an answer in time counts,
// even if its body never ends.
func TestSlowEndpoint(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.courier.Client = outbound.Client(outbound.Options{Allow: loopback, Timeout: 100 * time.Millisecond})
		t.Cleanup(w.courier.Client.CloseIdleConnections)
		release := make(chan struct{})
		wait := func(r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		slow := newEndpoint(t, func(_ http.ResponseWriter, r *http.Request) { wait(r) })
		endless := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			wait(r)
		})
		t.Cleanup(func() { close(release) })
		a, _ := w.subscribe(slow.URL)
		b, _ := w.subscribe(endless.URL)
		w.ping(a)
		w.ping(b)
		w.deliver(2)
		if got := w.only(a.ID); got.Status != Pending || got.Error != "timed out" || got.ResponseStatus != 0 {
			t.Errorf("slow: %+v", got)
		}
		if got := w.only(b.ID); got.Status != Delivered || got.ResponseBody != "some" {
			t.Errorf("endless: %+v", got)
		}
	})
}

// TestAttemptIsCountedOnce: a job that runs again because its node died after
// the result was written makes no second request, and no second series.
func TestAttemptIsCountedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(500))
		hook, _ := w.subscribe(e.URL)
		id := w.ping(hook)
		payload, err := json.Marshal(attempt{Delivery: id, Start: start})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := w.courier.Deliver(t.Context(), job.Job{Kind: Kind, Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(e.requests()); n != 1 || w.only(hook.ID).Attempts != 1 {
			t.Errorf("%d requests, %d attempts; want one", n, w.only(hook.ID).Attempts)
		}
		w.deliver(1) // the job of the first attempt itself, with nothing left to do
		w.now = start.Add(time.Minute)
		w.deliver(1)
		if n := len(e.requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
		if err := w.courier.Deliver(t.Context(), job.Job{Kind: Kind, Payload: []byte("nonsense")}); !errors.Is(err, job.ErrGiveUp) {
			t.Errorf("a payload that cannot be read: %v, want ErrGiveUp", err)
		}
	})
}

// TestRedeliver: an operator's replay is a new series with the same id and
// bytes; attempts go on counting.
func TestRedeliver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(500))
		hook, _ := w.subscribe(e.URL)
		other, _ := w.subscribe(e.URL)
		id := w.ping(hook)
		redeliver := func(hook Webhook, id string) error {
			return d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return Redeliver(ctx, tx, hook.ID, id, w.now) })
		}
		if err := redeliver(hook, id); !errors.Is(err, ErrPending) {
			t.Errorf("before the first attempt: %v, want ErrPending", err)
		}
		for _, at := range schedule {
			w.now = start.Add(at)
			w.deliver(1)
		}
		for _, err := range []error{redeliver(other, id), redeliver(hook, "nothing")} {
			if !errors.Is(err, db.ErrNotFound) {
				t.Errorf("of another subscription, or of nothing: %v, want ErrNotFound", err)
			}
		}

		w.now = start.Add(24 * time.Hour)
		if err := redeliver(hook, id); err != nil {
			t.Fatal(err)
		}
		if got := w.only(hook.ID); got.Status != Pending || got.Attempts != 6 || got.Error != "" {
			t.Errorf("restarted: %+v", got)
		}
		if err := redeliver(hook, id); !errors.Is(err, ErrPending) {
			t.Errorf("twice: %v, want ErrPending", err)
		}
		w.deliver(1)
		if got := w.only(hook.ID); got.Status != Pending || got.Attempts != 7 || !got.NextRetryAt.Equal(w.now.Add(time.Minute)) {
			t.Errorf("after its first attempt: %+v", got)
		}
		e.set(status(200))
		w.now = w.now.Add(time.Minute)
		w.deliver(1)
		if got := w.only(hook.ID); got.Status != Delivered || got.Attempts != 8 {
			t.Errorf("after its second attempt: %+v", got)
		}
		if err := redeliver(hook, id); err != nil { // a delivered one, too
			t.Fatal(err)
		}
		w.deliver(1)
		rs := e.requests()
		if len(rs) != 9 {
			t.Fatalf("%d requests, want 9", len(rs))
		}
		for i, r := range rs {
			if r.body != rs[0].body || r.header.Get("X-Keymaster-Delivery") != id {
				t.Errorf("request %d differs: %+v", i+1, r)
			}
		}
	})
}

func TestDeletedSubscriptionGetsNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(200))
		hook, _ := w.subscribe(e.URL)
		w.ping(hook)
		w.write(func(ctx context.Context, tx *db.Tx) error { return Delete(ctx, tx, w.client, hook.ID) })
		w.deliver(1)
		w.deliver(0)
		if n := len(e.requests()); n != 0 || len(w.log(hook.ID)) != 0 {
			t.Errorf("%d requests and %d log entries, want none", n, len(w.log(hook.ID)))
		}
	})
}

// TestLostKey: with another process key nothing is sent, because it could not
// be signed, and the log says why.
func TestLostKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := newEndpoint(t, status(200))
		hook, _ := w.subscribe(e.URL)
		w.ping(hook)
		k, err := secret.NewKey(secret.Bytes(secret.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		w.courier.Key = k
		w.deliver(1)
		if got := w.only(hook.ID); len(e.requests()) != 0 || got.Status != Pending || got.Error != "secret cannot be read" {
			t.Errorf("%d requests, log %+v", len(e.requests()), got)
		}
	})
}
