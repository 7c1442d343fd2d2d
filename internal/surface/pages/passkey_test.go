package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/passkey"
	"sallyport/internal/passkey/passkeytest"
	"sallyport/internal/rig"
	"sallyport/internal/upstream"
)

// authenticators are what people do with a passkey, as hooks: "key-create" and
// "key-get" answer <options> as <response>, written for a form, and "other-get"
// with a key that nobody knows; "key-elsewhere" moves the browser to another page.
func (w town) authenticators() map[string]func(*testing.T, map[string]string) {
	mine, other := passkeytest.New(rig.Base), passkeytest.New(rig.Base)
	answer := func(do func(json.RawMessage) json.RawMessage) func(*testing.T, map[string]string) {
		return func(_ *testing.T, v map[string]string) {
			v["response"] = url.QueryEscape(string(do(json.RawMessage(v["options"]))))
			delete(v, "options")
		}
	}
	return map[string]func(*testing.T, map[string]string){
		"key-create": answer(mine.Create),
		"key-get":    answer(mine.Get),
		"other-get":  answer(other.Get),
		"key-elsewhere": func(*testing.T, map[string]string) {
			mine.Origin = "https://evil.example"
		},
		"key-here": func(*testing.T, map[string]string) { mine.Origin = rig.Base },
		"key-synced": func(*testing.T, map[string]string) {
			mine.Flags |= passkeytest.Eligible | passkeytest.BackedUp
		},
	}
}

// holder is a browser of jane's, and its passkey.
type holder struct {
	t    *testing.T
	w    town
	h    http.Handler
	jar  string
	csrf string
	key  *passkeytest.Authenticator
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	w, h := browsed(t)
	x := &holder{t: t, w: w, h: h, key: passkeytest.New(rig.Base)}
	page := visit(h, "GET", "/login?app_id="+w.vars["keys"], "")
	x.csrf = csrfField.FindStringSubmatch(page.Body.String())[1]
	x.jar, _, _ = strings.Cut(page.Header().Get("Set-Cookie"), ";")

	session := w.session(t, h, "jane@example.com")
	own := csrfField.FindStringSubmatch(visit(h, "GET", "/account", "", "Cookie", x.jar+"; "+session).Body.String())[1]
	setup := x.asked(visit(h, "POST", "/account/passkey/options", url.Values{"csrf": {own}}.Encode(), "Cookie", x.jar+"; "+session))
	made := visit(h, "POST", "/account", url.Values{
		"csrf": {own}, "do": {"passkey-add"}, "name": {"Laptop"}, "handle": {setup.Handle}, "response": {string(x.key.Create(setup.Options))},
	}.Encode(), "Cookie", x.jar+"; "+session)
	if made.Code != http.StatusOK {
		t.Fatalf("add: %d %s", made.Code, made.Body)
	}
	return x
}

// prompt is what the script gets.
type prompt struct {
	Options json.RawMessage
	Handle  string
}

func (x *holder) asked(got *httptest.ResponseRecorder) (a prompt) {
	x.t.Helper()
	if err := json.Unmarshal(got.Body.Bytes(), &a); err != nil || a.Handle == "" {
		x.t.Fatalf("options: %d %s", got.Code, got.Body)
	}
	return a
}

// ask asks for options on the sign-in page of an application, or of a request.
func (x *holder) ask(kind, of string) prompt {
	x.t.Helper()
	return x.asked(x.post("/login/passkey/options", url.Values{kind: {of}}))
}

func (x *holder) post(path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	form.Set("csrf", x.csrf)
	return visit(x.h, "POST", path, form.Encode(), append([]string{"Cookie", x.jar, "Sec-Fetch-Site", "same-origin"}, header...)...)
}

// answer sends what the authenticator says of options.
func (x *holder) answer(kind, of string, a prompt, header ...string) *httptest.ResponseRecorder {
	return x.post("/login/passkey", url.Values{kind: {of}, "handle": {a.Handle}, "response": {string(x.key.Get(a.Options))}}, header...)
}

// request begins an authorization request, and returns its handle.
func (x *holder) request(app string) string {
	x.t.Helper()
	to, err := url.Parse(visit(x.h, "GET", x.w.authorize(app, ""), "").Header().Get("Location"))
	if err != nil || to.Query().Get("request") == "" {
		x.t.Fatalf("%s: %v", to, err)
	}
	return to.Query().Get("request")
}

// A challenge is good for the application and the request that it was made for.
func TestPasskeyHandleIsOfOnePlace(t *testing.T) {
	x := newHolder(t)
	keys, vault := x.w.vars["keys"], x.w.vars["vault"]
	first, second := x.request("keys"), x.request("keys")
	for name, c := range map[string][4]string{
		"another client":  {"app_id", keys, "app_id", vault},
		"into a request":  {"app_id", keys, "request", first},
		"out of one":      {"request", first, "app_id", keys},
		"another request": {"request", first, "request", second},
	} {
		got := x.answer(c[2], c[3], x.ask(c[0], c[1]))
		if got.Code != http.StatusBadRequest || strings.Contains(fmt.Sprint(got.Header()), "km_sso") {
			t.Errorf("%s: %d %v", name, got.Code, got.Header())
		}
	}
	if got := x.answer("request", second, x.ask("request", second)); got.Code != http.StatusFound || !strings.Contains(got.Header().Get("Location"), "/oauth2/continue?request=") {
		t.Errorf("its own request: %d %v", got.Code, got.Header())
	}
}

// An answer that was seen once is worth nothing, with its own handle or another.
func TestPasskeyAnswerIsNotReplayed(t *testing.T) {
	x := newHolder(t)
	keys := x.w.vars["keys"]
	a := x.ask("app_id", keys)
	said := string(x.key.Get(a.Options))
	send := func(handle string) int {
		return x.post("/login/passkey", url.Values{"app_id": {keys}, "handle": {handle}, "response": {said}}).Code
	}
	for i, want := range []int{http.StatusFound, http.StatusBadRequest} {
		if got := send(a.Handle); got != want {
			t.Errorf("time %d: %d, want %d", i+1, got, want)
		}
	}
	if got := send(x.ask("app_id", keys).Handle); got != http.StatusUnauthorized {
		t.Errorf("for another challenge: %d, want 401", got)
	}
}

// Whom a passkey belongs to is the configured host of the mount: neither a page of
// another origin nor a Host header changes that.
func TestPasskeyBelongsToTheMountsHost(t *testing.T) {
	x := newHolder(t)
	keys := x.w.vars["keys"]
	for _, origin := range []string{"https://evil.example", "https://auth.example.com.evil.example", "https://sub.auth.example.com", "http://auth.example.com", "https://auth.example.com:8443"} {
		x.key.Origin = origin
		if got := x.answer("app_id", keys, x.ask("app_id", keys)); got.Code != http.StatusUnauthorized {
			t.Errorf("a page of %s: %d, want 401", origin, got.Code)
		}
	}
	x.key.Origin = "https://evil.example"
	form := url.Values{"csrf": {x.csrf}, "app_id": {keys}}
	req := httptest.NewRequest(http.MethodPost, "https://evil.example/login/passkey/options", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", x.jar)
	req.Header.Set("X-Forwarded-Host", "evil.example")
	got := httptest.NewRecorder()
	x.h.ServeHTTP(got, req)
	a := x.asked(got)
	if !strings.Contains(string(a.Options), `"rpId":"auth.example.com"`) {
		t.Errorf("options by another Host: %s", a.Options)
	}
	if got := x.answer("app_id", keys, a, "X-Forwarded-Host", "evil.example"); got.Code != http.StatusUnauthorized {
		t.Errorf("answer by another Host: %d, want 401", got.Code)
	}
}

// Neither post is taken from another site, or with no token of this browser; the
// account's is bound to its session.
func TestPasskeyFormsOfOtherSitesAreRefused(t *testing.T) {
	x := newHolder(t)
	keys := x.w.vars["keys"]
	a := x.ask("app_id", keys)
	for name, header := range map[string][]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site"}, "other origin": {"Origin", "https://evil.example", "Sec-Fetch-Site", ""},
		"another cookie": {"Cookie", "__Host-sp_csrf=" + strings.Repeat("0", 32)},
	} {
		for _, path := range []string{"/login/passkey/options", "/login/passkey"} {
			got := x.post(path, url.Values{"app_id": {keys}, "handle": {a.Handle}, "response": {string(x.key.Get(a.Options))}}, header...)
			if got.Code != http.StatusForbidden || strings.Contains(got.Body.String(), "challenge") {
				t.Errorf("%s %s: %d", name, path, got.Code)
			}
		}
	}
	// The token of the sign-in page is none of the account's.
	for _, path := range []string{"/account/passkey/options", "/account"} {
		jar := x.jar + "; " + x.w.session(t, x.h, "jane@example.com")
		if got := x.post(path, url.Values{"do": {"passkey-add"}}, "Cookie", jar); got.Code != http.StatusForbidden {
			t.Errorf("%s with the token of /login: %d, want 403", path, got.Code)
		}
	}
	if got := x.answer("app_id", keys, a); got.Code != http.StatusFound {
		t.Errorf("our own, after all that: %d, want 302", got.Code)
	}
}

// Challenges and answers are counted by network.
func TestPasskeyIsLimited(t *testing.T) {
	x := newHolder(t)
	keys := x.w.vars["keys"]
	a := x.ask("app_id", keys)
	for path, most := range map[string]int{"/login/passkey/options": 100, "/login/passkey": 60} {
		code, n := 0, 0
		for n = 0; n <= most && code != http.StatusTooManyRequests; n++ {
			code = x.post(path, url.Values{"app_id": {keys}, "handle": {"none"}, "response": {"{}"}}).Code
		}
		if code != http.StatusTooManyRequests {
			t.Errorf("%s: %d after %d, want 429", path, code, n)
		}
	}
	if got := x.answer("app_id", keys, a); got.Code != http.StatusTooManyRequests {
		t.Errorf("a right answer past the limit: %d, want 429", got.Code)
	}
}

// An account that waits for its owner's proof is connected by a passkey as well.
func TestPasskeyProves(t *testing.T) {
	x := newHolder(t)
	login := "/login?app_id=" + x.w.vars["keys"]
	away := visit(x.h, "GET", "/oauth/github/start?app_id="+x.w.vars["keys"], "", "Cookie", x.jar)
	bind := away.Result().Cookies()[0]
	back, _, err := x.w.abroad["github"].Choose(away.Header().Get("Location"), people["claimant"].ID, false)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	cookies := x.jar + "; " + bind.Name + "=" + bind.Value
	came := visit(x.h, "GET", u.RequestURI(), "", "Cookie", cookies).Header().Get("Location")
	at, err := url.Parse(came)
	prove := at.Query().Get("prove")
	if err != nil || prove == "" {
		t.Fatalf("%s came to %s, want prove=", login, came)
	}
	page := visit(x.h, "GET", at.RequestURI(), "", "Cookie", cookies).Body.String()
	if !strings.Contains(page, "Connect with a passkey") {
		t.Errorf("the page offers no passkey:\n%s", page)
	}
	a := x.ask("app_id", x.w.vars["keys"])
	got := x.post("/login/passkey", url.Values{
		"app_id": {x.w.vars["keys"]}, "prove": {prove}, "handle": {a.Handle}, "response": {string(x.key.Get(a.Options))},
	}, "Cookie", cookies)
	if got.Code != http.StatusFound {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	session := ""
	for _, c := range got.Result().Cookies() {
		if c.Name == "km_sso" {
			session = "km_sso=" + c.Value
		}
	}
	if page := visit(x.h, "GET", "/account", "", "Cookie", session).Body.String(); !strings.Contains(page, `aria-label="Disconnect GitHub"`) {
		t.Error("GitHub is not connected")
	}
}

// Who has nothing but a passkey is told that it stays, and why.
func TestLastPasskeyStays(t *testing.T) {
	x := newHolder(t)
	kim := x.w.User("kim@example.com", "Kim Key", "", client.Client{ID: client.ID(x.w.vars["vault"])})
	at, err := passkey.NewParty(rig.Base, "Sallyport")
	if err != nil {
		t.Fatal(err)
	}
	options, state, err := at.Register(kim, nil)
	if err != nil {
		t.Fatal(err)
	}
	x.key = passkeytest.New(rig.Base)
	made, err := at.Registered(kim, "Kim's phone", state, x.key.Create(options), x.w.Now())
	if err != nil {
		t.Fatal(err)
	}
	x.w.Write(func(ctx context.Context, tx *db.Tx) error { return passkey.Add(ctx, tx, made) })
	in := x.answer("app_id", x.w.vars["vault"], x.ask("app_id", x.w.vars["vault"]))
	if in.Code != http.StatusFound {
		t.Fatalf("sign in: %d %s", in.Code, in.Body)
	}
	jar := x.jar
	for _, c := range in.Result().Cookies() {
		jar += "; " + c.Name + "=" + c.Value
	}
	page := visit(x.h, "GET", "/account", "", "Cookie", jar).Body.String()
	if !strings.Contains(page, "This is your only way in, so it stays.") || strings.Contains(page, "passkey-remove") {
		t.Errorf("the page does not say so:\n%s", page)
	}
	x.csrf = csrfField.FindStringSubmatch(page)[1]
	got := x.post("/account", url.Values{"do": {"passkey-remove"}, "passkey": {made.ID.String()}}, "Cookie", jar)
	if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "This is your last way to sign in") {
		t.Errorf("removed by hand: %d", got.Code)
	}
}

// A page has more than four upstreams in two columns, each by its whole name to
// those who hear it.
func TestManyUpstreamsAreShort(t *testing.T) {
	w, h := browsed(t)
	few := visit(h, "GET", "/login?app_id="+w.vars["social"], "").Body.String()
	if strings.Contains(few, `class="ways many"`) || !strings.Contains(few, "<span>Continue with Google</span>") {
		t.Error("three upstreams have no long labels")
	}
	w.Upstream("okta", upstream.Okta, nil)
	w.Upstream("linkedin", upstream.LinkedIn, nil)
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		c, err := client.ByID(ctx, tx, client.ID(w.vars["social"]))
		if err != nil {
			return err
		}
		c.Policy.Methods = append(c.Policy.Methods, "okta", "linkedin")
		return client.Update(ctx, tx, c, w.Now())
	})
	for _, path := range []string{"/login", "/signup"} {
		many := visit(h, "GET", path+"?app_id="+w.vars["social"], "").Body.String()
		if !strings.Contains(many, `class="ways many"`) || !strings.Contains(many, `<span class="unseen">Continue with </span>Google</span>`) {
			t.Errorf("%s: five upstreams have no short labels", path)
		}
	}
}
