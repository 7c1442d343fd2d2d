package accountmaker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
)

// sender is where a request comes from and what it carries: one point of all that
// the rules of contract §4 tell apart.
type sender struct {
	origin, site          string
	session, access       bool   // the CSRF cookie, a token cookie
	csrf                  string // "", valid, another's, forged
	bearer, strict        bool
	byCookie, wantsTokens bool // a refresh, by the cookie
}

// refusal is what the contract says of a request, "" for one that goes on.
func (s sender) refusal() string {
	listed := s.origin == "https://auth.example.com" || s.origin == "https://app.example.com"
	switch {
	case s.origin != "" && !listed: // 1, bearer or not
		return "origin-not-allowed"
	case s.site == "cross-site" && !listed: // 4
		return "origin-not-allowed"
	case s.csrf != "" && (s.csrf != "valid" || !s.session): // 3
		return "csrf-invalid"
	case s.csrf != "" || s.bearer: // 4, 5
		return ""
	case s.origin == "" && s.strict: // 2
		return "origin-not-allowed"
	case s.origin == "" && (s.session || s.access): // 2
		return "csrf-invalid"
	case s.origin == "":
		return ""
	case s.strict && (s.session || s.byCookie): // 4
		return "csrf-invalid"
	}
	return ""
}

// every is all of them.
func every(yield func(sender)) {
	both := []bool{false, true}
	for _, origin := range []string{"", "https://auth.example.com", "https://app.example.com", "https://other.example.com", "https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com"} {
		for _, site := range []string{"", "same-origin", "same-site", "cross-site", "none"} {
			for _, csrf := range []string{"", "valid", "another's", "forged"} {
				for _, session := range both {
					for _, access := range both {
						for _, bearer := range both {
							for _, strict := range both {
								yield(sender{origin: origin, site: site, session: session, access: access, csrf: csrf, bearer: bearer, strict: strict})
								yield(sender{origin: origin, site: site, session: session, access: access, csrf: csrf, bearer: bearer, strict: strict, wantsTokens: true})
								yield(sender{origin: origin, site: site, session: session, access: access, csrf: csrf, bearer: bearer, strict: strict, wantsTokens: true, byCookie: true})
							}
						}
					}
				}
			}
		}
	}
}

// Each combination of what rules 1 to 5 of contract §4 look at is let through or
// refused as they say, and a page reads the answer if it may call.
func TestWhereARequestComesFrom(t *testing.T) {
	t.Parallel()
	r := rig.New(t, dbtest.SQLite(t))
	lax := r.Client("Lax", func(c *client.Client) { policy(&c.Policy) })
	strict := r.Client("Strict", func(c *client.Client) {
		policy(&c.Policy)
		c.Policy.StrictCSRF = true
	})
	r.Client("Other", func(c *client.Client) { c.Policy.AllowedOrigins = []string{"https://other.example.com"} })
	api := newAPI(t, r, func() client.ID { return "" })
	r.Mount(api.Routes(), api.MethodNotAllowed)
	d := &desk{Rig: r, h: r.Handler()}
	cookie, tokens := "", map[string]string{"forged": "AAAA.AAAA"}
	for _, whose := range []string{"another's", "valid"} {
		w := d.ask("GET", "/auth/csrf-session", "", map[string]string{"Accept": "application/json"})
		var out struct {
			Token string `json:"csrf_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || len(w.Result().Cookies()) != 1 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		cookie, tokens[whose] = w.Result().Cookies()[0].Value, out.Token
	}
	n := 0
	every(func(s sender) {
		n++
		w := d.send(s, map[bool]client.ID{false: lax.ID, true: strict.ID}[s.strict], cookie, tokens[s.csrf])
		want, status := s.refusal(), http.StatusForbidden
		switch {
		case want == "" && s.wantsTokens:
			want, status = "invalid-refresh-token", http.StatusUnauthorized
		case want == "":
			status = http.StatusOK
		}
		var out struct {
			Code string `json:"code"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Error(err)
		}
		if w.Code != status || out.Code != want {
			t.Errorf("%+v: got %d %q, want %d %q", s, w.Code, out.Code, status, want)
		}
		readable := s.origin == "https://auth.example.com" || s.origin == "https://app.example.com"
		if got := w.Header().Get("Access-Control-Allow-Origin"); readable != (got == s.origin && got != "") || !readable && got != "" {
			t.Errorf("%+v: readable for %q", s, got)
		}
	})
	if n != 8*5*4*16*3 {
		t.Errorf("%d cases", n)
	}
}

// send asks for the login methods, or refreshes with a token that is nobody's.
func (d *desk) send(s sender, id client.ID, cookie, csrf string) *httptest.ResponseRecorder {
	header, path, body := map[string]string{"X-Client-Id": identity.KSUID("cid", string(id)), "Content-Type": "application/json"}, "/auth/login-methods", "{}"
	for name, value := range map[string]string{"Origin": s.origin, "Sec-Fetch-Site": s.site, "X-CSRF-Token": csrf} {
		if value != "" {
			header[name] = value
		}
	}
	var cookies []string
	if s.session {
		cookies = append(cookies, "csrf_session="+cookie)
	}
	if s.access {
		cookies = append(cookies, "access_token=x")
	}
	if s.wantsTokens {
		path, body = "/auth/refresh", `{"refresh_token":"nobody's"}`
	}
	if s.byCookie {
		body = ""
	}
	if len(cookies) > 0 {
		header["Cookie"] = strings.Join(cookies, "; ")
	}
	if s.bearer {
		header["Authorization"] = "Bearer x"
	}
	return d.ask("POST", path, body, header)
}

// A body that is larger than 64 KiB is refused wherever one is read, one of just
// that is not for its size (contract §1); so is one that is no JSON (§4, 6).
func TestBodiesThatNoRouteTakes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	filled := func(size int) string {
		const around = `{"nothing":""}`
		return `{"nothing":"` + strings.Repeat("x", size-len(around)) + `"}`
	}
	api := newAPI(t, d.Rig, func() client.ID { return "" })
	seen := 0
	for _, route := range api.Routes() {
		form := strings.HasSuffix(route.Pattern, "/callback") || strings.Contains(route.Pattern, "/callback/") || strings.HasSuffix(route.Pattern, "/confirm")
		if route.Method != http.MethodPost && route.Method != http.MethodPatch || form {
			continue
		}
		seen++
		path := strings.NewReplacer("{id}", "acc_000000000000000000000000000", "{feature}", "beta").Replace(route.Pattern)
		ask := func(body, kind string) (int, string) {
			w := d.ask(route.Method, path, body, map[string]string{"Authorization": "Bearer " + d.access, "Content-Type": kind})
			return w.Code, w.Body.String()
		}
		for name, c := range map[string]struct{ body, kind string }{
			"too large":     {filled(64<<10 + 1), "application/json"},
			"no JSON":       {"nothing", "application/json"},
			"a list":        {"[]", "application/json"},
			"a form":        {"email=a%40example.com", "application/x-www-form-urlencoded"},
			"another type":  {"{}", "text/plain"},
			"two documents": {"{}{}", "application/json"},
		} {
			if status, text := ask(c.body, c.kind); status != http.StatusBadRequest || !strings.Contains(text, `"code":"invalid-request"`) {
				t.Errorf("%s %s, %s: got %d %.200s, want 400", route.Method, path, name, status, text)
			}
		}
		whole, _ := ask(filled(64<<10), "application/json")
		empty, _ := ask("{}", "application/json")
		if limited := http.StatusTooManyRequests; whole != empty && whole != limited && empty != limited {
			t.Errorf("%s %s: got %d for 64 KiB, %d for {}", route.Method, path, whole, empty)
		}
	}
	if seen < 15 {
		t.Errorf("only %d routes", seen)
	}
}

// Whoever counts what the database is asked, by the time that an answer takes,
// does not learn who has an account (contract §3.12, §3.13, §3.14).
func TestStatementsTellNobodyWhoExists(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for path, body := range map[string]string{
		"/auth/sign-in":             `{"email":%q,"password":"not theirs"}`,
		"/auth/send-magic-link":     `{"email":%q}`,
		"/auth/send-password-reset": `{"email":%q}`,
	} {
		count := func(email string) [3]int64 {
			before := d.DB.Stats()
			w := d.ask("POST", path, fmt.Sprintf(body, email), nil)
			if w.Code != http.StatusUnauthorized && w.Code != http.StatusNoContent {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			after := d.DB.Stats()
			return [3]int64{after.Statements - before.Statements, after.Reads - before.Reads, after.Transactions - before.Transactions}
		}
		count("first@example.com") // the first call of a while also reads the client
		if known, unknown := count("ada@example.com"), count("ghost@example.com"); known != unknown {
			t.Errorf("%s: statements, reads and writes %v for somebody, %v for nobody", path, known, unknown)
		}
	}
}
