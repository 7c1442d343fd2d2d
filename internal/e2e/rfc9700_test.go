package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// What RFC 9700 demands of an authorization server and no other test shows;
// docs/rfc9700.md has all of it.

// §2.1, §4.1.3: byte for byte, but for the port of a native application's
// loopback address, which must be left open.
func TestPortOfALoopbackAddressIsFree(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		who := o.person()
		for registered, tc := range map[string]struct{ goes, stays []string }{
			"http://127.0.0.1/cb": {[]string{"http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", "http://127.0.0.1:1/cb"}, []string{
				"http://127.0.0.1:49152/other", "http://localhost:49152/cb", "http://127.0.0.1:49152@evil.example/cb", "https://127.0.0.1:49152/cb",
				"http://127.0.0.1:0/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.1.evil.example/cb",
			}},
			"http://[::1]:8080/cb":    {[]string{"http://[::1]:9090/cb"}, []string{"http://[::2]:9090/cb"}},
			"https://127.0.0.1:80/cb": {[]string{"https://127.0.0.1:80/cb"}, []string{"https://127.0.0.1:81/cb"}},
		} {
			p := o.party(t, func(c *client.Client) { c.Policy.RedirectURIs = []string{registered} })
			for _, p.redirect = range tc.goes {
				p.redeem(p.code(p.authorize(o.visitor(t), who, p.ask()))).tokenSet(p)
			}
			for _, uri := range tc.stays {
				p.authorize(o.visitor(t), who, p.ask("redirect_uri", uri)).stopped(t)
			}
		}
	})
}

// §2.1, §4.4.2.1: every answer says who answers, and so does the ID token.
func TestEveryAnswerNamesItsIssuer(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, v := o.party(t, nil), o.visitor(t)
		p.signIn(v, o.person())
		for _, pairs := range [][]string{nil, {"prompt", "none"}, {"response_type", "token"}, {"scope", "openid", "max_age", "x"}, {"request", "x"}} {
			for _, mode := range []string{"query", "fragment", "form_post"} {
				if tr := p.authorize(v, account{}, p.ask(append(pairs, "response_mode", mode)...)); tr.reply.Get("iss") != rig.Base {
					t.Errorf("%v by %s: got %s %v", pairs, mode, tr.to, tr.reply)
				}
			}
		}
	})
}

// §2.1.1, §4.8.2: a challenge binds its code, and a verifier without one tells
// that somebody took the challenge out of the request.
func TestPKCECannotBeTakenAway(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person() // need not use PKCE
		v := o.visitor(t)
		p.signIn(v, who)
		code := func(pairs ...string) string { return p.code(p.authorize(v, account{}, p.ask(pairs...))) }
		challenged := []string{"code_challenge", challengeOf(proofKey), "code_challenge_method", "S256"}
		p.redeem(code(), "code_verifier", proofKey).oauthError(http.StatusBadRequest, "invalid_grant")
		p.redeem(code(challenged...)).oauthError(http.StatusBadRequest, "invalid_grant", "invalid_request")
		p.redeem(code(challenged...), "code_verifier", strings.Repeat("x", 43)).oauthError(http.StatusBadRequest, "invalid_grant")
		p.redeem(code(challenged...), "code_verifier", proofKey).tokenSet(p)
		// A method without a challenge, or an unknown one, is no request without PKCE.
		for _, pairs := range [][]string{
			{"code_challenge_method", "S256"},
			{"code_challenge", proofKey, "code_challenge_method", "plain"},
			{"code_challenge", proofKey, "code_challenge_method", ""},
			{"code_challenge", challengeOf(proofKey), "code_challenge_method", "s256"},
		} {
			p.authorize(v, account{}, p.ask(pairs...)).refused(t, "invalid_request")
		}
	})
}

// §2.1.1: a public client has no choice.
func TestPublicClientsUsePKCE(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, pkce := range []string{client.PKCERequired, client.PKCEOptional} {
			p := o.public(t, func(c *client.Client) { c.Policy.PKCE = pkce })
			p.pkce = false
			p.authorize(o.visitor(t), account{}, p.ask()).refused(t, "invalid_request")
			p.pkce = true
			p.signIn(o.visitor(t), o.person())
		}
	})
}

// public is a client without credentials.
func (o *op) public(t *testing.T, change func(*client.Client)) *party {
	t.Helper()
	p := o.party(t, func(c *client.Client) {
		c.SecretHash, c.Policy.PKCE, c.Policy.OAuth.TokenEndpointAuth = nil, client.PKCERequired, client.AuthNone
		if change != nil {
			change(c)
		}
	})
	p.pkce = true
	return p
}

// §2.2.2, §4.14.2: the refresh token of a public client rotates, and one that
// comes twice ends all that came of it.
func TestRefreshTokenOfAPublicClientRotates(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.public(t, nil)
		first := p.signIn(o.visitor(t), o.person(), "scope", "openid offline_access")
		second := p.refresh(first.Refresh).tokenSet(p)
		if second.Refresh == "" || second.Refresh == first.Refresh {
			t.Fatalf("got refresh token %q after %q", second.Refresh, first.Refresh)
		}
		p.claims(second.Access)
		p.refresh(first.Refresh).oauthError(http.StatusBadRequest, "invalid_grant")
		p.refresh(second.Refresh).oauthError(http.StatusBadRequest, "invalid_grant")
		p.userinfo(second.Access).want(http.StatusUnauthorized)
	})
}

// §4.14.2: a refresh token goes no further than the person agreed to, in scope
// and in resources; who was not given one for longer has none.
func TestRefreshTokenGoesNoFurther(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		tk := p.signIn(o.visitor(t), who, "scope", "openid email offline_access", "resource", "https://api.example.com")
		p.refresh(tk.Refresh, "scope", "openid email profile").oauthError(http.StatusBadRequest, "invalid_scope")
		p.refresh(tk.Refresh, "resource", "https://files.example.com").oauthError(http.StatusBadRequest, "invalid_target")
		next := p.refresh(tk.Refresh, "resource", "https://api.example.com").tokenSet(p)
		if aud := unverified(t, next.Access)["aud"]; aud != "https://api.example.com" || next.Refresh == "" {
			t.Errorf("got an access token for %v", aud)
		}
		if tk := p.signIn(o.visitor(t), who, "scope", "openid email"); tk.Refresh != "" {
			t.Error("got a refresh token that nobody asked for")
		}
		none := o.party(t, func(c *client.Client) { c.Policy.Grants = []string{"authorization_code"} })
		if tk := none.signIn(o.visitor(t), who, "scope", "openid offline_access"); tk.Refresh != "" {
			t.Error("got a refresh token that the operator does not give the client")
		}
		// Nor does it live on unused for ever.
		idle := o.party(t, func(c *client.Client) { c.Policy.RefreshToken.Idle = client.Duration(time.Hour) })
		tk = idle.signIn(o.visitor(t), who, "scope", "openid offline_access")
		o.Advance(2 * time.Hour)
		idle.refresh(tk.Refresh).oauthError(http.StatusBadRequest, "invalid_grant")
	})
}

// §2.3: an access token is good where it was asked for, and we, too, refuse one
// that is for another.
func TestTokenForAnotherResourceIsRefused(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.party(t, nil), o.person()
		tk := p.signIn(o.visitor(t), who, "resource", "https://api.example.com")
		if aud := unverified(t, tk.Access)["aud"]; aud != "https://api.example.com" {
			t.Errorf("got an access token for %v", aud)
		}
		p.userinfo(tk.Access).want(http.StatusUnauthorized)
		p.authorize(o.visitor(t), who, p.ask("resource", "https://unknown.example.com")).refused(t, "invalid_target")
	})
}

// §2.1.2, §2.4: what gives tokens away in the browser's history, or passwords to
// clients, is not there.
func TestRetiredGrantsAreGone(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		who, v := o.person(), o.visitor(t)
		p := o.party(t, func(c *client.Client) { c.Policy.Grants = []string{"authorization_code", "password", "implicit"} })
		p.post("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {who.email}, "password": {who.password}}).
			oauthError(http.StatusBadRequest, "unsupported_grant_type")
		d := o.metadata(v)
		for name, gone := range map[string][]string{
			"grant_types_supported": {"password", "implicit"}, "response_types_supported": {"token", "id_token", "id_token token", "code token"},
			"code_challenge_methods_supported": {"plain"}, "response_modes_supported": {"web_message"},
		} {
			for _, one := range gone {
				if slices.Contains(d.list(name), one) {
					t.Errorf("%s has %s", name, one)
				}
			}
		}
		// §4.17: no answer goes by postMessage.
		p.authorize(v, who, p.ask("response_mode", "web_message")).refused(t, "invalid_request")
	})
}

// §2.6: pages of no origin may read what the authorization endpoint answers,
// whatever they may read elsewhere.
func TestAuthorizationEndpointHasNoCORS(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		const origin = "https://app.example.com"
		p := o.party(t, func(c *client.Client) { c.Policy.AllowedOrigins = []string{origin} })
		v := o.visitor(t)
		p.signIn(v, o.person())
		preflight := []string{"Origin", origin, "Access-Control-Request-Method", "GET"}
		for _, path := range []string{"/oauth2/authorize", "/oauth2/continue", "/oauth2/end-session", "/login", "/consent", "/device", "/logout"} {
			for name, a := range map[string]answer{
				"GET":     v.get(path+"?"+p.ask().Encode(), "Origin", origin),
				"POST":    v.send("POST", path, "application/x-www-form-urlencoded", p.ask().Encode(), "Origin", origin),
				"OPTIONS": v.send("OPTIONS", path, "", "", preflight...),
			} {
				for header := range a.header {
					if strings.HasPrefix(header, "Access-Control-") {
						t.Errorf("%s %s: got %s %v", name, path, header, a.header[header])
					}
				}
			}
		}
		// The endpoints that pages call themselves have it.
		if a := v.send("OPTIONS", "/oauth2/token", "", "", preflight...); a.header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("token endpoint: got %v", a.header)
		}
	})
}

// §2.6: an answer never travels in the clear.
func TestRedirectURIsAreEncrypted(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, native := range []string{"web", "native"} {
			for _, uri := range []string{"http://app.example.com/cb", "http://10.0.0.1/cb", "http://localhost.example.com/cb", "ftp://app.example.com/cb"} {
				o.register(t, fields{"redirect_uris": []string{uri}, "application_type": native}).oauthError(http.StatusBadRequest, "invalid_redirect_uri")
			}
		}
		o.registered(t, fields{"redirect_uris": []string{"http://127.0.0.1/cb"}, "application_type": "native", "token_endpoint_auth_method": "none"})
	})
	for _, uri := range []string{"http://app.example.com/cb", "http://10.0.0.1/cb"} {
		if err := client.CheckRedirectURI(uri); err == nil {
			t.Errorf("an operator may register %s", uri)
		}
	}
}

// §4.11.2: nobody is sent to a client that nobody knows before they are signed
// in, however wrong the request is.
func TestStrangersClientSendsNobodyOffUnseen(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		stranger, documented, known, who := o.registered(t, nil), o.documented(t), o.party(t, nil), o.person()
		v := o.visitor(t)
		known.signIn(v, who)
		for _, pairs := range [][]string{
			{"response_type", "token"}, {"response_type", ""}, {"scope", "nonsense"}, {"max_age", "x"}, {"claims", "["}, {"request", "x"},
			{"prompt", "none login"}, {"prompt", "none", "scope", "nonsense"}, {"resource", "https://unknown.example.com"}, {"response_mode", "web_message"},
		} {
			stranger.authorize(o.visitor(t), account{}, stranger.ask(pairs...)).stopped(t)
			documented.authorize(o.visitor(t), account{}, documented.ask(pairs...)).stopped(t)
			if tr := stranger.authorize(v, account{}, stranger.ask(pairs...)); !tr.reply.Has("error") {
				t.Errorf("%v: got %s %v, %d", pairs, tr.to, tr.reply, tr.last.status)
			}
			if tr := known.authorize(o.visitor(t), account{}, known.ask(pairs...)); tr.to == "" && pairs[0] != "scope" {
				t.Errorf("%v: the operator's client was told nothing: %d %s", pairs, tr.last.status, tr.last.body)
			}
		}
		// Silent authentication is the exception that the section makes.
		stranger.authorize(o.visitor(t), account{}, stranger.ask("prompt", "none")).refused(t, "login_required")
	})
}

// Nor by the other endpoint that sends browsers away.
func TestStrangersClientSendsNobodyOffByLogout(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.registered(t, fields{"post_logout_redirect_uris": []string{bye}})
		theirs := o.visitor(t)
		hint := p.signIn(theirs, o.person()).ID // of whoever brought the client in
		for _, pairs := range [][]string{{"client_id", string(p.client.ID)}, {"id_token_hint", hint}} {
			pairs = append(pairs, "post_logout_redirect_uri", bye, "state", "s")
			if tr := o.visitor(t).end(true, pairs...); tr.to != "" || len(tr.pages) > 0 {
				t.Errorf("somebody who was not signed in was sent to %s, by way of %v", tr.to, tr.pages)
			}
			victim := o.visitor(t)
			p.signIn(victim, o.person())
			tr := victim.end(false, pairs...)
			if _, asked := tr.last.form("/logout"); !asked || tr.to != "" {
				t.Errorf("somebody who is signed in was sent to %s", tr.to)
			}
		}
		if tr := theirs.end(true, "id_token_hint", hint, "post_logout_redirect_uri", bye); tr.to != bye {
			t.Errorf("whoever it signed in ends at %s %d", tr.to, tr.last.status)
		}
	})
}

// watch notes the status of every answer to a form.
type watch struct {
	http.RoundTripper
	mu   sync.Mutex
	seen map[int][]string
}

// RoundTrip answers a request.
func (w *watch) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(req)
	if err == nil && req.Method == http.MethodPost {
		w.mu.Lock()
		w.seen[res.StatusCode] = append(w.seen[res.StatusCode], req.URL.Path)
		w.mu.Unlock()
	}
	return res, err
}

// §4.12: what a person typed is not posted on to the client.
func TestFormsAreNotPostedOn(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.registered(t, fields{"post_logout_redirect_uris": []string{bye}}), o.person()
		for _, agree := range []bool{true, false} {
			v := o.visitor(t)
			w := &watch{RoundTripper: v.http.Transport, seen: map[int][]string{}}
			v.http.Transport = w
			v.walk(v.submit("/oauth2/authorize", p.ask("prompt", "consent")), who, agree)
			v.walk(v.submit("/oauth2/end-session", url.Values{}), who, true)
			for status, paths := range w.seen {
				if status != http.StatusOK && status != http.StatusSeeOther && status != http.StatusFound {
					t.Errorf("got %d at %v", status, paths)
				}
			}
			for _, path := range []string{"/oauth2/authorize", "/consent", "/oauth2/end-session"} {
				if !slices.Contains(w.seen[http.StatusSeeOther], path) {
					t.Errorf("no 303 at %s: %v", path, w.seen)
				}
			}
		}
	})
}

// §4.2.4, §4.16: whatever a browser is shown on the way cannot be framed, hands
// its address on to nobody, and is kept by nobody.
func TestAnswersToBrowsersAreNotFramed(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who, v := o.registered(t, nil), o.person(), o.visitor(t)
		login := p.authorize(v, account{}, p.ask()).last
		f, _, _ := v.fill(login, who, true)
		consent := v.walk(v.submit("/login", f.values), account{}, true).last
		for name, a := range map[string]answer{
			"login": login, "consent": consent,
			"redirect":   v.get("/oauth2/authorize?" + p.ask().Encode()),
			"error page": v.get("/oauth2/authorize?" + p.ask("redirect_uri", "https://evil.example/").Encode()),
			"form_post":  v.get("/oauth2/authorize?" + p.ask("response_mode", "form_post", "response_type", "token").Encode()),
			"device":     v.get("/device"),
			"logout":     v.get("/logout"),
			"signed out": v.get("/oauth2/end-session"),
		} {
			policy := a.header.Get("Content-Security-Policy")
			switch {
			case !strings.Contains(policy, "frame-ancestors 'none'") && a.status < 300, a.header.Get("X-Frame-Options") != "DENY":
				t.Errorf("%s: got policy %q and %q", name, policy, a.header.Get("X-Frame-Options"))
			case a.header.Get("Referrer-Policy") != "no-referrer", a.header.Get("Cache-Control") != "no-store":
				t.Errorf("%s: got %v", name, a.header)
			}
		}
	})
}

// §4.15: no client chooses what it is called, and its own tokens pass for
// nobody's.
func TestNoClientPassesForAPerson(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		who := o.person()
		if p := o.registered(t, fields{"client_id": who.id}); string(p.client.ID) == who.id {
			t.Error("a client chose its id")
		}
		p := o.party(t, func(c *client.Client) {
			c.Policy.Grants = []string{"authorization_code", "client_credentials"}
			c.Policy.OAuth.Scopes = []string{"read"}
		})
		var own, tk tokenSet
		p.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}).json(http.StatusOK, &own)
		if a := p.userinfo(own.Access); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("a client is told about itself as a person: %d %s", a.status, a.body)
		}
		tk = p.signIn(o.visitor(t), who)
		service, person := unverified(t, own.Access), unverified(t, tk.Access)
		if service["sub"] != string(p.client.ID) || service["sub"] != service["client_id"] || service["gid"] != nil || person["sub"] == person["client_id"] {
			t.Errorf("got %v of the client and %v of the person", service, person)
		}
	})
}
