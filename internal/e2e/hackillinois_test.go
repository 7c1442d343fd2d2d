package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// hack is an installation that stands in for HackIllinois' API, its two
// providers, and the web site.
type hack struct {
	t    testing.TB
	base string // of the API
	back string // of its private listener
	web  string // the site's page, /auth/
}

// newHack serves the real program with the resources that an operator would
// write, and everything else as stand-ins.
func newHack(t *testing.T, database string) *hack {
	t.Helper()
	private := freeAddress(t)
	s := newSite(t, database, options{config: "hackillinois_private_listen: " + private + "\n"})
	h := &hack{t: t, base: s.base + "/hackillinois", back: "http://" + private}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, webPage, h.base)
	}))
	t.Cleanup(web.Close)
	h.web = web.URL + "/auth/"
	upstreams := ""
	for _, p := range []struct {
		key    string
		kind   upstream.Kind
		people []upstreamtest.Person
	}{
		{"github", upstream.GitHub, []upstreamtest.Person{upstreamtest.Jane, {ID: "7", Email: "systems@hackillinois.org", EmailVerified: true, GivenName: "Sam", Username: "sam"}}},
		{"google", upstream.Google, []upstreamtest.Person{{ID: "9012", Email: "stan@hackillinois.org", EmailVerified: true, GivenName: "Stan", FamilyName: "Staff", HostedDomain: "hackillinois.org"}}},
	} {
		srv := httptest.NewUnstartedServer(nil)
		base := "http://" + srv.Listener.Addr().String()
		srv.Config.Handler = upstreamtest.New(p.kind, base, time.Now, p.people...)
		srv.Start()
		t.Cleanup(srv.Close)
		upstreams += fmt.Sprintf("  - {key: %s, kind: %s, client_id: %s, client_secret: %s, base_url: %q}\n", p.key, p.kind, upstreamtest.ClientID, upstreamtest.ClientSecret, base)
	}
	s.command("apply", s.write("hackillinois.yaml", fmt.Sprintf(`clients:
  - key: hack
    name: HackIllinois
    redirect_uris: [%q]
    access_token: {secret: YzQ1N2I0ZTItMGNhZC00ZmI1LThlYzktN2}
  - {key: rsvp, name: The RSVP service, secret: a-secret-of-the-rsvp-service, methods: []}
upstreams:
%ssurfaces:
  hackillinois: {client: hack, staff_domain: hackillinois.org, admins: [systems@hackillinois.org], services: [rsvp]}
`, h.web, upstreams)))
	s.serve()
	return h
}

// webPage does what the web site of 2019 to 2023 does on /auth/ (contract
// hackillinois §10): takes the code from the query, posts it without redirect_uri
// and with junk in Authorization, reads the roles from the token by atob, and
// goes on with the bare token.
const webPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>HackIllinois</title><h1>HackIllinois</h1><p id="said">…</p><script>
const api = %q, query = new URLSearchParams(location.search), said = [];
async function request(method, path, token, body) {
	const res = await fetch(api + path, {method, headers: {"Content-Type": "application/json", "Authorization": token}, body: body && JSON.stringify(body)});
	const json = await res.json();
	if (res.status !== 200) throw json;
	return json;
}
async function run() {
	const {token} = await request("POST", "/auth/code/github/", null, {code: query.get("code")});
	const claims = JSON.parse(atob(token.split(".")[1]));
	said.push("token:" + claims.id + ":" + claims.roles.join());
	const own = await request("GET", "/auth/roles/", token);
	said.push("roles:" + own.id + ":" + own.roles.join());
	const fresh = await request("GET", "/auth/token/refresh/", token);
	said.push("fresh:" + JSON.parse(atob(fresh.token.split(".")[1])).roles.join());
	said.push("to:" + query.get("to"));
	try { await request("POST", "/auth/code/github/", "", {code: query.get("code")}); } catch (e) { said.push("again:" + e.status + ":" + e.type + ":" + e.message); }
}
run().catch(e => said.push("failed:" + JSON.stringify(e) + e)).finally(() => document.getElementById("said").textContent = said.join(" ") + " done");
</script></html>`

func TestHackIllinoisWebSite(t *testing.T) {
	path := os.Getenv("SALLYPORT_TEST_CHROMIUM")
	if path == "" {
		var err error
		if path, err = exec.LookPath("chromium"); err != nil {
			t.Skip("no Chromium found and SALLYPORT_TEST_CHROMIUM is not set: not tested in a browser")
		}
	}
	dbtest.EachURL(t, func(t *testing.T, database string) {
		h := newHack(t, database)
		alloc, quit := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
			chromedp.NoFirstRun, chromedp.Flag("disable-gpu", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-dev-shm-usage", true))
		defer quit()
		ctx, cancel := chromedp.NewContext(alloc)
		defer cancel()
		ctx, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		for _, start := range []string{
			"/auth/github/?redirect_uri=" + h.web + "?to=/register?x=1",                  // unescaped, as from 2020 on
			"/auth/github/?redirect_uri=" + url.QueryEscape(h.web+"?to=/register%3Fx=1"), // and as in 2019
		} {
			if _, err := chromedp.RunResponse(ctx, func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
				_, err := cdp.Call(ctx, tab, page.Navigate, page.NavigateParams{URL: h.base + start})
				return chromedp.Void{}, err
			}); err != nil {
				t.Fatal(err)
			}
			text := ""
			for !strings.HasSuffix(text, " done") {
				var err error
				if text, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#said"))); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				time.Sleep(20 * time.Millisecond)
			}
			if want := "token:github6892396:User roles:github6892396:User fresh:User to:/register?x=1 " +
				"again:403:AUTHORIZATION_ERROR:Could not get OAuth token. done"; text != want {
				t.Errorf("%s\ngot  %s\nwant %s", start, text, want)
			}
		}
	})
}

// app is a mobile app or a tool: it opens a browser for the login alone, and
// takes nothing for success but 200 (contract hackillinois §10).
type app struct {
	t    testing.TB
	hack *hack
}

// login opens a browser at start and returns the code that it lands on the web
// site's page with; person is who signs in at the provider.
func (a app) login(start, person string) string {
	a.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), a.hack.web) {
			return http.ErrUseLastResponse
		}
		if strings.HasSuffix(r.URL.Path, "/authorize") && person != "" {
			r.URL.RawQuery += "&person=" + person
		}
		return nil
	}}
	res, err := browser.Get(a.hack.base + start)
	if err != nil {
		a.t.Fatal(err)
	}
	res.Body.Close()
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		a.t.Fatalf("%s: %d, landed at %q", start, res.StatusCode, to)
	}
	return to.Query().Get("code")
}

// ask sends a request with a bare token and decodes the answer, which must be 200.
func (a app) ask(method, path, token, body string, into any) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.hack.base+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", token)
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, into)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		a.t.Fatalf("%s %s: %d %s, %v", method, path, res.StatusCode, text, err)
	}
}

type hackToken struct{ Token string }

// claims are what an app decodes of a token.
func (tk hackToken) claims(t testing.TB) (c struct {
	ID    string
	Roles []string
}) {
	t.Helper()
	parts := strings.Split(tk.Token, ".")
	raw, err := base64.StdEncoding.WithPadding(base64.NoPadding).DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHackIllinoisAppsAndTools(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, database string) {
		h := newHack(t, database)
		a := app{t, h}
		var got struct {
			ID, Username, FirstName, LastName, Email string
			Roles                                    []string
		}

		// The iOS app: redirect_uri unescaped on both calls; then the profile.
		const ios, android = "?isiOS=1", "?isAndroid=1"
		var attendee, staff, admin, fresh hackToken
		code := a.login("/auth/github/?redirect_uri="+h.web+ios, "")
		a.ask("POST", "/auth/code/github/?redirect_uri="+h.web+ios, "", `{"code":"`+code+`"}`, &attendee)
		a.ask("GET", "/user/", attendee.Token, "", &got)
		if got.ID != "github6892396" || got.Username != "jane" || got.FirstName != "Jane" || got.LastName != "Doe" || got.Email != "jane@gmail.com" {
			t.Errorf("profile %+v", got)
		}
		a.ask("GET", "/auth/roles/", attendee.Token, "", &got)
		if !slices.Equal(got.Roles, []string{"User"}) {
			t.Errorf("roles %q", got.Roles)
		}

		// The Android app: escaped on the second; an empty Authorization. The staff
		// come by Google, and the admin web site looks at the prefix of their id.
		code = a.login("/auth/google/?redirect_uri="+h.web+android, "")
		a.ask("POST", "/auth/code/google/?redirect_uri="+url.QueryEscape(h.web+android), "", `{"code":"`+code+`"}`, &staff)
		if c := staff.claims(t); !strings.HasPrefix(c.ID, "google") || !slices.Contains(c.Roles, "Staff") {
			t.Errorf("the admin web site lets nobody in with %+v", c)
		}

		// The administrators' command line: an address into an id, roles, and back.
		code = a.login("/auth/github/", "7")
		a.ask("POST", "/auth/code/github/", "null", `{"code":"`+code+`"}`, &admin)
		var found struct{ Users []struct{ ID string } }
		a.ask("GET", "/user/filter/?email=jane@gmail.com", admin.Token, "", &found)
		if len(found.Users) != 1 {
			t.Fatalf("found %+v", found)
		}
		id := found.Users[0].ID
		a.ask("GET", "/auth/roles/"+id+"/", admin.Token, "", &got)
		a.ask("PUT", "/auth/roles/add/", admin.Token, `{"id":"`+id+`","role":"Applicant"}`, &got)
		a.ask("PUT", "/auth/roles/add/", admin.Token, `{"id":"`+id+`","role":"Mentor"}`, &got)
		a.ask("PUT", "/auth/roles/remove/", admin.Token, `{"id":"`+id+`","role":"Mentor"}`, &got)
		if got.ID != id || !slices.Equal(got.Roles, []string{"User", "Applicant"}) {
			t.Errorf("after the changes: %+v", got)
		}

		// After a registration the web site picks the new role up by a refresh.
		a.ask("GET", "/auth/token/refresh/", attendee.Token, "", &fresh)
		if c := fresh.claims(t); !slices.Equal(c.Roles, []string{"User", "Applicant"}) {
			t.Errorf("refreshed: %+v", c)
		}

		// The RSVP service gives a role on the private listener, with its own secret.
		for secret, want := range map[string]int{"a-secret-of-the-rsvp-service": http.StatusOK, "another": http.StatusForbidden} {
			req, err := http.NewRequest(http.MethodPut, h.back+"/auth/roles/add/", strings.NewReader(`{"id":"`+id+`","role":"Attendee"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("rsvp", secret)
			res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("the service, by %q: %d, want %d", secret, res.StatusCode, want)
			}
		}
		a.ask("GET", "/auth/roles/", attendee.Token, "", &got)
		if !slices.Equal(got.Roles, []string{"User", "Applicant", "Attendee"}) {
			t.Errorf("roles %q", got.Roles)
		}
	})
}
