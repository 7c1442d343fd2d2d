package server

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// fakeUpstream serves a fake and configures it in a database.
func fakeUpstream(t *testing.T, d *db.DB, key string, kind upstream.Kind) *upstreamtest.Fake {
	t.Helper()
	h := httptest.NewUnstartedServer(nil)
	fake := upstreamtest.New(kind, "http://"+h.Listener.Addr().String(), time.Now)
	h.Config.Handler = fake
	h.Start()
	t.Cleanup(h.Close)
	err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		return upstream.Put(ctx, tx, testKey, fake.Upstream(key), time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	return fake
}

// What the upstreams publish is read before anybody signs in, by the process
// itself.
func TestUpstreamsAreReadAtStart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, _ := newServer(t, Options{Config: testConfig(""), DB: d})
		google, corp := fakeUpstream(t, d, "google", upstream.Google), fakeUpstream(t, d, "corp", upstream.OIDC)
		start(t, s)
		for _, one := range []struct {
			fake *upstreamtest.Fake
			want string
		}{{google, "GET /oauth2/v3/certs"}, {corp, "GET /jwks"}} {
			for deadline := time.Now().Add(time.Minute); !slices.Contains(one.fake.Requests(), one.want); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("got %q, want %s among them", one.fake.Requests(), one.want)
				}
			}
		}
	})
}

// An upstream that is away is told of once, however often it is asked, and so
// is its return.
func TestUpstreamAwayIsToldOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, log := newServer(t, Options{Config: testConfig(""), DB: d})
		fake := fakeUpstream(t, d, "corp", upstream.OIDC)
		now := time.Now()
		p := &published{db: d, key: testKey, log: s.log, failing: map[string]bool{},
			broker: upstream.NewBroker(upstream.Options{Now: func() time.Time { return now }, Timeout: time.Minute})}
		defer p.broker.Close()
		fake.Behave(upstreamtest.Down)
		for range 3 {
			if err := p.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(upstreamRefresh)
		}
		fake.Behave(upstreamtest.None)
		for range 2 {
			if err := p.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(upstreamRefresh)
		}
		for _, want := range []string{"an upstream cannot be read", "the upstream can be read again"} {
			if got := strings.Count(log.String(), want); got != 1 {
				t.Errorf("%q was logged %d times, want once:\n%s", want, got, log)
			}
		}
	})
}
