package pages_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
)

// rider is a browser: it keeps cookies, and goes nowhere by itself.
type rider struct {
	t    *testing.T
	w    town
	h    http.Handler
	jar  map[string]string
	csrf string
}

func (w town) rider(t *testing.T, h http.Handler) *rider {
	return &rider{t: t, w: w, h: h, jar: map[string]string{}}
}

func (b *rider) send(method, at, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	var pairs []string
	for name, value := range b.jar {
		pairs = append(pairs, name+"="+value)
	}
	got := visit(b.h, method, strings.TrimPrefix(at, rig.Base), body, append([]string{"Cookie", strings.Join(pairs, "; ")}, header...)...)
	for _, c := range got.Result().Cookies() {
		if b.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar, c.Name)
		}
	}
	if m := csrfField.FindStringSubmatch(got.Body.String()); m != nil {
		b.csrf = m[1]
	}
	return got
}

var csrfField = regexp.MustCompile(`name="csrf" value="([0-9a-f]+)"`)

func (b *rider) get(at string) *httptest.ResponseRecorder { b.t.Helper(); return b.send("GET", at, "") }

func (b *rider) post(at string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	form.Set("csrf", b.csrf)
	return b.send("POST", at, form.Encode())
}

// signedIn reports whether the browser has a session.
func (b *rider) signedIn() bool { return b.get("/account").Code == http.StatusOK }

// start begins a sign-in and returns the address at the provider.
func (b *rider) start(upstream, app string) string {
	b.t.Helper()
	got := b.get("/oauth/" + upstream + "/start?app_id=" + b.w.vars[app])
	if got.Code != http.StatusFound || !strings.HasPrefix(got.Header().Get("Location"), "http://127.0.0.1:") {
		b.t.Fatalf("start: %d %s", got.Code, got.Header().Get("Location"))
	}
	return got.Header().Get("Location")
}

// choose is somebody at the provider: the address that they are sent back to.
func (b *rider) choose(upstream, away, who string) *url.URL {
	b.t.Helper()
	back, _, err := b.w.abroad[upstream].Choose(away, people[who].ID, false)
	if err != nil {
		b.t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// with is an address with one parameter of its query replaced.
func with(u *url.URL, name, value string) string {
	c, q := *u, u.Query()
	q.Set(name, value)
	c.RawQuery = q.Encode()
	return c.String()
}

// asJane is a browser in which Jane is signed in.
func (w town) asJane(t *testing.T, h http.Handler) *rider {
	b := w.rider(t, h)
	b.get("/login?app_id=" + w.vars["social"])
	if got := b.post("/login", url.Values{"app_id": {w.vars["social"]}, "email": {"jane@example.com"}, "password": {password}}); got.Code != http.StatusFound {
		t.Fatal(got.Code, got.Body)
	}
	return b
}

// links are the upstream accounts of a person.
func (w town) links(email string) (all []identity.Link) {
	u := w.user(email)
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = identity.Links(ctx, tx, u.ID)
		return err
	})
	return all
}

// No answer signs a browser in that did not ask for it, there and then (RFC 9700
// §2.1, §4.4, §4.5, §4.7).
func TestAnswersThatNobodyAskedFor(t *testing.T) {
	for name, attack := range map[string]func(t *testing.T, w town, mallory, victim *rider) string{
		"login CSRF: the attacker's callback in the victim's browser": func(_ *testing.T, _ town, mallory, _ *rider) string {
			return mallory.choose("google", mallory.start("google", "social"), "nia").String()
		},
		"login CSRF in a browser that has begun an attempt of its own": func(_ *testing.T, _ town, mallory, victim *rider) string {
			victim.start("google", "social")
			return mallory.choose("google", mallory.start("google", "social"), "nia").String()
		},
		"code injection: the attacker's code with the victim's state": func(_ *testing.T, _ town, mallory, victim *rider) string {
			code := mallory.choose("google", mallory.start("google", "social"), "nia").Query().Get("code")
			return with(victim.choose("google", victim.start("google", "social"), "jane"), "code", code)
		},
		"code injection at an upstream without a nonce": func(_ *testing.T, _ town, mallory, victim *rider) string {
			code := mallory.choose("github", mallory.start("github", "social"), "nia").Query().Get("code")
			return with(victim.choose("github", victim.start("github", "social"), "jane"), "code", code)
		},
		"mix-up: one provider's answer at another's callback": func(_ *testing.T, _ town, _, victim *rider) string {
			return strings.Replace(victim.choose("google", victim.start("google", "social"), "jane").String(), "/google/", "/github/", 1)
		},
		"mix-up: a code of provider B with the state of A": func(_ *testing.T, _ town, _, victim *rider) string {
			code := victim.choose("github", victim.start("github", "social"), "jane").Query().Get("code")
			return with(victim.choose("google", victim.start("google", "social"), "jane"), "code", code)
		},
		"mix-up: an answer that names another issuer": func(_ *testing.T, _ town, _, victim *rider) string {
			return with(victim.choose("corp", victim.start("corp", "social"), "jane"), "iss", "https://evil.example")
		},
		"an answer without the issuer that was announced": func(_ *testing.T, _ town, _, victim *rider) string {
			u := victim.choose("corp", victim.start("corp", "social"), "jane")
			q := u.Query()
			q.Del("iss")
			u.RawQuery = q.Encode()
			return u.String()
		},
		"two states": func(_ *testing.T, _ town, mallory, victim *rider) string {
			return victim.choose("google", victim.start("google", "social"), "jane").String() + "&state=" + strings.Repeat("0", 64)
		},
		"two codes": func(_ *testing.T, _ town, mallory, victim *rider) string {
			return victim.choose("google", victim.start("google", "social"), "jane").String() + "&code=4/other"
		},
		"a code and an error": func(_ *testing.T, _ town, _, victim *rider) string {
			return victim.choose("google", victim.start("google", "social"), "jane").String() + "&error=access_denied"
		},
		"a guessed state": func(_ *testing.T, _ town, _, victim *rider) string {
			return with(victim.choose("google", victim.start("google", "social"), "jane"), "state", strings.Repeat("a", 64))
		},
		"a replay": func(t *testing.T, _ town, mallory, victim *rider) string {
			back := victim.choose("google", victim.start("google", "social"), "nia").String()
			if got := victim.get(back); got.Code != http.StatusFound || !victim.signedIn() {
				t.Fatal(got.Code)
			}
			delete(victim.jar, "km_sso")
			return back
		},
		"ten minutes later": func(_ *testing.T, w town, _, victim *rider) string {
			back := victim.choose("google", victim.start("google", "social"), "jane").String()
			w.Advance(10 * time.Minute)
			return back
		},
		"the handle of an authorization request as a state": func(t *testing.T, w town, _, victim *rider) string {
			to := victim.get(w.authorize("social", "")).Header().Get("Location")
			_, handle, ok := strings.Cut(to, "request=")
			if !ok {
				t.Fatal(to)
			}
			return with(victim.choose("google", victim.start("google", "social"), "jane"), "state", handle)
		},
		"a posted answer from another site, without the cookie that is Lax": func(_ *testing.T, _ town, _, victim *rider) string {
			u := victim.choose("google", victim.start("google", "social"), "jane")
			delete(victim.jar, "km_oauth")
			victim.send("POST", "/oauth/google/callback", u.RawQuery)
			return "/login"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, h := browsed(t)
			mallory, victim := w.rider(t, h), w.rider(t, h)
			got := victim.get(attack(t, w, mallory, victim))
			to := got.Header().Get("Location")
			if strings.Contains(to, "token=") || strings.Contains(to, "code=") || strings.HasPrefix(to, "https://app") || victim.signedIn() {
				t.Errorf("%d to %s, and signed in: %v", got.Code, to, victim.signedIn())
			}
		})
	}
}

// What a stranger does with somebody's callback robs them of nothing: the attempt
// is still theirs.
func TestStrangersDoNotSpendAnAttempt(t *testing.T) {
	w, h := browsed(t)
	owner, stranger := w.rider(t, h), w.rider(t, h)
	back := owner.choose("google", owner.start("google", "social"), "nia")
	stranger.get(back.String())
	owner.get(strings.Replace(back.String(), "/google/", "/github/", 1))
	stranger.get(with(back, "error", "access_denied"))
	if got := owner.get(back.String()); !strings.HasPrefix(got.Header().Get("Location"), "https://app.example.com/callback?access_token=") {
		t.Errorf("got %d to %s", got.Code, got.Header().Get("Location"))
	}
}

// The state is ours, never one that somebody gives; the application's own comes
// back to it and is nothing to the provider.
func TestStateIsNotFixated(t *testing.T) {
	w, h := browsed(t)
	b := w.rider(t, h)
	given := strings.Repeat("f", 64)
	first := b.get("/oauth/google/start?app_id=" + w.vars["social"] + "&state=" + given).Header().Get("Location")
	second := b.get("/oauth/google/start?app_id=" + w.vars["social"] + "&state=" + given).Header().Get("Location")
	q, again := mustQuery(t, first), mustQuery(t, second)
	if q.Get("state") == given || q.Get("state") == again.Get("state") || len(q.Get("state")) != 64 || q.Get("nonce") == again.Get("nonce") {
		t.Errorf("states %s and %s", q.Get("state"), again.Get("state"))
	}
	// Nor is the cookie one of an attacker's making.
	b.jar["km_oauth"] = "attacker"
	b.start("google", "social")
	if len(b.jar["km_oauth"]) != 64 {
		t.Errorf("took the cookie %q", b.jar["km_oauth"])
	}
}

func mustQuery(t *testing.T, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// Sign-in by an upstream sends a browser to the provider, to a registered
// address, or to our own pages, whatever it is told (RFC 9700 §4.11).
func TestUpstreamsAreNoOpenRedirect(t *testing.T) {
	w, h := browsed(t)
	evil := []string{
		"https://evil.example/", "//evil.example", `\\evil.example`, `/\evil.example`, "https:evil.example", "https://app.example.com@evil.example/callback",
		"https://app.example.com.evil.example/callback", "https://app.example.com/callback/../../x", "https%3A%2F%2Fevil.example", "%2f%2fevil.example",
		"javascript:alert(1)", "https://app.example.com/callback#@evil.example", "https://app.example.com/callback?next=//evil.example", "\thttps://evil.example",
		"https://app.example.com\\.evil.example/callback", "HTTPS://APP.EXAMPLE.COM/callback", "https://app.example.com/callback%0d%0aLocation:%20//evil.example",
	}
	ours := func(to string) bool {
		return to == "" || strings.HasPrefix(to, "/login?") && !strings.HasPrefix(to, "//") || to == "/login"
	}
	for _, one := range evil {
		b, q := w.rider(t, h), url.QueryEscape(one)
		if got := b.get("/oauth/google/start?app_id=" + w.vars["social"] + "&redirect_uri=" + q); got.Code != http.StatusBadRequest || got.Header().Get("Location") != "" || b.jar["km_oauth"] != "" {
			t.Errorf("redirect_uri %q: %d %s", one, got.Code, got.Header().Get("Location"))
		}
		for _, at := range []string{
			"/oauth/google/start?request=" + q, "/oauth/google/start?app_id=" + q, "/oauth/" + url.PathEscape(one) + "/start?app_id=" + w.vars["social"],
			"/oauth/google/callback?error=" + q, "/oauth/google/callback?state=" + q + "&redirect_uri=" + q, "/oauth/" + url.PathEscape(one) + "/callback",
			"/oauth/google/callback?error=access_denied&error_uri=" + q, "/oauth/google/callback?code=" + q,
		} {
			if got := b.get(at); !ours(got.Header().Get("Location")) || strings.Contains(got.Header().Get("Location"), "redirect_uri=") {
				t.Errorf("%s: %d to %s", at, got.Code, got.Header().Get("Location"))
			}
		}
		for _, name := range []string{"error", "reason", "connected", "prove", "oauth_token"} {
			for _, page := range []string{"/login?app_id=" + w.vars["social"] + "&", "/account?"} {
				got := b.get(page + name + "=" + q)
				if got.Header().Get("Location") != "" || strings.Contains(got.Body.String(), "evil.example") && name != "oauth_token" {
					t.Errorf("%s%s=%s: %d to %q, or repeats it", page, name, one, got.Code, got.Header().Get("Location"))
				}
			}
		}
		// What a provider adds to its answer goes nowhere.
		back := b.choose("google", b.start("google", "social"), "nia")
		if to := b.get(with(back, "redirect_uri", one)).Header().Get("Location"); !strings.HasPrefix(to, "https://app.example.com/callback?access_token=") {
			t.Errorf("callback with redirect_uri %q: to %s", one, to)
		}
		// The application's state stays one parameter of one header.
		b.get("/oauth/google/start?app_id=" + w.vars["social"])
		to := b.get("/oauth/google/start?app_id=" + w.vars["social"] + "&state=" + url.QueryEscape(one+"&access_token=x#f\r\nX: y")).Header().Get("Location")
		to = b.get(b.choose("google", to, "nia").String()).Header().Get("Location")
		if q := mustQuery(t, to); !strings.HasPrefix(to, "https://app.example.com/callback?") || len(q["access_token"]) != 1 || q.Get("state") != one+"&access_token=x#f\r\nX: y" {
			t.Errorf("state %q: to %s", one, to)
		}
	}
}

// Nobody is made to connect an account that is not theirs.
func TestForcedConnecting(t *testing.T) {
	for name, attack := range map[string]func(t *testing.T, w town, mallory, victim *rider){
		"a form of another site": func(_ *testing.T, _ town, _, victim *rider) {
			victim.get("/account")
			victim.send("POST", "/account", url.Values{"csrf": {victim.csrf}, "connect": {"google"}}.Encode(), "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		},
		"a form without the page's token": func(_ *testing.T, _ town, _, victim *rider) {
			victim.send("POST", "/account", url.Values{"connect": {"google"}}.Encode())
		},
		"the token of the attacker's page": func(_ *testing.T, _ town, mallory, victim *rider) {
			mallory.get("/account")
			victim.csrf = mallory.csrf
			victim.post("/account", url.Values{"connect": {"google"}})
		},
		"a link": func(_ *testing.T, _ town, _, victim *rider) { victim.get("/account?connect=google&do=connect") },
		"the attacker's answer to an attempt of the attacker's account page": func(t *testing.T, _ town, mallory, victim *rider) {
			mallory.get("/account")
			away := mallory.post("/account", url.Values{"connect": {"google"}}).Header().Get("Location")
			victim.get(mallory.choose("google", away, "una").String())
			if len(mallory.jar) == 0 {
				t.Fatal("mallory has no cookies")
			}
		},
		"the attacker's answer to a sign-in": func(_ *testing.T, _ town, mallory, victim *rider) {
			victim.get(mallory.choose("google", mallory.start("google", "social"), "una").String())
		},
		"a secret of the attacker's to prove": func(_ *testing.T, w town, mallory, victim *rider) {
			to := mallory.get(mallory.choose("github", mallory.start("github", "social"), "claimant").String()).Header().Get("Location")
			prove := mustQuery(victim.t, to).Get("prove")
			victim.get(to)
			victim.post("/login", url.Values{"app_id": {w.vars["social"]}, "email": {"jane@example.com"}, "password": {password}, "prove": {prove}})
		},
		"a mailed link that the attacker asked for with it": func(t *testing.T, w town, mallory, victim *rider) {
			to := mallory.get(mallory.choose("github", mallory.start("github", "social"), "claimant").String()).Header().Get("Location")
			mallory.get(to)
			mallory.post("/login/magic-link", url.Values{"app_id": {w.vars["social"]}, "email": {"jane@example.com"}, "prove": {mustQuery(t, to).Get("prove")}})
			text, ok := w.Mail("jane@example.com")
			if !ok {
				t.Fatal("no mail")
			}
			victim.get(link.FindString(text))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, h := browsed(t)
			mallory, victim := w.rider(t, h), w.asJane(t, h)
			mallory.get(mallory.choose("corp", mallory.start("corp", "social"), "nia").String())
			attack(t, w, mallory, victim)
			if got := w.links("jane@example.com"); len(got) != 0 {
				t.Errorf("the victim is connected with %+v", got)
			}
		})
	}
}

// A waiting sign-in is good in the application that it was for.
func TestPendingSignInOfAnotherApplication(t *testing.T) {
	w, h := browsed(t)
	b := w.rider(t, h)
	to := b.get(b.choose("google", b.start("google", "club"), "nia").String()).Header().Get("Location")
	token := mustQuery(t, to).Get("oauth_token")
	code := w.invited("nia@example.com", "members")
	for _, app := range []string{"members", "demo", "off"} {
		got := visit(h, "POST", "/oauth/invite-accept", `{"oauth_token":"`+token+`","app_id":"`+w.vars[app]+`","invite_code":"`+code+`"}`)
		if got.Code != http.StatusBadRequest || strings.Contains(got.Body.String(), "access_token") {
			t.Errorf("%s: %d %s", app, got.Code, got.Body)
		}
	}
	b.get(to)
	if got := b.post("/login/invite", url.Values{"app_id": {w.vars["members"]}, "oauth_token": {token}, "code": {code}}); got.Code != http.StatusBadRequest || b.signedIn() {
		t.Errorf("by the page: %d", got.Code)
	}
}

// No page of these can be framed, kept or told of, and none of the redirects.
func TestUpstreamAnswersAreGuarded(t *testing.T) {
	w, h := browsed(t)
	b := w.asJane(t, h)
	prove := b.get(b.choose("github", b.start("github", "social"), "claimant").String())
	join := b.get(b.choose("google", b.start("google", "club"), "nia").String())
	for name, got := range map[string]*httptest.ResponseRecorder{
		"sign-in": b.get("/login?app_id=" + w.vars["social"] + "&prompt=login"), "sign-up": b.get("/signup?app_id=" + w.vars["social"]), "account": b.get("/account"),
		"start": b.get("/oauth/google/start?app_id=" + w.vars["social"]), "to the proof": prove, "the proof": b.get(prove.Header().Get("Location")),
		"to the invitation": join, "the invitation": b.get(join.Header().Get("Location")), "refused": b.get("/oauth/google/callback"),
	} {
		head := got.Header()
		if head.Get("X-Frame-Options") != "DENY" || !strings.Contains(head.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
			head.Get("Cache-Control") != "no-store" || head.Get("Referrer-Policy") != "no-referrer" || strings.Contains(head.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: %d %v", name, got.Code, head)
		}
	}
}
