package snooplytics_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// What differs between two answers to the same question: ids, and the address asked for.
var varies = regexp.MustCompile(`"id":"[^"]*"|[a-z]+@example\.com`)

// Nobody learns from an answer, or from the work behind it, whether somebody has an
// address: contract §11, "identical answer and comparable time".
func TestNobodyLearnsWhoHasAnAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, n := newSite(t, d), 0
		for _, c := range []struct{ name, path, body string }{
			{"sign-up", "/api/auth/sign-up/email", `{"email":"%s@example.com","password":"Some-other-horse-9","name":"Somebody"}`},
			{"sign-in", signInPath, `{"email":"%s@example.com","password":"Some-other-horse-9"}`},
			{"reset", "/api/auth/request-password-reset", `{"email":"%s@example.com"}`},
			{"magic link", "/api/auth/sign-in/magic-link", `{"email":"%s@example.com"}`},
			{"verification", "/api/auth/send-verification-email", `{"email":"%s@example.com"}`},
		} {
			asked := func(name string) (answer, int64) {
				before := d.Stats().Statements
				got := s.browser(from(&n)).ask("POST", c.path, fmt.Sprintf(c.body, name))
				return got, d.Stats().Statements - before
			}
			known, work := asked("ada")
			unknown, other := asked("eve")
			a, b := varies.ReplaceAllString(known.text, ""), varies.ReplaceAllString(unknown.text, "")
			if known.status != unknown.status || a != b || work != other {
				t.Errorf("%s: somebody's: %d %s in %d statements\nnobody's:  %d %s in %d", c.name, known.status, known.text, work, unknown.status, unknown.text, other)
			}
			for name := range known.header {
				if len(known.header[name]) != len(unknown.header[name]) {
					t.Errorf("%s: header %s: %q, and %q", c.name, name, known.header[name], unknown.header[name])
				}
			}
		}
	})
}

// A session that somebody planted is worth nothing once its owner has proved more: each
// step gives a new cookie, and the old one opens nothing (contract §10).
func TestEveryStepUpGivesANewCookie(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		b := s.browser("192.0.2.1")
		stale := func(step, old string) {
			t.Helper()
			if b.cookies[sessionName] == old {
				t.Fatalf("%s kept the cookie", step)
			}
			thief := s.browser("192.0.2.66")
			thief.cookies[sessionName] = old
			if old != "" && thief.who() != "" {
				t.Errorf("%s: the old cookie opens the session still", step)
			}
			if b.who() != string(s.ada.ID) {
				t.Errorf("%s: the new cookie opens nothing", step)
			}
		}
		planted := strings.Repeat("ab", 32)
		b.cookies[sessionName] = planted
		b.post(200, signInPath, adaSignsIn)
		stale("sign-in", planted)

		old := b.cookies[sessionName]
		secret := b.withApp()
		stale("a second factor", old)

		old = b.cookies[sessionName]
		s.Advance(time.Minute)
		b.post(200, "/api/auth/two-factor/verify-totp", `{"code":"`+s.app(secret)+`"}`)
		stale("a code of it", old)

		old = b.cookies[sessionName]
		b.post(200, "/api/auth/change-password", `{"currentPassword":"`+password+`","newPassword":"Another-horse-8"}`)
		stale("a new password", old)

		old = b.cookies[sessionName]
		s.Advance(time.Minute)
		b.post(200, "/api/auth/two-factor/disable", `{"password":"Another-horse-8"}`)
		stale("no second factor", old)
	})
}

// The body of a sign-in tells a name of the session, which no cookie, key or bearer
// header makes a credential of.
func TestTokenOfTheBodyOpensNothing(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	b := s.browser("192.0.2.1")
	got := b.post(200, signInPath, adaSignsIn)
	token := regexp.MustCompile(`"token":"([0-9a-f]{64})"`).FindStringSubmatch(got.text)[1]
	thief := s.browser("192.0.2.66")
	thief.cookies[sessionName] = token
	if thief.who() != "" {
		t.Error("as a cookie it does")
	}
	for _, h := range [][2]string{{"X-Api-Key", token}, {"Authorization", "Bearer " + token}} {
		if got := s.browser("192.0.2.66").ask("GET", "/api/auth/list-sessions", "", h[0], h[1]); got.status != 401 {
			t.Errorf("as %s: got %d", h[0], got.status)
		}
	}
}

// tricks are addresses that look like ours, or like a path, to somebody.
var tricks = []string{
	"https://evil.example", "//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, `/\/evil.example`, "/\t/evil.example", "/\n/evil.example",
	" https://evil.example", "\x01https://evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example",
	"https://app.example.com@evil.example", "https://app.example.com:443@evil.example", "https://app.example.com%2f@evil.example",
	"https://app.example.com.evil.example", "https://evil.example/https://app.example.com", "https://evil.example#https://app.example.com",
	`https://app.example.com\@evil.example`, "http://app.example.com", "https://app.example.com:8443", "https://APP.example.com.evil.example",
	"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "com.example.other:/done",
	"/%2f/evil.example", "/%2fevil.example", "/%5cevil.example", "/%252fevil.example", "/%255cevil.example", "%2f%2fevil.example", "/..//evil.example/..//",
	"https://[::1]", "https://app.example.com。evil.example", "https://еxample.com", "?//evil.example", "#//evil.example", "evil.example", "null",
}

func TestNoCallbackLeadsAway(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	ip := 0
	fresh := func() *browser { ip++; return s.browser(fmt.Sprintf("198.51.%d.%d", 100+ip/250, ip%250)) }
	for _, trick := range tricks {
		body := func(field string) string {
			return `{"email":"ada@example.com","password":"` + password + `","provider":"google","name":"x","` + field + `":` + quoted(trick) + `}`
		}
		for _, c := range []struct{ path, field string }{
			{signInPath, "callbackURL"}, {"/api/auth/sign-up/email", "callbackURL"}, {"/api/auth/sign-in/social", "callbackURL"},
			{"/api/auth/sign-in/social", "errorCallbackURL"}, {"/api/auth/sign-in/magic-link", "callbackURL"}, {"/api/auth/sign-in/magic-link", "newUserCallbackURL"},
			{"/api/auth/sign-in/magic-link", "errorCallbackURL"}, {"/api/auth/request-password-reset", "redirectTo"}, {"/api/auth/send-verification-email", "callbackURL"},
		} {
			if trick == "/..//evil.example/..//" {
				continue // a path of the application's, whatever it looks like; see below
			}
			if got := fresh().ask("POST", c.path, body(c.field)); got.status != 403 || got.Code != "INVALID_CALLBACK_URL" && got.Code != "INVALID_REDIRECT_URL" {
				t.Errorf("%s %s=%q: got %d %s", c.path, c.field, trick, got.status, got.text)
			}
		}
		for _, path := range []string{"/api/auth/verify-email?token=x&callbackURL=", "/api/auth/magic-link/verify?token=x&callbackURL=", "/api/auth/magic-link/verify?token=x&errorCallbackURL=", "/api/auth/reset-password/x?callbackURL="} {
			got := fresh().ask("GET", path+escaped(trick), "")
			if to := got.header.Get("Location"); got.status != 403 && !strings.HasPrefix(to, origin+"/") {
				t.Errorf("GET %s%q: got %d to %q", path, trick, got.status, to)
			}
		}
	}
	for _, good := range []string{"/", "/home?a=b#c", origin, origin + "/x", "com.example.snoop:/done", "https://auth.example.com/home"} {
		if got := fresh().ask("POST", signInPath, `{"email":"ada@example.com","password":"`+password+`","callbackURL":`+quoted(good)+`}`); got.status != 200 {
			t.Errorf("callbackURL=%q: got %d %s", good, got.status, got.text)
		}
	}
}

// Whatever a cookie of ours opens is closed to the pages of others (contract §1.4).
func TestForeignPagesChangeNothing(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	ip := 0
	for _, from := range []struct {
		name    string
		headers []string
		ok      bool
	}{
		{"ours", nil, true},
		{"this host", []string{"Origin", "https://auth.example.com"}, true},
		{"same-origin, without Origin", []string{"Origin", "", "Sec-Fetch-Site", "same-origin"}, true},
		{"same-site, without Origin", []string{"Origin", "", "Sec-Fetch-Site", "same-site"}, true},
		{"another", []string{"Origin", "https://evil.example"}, false},
		{"another that claims the site", []string{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "same-site"}, false},
		{"a prefix of ours", []string{"Origin", "https://app.example.com.evil.example"}, false},
		{"ours by http", []string{"Origin", "http://app.example.com"}, false},
		{"a sandboxed frame", []string{"Origin", "null"}, false},
		{"cross-site, without Origin", []string{"Origin", "", "Sec-Fetch-Site", "cross-site"}, false},
		{"none said", []string{"Origin", ""}, false},
	} {
		ip++
		b := s.browser(fmt.Sprintf("198.51.100.%d", ip))
		b.post(200, signInPath, adaSignsIn)
		for _, c := range []struct{ path, body string }{
			{"/api/auth/revoke-other-sessions", ""},
			{"/api/auth/revoke-session", `{"id":"00000000-0000-7000-8000-000000000000"}`},
			{"/api/auth/sign-out", ""},
		} {
			got := b.ask("POST", c.path, c.body, from.headers...)
			if want := map[bool]int{true: 200, false: 403}[from.ok]; got.status != want {
				t.Errorf("%s, %s: got %d %s", from.name, c.path, got.status, got.text)
			}
			if shared := got.header.Get("Access-Control-Allow-Origin"); shared != "" && !from.ok || shared == "*" {
				t.Errorf("%s, %s: shared with %q", from.name, c.path, shared)
			}
		}
		if signedIn := b.who() != ""; signedIn == from.ok {
			t.Errorf("%s: signed in %v after a sign-out", from.name, signedIn)
		}
	}
}
