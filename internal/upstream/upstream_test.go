package upstream_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

const callback = "https://auth.example.com/oauth/fake/callback?x=1"

// place is a provider, and a broker that asks it.
type place struct {
	*upstreamtest.Fake
	b   *upstream.Broker
	u   upstream.Upstream
	now atomic.Int64
}

func (p *place) clock() time.Time     { return time.Unix(0, p.now.Load()).UTC() }
func (p *place) pass(d time.Duration) { p.now.Add(int64(d)) }

func serve(t testing.TB, kind upstream.Kind, people ...upstreamtest.Person) *place {
	t.Helper()
	p := &place{}
	p.now.Store(time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC).UnixNano())
	s := httptest.NewUnstartedServer(nil)
	p.Fake = upstreamtest.New(kind, "http://"+s.Listener.Addr().String(), p.clock, people...)
	s.Config.Handler = p.Fake
	s.Start()
	t.Cleanup(s.Close)
	p.b = upstream.NewBroker(upstream.Options{Now: p.clock, Timeout: time.Minute}) // of a busy machine
	t.Cleanup(p.b.Close)
	p.u = p.Upstream("fake")
	return p
}

// begin makes an attempt, and the address that it leads to.
func (p *place) begin(t testing.TB, s upstream.Start) (string, upstream.Attempt) {
	t.Helper()
	s.State, s.RedirectURI = "the-state", callback
	location, a, err := p.b.Begin(t.Context(), p.u, s)
	if err != nil {
		t.Fatal(err)
	}
	return location, a
}

// back is the answer of a person at the provider.
func (p *place) back(t testing.TB, location string, deny bool) upstream.Answer {
	t.Helper()
	to, form, err := p.Choose(location, "", deny)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if form == nil {
		form = u.Query()
	}
	if form.Get("state") != "the-state" || !strings.HasPrefix(to, "https://auth.example.com/oauth/fake/callback?") {
		t.Fatalf("came back to %s with %v", to, form)
	}
	return upstream.AnswerOf(form)
}

func (p *place) signIn(t testing.TB, s upstream.Start) (upstream.Profile, error) {
	t.Helper()
	location, a := p.begin(t, s)
	return p.b.Finish(t.Context(), p.u, a, p.back(t, location, false), upstream.Visitor{IP: "203.0.113.7", UserAgent: "Test"})
}

func TestEveryKindSignsIn(t *testing.T) {
	jane := upstreamtest.Jane
	for _, c := range []struct {
		kind                     upstream.Kind
		issuer, subject          string
		verified, trusted, names bool
	}{
		{upstream.Google, "", jane.ID, true, true, true},
		{upstream.GitHub, "", jane.ID, true, true, true},
		{upstream.LinkedIn, "/oauth", jane.ID, true, true, true},
		{upstream.Microsoft, "/" + jane.TenantID + "/v2.0", "00000000-0000-0000-66f3-" + jane.ID, false, false, true},
		{upstream.Apple, "", jane.ID, true, true, true},
		{upstream.Okta, "", jane.ID, true, true, true},
		{upstream.WorkOS, "", "user_" + jane.ID, true, true, true},
		{upstream.OIDC, "", jane.ID, true, true, true},
		{upstream.OAuth2, "", jane.ID, true, true, true},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			p := serve(t, c.kind)
			if m := p.u.Check(); len(m) > 0 {
				t.Fatalf("the fake's own configuration: %v", m)
			}
			got, err := p.signIn(t, upstream.Start{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Upstream != "fake" || got.Issuer != p.u.Settings.BaseURL+c.issuer || got.Subject != c.subject {
				t.Errorf("got %s, %s, %s", got.Upstream, got.Issuer, got.Subject)
			}
			if got.Email != jane.Email || got.EmailVerified != c.verified || got.EmailTrusted != c.trusted {
				t.Errorf("e-mail: got %s, %v, %v", got.Email, got.EmailVerified, got.EmailTrusted)
			}
			if got.Name != "Jane Doe" || got.GivenName != "Jane" || got.FamilyName != "Doe" {
				t.Errorf("names: got %q, %q, %q", got.Name, got.GivenName, got.FamilyName)
			}
			if got.Tokens.Access == "" {
				t.Error("no access token")
			}
			if _, err := got.TrustedEmail(); (err == nil) != c.trusted || err != nil && !errors.Is(err, openid.ErrUnverified) {
				t.Errorf("TrustedEmail: %v", err)
			}
		})
	}
}

// What each authorization request carries; the reasons are in the table of kinds.
func TestAuthorizationRequests(t *testing.T) {
	for _, c := range []struct {
		kind        upstream.Kind
		path, scope string
		pkce, nonce bool
		extra       url.Values
	}{
		{upstream.Google, "/o/oauth2/v2/auth", "openid email profile", true, true, url.Values{"prompt": {"select_account"}, "login_hint": {"jane"}}},
		{upstream.GitHub, "/login/oauth/authorize", "read:user user:email", true, false, url.Values{"prompt": {"select_account"}, "login": {"jane"}}},
		{upstream.LinkedIn, "/oauth/v2/authorization", "openid profile email", false, true, nil},
		{upstream.Microsoft, "/common/oauth2/v2.0/authorize", "openid email profile", true, true, url.Values{"prompt": {"select_account"}, "login_hint": {"jane"}}},
		{upstream.Apple, "/auth/authorize", "name email", false, true, url.Values{"response_mode": {"form_post"}}},
		{upstream.Okta, "/oauth2/v1/authorize", "openid profile email", true, true, url.Values{"prompt": {"login"}, "login_hint": {"jane"}}},
		{upstream.WorkOS, "/user_management/authorize", "", true, false, url.Values{"prompt": {"login"}, "login_hint": {"jane"}, "provider": {"authkit"}}},
		{upstream.OIDC, "/auth", "openid profile email", true, true, url.Values{"prompt": {"login"}, "login_hint": {"jane"}}},
		{upstream.OAuth2, "/authorize", "", true, false, nil},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			p := serve(t, c.kind)
			location, a := p.begin(t, upstream.Start{LoginHint: "jane", Again: true})
			at, err := url.Parse(location)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(location, p.u.Settings.BaseURL) || at.Path != c.path {
				t.Errorf("leads to %s", location)
			}
			want := url.Values{"client_id": {upstreamtest.ClientID}, "redirect_uri": {callback}, "state": {"the-state"}}
			if c.kind != upstream.GitHub {
				want.Set("response_type", "code")
			}
			if c.scope != "" {
				want.Set("scope", c.scope)
			}
			if c.pkce {
				want.Set("code_challenge", upstream.Challenge(a.Verifier))
				want.Set("code_challenge_method", "S256")
			}
			if c.nonce {
				want.Set("nonce", a.Nonce)
			}
			for name := range c.extra {
				want.Set(name, c.extra.Get(name))
			}
			if got := at.Query().Encode(); got != want.Encode() {
				t.Errorf("got  %s\nwant %s", got, want.Encode())
			}
			if (a.Verifier != "") != c.pkce || c.pkce && len(a.Verifier) != 43 || (a.Nonce != "") != c.nonce {
				t.Errorf("attempt %+v", a)
			}
			if p.u.PostsBack() != (c.kind == upstream.Apple) {
				t.Error("PostsBack")
			}
		})
	}
}

// RFC 7636 appendix B.
func TestChallenge(t *testing.T) {
	if got := upstream.Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("got %s", got)
	}
}

func TestNothingOfAnAttemptRepeats(t *testing.T) {
	p := serve(t, upstream.OIDC)
	_, a := p.begin(t, upstream.Start{})
	_, b := p.begin(t, upstream.Start{})
	if a.Nonce == b.Nonce || a.Verifier == b.Verifier {
		t.Errorf("%+v, then %+v", a, b)
	}
}

func TestDenied(t *testing.T) {
	for _, kind := range upstream.Kinds() {
		p := serve(t, kind)
		location, a := p.begin(t, upstream.Start{})
		if _, err := p.b.Finish(t.Context(), p.u, a, p.back(t, location, true), upstream.Visitor{}); !errors.Is(err, openid.ErrDenied) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestRefusalsAtTheAuthorizationEndpoint(t *testing.T) {
	p := serve(t, upstream.GitHub)
	_, a := p.begin(t, upstream.Start{})
	for code, want := range map[string]error{
		"access_denied": openid.ErrDenied, "login_required": openid.ErrDenied, "server_error": openid.ErrUnreachable,
		"temporarily_unavailable": openid.ErrUnreachable, "redirect_uri_mismatch": openid.ErrClient, "<script>": openid.ErrClient,
	} {
		_, err := p.b.Finish(t.Context(), p.u, a, upstream.Answer{Error: code, Code: "also"}, upstream.Visitor{})
		if f, ok := errors.AsType[*openid.Failure](err); !ok || !errors.Is(err, want) || strings.Contains(f.Code, "<") {
			t.Errorf("%s: %v", code, err)
		}
	}
	if _, err := p.b.Finish(t.Context(), p.u, a, upstream.Answer{}, upstream.Visitor{}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("neither code nor error: %v", err)
	}
	if _, err := p.b.Finish(t.Context(), p.u, a, upstream.Answer{Code: strings.Repeat("x", 5000)}, upstream.Visitor{}); !errors.Is(err, openid.ErrInvalidGrant) {
		t.Errorf("an endless code: %v", err)
	}
}

func TestCodesAreGoodOnce(t *testing.T) {
	for _, kind := range upstream.Kinds() {
		p := serve(t, kind)
		location, a := p.begin(t, upstream.Start{})
		ans := p.back(t, location, false)
		if _, err := p.b.Finish(t.Context(), p.u, a, ans, upstream.Visitor{}); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if _, err := p.b.Finish(t.Context(), p.u, a, ans, upstream.Visitor{}); !errors.Is(err, openid.ErrInvalidGrant) {
			t.Errorf("%s: a second time: %v", kind, err)
		}
	}
}

// A code of the attacker's own sign-in, carried into the victim's browser, does
// not fit the victim's attempt: another verifier, or another nonce.
func TestInjectedCodeIsRefused(t *testing.T) {
	for _, kind := range upstream.Kinds() {
		if kind == upstream.LinkedIn {
			continue // has neither; state alone binds its answers
		}
		p := serve(t, kind)
		attackers, _ := p.begin(t, upstream.Start{})
		_, victims := p.begin(t, upstream.Start{})
		_, err := p.b.Finish(t.Context(), p.u, victims, p.back(t, attackers, false), upstream.Visitor{})
		if !errors.Is(err, openid.ErrInvalidGrant) && !errors.Is(err, openid.ErrLies) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Mix-up (RFC 9700 §4.4): an honest provider's answer at an attempt that was
// made for the attacker's provider, and the other way round.
func TestAnswersOfAnotherProviderAreRefused(t *testing.T) {
	honest, evil := serve(t, upstream.OIDC), serve(t, upstream.OIDC)
	evil.u.Key = "evil"
	location, _ := honest.begin(t, upstream.Start{})
	_, atEvil := evil.begin(t, upstream.Start{})
	ans := honest.back(t, location, false)
	if _, err := evil.b.Finish(t.Context(), evil.u, atEvil, ans, upstream.Visitor{}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("at the evil one: %v", err)
	}
	if got := evil.Requests(); slices.Contains(got, "POST /token") {
		t.Errorf("the code went to the evil one: %v", got)
	}
	if _, err := honest.b.Finish(t.Context(), honest.u, atEvil, ans, upstream.Visitor{}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("an attempt of another upstream: %v", err)
	}
	moved := atEvil
	moved.Upstream = "fake"
	if _, err := honest.b.Finish(t.Context(), honest.u, moved, ans, upstream.Visitor{}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("an attempt from before the upstream moved: %v", err)
	}
}

func TestVisitorWhoLeavesEndsTheCall(t *testing.T) {
	p := serve(t, upstream.GitHub)
	location, a := p.begin(t, upstream.Start{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := p.b.Finish(ctx, p.u, a, p.back(t, location, false), upstream.Visitor{}); !errors.Is(err, openid.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
