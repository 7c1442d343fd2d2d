package upstream_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// Which addresses are believed: the domain of one that was verified decides too.
func TestEmailTrust(t *testing.T) {
	const own = "acme.com"
	for name, c := range map[string]struct {
		kind              upstream.Kind
		email             string
		said              any
		hd                string
		set               func(*upstream.Settings)
		verified, trusted bool
	}{
		"true":                            {kind: upstream.OIDC, email: "jane@acme.com", said: true, verified: true, trusted: true},
		"true as text":                    {kind: upstream.OIDC, email: "jane@acme.com", said: "true", verified: true, trusted: true},
		"false":                           {kind: upstream.OIDC, email: "jane@acme.com", said: false},
		"false as text":                   {kind: upstream.OIDC, email: "jane@acme.com", said: "false"},
		"another text":                    {kind: upstream.OIDC, email: "jane@acme.com", said: "yes"},
		"a list":                          {kind: upstream.OIDC, email: "jane@acme.com", said: []bool{true}},
		"nothing":                         {kind: upstream.OIDC, email: "jane@acme.com"},
		"nothing, trusted":                {kind: upstream.OIDC, email: "jane@acme.com", set: func(s *upstream.Settings) { s.TrustEmail = true }, verified: true, trusted: true},
		"false, trusted":                  {kind: upstream.OIDC, email: "jane@acme.com", said: false, set: func(s *upstream.Settings) { s.TrustEmail = true }},
		"a domain of its own":             {kind: upstream.OIDC, email: "Jane@ACME.com", said: true, set: domains(own), verified: true, trusted: true},
		"a domain of others":              {kind: upstream.OIDC, email: "jane@gmail.com", said: true, set: domains(own), verified: true},
		"a subdomain":                     {kind: upstream.OIDC, email: "jane@x.acme.com", said: true, set: domains(own), verified: true},
		"no address":                      {kind: upstream.OIDC, email: "jane", said: true},
		"google, gmail":                   {kind: upstream.Google, email: "jane@gmail.com", said: true, verified: true, trusted: true},
		"google, gmail false":             {kind: upstream.Google, email: "jane@gmail.com", said: false},
		"google, workspace":               {kind: upstream.Google, email: "jane@acme.com", said: true, hd: "acme.com", verified: true, trusted: true},
		"google, foreign address":         {kind: upstream.Google, email: "jane@acme.com", said: true, verified: true},
		"google, looks like gmail":        {kind: upstream.Google, email: "jane@notgmail.com", said: true, verified: true},
		"github, verified":                {kind: upstream.GitHub, email: "jane@acme.com", said: true, verified: true, trusted: true},
		"github, unverified":              {kind: upstream.GitHub, email: "jane@acme.com", said: false},
		"linkedin, false as text":         {kind: upstream.LinkedIn, email: "jane@acme.com", said: "false"},
		"microsoft":                       {kind: upstream.Microsoft, email: "jane@acme.com", said: true},
		"microsoft, of its own":           {kind: upstream.Microsoft, email: "jane@acme.com", said: true, set: trustingTenants(own), verified: true, trusted: true},
		"microsoft, of another":           {kind: upstream.Microsoft, email: "jane@gmail.com", said: true, set: trustingTenants(own), verified: true},
		"microsoft, of any tenant":        {kind: upstream.Microsoft, email: "jane@acme.com", said: true, set: trusting(own)},
		"apple, as text":                  {kind: upstream.Apple, email: "x1@privaterelay.appleid.com", said: "true", verified: true, trusted: true},
		"okta, in user information":       {kind: upstream.Okta, email: "jane@acme.com", said: true, verified: true, trusted: true},
		"okta, false in user information": {kind: upstream.Okta, email: "jane@acme.com", said: "false"},
		"workos":                          {kind: upstream.WorkOS, email: "jane@acme.com", said: true, verified: true, trusted: true},
		"workos, unverified":              {kind: upstream.WorkOS, email: "jane@acme.com", said: false},
		"oauth2, nothing":                 {kind: upstream.OAuth2, email: "jane@acme.com"},
		"oauth2, false as text":           {kind: upstream.OAuth2, email: "jane@acme.com", said: "false"},
	} {
		t.Run(name, func(t *testing.T) {
			who := upstreamtest.Jane
			who.Email, who.EmailVerified, who.HostedDomain = c.email, c.said, c.hd
			p := serve(t, c.kind, who)
			if c.set != nil {
				c.set(&p.u.Settings)
			}
			got, err := p.signIn(t, upstream.Start{})
			if err != nil {
				t.Fatal(err)
			}
			if got.EmailVerified != c.verified || got.EmailTrusted != c.trusted {
				t.Errorf("%q: verified %v, trusted %v", got.Email, got.EmailVerified, got.EmailTrusted)
			}
			if got.Email != "" && got.Email != strings.ToLower(c.email) {
				t.Errorf("address %q", got.Email)
			}
		})
	}
}

func domains(list ...string) func(*upstream.Settings) {
	return func(s *upstream.Settings) { s.EmailDomains = list }
}

func trusting(list ...string) func(*upstream.Settings) {
	return func(s *upstream.Settings) { s.EmailDomains, s.TrustEmail = list, true }
}

// trustingTenants is trusting for one tenant, which no other can write an address for.
func trustingTenants(list ...string) func(*upstream.Settings) {
	return func(s *upstream.Settings) {
		s.EmailDomains, s.TrustEmail, s.Tenants = list, true, []string{upstreamtest.Jane.TenantID}
	}
}

func TestGoogleHostedDomain(t *testing.T) {
	who := upstreamtest.Jane
	who.HostedDomain = "acme.com"
	p := serve(t, upstream.Google, who)
	p.u.Settings.HostedDomains = []string{"acme.com"}
	if got, err := p.signIn(t, upstream.Start{}); err != nil || got.Organization != "acme.com" {
		t.Errorf("got %q, %v", got.Organization, err)
	}
	who.HostedDomain, who.Email = "", "jane@acme.com" // the address decides nothing
	p.SetPeople(who)
	if _, err := p.signIn(t, upstream.Start{}); !errors.Is(err, openid.ErrOutsider) {
		t.Errorf("an account of no domain: %v", err)
	}
}

// Codes reach us from web pages as they stood in their address.
func TestGoogleCodeMayBeEscaped(t *testing.T) {
	p := serve(t, upstream.Google)
	location, a := p.begin(t, upstream.Start{})
	ans := p.back(t, location, false)
	got, err := p.b.Exchange(t.Context(), p.u, upstream.Exchange{Code: strings.Replace(ans.Code, "/", "%2F", 1), RedirectURI: callback, Verifier: a.Verifier})
	if err != nil || got.Subject != upstreamtest.Jane.ID {
		t.Errorf("got %q, %v", got.Subject, err)
	}
}

// A code whose first half a web page made: what it had is enforced, what it had
// not is not.
func TestExchangeAlone(t *testing.T) {
	p := serve(t, upstream.Okta)
	code := func() string {
		location := p.u.Settings.BaseURL + "/oauth2/v1/authorize?" + url.Values{"client_id": {upstreamtest.ClientID}, "redirect_uri": {callback},
			"state": {"the-state"}, "nonce": {"page"}, "code_challenge": {upstream.Challenge("of-the-page")}}.Encode()
		return p.back(t, location, false).Code
	}
	for _, c := range []struct {
		x    upstream.Exchange
		want error
	}{
		{upstream.Exchange{Code: code(), RedirectURI: callback, Verifier: "of-the-page", Nonce: "page"}, nil},
		{upstream.Exchange{Code: code(), RedirectURI: callback, Verifier: "of-the-page"}, nil},
		{upstream.Exchange{Code: code(), RedirectURI: callback, Verifier: "of-the-page", Nonce: "another"}, openid.ErrLies},
		{upstream.Exchange{Code: code(), RedirectURI: callback, Verifier: "another"}, openid.ErrInvalidGrant},
		{upstream.Exchange{Code: code(), RedirectURI: callback}, openid.ErrInvalidGrant},
		{upstream.Exchange{Code: code(), RedirectURI: "https://elsewhere.example/", Verifier: "of-the-page"}, openid.ErrInvalidGrant},
		{upstream.Exchange{Code: "made-up", RedirectURI: callback, Verifier: "of-the-page"}, openid.ErrInvalidGrant},
	} {
		if _, err := p.b.Exchange(t.Context(), p.u, c.x); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.x, err, c.want)
		}
	}
}

func TestMicrosoftTenants(t *testing.T) {
	const other, personal = "11111111-2222-4333-8444-555555555555", "9188040d-6c67-4c5b-b112-36a304b66dad"
	own := upstreamtest.Jane.TenantID
	for _, c := range []struct {
		of   string
		set  func(*upstream.Settings)
		want error
	}{
		{own, func(*upstream.Settings) {}, nil},
		{own, func(s *upstream.Settings) { s.Tenants = []string{own} }, nil},
		{other, func(s *upstream.Settings) { s.Tenants = []string{own} }, openid.ErrOutsider},
		{"not-a-tenant", func(*upstream.Settings) {}, openid.ErrLies},
		{"", func(*upstream.Settings) {}, openid.ErrLies},
		{personal, func(*upstream.Settings) {}, nil},
		{personal, func(s *upstream.Settings) { s.Tenants = []string{own} }, openid.ErrOutsider},
	} {
		who := upstreamtest.Jane
		who.TenantID = c.of
		p := serve(t, upstream.Microsoft, who)
		c.set(&p.u.Settings)
		got, err := p.signIn(t, upstream.Start{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.of, err, c.want)
		}
		if err == nil && (got.Organization != c.of || !strings.HasSuffix(got.Issuer, "/"+c.of+"/v2.0")) {
			t.Errorf("%s: issuer %s, organization %s", c.of, got.Issuer, got.Organization)
		}
	}
}

// One tenant cannot speak for another: the ID token's issuer must be the tenant's.
func TestMicrosoftIssuerIsTheTenants(t *testing.T) {
	p := serve(t, upstream.Microsoft)
	location, a := p.begin(t, upstream.Start{})
	ans := p.back(t, location, false)
	p.Behave(upstreamtest.WrongIssuer)
	if _, err := p.b.Finish(t.Context(), p.u, a, ans, upstream.Visitor{}); !errors.Is(err, openid.ErrLies) {
		t.Errorf("got %v", err)
	}
}

func TestAppleNamesOnce(t *testing.T) {
	who := upstreamtest.Jane
	who.Email, who.EmailVerified = "x1@privaterelay.appleid.com", "true"
	p := serve(t, upstream.Apple, who)
	first, err := p.signIn(t, upstream.Start{})
	if err != nil || first.Name != "Jane Doe" || !first.EmailPrivate {
		t.Errorf("first: %q, private %v, %v", first.Name, first.EmailPrivate, err)
	}
	second, err := p.signIn(t, upstream.Start{})
	if err != nil || second.Name != "" || second.Subject != first.Subject {
		t.Errorf("second: %q, %v", second.Name, err)
	}
}

// Nobody signed the form that Apple's page posts: a person may write in it what
// they like.
func TestAppleFormIsNotBelieved(t *testing.T) {
	who := upstreamtest.Jane
	who.EmailVerified = "false"
	p := serve(t, upstream.Apple, who)
	location, a := p.begin(t, upstream.Start{})
	ans := p.back(t, location, false)
	ans.User = `{"name":{"firstName":"  Eve\u0000\n<b> ","lastName":5},"email":"ceo@acme.com","email_verified":true,"sub":"1"}`
	got, err := p.b.Finish(t.Context(), p.u, a, ans, upstream.Visitor{})
	if err != nil || got.Email != who.Email || got.EmailTrusted || got.Subject != who.ID || got.Name != "Eve <b>" {
		t.Errorf("got %q %q %q trusted %v, %v", got.Email, got.Subject, got.Name, got.EmailTrusted, err)
	}
	for _, user := range []string{"", "null", "[]", "{", `{"name":[]}`, strings.Repeat("[", 4000)} {
		location, a := p.begin(t, upstream.Start{})
		ans := p.back(t, location, false)
		ans.User = user
		if _, err := p.b.Finish(t.Context(), p.u, a, ans, upstream.Visitor{}); err != nil {
			t.Errorf("%.10q: %v", user, err)
		}
	}
}

func TestLinkedInLegacy(t *testing.T) {
	p := serve(t, upstream.LinkedIn)
	location, a := p.begin(t, upstream.Start{Legacy: true})
	if !strings.Contains(location, "scope=r_liteprofile+r_emailaddress") || a.Nonce != "" {
		t.Errorf("asked %s", location)
	}
	got, err := p.b.Finish(t.Context(), p.u, a, p.back(t, location, false), upstream.Visitor{})
	if err != nil || got.Subject != upstreamtest.Jane.ID || got.Name != "Jane Doe" || got.Email != upstreamtest.Jane.Email || got.EmailVerified || got.EmailTrusted {
		t.Errorf("got %+v, %v", got, err)
	}
	github := serve(t, upstream.GitHub)
	if _, a := github.begin(t, upstream.Start{Legacy: true}); a.Legacy {
		t.Error("legacy is LinkedIn's alone")
	}
}

// Whoever leaves the parameter out of the address that we send them to comes as
// somebody of another organization.
func TestWorkOSOrganization(t *testing.T) {
	p := serve(t, upstream.WorkOS)
	p.u.Settings.Organization = "org_1"
	if _, err := p.signIn(t, upstream.Start{}); err != nil {
		t.Error(err)
	}
	p.u.Settings.Organization = "org_2"
	if _, err := p.signIn(t, upstream.Start{}); !errors.Is(err, openid.ErrOutsider) {
		t.Errorf("of another organization: %v", err)
	}
}

func TestWorkOSUser(t *testing.T) {
	who := upstreamtest.Jane
	who.Roles, who.Impersonator = []string{"admin", "member"}, "support@acme.com"
	p := serve(t, upstream.WorkOS, who)
	got, err := p.signIn(t, upstream.Start{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Session != "session_"+who.ID || got.Organization != "org_1" || !slices.Equal(got.Roles, who.Roles) || got.Impersonator != who.Impersonator || got.Tokens.Refresh == "" {
		t.Errorf("got %+v", got)
	}
	out, err := p.b.LogoutURL(t.Context(), p.u, upstream.Goodbye{Session: got.Session, ReturnTo: "https://app.example.com/signin"})
	want := p.u.Settings.BaseURL + "/user_management/sessions/logout?return_to=https%3A%2F%2Fapp.example.com%2Fsignin&session_id=session_" + who.ID
	if err != nil || out != want {
		t.Errorf("logout: %s, %v", out, err)
	}
}

// SSO's answer is WorkOS' word for a customer's word.
func TestWorkOSConnection(t *testing.T) {
	var asked *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"access_token":"at","profile":{"id":"prof_1","connection_id":"conn_1","connection_type":"GoogleOAuth","organization_id":"org_1","idp_id":"x","email":"jane@acme.com",
			"first_name":"Jane","last_name":null,"role":{"slug":"admin"},"groups":["a","b"],"raw_attributes":{}}}`))
	}))
	defer s.Close()
	b := upstream.NewBroker(upstream.Options{Now: time.Now})
	defer b.Close()
	u := upstream.Upstream{Key: "sso", Kind: upstream.WorkOS, Secret: "sk", Settings: upstream.Settings{ClientID: "client_1", BaseURL: s.URL, Mode: upstream.ModeSSO, Connection: "conn_1"}}
	location, a, err := b.Begin(t.Context(), u, upstream.Start{RedirectURI: callback, State: "s"})
	if err != nil || !strings.HasPrefix(location, s.URL+"/sso/authorize?") || !strings.Contains(location, "connection=conn_1") || strings.Contains(location, "challenge") {
		t.Fatalf("%s, %v", location, err)
	}
	got, err := b.Finish(t.Context(), u, a, upstream.Answer{Code: "c"}, upstream.Visitor{})
	if err != nil || got.Subject != "prof_1" || got.Email != "jane@acme.com" || got.EmailTrusted || !slices.Equal(got.Roles, []string{"admin"}) || got.GivenName != "Jane" {
		t.Errorf("got %+v, %v", got, err)
	}
	if asked.URL.Path != "/sso/token" {
		t.Errorf("asked %s", asked.URL)
	}
	u.Settings.EmailDomains, u.Settings.TrustEmail = []string{"acme.com"}, true
	if got, err := b.Finish(t.Context(), u, a, upstream.Answer{Code: "c"}, upstream.Visitor{}); err != nil || !got.EmailTrusted {
		t.Errorf("of its own domain: %v, %v", got.EmailTrusted, err)
	}
	u.Settings.Connection = "conn_2"
	if _, err := b.Finish(t.Context(), u, a, upstream.Answer{Code: "c"}, upstream.Visitor{}); !errors.Is(err, openid.ErrOutsider) {
		t.Errorf("of another connection: %v", err)
	}
	for provider, want := range map[string]error{"GoogleOAuth": nil, "MicrosoftOAuth": openid.ErrOutsider} {
		u.Settings.Connection, u.Settings.Provider = "", provider
		if _, err := b.Finish(t.Context(), u, a, upstream.Answer{Code: "c"}, upstream.Visitor{}); !errors.Is(err, want) {
			t.Errorf("by GoogleOAuth in place of %s: %v", provider, err)
		}
	}
	if out, err := b.LogoutURL(t.Context(), u, upstream.Goodbye{Session: "x"}); out != "" || err != nil {
		t.Errorf("logout: %s, %v", out, err)
	}
}

func TestLogoutURLs(t *testing.T) {
	okta := serve(t, upstream.Okta)
	out, err := okta.b.LogoutURL(t.Context(), okta.u, upstream.Goodbye{IDToken: "e.y.J", ReturnTo: "https://app.example.com/", State: "s"})
	want := okta.u.Settings.BaseURL + "/logout?client_id=sallyport-at-fake&id_token_hint=e.y.J&post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F&state=s"
	if out != want || err != nil {
		t.Errorf("okta: %s, %v", out, err)
	}
	for _, kind := range []upstream.Kind{upstream.Google, upstream.GitHub, upstream.WorkOS} {
		p := serve(t, kind)
		if out, err := p.b.LogoutURL(t.Context(), p.u, upstream.Goodbye{}); out != "" || err != nil {
			t.Errorf("%s: %s, %v", kind, out, err)
		}
	}
}
