package oauth_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/session"
)

// Whatever is sent for a redirect URI, nobody is sent anywhere that is not
// registered (RFC 9700 §4.1, §4.11).
func TestNobodyIsSentToAnUnregisteredAddress(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	for _, uri := range []string{
		"https://evil.example/callback", "//evil.example", "https:evil.example", "javascript:alert(1)", "data:text/html,x",
		callback + "/", callback + "/..", callback + "/../evil", callback + "?", callback + "?x=1", callback + "#", callback + "#x", callback + " ", " " + callback,
		callback + "%00", callback + "\x00", callback + "\r\nLocation: https://evil.example", callback + "\t", callback + "%0d%0a",
		"https://app.example.com@evil.example/callback", "https://app.example.com:443/callback", "https://app.example.com.evil.example/callback",
		"https://app.example.com\\@evil.example/callback", "https://app.example.com%2f@evil.example/callback", "https://evil.example\\.app.example.com/callback",
		"https://APP.example.com/callback", "HTTPS://app.example.com/callback", "http://app.example.com/callback", "https://app.example.com/Callback",
		"https://app.example.com//callback", "https://app.example.com/./callback", "https://app.example.com/%63allback", "https://app.example.com./callback",
		"https://аpp.example.com/callback", "/callback", "callback", "https://app.example.com", strings.Repeat("x", 1<<16),
	} {
		for _, scope := range []string{"openid", ""} {
			d, err := w.authorize(wanting(w.web, "redirect_uri", uri, "scope", scope), cookie)
			if e, ok := errors.AsType[*oauth.Error](err); !ok || d.Reply != nil {
				t.Errorf("%q: got %+v, %v; want a refusal that goes nowhere", uri, d.Reply, err)
			} else if e.Detail == "" {
				t.Errorf("%q: the operator is not told what differs", uri)
			}
		}
	}
	for _, uri := range []string{
		"http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1@evil.example/cb",
		"http://127.0.0.1.evil.example/cb", "http://127.0.0.1:8080.evil.example/cb", "http://127.0.0.1:8080/cb/", "http://127.0.0.1:8080/cb?x", "http://127.0.0.1:+80/cb",
		"http://127.0.0.1:8080\\@evil.example/cb", "https://127.0.0.1:8080/cb", "http://127.0.0.2:8080/cb", "http://localhost:8080/cb", "http://[::1]:8080/cb",
		"http://0x7f.1/cb", "http://2130706433/cb", "http://127.1:8080/cb", "com.example.app:8080/cb", "com.example.app://evil/cb", "com.example.app:/cb?x",
	} {
		if d, err := w.authorize(wanting(w.native, "redirect_uri", uri), cookie); err == nil {
			t.Errorf("%q: got %+v, want a refusal", uri, d)
		}
	}
	for _, uri := range []string{"http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "com.example.app:/cb"} {
		if _, err := w.authorize(wanting(w.native, "redirect_uri", uri), cookie); err != nil {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestOperatorLearnsWhereARedirectURIDiffers(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	_, err := w.authorize(wanting(w.web, "redirect_uri", "https://app.example.com/cal1back"), "")
	e, ok := errors.AsType[*oauth.Error](err)
	want := `got "https://app.example.com/cal1back", registered is "https://app.example.com/callback": they differ from character 28 on`
	if !ok || e.Detail != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if strings.Contains(e.Description, "cal1back") {
		t.Error("the page repeats what was sent")
	}
}

func TestRedirectURIMayBeLeftOutOnlyWhereThereIsNoChoice(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	d, err := w.authorize(wanting(w.web, "redirect_uri", "", "scope", "orders:read"), cookie)
	w.wantNext("the only one", d, err, "code")
	if g := w.grantOf(told(d, "code")); g.Code.RedirectURIGiven || g.Code.RedirectURI != callback {
		t.Errorf("got %+v", g.Code)
	}
	two := w.Client("Two", func(c *client.Client) {
		c.Policy.RedirectURIs = append(c.Policy.RedirectURIs, "https://app.example.com/2")
	})
	for name, p := range map[string]oauth.Params{"of two": wanting(two, "redirect_uri", "", "scope", ""), "with openid": wanting(w.web, "redirect_uri", "")} {
		_, err := w.authorize(p, cookie)
		wantError(t, name, err, oauth.InvalidRequest)
	}
}

// RFC 6749 §3.1: no parameter comes twice, alike or not, first or last.
func TestEveryParameterComesOnce(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	for _, name := range []string{
		"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "response_mode", "prompt", "max_age",
		"claims", "login_hint", "id_token_hint", "acr_values", "dpop_jkt", "ui_locales", "display", "request", "request_uri", "unheard_of",
	} {
		for _, second := range []string{"evil", ""} {
			p := wanting(w.web)
			first := append(p[name], "x")[0]
			p[name] = []string{first, second}
			d, err := w.authorize(p, cookie)
			if err == nil && next(d) != oauth.InvalidRequest {
				t.Errorf("%s twice: got %s", name, next(d))
			}
			if where := name == "client_id" || name == "redirect_uri"; (err != nil) != where {
				t.Errorf("%s twice: got %v, want it on a page: %v", name, err, where)
			}
			if name == "state" && told(d, "state") != "" {
				t.Errorf("one of two states came back: %q", told(d, "state"))
			}
		}
	}
	p := wanting(w.web)
	p["resource"] = []string{"https://api.example.com", "https://mcp.example.com/mcp/", "https://api.example.com"}
	d := w.decide(p, cookie)
	if g := w.grantOf(told(d, "code")); !slices.Equal(g.Resources, []string{"https://api.example.com", "https://mcp.example.com/mcp"}) {
		t.Errorf("resources: got %v", g.Resources)
	}
}

func TestOversizedAndTwistedClaimsAreRefused(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	for name, claims := range map[string]string{
		"oversized":           `{"userinfo":{"` + strings.Repeat("x", 4<<10) + `":null}}`,
		"deep":                `{"userinfo":{"a":{"b":{"c":{"d":{"e":1}}}}}}`,
		"deep list":           `{"userinfo":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`,
		"deep and broken off": strings.Repeat(`{"a":`, 800),
		"twice":               `{"id_token":{"sub":{"value":"a"},"sub":{"value":"b"}}}`,
		"twice by escape":     `{"id_token":{},"id_\u0074oken":{}}`,
		"twice at the top":    `{"userinfo":{},"userinfo":{}}`,
		"list":                `[]`,
		"text":                `"x"`,
		"number":              `1`,
		"null":                `null`,
		"two":                 `{} {}`,
		"no JSON":             `{`,
		"not UTF-8":           "{\"userinfo\":{\"\xff\":null}}",
		"userinfo is no map":  `{"userinfo":[]}`,
		"id_token is no map":  `{"id_token":"x"}`,
		"two people":          `{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`,
	} {
		d, err := w.authorize(wanting(w.web, "claims", claims), cookie)
		w.wantNext(name, d, err, oauth.InvalidRequest)
	}
	for name, claims := range map[string]string{
		"empty": `{}`, "null members": `{"userinfo":null,"id_token":null}`, "of the specification": `{"userinfo":{"given_name":{"essential":true},"nickname":null},` +
			`"id_token":{"auth_time":{"essential":true},"acr":{"values":["urn:mace:incommon:iap:silver"]}}}`,
		"unknown members": `{"x":{"y":[1]}}`, "another case": `{"ID_TOKEN":{"sub":{"value":"a"}}}`,
	} {
		d, err := w.authorize(wanting(w.web, "claims", claims), cookie)
		w.wantNext(name, d, err, "code")
	}
}

func TestRequestsAreBoundedAndPlainText(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	names := strings.Repeat("a ", 65)
	for _, c := range []struct{ name, param, value, want string }{
		{"long state", "state", strings.Repeat("x", 2<<10+1), oauth.InvalidRequest},
		{"longest state", "state", strings.Repeat("x", 2<<10), "code"},
		{"a control character", "state", "a\nb", oauth.InvalidRequest},
		{"letters of the world", "state", "ä語🔑<>&\"\\", "code"},
		{"NUL", "nonce", "a\x00b", oauth.InvalidRequest},
		{"not UTF-8", "state", "\xff", oauth.InvalidRequest},
		{"many scopes", "scope", "openid " + names, oauth.InvalidScope},
		{"a negative age", "max_age", "-1", oauth.InvalidRequest},
		{"an age that is none", "max_age", "1e3", oauth.InvalidRequest},
		{"an unknown prompt", "prompt", "none_at_all", oauth.InvalidRequest},
		{"a challenge of another length", "code_challenge", challenge[:42], oauth.InvalidRequest},
		{"a challenge of other characters", "code_challenge", challenge[:42] + "=", oauth.InvalidRequest},
		{"no method", "code_challenge_method", "", oauth.InvalidRequest},
		{"a method in small letters", "code_challenge_method", "s256", oauth.InvalidRequest},
		{"a thumbprint that is none", "dpop_jkt", "x", oauth.InvalidRequest},
		{"a hint that is none", "id_token_hint", "x.y.z", oauth.InvalidRequest},
		{"a relative resource", "resource", "/api", oauth.InvalidTarget},
		{"the issuer", "resource", rig.Base, "code"},
	} {
		d, err := w.authorize(wanting(w.web, c.param, c.value), cookie)
		w.wantNext(c.name, d, err, c.want)
	}
	// All that is taken can be kept, however it is escaped.
	quotes := strings.Repeat(`"`, 2<<10)
	d, err := w.authorize(wanting(w.web, "state", quotes, "nonce", quotes, "login_hint", quotes), "")
	w.wantNext("long in all", d, err, "login")
	d, err = w.authorize(wanting(w.web, "state", quotes, "nonce", quotes, "login_hint", quotes, "acr_values", quotes), "")
	w.wantNext("too long in all", d, err, oauth.InvalidRequest)
	acr := `{"id_token":{"acr":{"essential":true,"value":"` + strings.Repeat(`\"`, 1900) + `"}}}`
	d, err = w.authorize(wanting(w.web, "state", quotes, "claims", acr), "")
	w.wantNext("long claims", d, err, "login")
	d, err = w.authorize(wanting(w.web, "scope", "orders:read root"), cookie)
	w.wantNext("an unknown scope without openid", d, err, oauth.InvalidScope)
}

// RFC 9700 §2.1.1, §4.8: no code without a challenge, and none without S256, but
// for whom the operator let it be.
func TestPKCEIsDemanded(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	confidentially := func(name, pkce string) client.Client {
		return w.Client(name, func(c *client.Client) { c.SecretHash, c.Policy.PKCE = client.HashSecret(w.Key, webPlain), pkce })
	}
	lax, plain := confidentially("Lax", client.PKCEOptional), confidentially("Plain", client.PKCEPlain)
	public := w.Client("Public", func(c *client.Client) { c.Policy.PKCE = client.PKCEOptional })
	none := []string{"code_challenge", "", "code_challenge_method", ""}
	for _, c := range []struct {
		name   string
		client client.Client
		pairs  []string
		want   string
	}{
		{"confidential", w.web, none, oauth.InvalidRequest},
		{"public", w.spa, none, oauth.InvalidRequest},
		{"optional, but public", public, none, oauth.InvalidRequest},
		{"optional", lax, none, "code"},
		{"optional, a method alone", lax, []string{"code_challenge", ""}, oauth.InvalidRequest},
		{"optional, plain", lax, []string{"code_challenge_method", "plain"}, oauth.InvalidRequest},
		{"plain", w.web, []string{"code_challenge_method", "plain"}, oauth.InvalidRequest},
		{"plain where it may be", plain, []string{"code_challenge_method", "plain"}, "code"},
		{"plain by default", plain, []string{"code_challenge_method", ""}, "code"},
		{"plain and none", plain, none, oauth.InvalidRequest},
		{"plain and short", plain, []string{"code_challenge_method", "plain", "code_challenge", "short"}, oauth.InvalidRequest},
	} {
		d, err := w.authorize(wanting(c.client, c.pairs...), cookie)
		w.wantNext(c.name, d, err, c.want)
	}
}

// Core §3.1.2.6: with prompt=none nothing is ever shown, and somebody without an
// account here learns no more than that nobody is signed in.
func TestPromptNoneShowsNothing(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	w.Advance(time.Minute)
	off := w.Client("Invite", func(c *client.Client) { c.Policy.Registration = client.Invite })
	cookies := map[string]string{
		"": "", "nonsense": "x", "jane": w.signIn(w.jane), "otto": w.signIn(w.otto), "jane, with a code": w.signIn(w.jane, session.OTP),
	}
	for who, cookie := range cookies {
		for _, cl := range []client.Client{w.web, w.spa, w.asks, w.native, off} {
			for _, extra := range [][]string{nil, {"max_age", "0"}, {"scope", "openid email offline_access"}, {"claims", `{"id_token":{"sub":{"value":"x"}}}`}} {
				d, err := w.authorize(wanting(cl, append(extra, "prompt", "none")...), cookie)
				if err != nil || d.Reply == nil {
					t.Errorf("%s in %s with %v: got %+v, %v", who, cl.Name, extra, d, err)
				} else if (who == "" || who == "nonsense") && next(d) != oauth.LoginRequired {
					t.Errorf("%s in %s with %v: got %s, want login_required", who, cl.Name, extra, next(d))
				}
			}
		}
	}
}

// RFC 9207: a client of two servers must see which of them answers, whichever
// door the browser came back by.
func TestAnswersNameTheIssuerOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	handle := w.decide(wanting(w.web), "").Login.Handle
	other := visitor
	other.Base = "https://other.example.com"
	d, err := w.OAuth.Continue(t.Context(), handle, cookie, other)
	w.wantNext("at another door", d, err, "code")
	if got := told(d, "iss"); got != rig.Base {
		t.Errorf("iss: got %q, want that of the request", got)
	}
	if g := w.grantOf(told(d, "code")); g.Issuer != rig.Base {
		t.Errorf("grant: got issuer %q", g.Issuer)
	}
	for _, pairs := range [][]string{{"response_type", "token"}, {"scope", "orders:read root"}, {"prompt", "none"}} {
		if got := told(w.decide(wanting(w.web, pairs...), ""), "iss"); got != rig.Base {
			t.Errorf("%v: iss is %q", pairs, got)
		}
	}
}

// A client that was changed while its request waited is judged as it is now.
func TestWaitingRequestIsJudgedByTheClientOfNow(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	cookie := w.signIn(w.jane)
	change := func(cl client.Client, how func(*client.Client)) {
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			c, err := client.ByID(ctx, tx, cl.ID)
			if err != nil {
				return err
			}
			how(&c)
			return client.Update(ctx, tx, c, w.Now())
		})
	}
	handle := w.decide(wanting(w.web), "").Login.Handle
	change(w.web, func(c *client.Client) { c.Policy.RedirectURIs = []string{"https://new.example/cb"} })
	_, err := w.OAuth.Continue(t.Context(), handle, cookie, visitor)
	wantError(t, "its address is gone", err, oauth.InvalidRequest)
	change(w.spa, func(c *client.Client) { c.Active = false })
	_, err = w.authorize(wanting(w.spa), cookie)
	wantError(t, "switched off", err, oauth.InvalidRequest)
}

func TestStrangersCannotFillTheTable(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	got := map[string]int{}
	for range 620 {
		if _, err := w.authorize(wanting(w.web), ""); err != nil {
			got["limited"]++
		} else {
			got["login"]++
		}
	}
	if want := map[string]int{"login": 600, "limited": 20}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
