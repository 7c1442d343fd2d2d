package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/client"
)

// person is somebody with a browser of their own: its cookies, by name.
type person struct {
	t       *testing.T
	h       http.Handler
	cookies map[string]string
}

func (w town) person(t *testing.T, h http.Handler, email string) *person {
	t.Helper()
	p := &person{t, h, map[string]string{}}
	if email != "" {
		name, value, _ := strings.Cut(w.session(t, h, email), "=")
		p.cookies[name] = value
	}
	return p
}

// goes asks for a page as the person's browser does.
func (p *person) goes(method, path, body string, header ...string) *httptest.ResponseRecorder {
	var all []string
	for name, value := range p.cookies {
		all = append(all, name+"="+value)
	}
	got := visit(p.h, method, strings.TrimPrefix(path, "https://auth.example.com"), body, append(header, "Cookie", strings.Join(all, "; "))...)
	for _, c := range got.Result().Cookies() {
		p.cookies[c.Name] = c.Value
	}
	return got
}

// follows goes on by redirects until a page or somebody else's address.
func (p *person) follows(path string) (at string, got *httptest.ResponseRecorder) {
	for range 10 {
		got = p.goes("GET", path, "")
		to := got.Header().Get("Location")
		if to == "" || strings.HasPrefix(to, "https://app.example.com") {
			return to, got
		}
		path = to
	}
	p.t.Fatalf("still going round at %s", path)
	return "", nil
}

var hidden = regexp.MustCompile(`name="(csrf|request|totp_session)" value="([^"]*)"`)

// form is what the form of a page sends, with the fields filled in.
func form(page *httptest.ResponseRecorder, fields ...string) string {
	q := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page.Body.String(), -1) {
		q.Set(m[1], m[2])
	}
	for i := 0; i+1 < len(fields); i += 2 {
		q.Set(fields[i], fields[i+1])
	}
	return q.Encode()
}

func (w town) authorize(app, more string) string {
	return "/oauth2/authorize?response_type=code&client_id=" + w.vars[app] + "&redirect_uri=" + url.QueryEscape("https://app.example.com/callback") +
		"&scope=openid&code_challenge=" + challenge + "&code_challenge_method=S256" + more
}

// Nobody agrees for somebody else: not with the form that another was shown, nor
// once another has taken the request over.
func TestConsentIsTheirsWhoWereAsked(t *testing.T) {
	w, h := browsed(t)
	jane, mallory := w.person(t, h, "jane@example.com"), w.person(t, h, "outside@example.com")
	asked := func(p *person, path string) *httptest.ResponseRecorder {
		_, page := p.follows(path)
		if !strings.Contains(page.Body.String(), "Allow access?") {
			t.Fatalf("got %d %s, want the consent page", page.Code, page.Body)
		}
		return page
	}
	janes, mallorys := asked(jane, w.authorize("asking", "")), asked(mallory, w.authorize("asking", ""))
	for name, c := range map[string]struct {
		who  *person
		form string
	}{
		"the form of another":           {jane, form(mallorys, "do", "allow")},
		"another's request in own form": {jane, form(janes, "do", "allow", "request", strings.Repeat("a", 64))},
		"another's token":               {mallory, form(janes, "do", "allow")},
		"no token":                      {jane, form(janes, "do", "allow", "csrf", "")},
	} {
		if got := c.who.goes("POST", "/consent", c.form); got.Code != 403 || got.Header().Get("Location") != "" {
			t.Errorf("%s: got %d to %q, want 403", name, got.Code, got.Header().Get("Location"))
		}
	}
	// Jane's handle in Mallory's browser is a question to Mallory; Jane's answer
	// to hers is none any more.
	handle := regexp.MustCompile(`request=([0-9a-f]{64})`).FindString(janes.Body.String())
	if page := asked(mallory, "/consent?"+handle); !strings.Contains(page.Body.String(), "outside@example.com") {
		t.Errorf("Mallory is asked as somebody else: %s", page.Body)
	}
	got := jane.goes("POST", "/consent", form(janes, "do", "allow"))
	if to := got.Header().Get("Location"); got.Code != 302 || !strings.HasPrefix(to, "https://auth.example.com/oauth2/continue?") {
		t.Errorf("the answer to an old question: got %d to %q, want to be asked anew", got.Code, to)
	}
}

// A handle says itself which application it is of. What stands beside it, and a
// challenge of another, change nothing.
func TestHandleOfAnotherApplication(t *testing.T) {
	w, h := browsed(t)
	p := w.person(t, h, "")
	_, page := p.follows(w.authorize("demo", "&state=demo"))
	got := p.goes("POST", "/login", form(page, "email", "jane@example.com", "password", password,
		"app_id", w.vars["second"], "redirect_uri", "https://evil.example/", "state", "evil", "client_id", w.vars["second"]))
	to := got.Header().Get("Location")
	if strings.Contains(to, "evil") || strings.Contains(to, "token") {
		t.Errorf("got to %s", to)
	}
	if got := p.goes("GET", to, "").Header().Get("Location"); !strings.HasPrefix(got, "https://app.example.com/callback?code=") || !strings.Contains(got, "state=demo") {
		t.Errorf("the request ended at %s", got)
	}
	// A second factor for one application is none for another.
	tom := w.person(t, h, "")
	_, page = tom.follows(w.authorize("demo", ""))
	first := tom.goes("POST", "/login", form(page, "email", "tom@example.com", "password", password))
	_, page = tom.follows(w.authorize("second", ""))
	other := hidden.FindAllStringSubmatch(page.Body.String(), -1)
	got = tom.goes("POST", "/login/totp", form(first, "code", "000000", "request", other[1][2]))
	if got.Code != 400 || !strings.Contains(got.Body.String(), "This sign-in has expired.") {
		t.Errorf("another application's challenge: got %d %s", got.Code, got.Body)
	}
}

// Whatever is sent as a handle leads nowhere and is not repeated.
func TestHandlesLeadNowhereElse(t *testing.T) {
	w, h := browsed(t)
	p := w.person(t, h, "jane@example.com")
	_, page := p.follows("/login?app_id=" + w.vars["second"])
	csrf := hidden.FindStringSubmatch(page.Body.String())[2]
	for _, handle := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "\"><script>alert(1)</script>", "x\r\nLocation: https://evil.example/",
		"../account", "", "none", strings.Repeat("a", 64), strings.Repeat("A", 64), strings.Repeat("a", 10000), "\xff\x00",
	} {
		for _, path := range []string{"/login", "/signup", "/invite", "/forgot-password", "/consent", "/account"} {
			for _, more := range []string{"", "&error=2fa_required", "&redirect_uri=https://evil.example/&app_id=" + w.vars["demo"]} {
				got := p.goes("GET", path+"?request="+url.QueryEscape(handle)+more, "")
				want := 400
				if path == "/account" {
					want = 200
				}
				if got.Code != want || got.Header().Get("Location") != "" || strings.Contains(got.Body.String(), "evil.example") || strings.Contains(got.Body.String(), "<script>alert") {
					t.Errorf("%s with %q: got %d to %q", path, handle, got.Code, got.Header().Get("Location"))
				}
			}
		}
		for _, path := range []string{"/login", "/login/magic-link", "/login/totp", "/signup", "/invite", "/forgot-password", "/consent"} {
			got := p.goes("POST", path, url.Values{
				"csrf": {csrf}, "request": {handle}, "email": {"jane@example.com"}, "password": {password}, "code": {"1"}, "do": {"allow"},
			}.Encode())
			if got.Code != 400 && got.Code != 403 || got.Header().Get("Location") != "" || strings.Contains(got.Body.String(), "evil.example") {
				t.Errorf("POST %s with %q: got %d to %q", path, handle, got.Code, got.Header().Get("Location"))
			}
		}
	}
}

// No page of a request is framed, kept, or tells where it was (RFC 9700 §4.2,
// §4.16), and no form of one is taken from elsewhere: nobody is signed in as
// somebody else by a page they visit (login CSRF).
func TestPagesOfARequestKeepToThemselves(t *testing.T) {
	w, h := browsed(t)
	p := w.person(t, h, "jane@example.com")
	_, page := p.follows(w.authorize("asking", ""))
	handle := regexp.MustCompile(`request=[0-9a-f]{64}`).FindString(page.Body.String())
	for _, path := range []string{"/login", "/signup", "/invite", "/forgot-password", "/consent", "/account"} {
		got := p.goes("GET", path+"?"+handle, "")
		csp := got.Header().Get("Content-Security-Policy")
		if got.Code != 200 || got.Header().Get("X-Frame-Options") != "DENY" || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") ||
			strings.Contains(csp, "unsafe") || got.Header().Get("Referrer-Policy") != "no-referrer" || got.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %v", path, got.Code, got.Header())
		}
	}
	sent := form(page, "email", "outside@example.com", "password", password, "do", "allow", "display_name", "X")
	for _, path := range []string{"/login", "/login/magic-link", "/login/totp", "/signup", "/invite", "/forgot-password", "/consent"} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			if got := p.goes("POST", path, sent, header...); got.Code != 403 || got.Header().Get("Set-Cookie") != "" || got.Header().Get("Location") != "" {
				t.Errorf("%s from %v: got %d %v", path, header, got.Code, got.Header())
			}
		}
		stranger := w.person(t, h, "") // Lax cookies do not come along with another site's form
		if got := stranger.goes("POST", path, sent); got.Code != 403 {
			t.Errorf("%s without the cookie: got %d", path, got.Code)
		}
	}
}

// A link that was asked for in a stranger's request, for somebody else's address,
// signs in its reader and nobody else.
func TestLinkSignsInItsReaderAlone(t *testing.T) {
	w, h := browsed(t)
	mallory, nora := w.person(t, h, ""), w.person(t, h, "")
	_, page := mallory.follows(w.authorize("demo", ""))
	mallory.goes("POST", "/login/magic-link", form(page, "email", "nora@example.com"))
	text, _ := w.Mail("nora@example.com")
	raw := regexp.MustCompile(`token=([0-9a-f]{64})`).FindStringSubmatch(text)[1]
	shown := nora.goes("GET", "/magic-link?token="+raw, "")
	got := nora.goes("POST", "/magic-link", form(shown, "token", raw))
	if got.Code != 302 || nora.cookies["km_sso"] == "" {
		t.Fatalf("the reader: got %d %s", got.Code, got.Body)
	}
	if at, page := mallory.follows(got.Header().Get("Location")); mallory.cookies["km_sso"] != "" || strings.Contains(at, "code=") || !strings.Contains(page.Body.String(), "<h1>Sign in</h1>") {
		t.Errorf("who asked for the link got to %q: %d", at, page.Code)
	}
}

// What an application says of itself is words, and leads nowhere but by https.
func TestApplicationsSayNothingThatRuns(t *testing.T) {
	w, h := browsed(t)
	const evil = `"><script>alert(1)</script>`
	app := w.Client(evil, func(c *client.Client) {
		c.Source, c.Policy.OAuth.Scopes = client.Dynamic, []string{evil}
		c.Policy.OAuth.ClientURI, c.Policy.OAuth.PolicyURI, c.Policy.OAuth.TermsURI = "javascript:alert(1)", "data:text/html,x", "https://x.example/"+evil
	})
	w.vars["evil"] = string(app.ID)
	p := w.person(t, h, "jane@example.com")
	_, page := p.follows(strings.Replace(w.authorize("evil", ""), "scope=openid", "scope=openid+"+url.QueryEscape(evil), 1))
	body := page.Body.String()
	for _, never := range []string{"<script>alert", "javascript:", "data:text/html"} {
		if strings.Contains(body, never) {
			t.Errorf("the page holds %s", never)
		}
	}
	if !strings.Contains(body, "added itself here") || strings.Count(body, `target="_blank"`) != 1 {
		t.Errorf("want a warning and the one link by https: %s", body)
	}
}
