package oidc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// comesBy has jane sign in to an application by the upstream "corp", which the
// fake plays.
func (w *world) comesBy(fake *upstreamtest.Fake, app string) {
	w.t.Helper()
	ctx := w.t.Context()
	started, err := w.SignIn.StartUpstream(ctx, signin.UpstreamStart{ClientID: w.clients[app].ID, Upstream: "corp", Callback: rig.Base + "/oauth/corp/callback"})
	if err != nil {
		w.t.Fatal(err)
	}
	back, _, err := fake.Choose(started.Location, "", false)
	if err != nil {
		w.t.Fatal(err)
	}
	at, err := url.Parse(back)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.SignIn.FinishUpstream(ctx, signin.UpstreamReturn{Upstream: "corp", State: at.Query().Get("state"), Cookie: started.Cookie, Answer: upstream.AnswerOf(at.Query())})
	if err != nil || got.Outcome.SignedIn == nil || got.Outcome.SignedIn.User.ID != w.users["jane"].ID {
		w.t.Fatalf("%+v, %v", got.Outcome, err)
	}
}

// corp is a provider that knows jane as one of its own.
func (w *world) corp() *upstreamtest.Fake {
	w.t.Helper()
	fake := w.Upstream("corp", upstream.OIDC, nil, upstreamtest.Person{ID: "7", Email: "jane@example.com", EmailVerified: true})
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		return identity.AddLink(ctx, tx, identity.Link{Issuer: fake.Upstream("corp").Issuer(), Subject: "7", UserID: w.users["jane"].ID, Upstream: "corp", CreatedAt: w.Now()})
	})
	return fake
}

// upstreamHooks are "jane comes by corp" (to the calendar), "corp misbehaves" and
// "corp behaves", and "code calendar for corp", whose scope has upstream_token.
func (w *world) upstreamHooks() map[string]func(*testing.T, map[string]string) {
	var fake *upstreamtest.Fake
	return map[string]func(*testing.T, map[string]string){
		"jane comes by corp": func(*testing.T, map[string]string) {
			fake = w.corp()
			w.comesBy(fake, "calendar")
		},
		"corp is down": func(*testing.T, map[string]string) { fake.Behave(upstreamtest.Down, upstreamtest.AtToken) },
		"corp is up":   func(*testing.T, map[string]string) { fake.Behave(upstreamtest.None) },
		"corp forgets": func(*testing.T, map[string]string) { fake.Forget() },
		"code calendar for corp": func(_ *testing.T, vars map[string]string) {
			vars["code"] = w.code("calendar", func(g *grant.Grant) { g.Scope = []string{"openid", client.ScopeUpstream} })
		},
	}
}

// access is an access token of jane's for a client, of a scope.
func (w *world) access(app string, scope ...string) string {
	w.t.Helper()
	code := w.code(app, func(g *grant.Grant) { g.Scope = scope })
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}}
	req := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(string(w.clients[app].ID), secret)
	res := httptest.NewRecorder()
	w.Handler().ServeHTTP(res, req)
	var out struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(res.Body.Bytes(), &out); err != nil || out.Access == "" {
		w.t.Fatalf("%d %s", res.Code, res.Body)
	}
	return out.Access
}

// theirs asks for the token of corp.
func (w *world) theirs(access string) (status int, token, body string) {
	req := httptest.NewRequest(http.MethodGet, "/oauth2/upstream/corp/token", http.NoBody)
	req.Header.Set("Authorization", "Bearer "+access)
	res := httptest.NewRecorder()
	w.Handler().ServeHTTP(res, req)
	var out struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(res.Body.Bytes(), &out); err != nil {
		return res.Code, "", err.Error()
	}
	return res.Code, out.Access, res.Body.String()
}

// A refresh token of the upstream is good once there: however many ask at once
// for what has expired, it is renewed once, and all get the same.
func TestUpstreamTokenIsRenewedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		fake := w.corp()
		w.comesBy(fake, "calendar")
		_, first, _ := w.theirs(w.access("calendar", "openid", client.ScopeUpstream))
		w.Advance(2 * time.Hour)
		access := w.access("calendar", "openid", client.ScopeUpstream)
		before := len(fake.Requests())
		var mu sync.Mutex
		var got []string
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				status, token, body := w.theirs(access)
				mu.Lock()
				defer mu.Unlock()
				if got = append(got, token); status != http.StatusOK {
					t.Errorf("%d %s", status, body)
				}
			})
		}
		wg.Wait()
		if slices.Sort(got); len(slices.Compact(got)) != 1 || got[0] == first || got[0] == "" {
			t.Errorf("got %q, before %q", got, first)
		}
		if asked := slices.DeleteFunc(fake.Requests()[before:], func(r string) bool { return r != "POST /token" }); len(asked) != 1 {
			t.Errorf("asked the upstream %d times", len(asked))
		}
	})
}

// The tokens are for the client that the person signed in to: not for another
// application of theirs, nor for one that no longer has them kept.
func TestUpstreamTokenIsForItsClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.comesBy(w.corp(), "calendar")
		if status, _, body := w.theirs(w.access("web", "openid", client.ScopeUpstream)); status != http.StatusNotFound {
			t.Errorf("another client: %d %s", status, body)
		}
		access := w.access("calendar", "openid", client.ScopeUpstream)
		if status, token, body := w.theirs(access); status != http.StatusOK || token == "" {
			t.Errorf("its own: %d %s", status, body)
		}
		off := w.clients["calendar"]
		off.Policy.KeepUpstreamTokens = false
		w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, off, w.Now()) })
		if status, _, body := w.theirs(access); status != http.StatusNotFound {
			t.Errorf("no longer wanted: %d %s", status, body)
		}
	})
}
