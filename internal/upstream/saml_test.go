package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/openid"
	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

var party = saml.PartyAt("https://auth.example.com", "0192f1a0-0000-7000-8000-000000000001")

// samlPlace is an organization's provider with a broker that may ask it.
func samlPlace(t *testing.T, who ...samltest.Person) (*samltest.IdP, *upstream.Broker, upstream.Upstream) {
	t.Helper()
	idp := samltest.New("https://idp.acme.com", time.Now, who...)
	b := upstream.NewBroker(upstream.Options{Now: time.Now})
	t.Cleanup(b.Close)
	return idp, b, upstream.Upstream{Key: "sso:acme", Kind: upstream.SAML, Guarded: true, SAML: idp.Peer()}
}

// answered has the provider answer what a broker began, and returns the answer.
func answered(t *testing.T, idp *samltest.IdP, location string, a upstream.Attempt) upstream.Answer {
	t.Helper()
	form, err := idp.Answer(saml.Outgoing{Location: location, Form: a.Form})
	if err != nil {
		t.Fatal(err)
	}
	return upstream.Answer{SAML: form.Fields[0].Value}
}

func TestSAMLSignIn(t *testing.T) {
	t.Parallel()
	idp, b, u := samlPlace(t)
	for _, binding := range []string{saml.Redirect, saml.Post} {
		u.SAML.SignOnBinding = binding
		location, a, err := b.Begin(t.Context(), u, upstream.Start{State: "the-state", Party: party, LoginHint: "jane@acme.com", Again: true})
		if err != nil || (location == "") != (binding == saml.Post) || (a.Form != nil) != (binding == saml.Post) {
			t.Fatalf("%s: %q, %+v, %v", binding, location, a, err)
		}
		if binding == saml.Redirect && !strings.Contains(location, "&RelayState=the-state") {
			t.Errorf("location %s", location)
		}
		p, err := b.Finish(t.Context(), u, a, answered(t, idp, location, a), upstream.Visitor{})
		if err != nil {
			t.Fatal(err)
		}
		if p.Issuer != idp.EntityID() || p.Subject != "jane-at-acme" || p.Upstream != "sso:acme" || p.Email != "" || p.Authenticated.IsZero() || p.Once.ID == "" {
			t.Errorf("profile %+v", p)
		}
		if s, ok := saml.ParseSession(p.Session); !ok || s.Index != "_session" || s.Subject.Value != "jane-at-acme" {
			t.Errorf("session %s", p.Session)
		}
		if g := p.Attributes["groups"]; !reflect.DeepEqual(g, []string{"staff", "engineers"}) {
			t.Errorf("groups %v", g)
		}
	}
}

// A name that is an address is one; whose name it is its qualifiers say.
func TestSAMLSubjects(t *testing.T) {
	t.Parallel()
	idp, b, u := samlPlace(t, samltest.Person{NameID: "Jane@Acme.com", Format: saml.FormatEmail})
	location, a, err := b.Begin(t.Context(), u, upstream.Start{State: "s", Party: party})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Finish(t.Context(), u, a, answered(t, idp, location, a), upstream.Visitor{})
	if err != nil || p.Subject != "Jane@Acme.com" || p.Email != "jane@acme.com" || !p.EmailVerified || p.EmailTrusted {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestSAMLFailures(t *testing.T) {
	t.Parallel()
	idp, b, u := samlPlace(t)
	location, a, err := b.Begin(t.Context(), u, upstream.Start{State: "s", Party: party})
	if err != nil {
		t.Fatal(err)
	}
	good := answered(t, idp, location, a)
	elsewhere := u
	elsewhere.SAML.EntityID = "https://other.example.com"
	other := a
	other.Request = "_another"
	idp.Behave(samltest.Behaviour{Deny: true})
	denied := answered(t, idp, location, a)
	for name, c := range map[string]struct {
		u      upstream.Upstream
		a      upstream.Attempt
		ans    upstream.Answer
		want   error
		reason saml.Reason
	}{
		"denied":                {u, a, denied, openid.ErrDenied, saml.Denied},
		"nothing":               {u, a, upstream.Answer{}, openid.ErrLies, saml.BadEncoding},
		"a code":                {u, a, upstream.Answer{Code: "c"}, openid.ErrLies, saml.BadEncoding},
		"to another request":    {u, other, good, openid.ErrLies, saml.WrongRequest},
		"of a changed upstream": {elsewhere, a, good, openid.ErrLies, ""},
		"of another upstream":   {upstream.Upstream{Key: "sso:other", Kind: upstream.SAML, SAML: u.SAML}, a, good, openid.ErrLies, ""},
		"by OpenID Connect":     {upstream.Upstream{Key: "sso:acme", Kind: upstream.OIDC, Settings: upstream.Settings{Issuer: a.Issuer}}, a, good, openid.ErrUnreachable, ""},
	} {
		_, err := b.Finish(t.Context(), c.u, c.a, c.ans, upstream.Visitor{})
		f, _ := errors.AsType[*saml.Failure](err)
		if !errors.Is(err, c.want) || (f == nil) != (c.reason == "") || f != nil && f.Reason != c.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Unsolicited(u, party, good); err == nil {
		t.Error("an answer to a request was taken as one that nobody asked for")
	}
	if _, err := b.Unsolicited(upstream.Upstream{Kind: upstream.OIDC}, party, good); !errors.Is(err, openid.ErrLies) {
		t.Errorf("of OpenID Connect: %v", err)
	}
}

// What a stranger names is not asked inside our network, by name or by number;
// what the operator names is.
func TestGuardedUpstreams(t *testing.T) {
	t.Parallel()
	p := serve(t, upstream.OIDC)
	guarded := p.u
	guarded.Guarded = true
	if _, _, err := p.b.Begin(t.Context(), p.u, upstream.Start{State: "s"}); err != nil {
		t.Fatal(err)
	}
	for _, issuer := range []string{guarded.Settings.BaseURL, "http://169.254.169.254", "https://10.0.0.1", "https://[::1]", "http://localhost:1", "https://2130706433"} {
		guarded.Settings.Issuer, guarded.Settings.BaseURL = issuer, ""
		asked := len(p.Requests())
		location, _, err := p.b.Begin(t.Context(), guarded, upstream.Start{State: "s"})
		if err == nil || len(p.Requests()) != asked {
			t.Errorf("%s was asked: %s", issuer, location)
		}
	}
	allowed := upstream.NewBroker(upstream.Options{Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer allowed.Close()
	guarded.Settings = p.u.Settings
	if err := allowed.Check(t.Context(), guarded); err != nil {
		t.Errorf("in a network that is allowed: %v", err)
	}
}

// Metadata at a public address do not lead inside either.
func TestGuardedMetadataLeadNowhereInside(t *testing.T) {
	t.Parallel()
	allowed := upstream.NewBroker(upstream.Options{Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	defer allowed.Close()
	for _, member := range []string{"jwks_uri", "token_endpoint", "userinfo_endpoint"} {
		var s *httptest.Server
		s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			m := map[string]string{"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "jwks_uri": s.URL + "/k"}
			m[member] = "http://127.0.0.2:9/"
			json.NewEncoder(w).Encode(m)
		}))
		u := upstream.Upstream{Key: "sso:acme", Kind: upstream.OIDC, Guarded: true, Secret: "s", Settings: upstream.Settings{ClientID: "c", Issuer: s.URL}}
		_, _, err := allowed.Begin(t.Context(), u, upstream.Start{State: "s"})
		if !errors.Is(err, openid.ErrLies) || !strings.Contains(err.Error(), member) {
			t.Errorf("%s: %v", member, err)
		}
		s.Close()
	}
}

// An answer is taken once, whoever else brings it at the same time.
func TestSpendOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		once := upstream.Once{ID: "_assertion", Until: at.Add(time.Minute)}
		spend := func(key string, o upstream.Once) (ok bool) {
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
				ok, err = upstream.SpendOnce(ctx, tx, key, o)
				return err
			})
			return ok
		}
		var winners atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if spend("sso:acme", once) {
					winners.Add(1)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Errorf("%d took it", winners.Load())
		}
		if !spend("sso:other", once) {
			t.Error("another organization's assertion of the same ID was refused")
		}
		for range 2 {
			if !spend("sso:acme", upstream.Once{}) {
				t.Error("an answer that need not be remembered was refused")
			}
		}
		for i, want := range []int64{0, 2} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				n, err := upstream.SweepSpent(ctx, tx, at.Add(time.Duration(i)*time.Hour), 10)
				if n != want {
					t.Errorf("after %d hours: swept %d, want %d", i, n, want)
				}
				return err
			})
		}
	})
}

// What an organization's provider says is kept by its names, for the rules of its
// connection; of the operator's providers nobody asks.
func TestAttributesOfGuardedUpstreams(t *testing.T) {
	t.Parallel()
	who := upstreamtest.Jane
	who.Claims = map[string]any{"groups": []string{"staff", "ops"}, "amr": []string{"pwd", "mfa"}, "level": 3, "admin": true, "address": map[string]string{"country": "NL"},
		"department": "it", "none": nil, "mixed": []any{"a", 1}}
	p := serve(t, upstream.OIDC, who)
	got, err := p.signIn(t, upstream.Start{})
	if err != nil || got.Attributes != nil {
		t.Errorf("of the operator's: %v, %v", got.Attributes, err)
	}
	p.b = upstream.NewBroker(upstream.Options{Now: p.clock, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(p.b.Close)
	p.u.Guarded = true
	if got, err = p.signIn(t, upstream.Start{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"groups": {"staff", "ops"}, "department": {"it"}, "level": {"3"}, "admin": {"true"}, "address": {`{"country":"NL"}`}, "none": nil, "mixed": {"a"}, "sub": {upstreamtest.Jane.ID},
	} {
		if !slices.Equal(got.Attributes[name], want) {
			t.Errorf("%s: %q, want %q", name, got.Attributes[name], want)
		}
	}
	if !slices.Equal(got.AMR, []string{"pwd", "mfa"}) {
		t.Errorf("amr %q", got.AMR)
	}
}
