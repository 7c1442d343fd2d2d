package keymaster_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"

	"github.com/pquerna/otp/totp"
)

// Limits see one address, however it is written, and one network.
func TestLimitsAreNotEvadedBySpelling(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	a.User("kim@example.com", "Kim", password, demo)
	n := 0
	for i, e := range []string{"kim@example.com", "KIM@example.com", " kim@example.com ", "\u212aim@example.com", "Kim@EXAMPLE.com", "kim@example.com\t", "kIm@example.com", "kiM@example.com"} {
		from := fmt.Sprintf("198.51.%d.1", 100+i)
		if a.send(from, "POST", "/auth/login", fmt.Sprintf(`{"email":%q,"password":"wrong","app_id":%q}`, e, demo.ID)).StatusCode == 401 {
			n++
		}
	}
	if n > 5 {
		t.Errorf("%d guesses at one address by spelling it differently", n)
	}
	n = 0
	for i := range 40 {
		from := fmt.Sprintf("2001:db8:1:2:%x::%x", i, i)
		if i%2 == 1 {
			from = "2001:db8:1:2::" + fmt.Sprintf("%x%%eth0", i)
		}
		if a.send(from, "POST", "/auth/login", fmt.Sprintf(`{"email":"u%d@example.com","password":"wrong","app_id":%q}`, i, demo.ID)).StatusCode == 401 {
			n++
		}
	}
	if n > 20 {
		t.Errorf("%d guesses from one /64", n)
	}
	n = 0
	for i := range 40 { // what a client claims to the left of its proxy's word
		from := fmt.Sprintf("10.0.0.%d, 203.0.113.50", i)
		if a.send(from, "POST", "/auth/login", fmt.Sprintf(`{"email":"x%d@example.com","password":"wrong","app_id":%q}`, i, demo.ID)).StatusCode == 401 {
			n++
		}
	}
	if n > 20 {
		t.Errorf("%d guesses with X-Forwarded-For made up", n)
	}
}

// A page of another origin never gets an answer with the browser's cookie, and
// never one of the account or admin API.
func TestOtherOriginsReadNothingWithCookies(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	a.Client("Demo", nil)
	for _, origin := range []string{"https://app.example.com", "https://evil.example", "null", "https://app.example.com.evil.example", "https://auth.example.com"} {
		for _, path := range []string{"/account/me", "/account/password", "/account/totp/setup", "/admin/apps", "/admin/users", "/auth/magic-link/verify"} {
			for _, method := range []string{"OPTIONS", "GET", "POST"} {
				got := a.send("203.0.113.9", method, path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-requested-with")
				if h := got.Header.Get("Access-Control-Allow-Origin"); h != "" {
					t.Errorf("%s %s lets %s read: %q", method, path, origin, h)
				}
			}
		}
		for _, path := range []string{"/auth/login", "/token/refresh", "/auth/logout", "/auth/signup", "/.well-known/jwks.json"} {
			got := a.send("203.0.113.9", "OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST")
			if got.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s allows credentials", path)
			}
			if h := got.Header.Get("Access-Control-Allow-Origin"); h != "" && h != "*" && h != "https://app.example.com" {
				t.Errorf("%s lets %s read: %q", path, origin, h)
			}
		}
	}
}

// A change that only the cookie authorizes needs the header that other sites
// cannot send, and JSON that their forms cannot.
func TestCookieAloneChangesNothing(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	a.User("jane@example.com", "Jane", password, demo)
	cookie := "km_sso=" + a.login(demo, "jane@example.com", password).Cookies()[0].Value
	for _, c := range [][]string{
		{"Cookie", cookie},
		{"Cookie", cookie, "X-Requested-With", "XMLHttpRequest"},
		{"Cookie", cookie, "X-Requested-With", "keymaster", "Content-Type", "text/plain"},
		{"Cookie", cookie, "X-Requested-With", "keymaster", "Content-Type", "application/x-www-form-urlencoded"},
		{"Cookie", cookie, "X-Requested-With", "keymaster", "Authorization", "Bearer x"},
		{"Cookie", cookie, "X-Requested-With", "keymaster", "Authorization", "Basic x"},
	} {
		got := a.send("203.0.113.9", "PATCH", "/account/me", `{"display_name":"Changed"}`, c...)
		if got.StatusCode == 200 {
			t.Errorf("%v changes the account", c[2:])
		}
	}
	if got := a.send("203.0.113.9", "POST", "/account/totp/setup", ``, "Cookie", cookie, "X-HTTP-Method-Override", "POST"); got.StatusCode == 200 {
		t.Error("no header")
	}
}

// A challenge is of its user and application alone: it cannot be answered with
// the code of somebody else, nor twice, nor after the password has changed.
func TestChallengesAreNotMixedUp(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	codes := map[string]string{}
	for _, name := range []string{"tom", "eve"} {
		a.User(name+"@example.com", name, password, demo)
		access := a.login(demo, name+"@example.com", password).get("access_token")
		s := a.post("/account/totp/setup", m{"password": password}, bearer(access)...).get("secret")
		a.post("/account/totp/enable", m{"code": otpAt(t, s, a.Now())}, bearer(access)...)
		codes[name] = s
	}
	a.Advance(time.Minute)
	tom := a.login(demo, "tom@example.com", password).get("totp_session")
	if got := a.post("/auth/totp/verify", m{"totp_session": tom, "code": otpAt(t, codes["eve"], a.Now())}); got.StatusCode != 401 {
		t.Errorf("Eve's code for Tom: %d", got.StatusCode)
	}
	code := otpAt(t, codes["tom"], a.Now())
	var won int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if a.post("/auth/totp/verify", m{"totp_session": tom, "code": code}).StatusCode == 200 {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("one code signed in %d times", won)
	}
	again := a.login(demo, "tom@example.com", password).get("totp_session")
	if got := a.post("/auth/totp/verify", m{"totp_session": again, "code": code}); got.StatusCode != 401 {
		t.Errorf("the same step again: %d", got.StatusCode)
	}
	// The old password's challenge ends with a reset.
	a.Advance(time.Hour)
	stale := a.login(demo, "tom@example.com", password).get("totp_session")
	a.Mail("tom@example.com") // earlier notices: mails of one round come in any order
	a.post("/auth/forgot-password", m{"email": "tom@example.com", "app_id": demo.ID})
	text, _ := a.Mail("tom@example.com")
	token := regexp.MustCompile(`token=([0-9a-f]{64})`).FindStringSubmatch(text)[1]
	a.post("/auth/reset-password", m{"token": token, "password": "another good password"})
	if got := a.post("/auth/totp/verify", m{"totp_session": stale, "code": otpAt(t, codes["tom"], a.Now())}); got.StatusCode != 400 {
		t.Errorf("a challenge from before the reset: %d %s", got.StatusCode, got.text)
	}
}

// A partial session, which waits for a second factor, is no way past it.
func TestPartialSessionIsNoSignIn(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", nil)
	strict := a.Client("Strict", func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired })
	a.User("jane@example.com", "Jane", password, demo, strict)
	got := a.login(strict, "jane@example.com", password)
	if got.StatusCode != 403 || len(got.Cookies()) != 1 {
		t.Fatalf("%d %v", got.StatusCode, got.Cookies())
	}
	page := a.SignIn
	for _, c := range []client.Client{demo, strict} {
		p, err := page.Login(context.Background(), resume(got.Cookies()[0].Value, c))
		if err != nil || p.In != nil {
			t.Errorf("%s: a partial session signs in: %v %v", c.Name, p.In != nil, err)
		}
	}
}

// Roles, tenants, page numbers and searches in the admin API are what they say.
func TestAdminListsTakeNoTricks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := newHostile(t, d)
		vars := map[string]string{}
		newOffice(a.Rig, vars)
		console := client.Client{ID: client.ID(vars["console"])}
		root := a.login(console, "root@example.com", password).get("access_token")
		for _, q := range []string{"search=%25", "search=_", "search=!", "search=%27", "search=%5C"} {
			got := a.send("203.0.113.9", "GET", "/admin/users?"+q, "", bearer(root)...)
			if got.StatusCode != 200 || !strings.Contains(got.text, `"total":0`) {
				t.Errorf("%s: %d %.100s", q, got.StatusCode, got.text)
			}
		}
		for _, q := range []string{"page=0", "page=-1", "page=9223372036854775807", "limit=0", "limit=201", "limit=1e2", "page=1&page=2", "limit=+1", "page=1048577"} {
			if got := a.send("203.0.113.9", "GET", "/admin/users?"+q, "", bearer(root)...); got.StatusCode != 422 {
				t.Errorf("%s: %d %.100s", q, got.StatusCode, got.text)
			}
		}
		amy := a.login(client.Client{ID: client.ID(vars["board"])}, "amy@example.com", password).get("access_token")
		for _, c := range []struct {
			method, path string
			body         any
		}{
			{"POST", "/admin/users", m{"email": "boss@example.com", "is_platform_admin": true}},
			{"PUT", "/admin/users/" + vars["amy"] + "/roles", m{"app_id": vars["console"], "roles": []string{"admin"}}},
			{"PUT", "/admin/apps/" + vars["board"], m{"tenant_id": vars["acme"]}},
			{"PUT", "/admin/apps/" + vars["shop"], m{"name": "Mine"}},
			{"POST", "/admin/apps", m{"name": "Mine", "is_console": true, "tenant_id": vars["acme"]}},
			{"POST", "/admin/invites", m{"app_id": vars["console"], "email": "amy@example.com", "roles": []string{"admin"}}},
			{"POST", "/admin/apps/" + vars["console"] + "/regenerate-secret", nil},
			{"GET", "/admin/audit?app_id=" + vars["console"], nil},
			{"GET", "/admin/users", nil},
		} {
			b := ""
			if c.body != nil {
				b = toJSON(c.body)
			}
			if got := a.send("203.0.113.9", c.method, c.path, b, bearer(amy)...); got.StatusCode < 400 {
				t.Errorf("%s %s by an app's administrator: %d %s", c.method, c.path, got.StatusCode, got.text)
			}
		}
	})
}

// Refresh tokens are not made up from one another, and one app's are no other's.
func TestRefreshTokensAreNotMadeUp(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo, other := a.Client("Demo", nil), a.Client("Other", nil)
	a.User("jane@example.com", "Jane", password, demo, other)
	raw := a.login(demo, "jane@example.com", password).get("refresh_token")
	for _, x := range []string{strings.ToUpper(raw), raw[:63] + "g", raw + "0", raw[:16] + strings.Repeat("0", 48), strings.Repeat("0", 64), raw[:48] + strings.Repeat("0", 16)} {
		if got := a.post("/token/refresh", m{"refresh_token": x, "app_id": demo.ID}); got.StatusCode != 401 {
			t.Errorf("%s: %d", x, got.StatusCode)
		}
		a.post("/token/revoke", m{"refresh_token": x})
	}
	if got := a.post("/token/refresh", m{"refresh_token": raw, "app_id": other.ID}); got.get("detail") != "Token does not belong to this app" {
		t.Errorf("another app: %s", got.text)
	}
	if got := a.post("/token/refresh", m{"refresh_token": raw, "app_id": demo.ID}); got.StatusCode != http.StatusOK {
		t.Errorf("after all that the token itself: %d %s", got.StatusCode, got.text)
	}
}

// No change of a token's text, header or key makes another token of it.
func TestForgedTokensOpenNothing(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	shared := a.Client("Shared", nil)
	demo := a.Client("Demo", nil)
	a.User("jane@example.com", "Jane", password, demo, shared)
	access := a.login(demo, "jane@example.com", password).get("access_token")
	part := strings.Split(access, ".")
	b64 := base64.RawURLEncoding
	header := func(h string) string { return b64.EncodeToString([]byte(h)) }
	decoded, _ := b64.DecodeString(part[0])
	var h struct{ Kid string }
	_ = json.Unmarshal(decoded, &h)
	payload, _ := b64.DecodeString(part[1])
	other := b64.EncodeToString(bytes.Replace(payload, []byte(`"roles":["user"]`), []byte(`"roles":["admin"]`), 1))
	for name, forged := range map[string]string{
		"alg none":            header(`{"alg":"none","typ":"JWT"}`) + "." + part[1] + ".",
		"alg None":            header(`{"alg":"None","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"hs256 under rsa kid": header(`{"alg":"HS256","kid":"`+h.Kid+`","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"rs256 without kid":   header(`{"alg":"RS256","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"other kid":           header(`{"alg":"RS256","kid":"x' OR 1=1 --","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"other payload":       part[0] + "." + other + "." + part[2],
		"no signature":        part[0] + "." + part[1] + ".",
		"jwk":                 header(`{"alg":"RS256","typ":"JWT","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`) + "." + part[1] + "." + part[2],
		"trailing bits":       access[:len(access)-1] + string(access[len(access)-1]+1),
		"line break":          part[0] + "." + part[1] + "." + part[2] + "\n",
		"padding":             access + "==",
		"json serialization":  `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
		"four parts":          access + "." + part[2],
		"duplicate alg":       header(`{"alg":"none","alg":"RS256","kid":"`+h.Kid+`","typ":"JWT"}`) + "." + part[1] + "." + part[2],
		"crit":                header(`{"alg":"RS256","kid":"`+h.Kid+`","typ":"JWT","crit":["exp"]}`) + "." + part[1] + "." + part[2],
		"sixteen KiB of dots": strings.Repeat(".", 20<<10),
	} {
		if got := a.send("203.0.113.9", "GET", "/account/me", "", "Authorization", "Bearer "+forged); got.StatusCode != 401 {
			t.Errorf("%s: GET /account/me answers %d %s", name, got.StatusCode, got.text)
		}
		if got := a.post("/token/verify", m{"token": forged, "audience": demo.ID}); !strings.Contains(got.text, `"valid":false`) {
			t.Errorf("%s: /token/verify answers %s", name, got.text)
		}
	}
	for _, app := range []client.Client{shared} {
		if got := a.post("/token/verify", m{"token": access, "audience": app.ID}); got.text != `{"valid":false,"error":"Invalid audience"}` {
			t.Errorf("verify for another app answers %s", got.text)
		}
	}
}

// The three kinds of token do not pass for each other.
func TestTokenKindsAreKeptApart(t *testing.T) {
	a := newHostile(t, dbtest.SQLite(t))
	demo := a.Client("Demo", func(c *client.Client) { c.SecretHash = client.HashSecret(a.Key, "machine-secret") })
	a.User("tom@example.com", "Tom", password, demo)
	access := a.login(demo, "tom@example.com", password).get("access_token")
	setup := a.post("/account/totp/setup", m{"password": password}, bearer(access)...)
	code, _ := totp.GenerateCode(setup.get("secret"), a.Now())
	a.post("/account/totp/enable", m{"code": code}, bearer(access)...)
	challenge := a.login(demo, "tom@example.com", password).get("totp_session")
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {string(demo.ID)}, "client_secret": {"machine-secret"}, "scope": {"users:read users:create invites:create"}}
	service := a.send("203.0.113.9", "POST", "/auth/token", v.Encode(), "Content-Type", "application/x-www-form-urlencoded").get("access_token")
	if challenge == "" || service == "" {
		t.Fatalf("challenge %q, service %q", challenge, service)
	}
	for _, raw := range []string{challenge, service} {
		for _, path := range []string{"/account/me", "/account/sessions", "/admin/apps", "/admin/audit", "/admin/tenants"} {
			if got := a.send("203.0.113.9", "GET", path, "", "Authorization", "Bearer "+raw); got.StatusCode != 401 {
				t.Errorf("GET %s answers %d to a token of another kind", path, got.StatusCode)
			}
		}
		if got := a.post("/token/verify", m{"token": raw, "audience": demo.ID}); !strings.Contains(got.text, `"valid":false`) {
			t.Errorf("verify: %s", got.text)
		}
	}
	if got := a.send("203.0.113.9", "GET", "/admin/users", "", "Authorization", "Bearer "+challenge); got.StatusCode != 401 {
		t.Errorf("GET /admin/users answers %d to a challenge", got.StatusCode)
	}
	for _, raw := range []string{access, service} {
		if got := a.post("/auth/totp/verify", m{"totp_session": raw, "code": "123456"}); got.StatusCode != 400 {
			t.Errorf("/auth/totp/verify answers %d to a token of another kind", got.StatusCode)
		}
	}
}
