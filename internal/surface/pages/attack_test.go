package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
)

// browsed is the pages and the API of a town as one server.
func browsed(t *testing.T) (town, http.Handler) {
	w := newTown(t, dbtest.SQLite(t), "https://app.example.com")
	api, pages := surfaces(t, w.Rig, rig.Base)
	api.Tokens = w.Tokens
	w.Mount(api.Routes(), api.MethodNotAllowed)
	w.Mount(pages.Routes(), pages.MethodNotAllowed)
	w.Mount(provider(w.Rig, pages, rig.Base).Routes(), pages.MethodNotAllowed)
	return w, w.Handler()
}

func visit(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.RemoteAddr = "198.51.100.9:1"
	if strings.HasPrefix(body, "{") {
		req.Header.Set("Content-Type", "application/json")
	} else if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func (w town) session(t *testing.T, h http.Handler, email string) string {
	got := visit(h, "POST", "/auth/login", fmt.Sprintf(`{"email":%q,"password":%q,"app_id":%q}`, email, password, w.vars["demo"]))
	if got.Code != 200 {
		t.Fatal(got.Code, got.Body)
	}
	return "km_sso=" + got.Result().Cookies()[0].Value
}

// One browser session does not fill the database: each resumed sign-in is a
// refresh-token family for 30 days, an audit entry and a delivery.
func TestResumedSignInsAreLimited(t *testing.T) {
	w, h := browsed(t)
	cookie := w.session(t, h, "jane@example.com")
	resumed := 0
	for range 300 {
		if visit(h, "GET", "/login?app_id="+w.vars["demo"], "", "Cookie", cookie).Code == 302 {
			resumed++
		}
	}
	if resumed > 100 {
		t.Errorf("%d sign-ins in one moment by one session", resumed)
	}
}

// No page sends a browser to an address that is not registered, or repeats what
// a query says as markup.
func TestPagesAreNoOpenRedirectAndNoEcho(t *testing.T) {
	w, h := browsed(t)
	cookie := w.session(t, h, "jane@example.com")
	for _, to := range []string{
		"https://evil.example/", "https://app.example.com/callback/../x", "https://app.example.com/callback?x=1", "https://app.example.com/callback#f",
		"https://app.example.com.evil.example/callback", "https://app.example.com@evil.example/callback", "//evil.example", "/\\evil.example",
		"javascript:alert(1)", "HTTPS://app.example.com/callback", "https://app.example.com/callback%00", " https://app.example.com/callback",
		"https://app.example.com/Callback", "https://app.example.com:443/callback",
	} {
		for _, path := range []string{"/login", "/signup", "/invite", "/forgot-password"} {
			got := visit(h, "GET", path+"?app_id="+w.vars["demo"]+"&redirect_uri="+url.QueryEscape(to), "", "Cookie", cookie)
			if got.Code != 400 || got.Header().Get("Location") != "" || strings.Contains(got.Body.String(), "evil") {
				t.Errorf("%s with %q: %d %s", path, to, got.Code, got.Header().Get("Location"))
			}
		}
	}
	for _, q := range []string{
		"error=<script>alert(1)</script>", "state=\"><script>alert(1)</script>", "error=x&app_id=", "code=\"><script>", "token=\"><script>", "state=%0d%0aSet-Cookie:+a=b",
	} {
		for _, path := range []string{"/login", "/signup", "/invite", "/reset-password", "/verify-email", "/magic-link"} {
			got := visit(h, "GET", path+"?app_id="+w.vars["demo"]+"&"+strings.ReplaceAll(url.PathEscape(q), "%3D", "="), "")
			if strings.Contains(got.Body.String(), "<script>alert") || strings.Contains(fmt.Sprint(got.Header()), "a=b") {
				t.Errorf("%s?%s is echoed", path, q)
			}
			if csp := got.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe-inline") {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
	}
	// The echoed state stays one parameter.
	got := visit(h, "GET", "/login?app_id="+w.vars["demo"]+"&state="+url.QueryEscape("a&access_token=evil#x\r\nX: y"), "", "Cookie", cookie)
	to, err := url.Parse(got.Header().Get("Location"))
	if err != nil || len(to.Query()["access_token"]) != 1 || to.Query().Get("state") != "a&access_token=evil#x\r\nX: y" {
		t.Errorf("state: %s", got.Header().Get("Location"))
	}
}

// No form is taken from another site, nor with the token of another browser.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	w, h := browsed(t)
	page := visit(h, "GET", "/login?app_id="+w.vars["demo"], "")
	token := regexp.MustCompile(`name="csrf" value="([0-9a-f]+)"`).FindStringSubmatch(page.Body.String())[1]
	cookie, _, _ := strings.Cut(page.Header().Get("Set-Cookie"), ";")
	form := url.Values{"csrf": {token}, "app_id": {w.vars["demo"]}, "email": {"jane@example.com"}, "password": {password}}.Encode()
	for name, header := range map[string][]string{
		"no cookie":      {},
		"another cookie": {"Cookie", "__Host-sp_csrf=" + strings.Repeat("0", 32)},
		"cross-site":     {"Cookie", cookie, "Sec-Fetch-Site", "cross-site"},
		"same-site":      {"Cookie", cookie, "Sec-Fetch-Site", "same-site"},
		"other origin":   {"Cookie", cookie, "Origin", "https://evil.example"},
		"null, fetched":  {"Cookie", cookie, "Origin", "null", "Sec-Fetch-Site", "cross-site"},
		"insecure name":  {"Cookie", strings.Replace(cookie, "__Host-", "", 1)},
	} {
		if got := visit(h, "POST", "/login", form, header...); got.Code != 403 || len(got.Header().Values("Set-Cookie")) > 0 && strings.Contains(fmt.Sprint(got.Header()), "km_sso") {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
	if got := visit(h, "POST", "/login", form, "Cookie", cookie, "Sec-Fetch-Site", "same-origin"); got.Code != 302 {
		t.Errorf("our own: %d %s", got.Code, got.Body)
	}
	// The account's form is bound to its session.
	jane, tom := w.session(t, h, "jane@example.com"), w.session(t, h, "outside@example.com")
	page = visit(h, "GET", "/account", "", "Cookie", jane+"; "+cookie)
	token = regexp.MustCompile(`name="csrf" value="([0-9a-f]+)"`).FindStringSubmatch(page.Body.String())[1]
	form = url.Values{"csrf": {token}, "do": {"rename"}, "display_name": {"Changed"}}.Encode()
	if got := visit(h, "POST", "/account", form, "Cookie", tom+"; "+cookie, "Sec-Fetch-Site", "same-origin"); got.Code != 403 {
		t.Errorf("a form of another session: %d", got.Code)
	}
}

// Nothing that only looks spends a link, and a HEAD gets no tokens.
func TestLookingSpendsNothing(t *testing.T) {
	w, h := browsed(t)
	visit(h, "POST", "/auth/magic-link/request", fmt.Sprintf(`{"email":"nora@example.com","app_id":%q}`, w.vars["demo"]))
	text, _ := w.Mail("nora@example.com")
	link := regexp.MustCompile(`/auth/magic-link/verify\?token=[0-9a-f]+`).FindString(text)
	for _, c := range [][]string{{"HEAD"}, {"OPTIONS"}, {"GET", "Sec-Purpose", "prefetch;prerender"}, {"GET", "Purpose", "prefetch"}, {"GET", "X-Moz", "prefetch"}} {
		got := visit(h, c[0], link, "", c[1:]...)
		if got.Header().Get("Location") != "" || got.Header().Get("Set-Cookie") != "" {
			t.Errorf("%v: %d %v", c, got.Code, got.Header())
		}
	}
	if got := visit(h, "GET", link, ""); !strings.Contains(got.Header().Get("Location"), "access_token=") {
		t.Errorf("the click itself: %d %v", got.Code, got.Header())
	}
	cookie := w.session(t, h, "jane@example.com")
	for _, c := range [][]string{{"HEAD"}, {"GET", "Sec-Purpose", "prefetch"}} {
		if got := visit(h, c[0], "/login?app_id="+w.vars["demo"], "", append(c[1:], "Cookie", cookie)...); got.Header().Get("Location") != "" {
			t.Errorf("/login %v gives tokens", c)
		}
	}
}
