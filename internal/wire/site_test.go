package wire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

func corsMux(c wire.CORS) *wire.Mux {
	m := &wire.Mux{}
	m.Add(c.Routes([]wire.Route{
		{Method: "POST", Pattern: "/auth/login", Handler: say("login")},
		{Method: "GET", Pattern: "/apps/{id}", Handler: say("app", "id")},
		{Method: "DELETE", Pattern: "/apps/{id}", Handler: say("delete", "id")},
	}), nil)
	return m
}

func TestCORSLetsOnlyAllowedOriginsRead(t *testing.T) {
	m := corsMux(wire.CORS{
		Allow:   func(_ context.Context, o string) (bool, error) { return o == "https://app.test", nil },
		Headers: []string{"Content-Type", "Authorization"}, Expose: []string{"Retry-After"},
	})
	for _, c := range []struct{ method, path, origin, asks, said, granted, methods string }{
		{"POST", "/auth/login", "https://app.test", "", "login POST", "https://app.test", ""},
		{"POST", "/auth/login", "https://evil.test", "", "login POST", "", ""},
		{"POST", "/auth/login", "null", "", "login POST", "", ""},
		{"POST", "/auth/login", "", "", "login POST", "", ""},
		{"OPTIONS", "/auth/login", "https://app.test", "POST", "", "https://app.test", "POST"},
		{"OPTIONS", "/auth/login", "https://evil.test", "POST", "", "", ""},
		{"OPTIONS", "/auth/login", "", "", "", "", ""},
		{"OPTIONS", "/apps/7", "https://app.test", "DELETE", "", "https://app.test", "GET, DELETE, HEAD"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.asks != "" {
			r.Header.Set("Access-Control-Request-Method", c.asks)
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		h := w.Header()
		if h.Get("X-Said") != c.said || h.Get("Access-Control-Allow-Origin") != c.granted || h.Get("Access-Control-Allow-Methods") != c.methods {
			t.Errorf("%s %s from %q: got %d %v", c.method, c.path, c.origin, w.Code, h)
		}
		if h.Get("Vary") != "Origin" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s from %q: Vary or credentials: %v", c.method, c.path, c.origin, h)
		}
		if c.method == "OPTIONS" && (w.Code != 204 || h.Get("Allow") == "") {
			t.Errorf("preflight: %d %v", w.Code, h)
		}
		if exposed := h.Get("Access-Control-Expose-Headers"); (exposed == "Retry-After") != (c.granted != "" && c.method != "OPTIONS") {
			t.Errorf("%s from %q: exposes %q", c.method, c.origin, exposed)
		}
	}
}

func TestCORSAnswersWithFailWhenAllowFails(t *testing.T) {
	m := corsMux(wire.CORS{
		Allow: func(context.Context, string) (bool, error) { return true, errors.New("database is away") },
		Fail:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(503) },
	})
	for _, method := range []string{"POST", "OPTIONS"} {
		r := httptest.NewRequest(method, "/auth/login", nil)
		r.Header.Set("Origin", "https://app.test")
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code != 503 || w.Header().Get("X-Said") != "" || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: got %d %v", method, w.Code, w.Header())
		}
	}
}

func TestCORSForEverybody(t *testing.T) {
	w := httptest.NewRecorder()
	corsMux(wire.CORS{}).ServeHTTP(w, httptest.NewRequest("GET", "/apps/1", nil))
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" || w.Header().Get("Vary") != "" {
		t.Errorf("got %q, Vary %q", got, w.Header().Get("Vary"))
	}
}

func TestCookieFollowsTheMount(t *testing.T) {
	for _, c := range []struct {
		mount *wire.Mount
		want  string
	}{
		{nil, "km_sso=v; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax"},
		{&wire.Mount{Base: "https://a.test", Secure: true}, "km_sso=v; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax"},
		{&wire.Mount{Base: "https://a.test/keymaster", Path: "/keymaster", Secure: true}, "km_sso=v; Path=/keymaster; Max-Age=28800; HttpOnly; Secure; SameSite=Lax"},
		{&wire.Mount{Base: "http://localhost:8080"}, "km_sso=v; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.mount != nil {
			r = r.WithContext(wire.WithMount(r.Context(), *c.mount))
		}
		w := httptest.NewRecorder()
		wire.SetCookie(w, r, "km_sso", "v", 8*time.Hour)
		if got := w.Header().Get("Set-Cookie"); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		w = httptest.NewRecorder()
		wire.ClearCookie(w, r, "km_sso")
		if got, want := w.Header().Get("Set-Cookie"), strings.NewReplacer("=v", "=", "28800", "0").Replace(c.want); got != want {
			t.Errorf("clear:\ngot  %s\nwant %s", got, want)
		}
	}
}

func TestCSRFTokenFitsOneBrowserOnly(t *testing.T) {
	key, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	guard, err := wire.NewCSRF(key, "https://auth.test/keymaster")
	if err != nil {
		t.Fatal(err)
	}
	page := func(bind ...string) (token string, cookie *http.Cookie) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "https://auth.test/login", nil)
		token = guard.Token(w, r, bind...)
		if again := guard.Token(w, r, bind...); again != token {
			t.Errorf("two forms of one page: %s and %s", token, again)
		}
		return token, w.Result().Cookies()[0]
	}
	token, cookie := page("login")
	if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" {
		t.Errorf("cookie %v", cookie)
	}
	other, otherCookie := page("login")
	form := func(change func(*http.Request), c *http.Cookie) *http.Request {
		r := httptest.NewRequest("POST", "https://internal:8080/login", nil) // behind a proxy that changes Host
		r.Header.Set("Origin", "https://auth.test")
		r.AddCookie(c)
		if change != nil {
			change(r)
		}
		return r
	}
	if err := guard.Check(form(nil, cookie), token, "login"); err != nil {
		t.Errorf("our own page: %v", err)
	}
	for name, c := range map[string]struct {
		r     *http.Request
		token string
		bind  string
	}{
		"no token":        {form(nil, cookie), "", "login"},
		"other browser's": {form(nil, otherCookie), token, "login"},
		"other token":     {form(nil, cookie), other, "login"},
		"other purpose":   {form(nil, cookie), token, "logout"},
		"no cookie":       {form(func(r *http.Request) { r.Header.Del("Cookie") }, cookie), token, "login"},
		"cross-site": {form(func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://evil.test")
		}, cookie), token, "login"},
		"other origin": {form(func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, cookie), token, "login"},
	} {
		if err := guard.Check(c.r, c.token, c.bind); !errors.Is(err, wire.ErrCrossSite) {
			t.Errorf("%s: got %v, want %v", name, err, wire.ErrCrossSite)
		}
	}
	if _, err := wire.NewCSRF(key, "not a url"); err == nil {
		t.Error("took a base that is no URL")
	}
}
