package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport/internal/db/dbtest"
)

// pageOf serves an empty page on an origin of its own, of the same site.
func pageOf(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>An application</title><p>An application</p>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// accountSite is an installation with AccountMaker's application, whose pages are
// on one origin.
func accountSite(t *testing.T, database, origin string) *site {
	t.Helper()
	s := newSite(t, database, options{})
	s.command("apply", s.write("accounts.yaml", fmt.Sprintf(`
clients:
  - key: accounts
    id: 00000000-0000-4000-8000-0000000000a1
    name: Accounts
    registration: open
    methods: [password, magic_link]
    allowed_origins: [%q]
    access_token: {cookie: {plain: true}}
    refresh_token: {cookie: {plain: true}}
surfaces:
  accountmaker: {default_client: accounts}
`, origin)))
	s.serve()
	return s
}

// fetched is what a page's script got: a status of 0 is what the browser kept from it.
type fetched struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

func (f fetched) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(f.Body, v); err != nil {
		t.Fatalf("%d %s: %v", f.Status, f.Body, err)
	}
}

// fetch has the page's script call, with its cookies.
func (b browser) fetch(method, at string, headers map[string]string, body any) fetched {
	b.t.Helper()
	options := map[string]any{"method": method, "credentials": "include"}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		options["body"] = string(text)
		headers = withHeader(headers, "Content-Type", "application/json")
	}
	options["headers"] = withHeader(headers, "Accept", "application/json")
	text, err := json.Marshal(options)
	if err != nil {
		b.t.Fatal(err)
	}
	got := b.result(fmt.Sprintf(`fetch(%q, %s).then(async r => {
		const body = await r.text();
		window.got = JSON.stringify({status: r.status, body: body ? JSON.parse(body) : null});
	}).catch(() => { window.got = JSON.stringify({status: 0, body: null}) })`, at, text))
	var f fetched
	if err := json.Unmarshal([]byte(got), &f); err != nil {
		b.t.Fatal(err)
	}
	return f
}

// image has the page show an image, whatever comes, with its cookies.
func (b browser) image(at string) {
	b.t.Helper()
	b.result(fmt.Sprintf(`window.shown = new Image(); shown.onload = shown.onerror = () => { window.got = "seen" }; shown.src = %q`, at))
}

// result runs a script of the page that sets window.got in its own time.
func (b browser) result(script string) string {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.got = ""; `+script+`; true`)); err != nil {
		b.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`window.got`))
		if err != nil {
			b.t.Fatal(err)
		}
		if got != "" {
			return got
		}
		time.Sleep(25 * time.Millisecond)
	}
	b.t.Fatalf("no answer to %s", script)
	return ""
}

func withHeader(headers map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	maps.Copy(out, headers)
	return out
}

type signedIn struct {
	Tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	} `json:"tokens"`
	Profile struct {
		Active struct {
			Account string `json:"account_id"`
		} `json:"active_membership"`
		Memberships []json.RawMessage `json:"memberships"`
	} `json:"profile"`
}

// clientOf is the id of the application that an access token is of, as its clients
// know it.
func clientOf(t *testing.T, access string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	var c struct {
		Client string `json:"cid"`
	}
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil || !strings.HasPrefix(c.Client, "cid_") {
		t.Fatalf("client of %s: %v", payload, err)
	}
	return c.Client
}

// mailedToken takes the token of the newest mail to an address.
func (s *site) mailedToken(t *testing.T, to string) string {
	t.Helper()
	u, err := url.Parse(s.sink.WaitFor(t, to).Link())
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("token")
}

// TestAccountsOnAPageOfAnotherOrigin goes all the way of an application's page on
// an origin that the client allows: a CSRF session, sign-up, the proof of the
// address, sign-out, a mailed link, refresh by cookie, another account, a waitlist.
func TestAccountsOnAPageOfAnotherOrigin(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, database string) {
		origin := pageOf(t)
		s := accountSite(t, database, origin)
		api := s.base + "/accountmaker"
		b := newBrowser(t)
		b.open(origin)
		want := func(f fetched, status int) fetched {
			t.Helper()
			if f.Status != status {
				t.Fatalf("got %d %s, want %d", f.Status, f.Body, status)
			}
			return f
		}

		want(b.fetch("GET", api+"/auth/csrf-session", nil, nil), 200)
		var csrf struct {
			Token string `json:"csrf_token"`
		}
		want(b.fetch("GET", api+"/auth/csrf-token", nil, nil), 200).into(t, &csrf)
		token := map[string]string{"X-CSRF-Token": csrf.Token}
		who := map[string]any{"email": "ada@example.com", "password": "Correct-horse-7"}
		var in signedIn
		want(b.fetch("POST", api+"/auth/sign-up", token, who), 200).into(t, &in)
		want(b.fetch("POST", api+"/auth/sign-up", map[string]string{"X-CSRF-Token": "of another"}, who), 403)
		want(b.fetch("POST", api+"/auth/verify", token, map[string]any{"token": s.mailedToken(t, "ada@example.com")}), 204)

		want(b.fetch("POST", api+"/auth/refresh", token, map[string]any{"refresh_token": in.Tokens.Refresh}), 200).into(t, &in.Tokens)
		// The same refresh token is good at the token endpoint (contract §7).
		var renewed signedIn
		s.visitor(t).post("/accountmaker/oauth2/token", fields{
			"grant_type": "refresh_token", "refresh_token": in.Tokens.Refresh, "client_id": clientOf(t, in.Tokens.Access),
		}).json(200, &renewed.Tokens)
		want(b.fetch("GET", api+"/auth/me", map[string]string{"Authorization": "Bearer " + renewed.Tokens.Access}, nil), 200)
		in.Tokens.Refresh = renewed.Tokens.Refresh
		// A provider that nobody configured, in OAuth's words; and whose keys these are.
		s.visitor(t).get("/accountmaker/oauth2/authorize?connection=nobody&client_id="+clientOf(t, in.Tokens.Access)).is(400, `{"error":"invalid_request"}`)
		for _, mount := range []string{"", "/accountmaker"} {
			s.visitor(t).get(mount + "/.well-known/jwks.json?client_id=" + clientOf(t, in.Tokens.Access)).want(200)
		}
		revoked := s.visitor(t).post("/accountmaker/oauth2/revoke", fields{"token": in.Tokens.Refresh, "client_id": clientOf(t, in.Tokens.Access)})
		revoked.want(200)
		want(b.fetch("POST", api+"/auth/refresh", token, map[string]any{"refresh_token": in.Tokens.Refresh}), 401)

		want(b.fetch("POST", api+"/auth/send-magic-link", token, map[string]any{"email": "ada@example.com"}), 204)
		link := s.mailedToken(t, "ada@example.com")
		want(b.fetch("GET", api+"/auth/sign-in-with-token?token="+link, nil, nil), 200).into(t, &in)
		want(b.fetch("GET", api+"/auth/sign-in-with-token?token="+link, nil, nil), 401)
		for range 2 { // each refresh sets the cookie of the next
			want(b.fetch("POST", api+"/auth/refresh", token, nil), 200)
		}
		want(b.fetch("GET", api+"/auth/me", nil, nil), 200) // by the access token's cookie

		own := in.Profile.Active.Account
		var host signedIn
		guest := s.visitor(t)
		guest.post("/accountmaker/auth/sign-up", fields{"email": "grace@example.com", "password": "Correct-horse-7"}).json(200, &host)
		guest.send("POST", "/accountmaker/api/accounts/"+host.Profile.Active.Account+"/invite", "application/json",
			`{"email":"ada@example.com","role":"viewer"}`, "Authorization", "Bearer "+host.Tokens.Access).want(200)
		want(b.fetch("POST", api+"/auth/accept-invite", token, map[string]any{"token": s.mailedToken(t, "ada@example.com")}), 200).into(t, &in)
		if in.Profile.Active.Account != host.Profile.Active.Account || len(in.Profile.Memberships) != 2 {
			t.Fatalf("the invited account is not the active one of two: %+v", in.Profile)
		}
		bearer := map[string]string{"Authorization": "Bearer " + in.Tokens.Access}
		want(b.fetch("POST", api+"/auth/switch-accounts", bearer, map[string]any{"account_id": own}), 200).into(t, &in)
		if in.Profile.Active.Account != own {
			t.Fatalf("the account is %s, want %s", in.Profile.Active.Account, own)
		}
		bearer = map[string]string{"Authorization": "Bearer " + in.Tokens.Access}
		want(b.fetch("PUT", api+"/auth/waitlist/beta-export", bearer, nil), 200)
		want(b.fetch("GET", api+"/auth/waitlist/beta-export", bearer, nil), 200)
		want(b.fetch("DELETE", api+"/auth/waitlist/beta-export", bearer, nil), 204)
		want(b.fetch("GET", api+"/auth/waitlist", bearer, nil), 200)
	})
}

// foreignStep is something that a foreign page tries.
type foreignStep struct {
	method, path string
	headers      map[string]string
	body         any
	spends       bool // a GET that would change something
}

// tryFrom has the page of a foreign origin take a step, and then somebody whose
// browser would not have kept it back.
func (step foreignStep) tryFrom(t *testing.T, s *site, b browser, origin string) {
	t.Helper()
	if f := b.fetch(step.method, s.base+"/accountmaker"+step.path, step.headers, step.body); f.Status != 0 {
		t.Errorf("%s %s: the page read %d %s", step.method, step.path, f.Status, f.Body)
	}
	if step.spends {
		b.image(s.base + "/accountmaker" + step.path)
	} else if step.method == "GET" {
		return
	}
	headers := []string{"Origin", origin, "Sec-Fetch-Site", "same-site"}
	for k, v := range step.headers {
		headers = append(headers, k, v)
	}
	text, contentType := "", ""
	if step.body != nil {
		b, err := json.Marshal(step.body)
		if err != nil {
			t.Fatal(err)
		}
		text, contentType = string(b), "application/json"
	}
	a := s.visitor(t).send(step.method, "/accountmaker"+step.path, contentType, text, headers...)
	if a.want(403); !strings.Contains(string(a.body), `"code":"origin-not-allowed"`) {
		t.Errorf("%s %s: %s", step.method, step.path, a.body)
	}
}

// TestPagesOfOtherOriginsAreKeptOut tries the same steps from an origin that nobody
// allowed: the browser keeps every answer from its script, and what would change
// something is refused, by whatever way a page can ask for it.
func TestPagesOfOtherOriginsAreKeptOut(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, database string) {
		s := accountSite(t, database, pageOf(t))
		// Every visitor is one without cookies.
		signUp := func(email string) (in signedIn) {
			s.visitor(t).post("/accountmaker/auth/sign-up", fields{"email": email, "password": "Correct-horse-7"}).json(200, &in)
			return in
		}
		in, bob := signUp("ada@example.com"), signUp("bob@example.com")
		proof := s.mailedToken(t, "ada@example.com")
		bearer := map[string]string{"Authorization": "Bearer " + in.Tokens.Access}
		// Ada has a link to a new password, Bob one to sign in and an invitation of hers.
		s.visitor(t).post("/accountmaker/auth/send-password-reset", fields{"email": "ada@example.com"}).want(204)
		reset := s.mailedToken(t, "ada@example.com")
		s.visitor(t).post("/accountmaker/auth/verify", fields{"token": s.mailedToken(t, "bob@example.com")}).want(204)
		s.visitor(t).post("/accountmaker/auth/send-magic-link", fields{"email": "bob@example.com"}).want(204)
		link := s.mailedToken(t, "bob@example.com")
		s.visitor(t).send("POST", "/accountmaker/api/accounts/"+in.Profile.Active.Account+"/invite", "application/json",
			`{"email":"bob@example.com"}`, "Authorization", bearer["Authorization"]).want(200)
		invitation := s.mailedToken(t, "bob@example.com")

		b, evil := newBrowser(t), pageOf(t)
		b.open(evil)
		for _, step := range []foreignStep{
			{method: "GET", path: "/auth/csrf-session"},
			{method: "GET", path: "/auth/csrf-token"},
			{method: "POST", path: "/auth/check-email", body: fields{"email": "ada@example.com"}},
			{method: "POST", path: "/auth/login-methods", body: fields{}},
			{method: "POST", path: "/auth/sign-up", body: fields{"email": "evil@example.com", "password": "Correct-horse-7"}},
			{method: "POST", path: "/auth/sign-in", body: fields{"email": "ada@example.com", "password": "Correct-horse-7"}},
			{method: "GET", path: "/auth/verify?token=" + proof, spends: true},
			{method: "POST", path: "/auth/verify", body: fields{"token": proof}},
			{method: "POST", path: "/auth/send-verification-email", headers: bearer, body: fields{}},
			{method: "POST", path: "/auth/send-magic-link", body: fields{"email": "ada@example.com"}},
			{method: "GET", path: "/auth/sign-in-with-token?token=" + link, spends: true},
			{method: "POST", path: "/auth/sign-in-with-token", body: fields{"token": link}},
			{method: "GET", path: "/auth/accept-invite?token=" + invitation, spends: true},
			{method: "POST", path: "/auth/accept-invite", body: fields{"token": invitation}},
			{method: "POST", path: "/auth/send-password-reset", body: fields{"email": "ada@example.com"}},
			{method: "POST", path: "/auth/reset-password", body: fields{"token": reset, "new_password": "Wrong-horse-8"}},
			{method: "POST", path: "/auth/refresh", body: fields{"refresh_token": in.Tokens.Refresh}},
			{method: "POST", path: "/auth/refresh"},
			{method: "GET", path: "/auth/me", headers: bearer},
			{method: "POST", path: "/auth/switch-accounts", headers: bearer, body: fields{"account_id": in.Profile.Active.Account}},
			{method: "PUT", path: "/auth/waitlist/beta", headers: bearer},
			{method: "DELETE", path: "/auth/waitlist/beta", headers: bearer},
		} {
			step.tryFrom(t, s, b, evil)
		}
		// Nothing of it happened: the address is unproved, and every token is still good.
		if me := s.visitor(t).get("/accountmaker/auth/me", "Authorization", bearer["Authorization"]); !strings.Contains(string(me.want(200).body), `"email_verified_at":null`) {
			t.Errorf("me: %s", me.body)
		}
		for _, spend := range []struct {
			path string
			body fields
			want int
		}{
			{"refresh", fields{"refresh_token": in.Tokens.Refresh}, 200}, {"refresh", fields{"refresh_token": bob.Tokens.Refresh}, 200},
			{"verify", fields{"token": proof}, 204}, {"reset-password", fields{"token": reset, "new_password": "Another-horse-9"}, 204},
			{"sign-in-with-token", fields{"token": link}, 200}, {"accept-invite", fields{"token": invitation}, 200},
		} {
			s.visitor(t).post("/accountmaker/auth/"+spend.path, spend.body).want(spend.want)
		}
	})
}
