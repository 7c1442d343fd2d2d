package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// What the Basic OP plan of the OpenID Foundation's conformance suite asks for;
// docs/conformance.md has its modules by name.

func TestCodeFlowEndsInAVerifiedIDToken(t *testing.T) {
	t.Parallel()
	auth := func(method string) func(*client.Client) {
		return func(c *client.Client) { c.Policy.OAuth.TokenEndpointAuth = method }
	}
	signedWith := func(alg string) func(*client.Client) {
		return func(c *client.Client) { c.Policy.OAuth.IDTokenAlg = alg }
	}
	cases := map[string]struct {
		change func(*client.Client)
		ask    []string
		verify string
		alg    string
	}{
		"client_secret_basic":     {alg: "RS256"},
		"client_secret_post":      {change: auth(client.AuthSecretPost), alg: "RS256"},
		"without a nonce":         {ask: []string{"nonce", ""}, alg: "RS256"},
		"without a state":         {ask: []string{"state", ""}, alg: "RS256"},
		"scopes in another order": {ask: []string{"scope", "email profile openid"}, alg: "RS256"},
		"PKCE although it need not": {
			ask: []string{"code_challenge", challengeOf(proofKey), "code_challenge_method", "S256"}, verify: proofKey, alg: "RS256",
		},
		"ID token by RS256": {change: signedWith("RS256"), alg: "RS256"},
		"ID token by ES256": {change: signedWith("ES256"), alg: "ES256"},
	}
	eachOP(t, func(t *testing.T, o *op) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				p, who := o.party(t, tc.change), o.person()
				q := p.ask(tc.ask...)
				tr := p.authorize(o.visitor(t), who, q)
				tr.saw(t, "login")
				if tr.reply.Get("state") != q.Get("state") || tr.reply.Has("state") != q.Has("state") {
					t.Errorf("got state %q, want %q", tr.reply["state"], q.Get("state"))
				}
				tk := p.redeem(p.code(tr), "code_verifier", tc.verify).tokenSet(p)
				if tk.alg != tc.alg || tk.text("sub") != who.id || tk.text("nonce") != q.Get("nonce") {
					t.Errorf("got an ID token by %s: %v", tk.alg, tk.id)
				}
				if _, ok := tk.id["name"]; ok {
					t.Errorf("the ID token %v tells who the person is, though nobody asked", tk.id)
				}
			})
		}
	})
}

func TestRequestWithoutResponseTypeIsRefused(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.party(t, nil)
		p.authorize(o.visitor(t), account{}, p.ask("response_type", "")).refused(t, "invalid_request", "unsupported_response_type")
		for _, other := range []string{"token", "id_token", "code id_token", "code token", "none"} {
			p.authorize(o.visitor(t), account{}, p.ask("response_type", other)).refused(t, "unsupported_response_type")
		}
	})
}

func TestUserinfoAnswersEveryWayOfAsking(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		tk := p.signIn(o.visitor(t), who)
		v := o.visitor(t)
		bearer := []string{"Authorization", "Bearer " + tk.Access}
		for name, a := range map[string]answer{
			"GET":                       v.get("/oauth2/userinfo", bearer...),
			"GET, scheme in lower case": v.get("/oauth2/userinfo", "Authorization", "bearer "+tk.Access),
			"POST with a header":        v.send("POST", "/oauth2/userinfo", "", "", bearer...),
			"POST with a body":          v.submit("/oauth2/userinfo", url.Values{"access_token": {tk.Access}}),
		} {
			var claims map[string]any
			if a.json(http.StatusOK, &claims); claims["sub"] != tk.text("sub") || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				t.Errorf("%s: got %s %v, want the sub of the ID token", name, a.header.Get("Content-Type"), claims)
			}
		}
		v.get("/oauth2/userinfo?access_token=" + url.QueryEscape(tk.Access)).want(http.StatusUnauthorized)
	})
}

func TestScopesBringTheirClaims(t *testing.T) {
	t.Parallel()
	profile, email := []string{"name", "given_name", "family_name"}, []string{"email", "email_verified"}
	eachOP(t, func(t *testing.T, o *op) {
		for scope, want := range map[string][]string{
			"openid profile":         profile,
			"openid email":           email,
			"openid address":         nil, // not known, and ignored
			"openid phone":           nil,
			"openid profile email":   append(profile, email...),
			"address email openid":   email,
			"openid profile phone":   profile,
			"openid profile openid":  profile,
			"openid some_other_word": nil,
		} {
			p, who := o.party(t, nil), o.person()
			tk := p.signIn(o.visitor(t), who, "scope", scope)
			claims := p.claims(tk.Access)
			for _, name := range want {
				if _, ok := claims[name]; !ok {
					t.Errorf("scope %q: no %s in %v", scope, name, claims)
				}
			}
			if len(claims) != len(want)+1 {
				t.Errorf("scope %q: got %v, want sub and %v", scope, claims, want)
			}
		}
	})
}

// What a provider need not act on must not keep anybody out (OpenID Connect Core
// §15.1, RFC 6749 §3.1).
func TestOptionalParametersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		for _, pair := range [][2]string{
			{"display", "page"}, {"display", "popup"}, {"ui_locales", "se"}, {"ui_locales", "de-CH-1996 fr"}, {"claims_locales", "se"},
			{"login_hint", "buffy@example.com"}, {"acr_values", "1 2"}, {"acr_values", "urn:nobody:knows"}, {"extra", "foobar"}, {"prompt", "login"},
		} {
			tr := p.authorize(o.visitor(t), who, p.ask(pair[0], pair[1]))
			tr.saw(t, "login")
			tk := p.redeem(p.code(tr)).tokenSet(p)
			if pair[1] == "1 2" && tk.text("acr") != "1" {
				t.Errorf("acr is %q", tk.text("acr"))
			}
		}
	})
}

func TestLoginHintIsFilledIn(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		tr := p.authorize(o.visitor(t), account{}, p.ask("login_hint", who.email))
		f, ok := tr.last.form("/login")
		if !ok || f.values.Get("email") != who.email {
			t.Errorf("the form is filled in with %v, want %s", f.values, who.email)
		}
	})
}

func TestSignInIsAskedForAgain(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, pair := range [][2]string{{"prompt", "login"}, {"max_age", "1"}, {"max_age", "0"}, {"prompt", "select_account"}} {
			p, who := o.party(t, nil), o.person()
			v := o.visitor(t)
			first := p.signIn(v, who)
			o.Advance(2 * time.Second)
			tr := p.authorize(v, who, p.ask(pair[0], pair[1]))
			tr.saw(t, "login")
			second := p.redeem(p.code(tr)).tokenSet(p)
			if second.number("auth_time") <= first.number("auth_time") || second.text("sub") != first.text("sub") {
				t.Errorf("%s=%s: got %v, then %v", pair[0], pair[1], first.id, second.id)
			}
		}
	})
}

func TestLiveSessionIsEnough(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		v := o.visitor(t)
		first := p.signIn(v, who, "max_age", "15000")
		if first.number("auth_time") == 0 {
			t.Errorf("no auth_time in %v", first.id)
		}
		o.Advance(time.Minute)
		for name, pairs := range map[string][]string{
			"nothing asked":           nil,
			"prompt none":             {"prompt", "none"},
			"max_age 10000":           {"max_age", "10000"},
			"id_token_hint":           {"prompt", "none", "id_token_hint", first.ID},
			"id_token_hint and login": {"id_token_hint", first.ID},
		} {
			tr := p.authorize(v, account{}, p.ask(pairs...))
			tr.saw(t)
			tk := p.redeem(p.code(tr)).tokenSet(p)
			if tk.number("auth_time") != first.number("auth_time") || tk.text("sub") != first.text("sub") {
				t.Errorf("%s: got %v, then %v", name, first.id, tk.id)
			}
		}
	})
}

func TestPromptNoneShowsNoPage(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.party(t, nil)
		p.authorize(o.visitor(t), account{}, p.ask("prompt", "none")).refused(t, "login_required")
		// Somebody is signed in, but not the one who is meant.
		jane, john := o.visitor(t), o.visitor(t)
		hint := p.signIn(jane, o.person()).ID
		p.signIn(john, o.person())
		p.authorize(john, account{}, p.ask("prompt", "none", "id_token_hint", hint)).refused(t, "login_required")
		// And one who has to be asked.
		asking := o.party(t, func(c *client.Client) { c.Policy.OAuth.Consent = client.ConsentRequired })
		asking.authorize(jane, account{}, asking.ask("prompt", "none")).refused(t, "consent_required")
	})
}

func TestCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, pause := range []time.Duration{0, time.Second, 30 * time.Second, time.Hour} {
			p, who := o.party(t, nil), o.person()
			code := p.code(p.authorize(o.visitor(t), who, p.ask("scope", "openid offline_access")))
			tk := p.redeem(code).tokenSet(p)
			o.Advance(min(pause, time.Minute))
			p.claims(tk.Access)
			o.Advance(pause - min(pause, time.Minute))
			p.redeem(code).oauthError(http.StatusBadRequest, "invalid_grant")
			// Who of the two is the thief, nobody knows (RFC 6749 §4.1.2).
			p.userinfo(tk.Access).want(http.StatusUnauthorized)
			p.refresh(tk.Refresh).oauthError(http.StatusBadRequest, "invalid_grant")
		}
	})
}

// oauthError demands a refusal of the token endpoint's (RFC 6749 §5.2).
func (a answer) oauthError(status int, codes ...string) {
	a.t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	a.json(status, &body)
	for _, code := range codes {
		if body.Error == code && a.header.Get("Cache-Control") == "no-store" {
			return
		}
	}
	a.t.Fatalf("%s: got %s with %v, want %v", a.what, a.body, a.header, codes)
}

func TestUnregisteredRedirectURIIsNotGoneTo(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		v := o.visitor(t)
		p.signIn(v, who) // a session makes no difference
		for _, uri := range []string{
			away + "/", away + "?foo=bar", away + "#", away + "/../callback", "https://app.example.com", "http://app.example.com/callback",
			"https://app.example.com:443/callback", "HTTPS://app.example.com/callback", "https://app.example.com@evil.example/callback",
			"https://app.example.com.evil.example/callback", "https://evil.example/?" + away, "https://app.example.com/%63allback",
		} {
			for _, more := range [][2]string{{"prompt", ""}, {"prompt", "none"}, {"response_type", "token"}, {"scope", "other"}} {
				p.authorize(v, who, p.ask("redirect_uri", uri, more[0], more[1])).stopped(t)
			}
		}
	})
}

func TestAuthorizationRequestMayBePosted(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		v := o.visitor(t)
		tr := v.walk(v.submit("/oauth2/authorize", p.ask()), who, true)
		tr.saw(t, "login")
		p.redeem(p.code(tr)).tokenSet(p)
	})
}

// object is a request object's claims, made of an authorization request.
func (p *party) object(pairs ...string) map[string]any {
	claims := map[string]any{"iss": p.client.ID, "aud": rig.Base, "exp": p.Now().Add(time.Minute).Unix(), "nbf": p.Now().Unix()}
	for name, values := range p.ask(pairs...) {
		claims[name] = values[0]
	}
	return claims
}

func TestUnsignedRequestObjectIsRefused(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.party(t, nil)
		p.authorize(o.visitor(t), account{}, p.ask("request", unsigned(t, p.object()))).refused(t, "invalid_request_object", "request_not_supported")
		for _, alg := range o.metadata(o.visitor(t)).list("request_object_signing_alg_values_supported") {
			if alg == "none" || strings.HasPrefix(alg, "HS") {
				t.Errorf("%s is promised", alg)
			}
		}
		uri := o.publish("/unsigned.jwt", unsigned(t, p.object()))
		p = o.party(t, func(c *client.Client) { c.Policy.OAuth.RequestURIs = []string{uri} })
		p.authorize(o.visitor(t), account{}, p.ask("request_uri", uri)).refused(t, "invalid_request_object", "request_uri_not_supported")
	})
}

func TestRequestObjectCountsAlone(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		key := newKey(t, "k1", gojose.RS256)
		p := o.party(t, func(c *client.Client) {
			c.Policy.RedirectURIs = []string{away, away + "/other"}
			c.Policy.OAuth.JWKS = keySet(t, key)
		})
		// What stands beside it is not looked at (RFC 9101 §6.3).
		raw := signed(t, key, nil, p.object("redirect_uri", away+"/other", "state", "inside", "nonce", "inside"))
		p.redirect = away + "/other"
		tr := p.authorize(o.visitor(t), o.person(), with(p.ask("redirect_uri", away), "request", raw))
		tk := p.redeem(p.code(tr)).tokenSet(p)
		if tr.reply.Get("state") != "inside" || tk.text("nonce") != "inside" {
			t.Errorf("got %v and %v, want what the request object says", tr.reply, tk.id)
		}
	})
}

func TestClaimsAreGivenWhenAskedForByName(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		tk := p.signIn(o.visitor(t), who, "claims", `{"userinfo":{"name":{"essential":true}}}`)
		if got := p.claims(tk.Access); got["name"] != who.name || tk.id["name"] != nil {
			t.Errorf("got %v from userinfo and %v in the ID token", got, tk.id)
		}
		tk = p.signIn(o.visitor(t), who, "claims", `{"id_token":{"name":{"essential":true},"auth_time":null},"userinfo":{"nobody_knows":{"value":"x"}}}`)
		if got := p.claims(tk.Access); got["name"] != nil || tk.id["name"] != who.name {
			t.Errorf("got %v from userinfo and %v in the ID token", got, tk.id)
		}
		p.authorize(o.visitor(t), who, p.ask("claims", `{"id_token":{"acr":{"essential":true,"value":"2"}}}`)).
			refused(t, "unmet_authentication_requirements")
	})
}

func TestRefreshTokenIsOfItsClient(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, other, who := o.party(t, nil), o.party(t, nil), o.person()
		first := p.signIn(o.visitor(t), who, "scope", "openid email offline_access", "prompt", "consent")
		if len(first.Refresh) < 22 || url.QueryEscape(first.Refresh) != first.Refresh {
			t.Errorf("got refresh token %q", first.Refresh)
		}
		other.refresh(first.Refresh).oauthError(http.StatusBadRequest, "invalid_grant")
		o.Advance(time.Second)
		second := p.refresh(first.Refresh).tokenSet(p)
		if second.Access == first.Access || second.text("sub") != first.text("sub") || second.number("iat") <= first.number("iat") ||
			second.number("auth_time") != first.number("auth_time") {
			t.Errorf("got %v, then %v", first.id, second.id)
		}
		if got := p.claims(second.Access); got["email"] != who.email {
			t.Errorf("got %v", got)
		}
		narrow := p.refresh(second.Refresh, "scope", "openid").tokenSet(p)
		if got := p.claims(narrow.Access); len(got) != 1 {
			t.Errorf("got %v, want sub alone", got)
		}
		p.refresh(narrow.Refresh, "scope", "openid profile").oauthError(http.StatusBadRequest, "invalid_scope")
	})
}
