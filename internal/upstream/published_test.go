package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

func TestRotatedKeyIsFound(t *testing.T) {
	p := serve(t, upstream.OIDC)
	if _, err := p.signIn(t, upstream.Start{}); err != nil {
		t.Fatal(err)
	}
	p.Rotate()
	p.pass(time.Second)
	if _, err := p.signIn(t, upstream.Start{}); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
}

// Metadata and keys are read once by however many sign in at once, and not
// again while they are fresh.
func TestPublishedDocumentsAreReadOnce(t *testing.T) {
	p := serve(t, upstream.OIDC)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			location, a, err := p.b.Begin(t.Context(), p.u, upstream.Start{RedirectURI: callback, State: "the-state"})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := p.b.Finish(t.Context(), p.u, a, p.back(t, location, false), upstream.Visitor{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, r := range p.Requests() {
		count[r]++
	}
	if count["GET /.well-known/openid-configuration"] != 1 || count["GET /jwks"] != 1 || count["POST /token"] != 30 || count["GET /me"] != 0 {
		t.Errorf("requests: %v", count)
	}
}

// Refresh reads anew what is about to grow old, and tells of what fails without
// forgetting what is known.
func TestRefresh(t *testing.T) {
	p := serve(t, upstream.OIDC)
	all := []upstream.Upstream{p.u, serve(t, upstream.GitHub).u}
	if err := p.b.Refresh(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	p.Behave(upstreamtest.Down)
	p.pass(2 * time.Hour)
	if err := p.b.Refresh(t.Context(), all); err != nil {
		t.Errorf("while it is down, the old ones stand in: %v", err)
	}
	p.Behave(upstreamtest.None)
	if _, err := p.signIn(t, upstream.Start{}); err != nil {
		t.Error(err)
	}
	other := serve(t, upstream.OIDC)
	other.Behave(upstreamtest.OtherMetadata)
	if err := p.b.Refresh(t.Context(), []upstream.Upstream{other.u, p.u}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("an impostor's: %v", err)
	}
}

// A provider of plain http elsewhere than on this machine is not asked.
func TestPlainHTTPIsNotAsked(t *testing.T) {
	b := upstream.NewBroker(upstream.Options{Now: time.Now})
	defer b.Close()
	u := upstream.Upstream{Key: "x", Kind: upstream.OIDC, Secret: "s", Settings: upstream.Settings{ClientID: "c", Issuer: "http://login.corp.example"}}
	if _, _, err := b.Begin(context.Background(), u, upstream.Start{}); err == nil {
		t.Error("it was asked")
	}
	git := upstream.Upstream{Key: "x", Kind: upstream.GitHub, Secret: "s", Settings: upstream.Settings{ClientID: "c", BaseURL: "http://10.0.0.1"}}
	if _, err := b.Exchange(context.Background(), git, upstream.Exchange{Code: "c"}); !errors.Is(err, openid.ErrUnreachable) {
		t.Errorf("github over http: %v", err)
	}
}

// A base URL below a path is where everything is, and an issuer of another name
// may be reached by it.
func TestBaseURLBelowAPath(t *testing.T) {
	var fake *upstreamtest.Fake
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	defer s.Close()
	for _, kind := range upstream.Kinds() {
		fake = upstreamtest.New(kind, s.URL+"/fake/"+string(kind), time.Now)
		p := &place{Fake: fake, u: fake.Upstream("fake"), b: upstream.NewBroker(upstream.Options{Now: time.Now})}
		if _, err := p.signIn(t, upstream.Start{}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		p.b.Close()
	}
}

// BenchmarkUpstreamCallback is the record's share of a callback: two requests of
// the provider's less the ones that are kept, and an ID token.
func BenchmarkUpstreamCallback(b *testing.B) {
	p := serve(b, upstream.OIDC)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.signIn(b, upstream.Start{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Addresses in metadata that no browser and no request is sent to.
func TestMetadataWithBadAddresses(t *testing.T) {
	for name, value := range map[string]string{
		"issuer": "https://accounts.evil.example", "authorization_endpoint": "javascript:alert(1)", "token_endpoint": "http://login.example/token",
		"jwks_uri": "", "end_session_endpoint": "javascript:alert(1)", "userinfo_endpoint": "file:///etc/passwd",
	} {
		var s *httptest.Server
		s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			m := map[string]string{"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "jwks_uri": s.URL + "/k"}
			m[name] = value
			json.NewEncoder(w).Encode(m)
		}))
		b := upstream.NewBroker(upstream.Options{Now: time.Now})
		u := upstream.Upstream{Key: "x", Kind: upstream.OIDC, Secret: "s", Settings: upstream.Settings{ClientID: "c", Issuer: s.URL}}
		if location, _, err := b.Begin(t.Context(), u, upstream.Start{RedirectURI: callback, State: "s"}); !errors.Is(err, openid.ErrLies) {
			t.Errorf("%s %q: %s, %v", name, value, location, err)
		}
		b.Close()
		s.Close()
	}
}

// Two upstreams may read one document and expect different things of it.
func TestOneDocumentForTwoUpstreams(t *testing.T) {
	p := serve(t, upstream.OIDC)
	if _, err := p.signIn(t, upstream.Start{}); err != nil {
		t.Fatal(err)
	}
	other := p.u
	other.Settings.Issuer = "https://login.corp.example" // found at the same address, by the base URL
	if location, _, err := p.b.Begin(t.Context(), other, upstream.Start{RedirectURI: callback, State: "s"}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("an issuer that is another: %s, %v", location, err)
	}
	direct := p.u
	direct.Settings.Issuer, direct.Settings.BaseURL = p.u.Settings.BaseURL, ""
	if location, _, err := p.b.Begin(t.Context(), direct, upstream.Start{RedirectURI: callback, State: "s"}); err != nil || !strings.HasPrefix(location, p.u.Settings.BaseURL+"/auth?") {
		t.Errorf("without a base URL: %s, %v", location, err)
	}
}
