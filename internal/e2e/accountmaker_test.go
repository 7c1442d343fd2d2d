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
	script := fmt.Sprintf(`window.got = ""; fetch(%q, %s).then(async r => {
		const body = await r.text();
		window.got = JSON.stringify({status: r.status, body: body ? JSON.parse(body) : null});
	}).catch(() => { window.got = JSON.stringify({status: 0, body: null}) }); true`, at, text)
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script)); err != nil {
		b.t.Fatal(err)
	}
	for range 200 {
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`window.got`))
		if err != nil {
			b.t.Fatal(err)
		}
		if got != "" {
			var f fetched
			if err := json.Unmarshal([]byte(got), &f); err != nil {
				b.t.Fatal(err)
			}
			return f
		}
		time.Sleep(25 * time.Millisecond)
	}
	b.t.Fatalf("%s %s: no answer", method, at)
	return fetched{}
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

// TestPagesOfOtherOriginsAreKeptOut tries the same steps from an origin that nobody
// allowed: the browser keeps every answer from its script, and what would change
// something is refused.
func TestPagesOfOtherOriginsAreKeptOut(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, database string) {
		s := accountSite(t, database, pageOf(t))
		api, evil := s.base+"/accountmaker", pageOf(t)
		var in signedIn
		person := s.visitor(t)
		person.post("/accountmaker/auth/sign-up", fields{"email": "ada@example.com", "password": "Correct-horse-7"}).json(200, &in)
		proof := s.mailedToken(t, "ada@example.com")
		b := newBrowser(t)
		b.open(evil)
		bearer := map[string]string{"Authorization": "Bearer " + in.Tokens.Access}
		steps := []struct {
			method, path string
			headers      map[string]string
			body         any
		}{
			{"GET", "/auth/csrf-session", nil, nil},
			{"GET", "/auth/csrf-token", nil, nil},
			{"POST", "/auth/sign-up", nil, map[string]any{"email": "evil@example.com", "password": "Correct-horse-7"}},
			{"POST", "/auth/sign-in", nil, map[string]any{"email": "ada@example.com", "password": "Correct-horse-7"}},
			{"POST", "/auth/verify", nil, map[string]any{"token": proof}},
			{"POST", "/auth/send-magic-link", nil, map[string]any{"email": "ada@example.com"}},
			{"POST", "/auth/refresh", nil, map[string]any{"refresh_token": in.Tokens.Refresh}},
			{"POST", "/auth/refresh", nil, nil},
			{"GET", "/auth/me", bearer, nil},
			{"POST", "/auth/switch-accounts", bearer, map[string]any{"account_id": in.Profile.Active.Account}},
			{"PUT", "/auth/waitlist/beta", bearer, nil},
			{"DELETE", "/auth/waitlist/beta", bearer, nil},
		}
		for _, step := range steps {
			if f := b.fetch(step.method, api+step.path, step.headers, step.body); f.Status != 0 {
				t.Errorf("%s %s: the page read %d %s", step.method, step.path, f.Status, f.Body)
			}
			if step.method == "GET" {
				continue
			}
			// What a browser would have kept back is refused to who sends it anyway.
			headers := []string{"Origin", evil, "Sec-Fetch-Site", "same-site"}
			for k, v := range step.headers {
				headers = append(headers, k, v)
			}
			body, err := json.Marshal(step.body)
			if err != nil {
				t.Fatal(err)
			}
			a := s.visitor(t).send(step.method, "/accountmaker"+step.path, "application/json", strings.Replace(string(body), "null", "{}", 1), headers...)
			if a.want(403); !strings.Contains(string(a.body), `"code":"origin-not-allowed"`) {
				t.Errorf("%s %s: %s", step.method, step.path, a.body)
			}
		}
		// Nothing of it happened: the refresh token is good, the address unproved.
		program := s.visitor(t) // one without cookies
		program.post("/accountmaker/auth/refresh", fields{"refresh_token": in.Tokens.Refresh}).want(200)
		if me := program.get("/accountmaker/auth/me", "Authorization", "Bearer "+in.Tokens.Access); !strings.Contains(string(me.want(200).body), `"email_verified_at":null`) {
			t.Errorf("me: %s", me.body)
		}
	})
}
