package upstream_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// hackillinois.md §4.1: these parameters, in this order, and no others.
func TestAuthorizationURL(t *testing.T) {
	const here = "https://site.example/auth/?to=/x&isiOS=1"
	at := "client_id=" + upstreamtest.ClientID + "&redirect_uri=" + url.QueryEscape(here)
	for _, c := range []struct {
		kind   upstream.Kind
		legacy bool
		want   string
	}{
		{upstream.GitHub, false, "/login/oauth/authorize?" + at + "&scope=user%3Aemail"},
		{upstream.Google, false, "/o/oauth2/v2/auth?" + at + "&response_type=code&scope=profile+email"},
		{upstream.LinkedIn, true, "/oauth/v2/authorization?" + at + "&response_type=code&scope=r_liteprofile+r_emailaddress"},
		{upstream.LinkedIn, false, "/oauth/v2/authorization?" + at + "&response_type=code&scope=openid+profile+email"},
	} {
		p := serve(t, c.kind)
		got, err := p.b.AuthorizationURL(t.Context(), p.u, here, c.legacy)
		if err != nil || got != p.u.Settings.BaseURL+c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.kind, err, got, p.u.Settings.BaseURL+c.want)
		}
	}
	github := upstream.Upstream{Kind: upstream.GitHub, Settings: upstream.Settings{ClientID: "c"}}
	got, err := serve(t, upstream.GitHub).b.AuthorizationURL(t.Context(), github, "https://a.example/", false)
	if err != nil || got != "https://github.com/login/oauth/authorize?client_id=c&redirect_uri=https%3A%2F%2Fa.example%2F&scope=user%3Aemail" {
		t.Errorf("got %s, %v", got, err)
	}
}

// A code that such a request ends with, exchanged alone.
func TestCodesOfPlainRequests(t *testing.T) {
	for _, c := range []struct {
		kind              upstream.Kind
		legacy            bool
		verified, trusted bool
	}{
		{upstream.GitHub, false, true, true},
		{upstream.Google, false, true, true},
		{upstream.LinkedIn, true, false, false},
		{upstream.LinkedIn, false, true, true},
	} {
		p := serve(t, c.kind)
		location, err := p.b.AuthorizationURL(t.Context(), p.u, callback, c.legacy)
		if err != nil {
			t.Fatal(err)
		}
		x := upstream.Exchange{Code: p.back(t, location+"&state=the-state", false).Code, RedirectURI: callback, Legacy: c.legacy}
		got, err := p.b.Exchange(t.Context(), p.u, x)
		if err != nil || got.Subject != upstreamtest.Jane.ID || got.Email != upstreamtest.Jane.Email || got.EmailVerified != c.verified || got.EmailTrusted != c.trusted || got.GivenName != "Jane" {
			t.Errorf("%s, legacy %v: %+v, %v", c.kind, c.legacy, got, err)
		}
		if _, err := p.b.Exchange(t.Context(), p.u, x); !errors.Is(err, openid.ErrInvalidGrant) {
			t.Errorf("%s: a second time: %v", c.kind, err)
		}
	}
}

// answering is an upstream whose provider answers everything with one function.
func answering(t *testing.T, kind upstream.Kind, answer http.HandlerFunc) (*upstream.Broker, upstream.Upstream) {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	b := upstream.NewBroker(upstream.Options{Now: time.Now})
	t.Cleanup(b.Close)
	return b, upstream.Upstream{Key: "x", Kind: kind, Secret: "sk_1", Settings: upstream.Settings{ClientID: "client_1", BaseURL: s.URL}}
}

// tofu.md §10.2: the body has exactly these members, and is sent once. A
// connection that the provider lets drop gets no second one, not even where it
// was used before (Go's client repeats a POST that calls itself idempotent).
func TestWorkOSIsAskedOnce(t *testing.T) {
	var mu sync.Mutex
	var bodies []map[string]any
	var header http.Header
	b, u := answering(t, upstream.WorkOS, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		header = r.Header
		raw, err := io.ReadAll(r.Body)
		var body map[string]any
		if err != nil || json.Unmarshal(raw, &body) != nil || r.URL.String() != "/user_management/authenticate" {
			t.Errorf("%s: %s, %v", r.URL, raw, err)
		}
		bodies = append(bodies, body)
		if len(bodies) > 1 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"invalid_grant","error_description":"The code 'c' has expired or is invalid."}`)
	})
	x := upstream.Exchange{Code: "c", RedirectURI: "https://ignored.example/", Visitor: upstream.Visitor{IP: "203.0.113.7", UserAgent: "Mozilla/5.0"}}
	if _, err := b.Exchange(t.Context(), u, x); !errors.Is(err, openid.ErrInvalidGrant) {
		t.Errorf("got %v", err)
	}
	x.Verifier, x.Visitor = "v", upstream.Visitor{}
	if _, err := b.Exchange(t.Context(), u, x); !errors.Is(err, openid.ErrUnreachable) {
		t.Errorf("dropped: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	common := `"client_id":"client_1","client_secret":"sk_1","code":"c"`
	want := `[{` + common + `,"grant_type":"authorization_code","ip_address":"203.0.113.7","user_agent":"Mozilla/5.0"},{` + common + `,"code_verifier":"v","grant_type":"authorization_code"}]`
	got, err := json.Marshal(bodies)
	if err != nil || string(got) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
	if header.Get("Authorization") != "Bearer sk_1" || header.Get("Content-Type") != "application/json" || header.Get("Idempotency-Key") != "" {
		t.Errorf("header %v", header)
	}
}

// tofu.md §10.2: two shapes of errors, by code whatever the status.
func TestWorkOSFailures(t *testing.T) {
	var status int
	var body string
	b, u := answering(t, upstream.WorkOS, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	for _, c := range []struct {
		status int
		body   string
		want   error
		code   string
		after  time.Duration
	}{
		{status: 403, body: `{"code":"email_verification_required","message":"…","pending_authentication_token":"hush"}`, want: openid.ErrUnfinished, code: "email_verification_required"},
		{status: 403, body: `{"code":"mfa_enrollment","pending_authentication_token":"hush","user":{"id":"u"}}`, want: openid.ErrUnfinished, code: "mfa_enrollment"},
		{status: 400, body: `{"code":"mfa_challenge","pending_authentication_token":"hush"}`, want: openid.ErrUnfinished, code: "mfa_challenge"},
		{status: 422, body: `{"code":"organization_selection_required","organizations":[{"id":"org_1","name":"A"}]}`, want: openid.ErrUnfinished, code: "organization_selection_required"},
		{status: 400, body: `{"error":"sso_required","error_description":"…","email":"jane@acme.com","connection_ids":["c"]}`, want: openid.ErrUnfinished, code: "sso_required"},
		{status: 401, body: `{"error":"organization_authentication_methods_required","auth_methods":{}}`, want: openid.ErrUnfinished, code: "organization_authentication_methods_required"},
		{status: 400, body: `{"error":"invalid_grant","error_description":"hush"}`, want: openid.ErrInvalidGrant, code: "invalid_grant"},
		{status: 400, body: `{"error":"invalid_client"}`, want: openid.ErrClient, code: "invalid_client"},
		{status: 401, body: `{"message":"Unauthorized"}`, want: openid.ErrClient},
		{status: 403, body: `{"code":"access_denied"}`, want: openid.ErrClient, code: "access_denied"},
		{status: 404, body: `{"code":"entity_not_found"}`, want: openid.ErrClient, code: "entity_not_found"},
		{status: 422, body: `{"code":5}`, want: openid.ErrClient},
		{status: 429, body: `{"code":"rate_limited"}`, want: openid.ErrThrottled, after: 7 * time.Second},
		{status: 500, body: `{"code":"mfa_challenge"}`, want: openid.ErrUnreachable},
		{status: 200, body: `{"code":"mfa_challenge"}`, want: openid.ErrLies},
		{status: 200, body: `[]`, want: openid.ErrLies},
	} {
		status, body = c.status, c.body
		_, err := b.Exchange(t.Context(), u, upstream.Exchange{Code: "c"})
		f, ok := errors.AsType[*openid.Failure](err)
		if !ok || !errors.Is(err, c.want) || f.Code != c.code || f.RetryAfter != c.after || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
}

// hackillinois.md §5.1: the primary address, wherever it is in the list; the last
// one of several; none is no failure; what is no list is one.
func TestGitHubAddresses(t *testing.T) {
	list := func(n int, more ...string) string {
		var all []string
		for i := range n {
			all = append(all, `{"email":"x`+strconv.Itoa(i)+`@example.com","primary":false,"verified":true}`)
		}
		return "[" + strings.Join(append(all, more...), ",") + "]"
	}
	const primary, other = `{"email":"jane@acme.com","primary":true,"verified":true}`, `{"email":"eve@acme.com","primary":true,"verified":false}`
	for name, c := range map[string]struct {
		pages   []string
		email   string
		trusted bool
		want    error
		asked   int
	}{
		"one":                {pages: []string{list(0, primary)}, email: "jane@acme.com", trusted: true, asked: 1},
		"two primary":        {pages: []string{list(0, primary, other)}, email: "eve@acme.com", asked: 1},
		"on the second page": {pages: []string{list(100), list(3, primary)}, email: "jane@acme.com", trusted: true, asked: 2},
		"just a hundred":     {pages: []string{list(99, primary), "[]"}, email: "jane@acme.com", trusted: true, asked: 2},
		"none":               {pages: []string{"[]"}, asked: 1},
		"none primary":       {pages: []string{list(2)}, asked: 1},
		"an object":          {pages: []string{`{"message":"…"}`}, want: openid.ErrLies, asked: 1},
		"null":               {pages: []string{"null"}, want: openid.ErrLies, asked: 1},
		"secondary limit":    {want: openid.ErrThrottled},
		"without end":        {pages: slices.Repeat([]string{list(100)}, 30), asked: 10},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			b, u := answering(t, upstream.GitHub, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case r.URL.Path == "/login/oauth/access_token":
					io.WriteString(w, `{"access_token":"at"}`)
				case c.pages == nil:
					w.Header().Set("Retry-After", "60")
					w.WriteHeader(http.StatusForbidden)
				case r.URL.Path == "/user":
					io.WriteString(w, `{"id":7,"login":"jane","name":null}`)
				default:
					asked = append(asked, r.URL.RawQuery)
					io.WriteString(w, c.pages[len(asked)-1])
				}
			})
			got, err := b.Exchange(t.Context(), u, upstream.Exchange{Code: "c"})
			if !errors.Is(err, c.want) || got.Email != c.email || got.EmailTrusted != c.trusted {
				t.Errorf("got %q, trusted %v, %v", got.Email, got.EmailTrusted, err)
			}
			if len(asked) != c.asked || c.asked > 0 && asked[0] != "per_page=100&page=1" {
				t.Errorf("asked %v", asked)
			}
		})
	}
}
