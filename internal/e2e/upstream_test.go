package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// emulatorsVariable names a directory of modules with other people's providers in.
const emulatorsVariable = "SALLYPORT_TEST_EMULATORS"

// social is the application that people come to by providers.
const social = "00000000-0000-4000-8000-0000000000f0"

// guests is an installation with providers, an application of another site, and a
// person's browser.
type guests struct {
	*site
	app string
	b   browser
}

// emulators starts other people's providers, whose applications come back to us.
func emulators(t *testing.T, base string) map[string]string {
	t.Helper()
	args := []string{"../upstream/testdata/emulators.mjs", base + "/api/auth/sso/callback"}
	for _, key := range []string{"google", "github", "authkit", "oidc"} {
		args = append(args, base+"/oauth/"+key+"/callback")
	}
	places := map[string]string{}
	module(t, &places, args...)
	return places
}

// module starts a program of other people's modules, and reads the first line of
// JSON that it prints. Without them the test is skipped, unless they must be there.
func module(t *testing.T, into any, args ...string) {
	t.Helper()
	node, modules := os.Getenv(nodeVariable), os.Getenv(emulatorsVariable)
	if node == "" || modules == "" {
		why := "set " + nodeVariable + " and " + emulatorsVariable + ", or run scripts/test, to test against other people's providers"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		fmt.Fprintf(os.Stderr, "%s: SKIPPED: %s\n", t.Name(), why)
		t.Skip(why)
	}
	cmd := exec.CommandContext(t.Context(), node, append([]string{"--no-deprecation", args[0], modules}, args[1:]...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), into) == nil {
			return
		}
	}
	t.Fatalf("%s did not start", args[0])
}

// newGuests serves a site, on SQLite as the engines are tried elsewhere, whose application offers the given upstreams, one line
// of the resource file each.
func newGuests(t *testing.T, upstreams func(t *testing.T, base string) []string) guests {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>Welcome to the application</h1>`))
	}))
	t.Cleanup(app.Close)
	// Another site than the server's to the browser, as in real life.
	g := guests{site: newSite(t, dbtest.SQLiteURL(t), options{}), app: strings.Replace(app.URL, "127.0.0.1", "localhost", 1), b: newBrowser(t)}
	lines, keys := upstreams(t, g.base), []string{"password", "magic_link"}
	for _, line := range lines {
		key, _, _ := strings.Cut(strings.TrimPrefix(line, "{key: "), ",")
		keys = append(keys, key)
	}
	g.command("apply", g.write("guests.yaml", fmt.Sprintf(`clients:
  - key: social
    id: %s
    name: Social
    redirect_uris: ["%s/callback"]
    registration: open
    methods: [%s]
    roles: {available: [user], default: [user]}
upstreams:
  - %s
`, social, g.app, strings.Join(keys, ", "), strings.Join(lines, "\n  - "))))
	g.serve()
	return g
}

// arrived waits until the browser is at the application, and returns with what.
func (g guests) arrived() (q url.Values) {
	g.t.Helper()
	g.b.until(func() error {
		query, ok := strings.CutPrefix(g.b.at(), g.app+"/callback?")
		if !ok {
			return fmt.Errorf("want the application")
		}
		var err error
		q, err = url.ParseQuery(query)
		return err
	})
	return q
}

// signedIn fails unless the browser comes to the application with good tokens,
// and returns the claims.
func (g guests) signedIn() map[string]any {
	g.t.Helper()
	q := g.arrived()
	var out struct {
		Valid  bool           `json:"valid"`
		Claims map[string]any `json:"claims"`
	}
	g.visitor(g.t).post("/token/verify", fields{"token": q.Get("access_token"), "audience": social}).json(200, &out)
	if !out.Valid || len(q.Get("refresh_token")) != 64 {
		g.t.Fatalf("got %v", q)
	}
	return out.Claims
}

// walk is a person at somebody's provider: on each page they fill in the form that
// is about them, until they are back with us or at the application.
func (g guests) walk() {
	g.t.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		at := g.b.at()
		if strings.HasPrefix(at, g.app) || strings.HasPrefix(at, g.base) {
			return
		}
		if at == last { // still loading
			time.Sleep(100 * time.Millisecond)
		}
		last = at
		if _, err := chromedp.Run(g.b.ctx, chromedp.Evaluate[bool](`(() => {
			if (document.readyState !== "complete" || window.answered) return false;
			const f = [...document.forms].find(f => f.outerHTML.includes("jane")) || document.forms[0];
			if (!f) return false;
			window.answered = true;
			for (const i of f.querySelectorAll("input:not([type=hidden]):not([type=submit])")) if (!i.value) i.value = "jane";
			f.noValidate = true;
			f.requestSubmit(f.querySelector("button:not([type=button]), input[type=submit]"));
			return true;
		})()`)); err != nil && g.b.ctx.Err() != nil {
			g.t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	g.t.Fatalf("still at %s\n%s", g.b.at(), g.b.text())
}

// by goes to a provider from the page that shows it.
func (g guests) by(key string) {
	g.t.Helper()
	g.b.click(`.ways a[href*="/oauth/` + key + `/start"]`)
	g.b.until(func() error {
		if strings.HasPrefix(g.b.at(), g.base+"/login") || g.b.at() == "about:blank" {
			return fmt.Errorf("still on our page")
		}
		return nil
	})
}

// Our pages and other people's providers, in a browser. Where these are unlike
// what they stand for: emulate's providers and workos ask for no password and
// have no way to refuse; emulate's github knows no PKCE; emulate's google says of
// gmail.com addresses that it has verified them, as Google does.
func TestSignInByOtherPeoplesProviders(t *testing.T) {
	t.Parallel()
	g := newGuests(t, func(t *testing.T, base string) []string {
		places := emulators(t, base)
		line := `{key: %s, kind: %s, %s: "%s", client_id: sallyport, client_secret: "%s", name: "%s"}`
		return []string{
			fmt.Sprintf(line, "google", "google", "base_url", places["google"], "a-secret-of-sallyport", "Google"),
			fmt.Sprintf(line, "github", "github", "base_url", places["github"], "a-secret-of-sallyport", "GitHub"),
			fmt.Sprintf(line, "authkit", "workos", "base_url", places["workos"], places["workosKey"], "AuthKit"),
			fmt.Sprintf(line, "oidc", "oidc", "issuer", places["oidc"], "a-secret-of-sallyport", "Example Corp"),
		}
	})
	g.connectAndDisconnect()
	g.refuse()
	people := map[string]string{}
	for key, email := range map[string]string{"google": "jane@gmail.com", "github": "jane@example.com", "authkit": "jane@example.com", "oidc": "jane@example.com"} {
		b := newBrowser(t)
		h := guests{site: g.site, app: g.app, b: b}
		b.open(g.base + "/login?app_id=" + social)
		h.by(key)
		h.walk()
		claims := h.signedIn()
		if claims["email"] != email || claims["name"] != "Jane Doe" {
			t.Errorf("%s: got %v", key, claims)
		}
		if was := people[email]; was != "" && was != claims["sub"] {
			t.Errorf("%s: %s is two people", key, email)
		}
		people[email], _ = claims["sub"].(string)
		b.open(g.base + "/account")
		b.sees(email, "Connected accounts", "Disconnect")
		h.authorize(t, key)
	}
}

// connectAndDisconnect is the account page of somebody who has a password.
func (g guests) connectAndDisconnect() {
	g.t.Helper()
	g.b.open(g.base + "/signup?app_id=" + social)
	g.b.fill("#name", "Ann Account")
	g.b.fill("#email", "ann@example.com")
	g.b.fill("#password", "ann-has-a-password")
	g.b.click(`form[action$="/signup"] button`)
	g.signedIn()
	g.b.open(g.base + "/account")
	g.b.click(`button[aria-label="Connect GitHub"]`)
	g.b.until(func() error {
		if g.b.at() == g.base+"/account" {
			return fmt.Errorf("still on our page")
		}
		return nil
	})
	g.walk()
	g.b.sees("GitHub is connected.", "jane@example.com")
	g.b.until(func() error {
		for _, m := range g.sink.Messages() {
			if m.To == "ann@example.com" && strings.Contains(m.Text, "You can now also sign in to your Sallyport account with GitHub") {
				return nil
			}
		}
		return fmt.Errorf("no notice of the connected account")
	})
	g.b.click(`button[aria-label="Disconnect GitHub"]`)
	g.b.sees("The account is disconnected.")
}

// refuse says no at the provider that has a way to, and comes back to our page.
func (g guests) refuse() {
	g.t.Helper()
	g.b.open(g.base + "/login?prompt=login&app_id=" + social)
	g.by("oidc")
	g.b.click(`a[href$="/abort"]`)
	g.b.sees("You did not allow the sign-in.", "Continue with Example Corp")
}

// authorize is an authorization request of the application, from somebody who is
// not signed in here, by a provider to a code.
func (g guests) authorize(t *testing.T, key string) {
	t.Helper()
	g.b.open(g.base + "/oauth2/authorize?response_type=code&scope=openid+email&state=a%26b&prompt=login&client_id=" + social +
		"&redirect_uri=" + url.QueryEscape(g.app+"/callback") + "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256")
	if strings.HasPrefix(g.b.at(), g.base+"/login") {
		g.by(key)
		g.walk()
	}
	q := g.arrived()
	if q.Get("state") != "a&b" || q.Get("iss") != g.base || q.Get("code") == "" {
		t.Fatalf("%s: got %v", key, q)
	}
	var tk struct {
		ID string `json:"id_token"`
	}
	g.visitor(t).submit("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {social}, "code": {q.Get("code")}, "redirect_uri": {g.app + "/callback"},
		"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	}).json(200, &tk)
	if tk.ID == "" {
		t.Errorf("%s: no ID token", key)
	}
}

// The same through our own fakes, which can refuse, break, and post back as Apple
// does.
func TestSignInByFakes(t *testing.T) {
	t.Parallel()
	fakes := map[string]*upstreamtest.Fake{}
	g := newGuests(t, func(t *testing.T, _ string) (lines []string) {
		for key, kind := range map[string]upstream.Kind{"google": upstream.Google, "apple": upstream.Apple, "okta": upstream.Okta} {
			s := httptest.NewUnstartedServer(nil)
			fake := upstreamtest.New(kind, "http://"+s.Listener.Addr().String(), time.Now)
			s.Config.Handler = fake
			s.Start()
			t.Cleanup(s.Close)
			fakes[key] = fake
			u := fake.Upstream(key)
			more := ""
			if kind == upstream.Apple {
				more = fmt.Sprintf(", team_id: %s, key_id: %s", u.Settings.TeamID, u.Settings.KeyID)
			}
			lines = append(lines, fmt.Sprintf(`{key: %s, kind: %s, base_url: "%s", client_id: %s, client_secret: %s%s}`,
				key, kind, u.Settings.BaseURL, u.Settings.ClientID, quote(u.Secret.Reveal()), more))
		}
		return lines
	})
	for key, fake := range fakes {
		g.b = newBrowser(t)
		g.b.open(g.base + "/login?app_id=" + social)
		fake.Behave(upstreamtest.BadSecret)
		g.b.click(`.ways a[href*="/oauth/` + key + `/start"]`)
		g.b.sees("The sign-in did not work.")
		fake.Behave(upstreamtest.None)
		g.b.click(`.ways a[href*="/oauth/` + key + `/start"]`)
		if claims := g.signedIn(); claims["email"] != "jane@gmail.com" {
			t.Errorf("%s: got %v", key, claims)
		}
		g.b.open(g.base + "/account")
		g.b.sees("jane@gmail.com", "Disconnect")
	}
}
