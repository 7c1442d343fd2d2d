package wire_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/wire"
)

// say answers with a name, the method it saw and the values of the braces.
func say(name string, params ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := name + " " + r.Method
		for _, p := range params {
			out += " " + p + "=" + r.PathValue(p)
		}
		w.Header().Set("X-Said", out)
		w.Header().Set("X-Pattern", r.Pattern)
	}
}

func testMux() *wire.Mux {
	m := &wire.Mux{NotFound: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }}
	m.Add([]wire.Route{
		{Method: "POST", Pattern: "/auth/login", Handler: say("login")},
		{Method: "GET", Pattern: "/auth/login", Handler: say("page")},
		{Method: "GET", Pattern: "/apps/{id}", Handler: say("app", "id")},
		{Method: "DELETE", Pattern: "/apps/{id}", Handler: say("delete", "id")},
		{Method: "GET", Pattern: "/apps/{id}/hooks/{hook}", Handler: say("hook", "id", "hook")},
		{Method: "GET", Pattern: "/apps/new", Handler: say("new")},
		{Method: "POST", Pattern: "/apps/{id}/logo", Handler: say("logo", "id")},
		{Method: "GET", Pattern: "/", Handler: say("root")},
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Said", "first's 405")
		w.WriteHeader(405)
	})
	m.Add([]wire.Route{
		{Method: "PUT", Pattern: "/auth/login", Handler: say("second")},
		{Method: "GET", Pattern: "/auth/{what}", Handler: say("any", "what")},
		{Method: "POST", Pattern: "/auth/{what}", Handler: say("any", "what")},
		{Method: "GET", Pattern: "/apps/{other}/hooks/all", Handler: say("all", "other")},
		{Method: "GET", Pattern: "/only/second", Handler: say("only")},
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Said", "second's 405")
		w.WriteHeader(405)
	})
	return m
}

func TestMuxFindsExactPaths(t *testing.T) {
	m := testMux()
	for req, want := range map[string]string{
		"POST /auth/login":         "login POST",
		"GET /auth/login":          "page GET",
		"HEAD /auth/login":         "page HEAD",
		"PUT /auth/login":          "second PUT",
		"GET /auth/other":          "any GET what=other",
		"GET /apps/7":              "app GET id=7",
		"GET /apps/new":            "new GET",
		"DELETE /apps/new":         "delete DELETE id=new",
		"GET /apps/a%2Fb":          "app GET id=a/b",
		"GET /apps/%7Bid%7D":       "app GET id={id}",
		"GET /apps/7/hooks/9":      "hook GET id=7 hook=9",
		"GET /apps/7/hooks/all":    "hook GET id=7 hook=all", // the earlier set, though less literal
		"GET /a%70ps/7":            "app GET id=7",
		"GET /":                    "root GET",
		"POST /apps/7/logo":        "logo POST id=7",
		"PATCH /auth/login":        "first's 405",
		"DELETE /only/second":      "second's 405",
		"OPTIONS /auth/login":      "first's 405",
		"GET //auth/login":         "",
		"GET /auth/login/":         "",
		"GET /auth//login":         "",
		"GET /auth/./login":        "",
		"GET /apps/../auth/login":  "",
		"GET /apps/":               "",
		"GET /apps//logo":          "",
		"POST /AUTH/login":         "",
		"GET /apps/%00":            "",
		"GET /apps/%ff":            "",
		"GET /apps/7/hooks":        "",
		"GET /apps/7/hooks/9/more": "",
	} {
		method, path, _ := strings.Cut(req, " ")
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if got := w.Header().Get("X-Said"); got != want {
			t.Errorf("%s: got %q, want %q", req, got, want)
		}
		if w.Header().Get("Location") != "" {
			t.Errorf("%s: redirected", req)
		}
	}
}

func TestMuxSaysWhatAPathAllows(t *testing.T) {
	for path, want := range map[string]string{
		"/auth/login":  "GET, HEAD, POST, PUT",
		"/apps/7":      "DELETE, GET, HEAD",
		"/only/second": "GET, HEAD",
	} {
		w := httptest.NewRecorder()
		testMux().ServeHTTP(w, httptest.NewRequest("PATCH", path, nil))
		if got := w.Header().Get("Allow"); w.Code != 405 || got != want {
			t.Errorf("%s: got %d, Allow %q; want 405, %q", path, w.Code, got, want)
		}
	}
}

func TestMuxReportsShadowedRoutesAndPatterns(t *testing.T) {
	m := testMux()
	shadowed := m.Add([]wire.Route{
		{Method: "POST", Pattern: "/auth/login", Handler: say("never")},
		{Method: "GET", Pattern: "/free", Handler: say("free")},
	}, nil)
	if len(shadowed) != 1 || shadowed[0].Pattern != "/auth/login" {
		t.Errorf("got %v, want the login route", shadowed)
	}
	if p, ok := m.Match("HEAD", "/apps/7/hooks/8"); p != "/apps/{id}/hooks/{hook}" || !ok {
		t.Errorf("Match: got %q, %v", p, ok)
	}
	if p, ok := m.Match("PATCH", "/apps/7"); ok {
		t.Errorf("Match: got %q for a method that is not allowed", p)
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/apps/7", nil))
	if got := w.Header().Get("X-Pattern"); got != "/apps/{id}" {
		t.Errorf("r.Pattern: got %q", got)
	}
}

func TestMuxRefusesMistakesInTheList(t *testing.T) {
	ok := say("x")
	for name, routes := range map[string][]wire.Route{
		"twice":          {{Method: "GET", Pattern: "/a", Handler: ok}, {Method: "GET", Pattern: "/a", Handler: ok}},
		"two names":      {{Method: "GET", Pattern: "/{a}", Handler: ok}, {Method: "PUT", Pattern: "/{b}", Handler: ok}},
		"name twice":     {{Method: "GET", Pattern: "/{a}/{a}", Handler: ok}},
		"no handler":     {{Method: "GET", Pattern: "/a"}},
		"no method":      {{Pattern: "/a", Handler: ok}},
		"relative":       {{Method: "GET", Pattern: "a", Handler: ok}},
		"open brace":     {{Method: "GET", Pattern: "/{a", Handler: ok}},
		"nameless":       {{Method: "GET", Pattern: "/{}", Handler: ok}},
		"part of a path": {{Method: "GET", Pattern: "/x{a}", Handler: ok}},
		"query":          {{Method: "GET", Pattern: "/a?b", Handler: ok}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: taken", name)
				}
			}()
			(&wire.Mux{}).Add(routes, nil)
		}()
	}
}

// FuzzMux asks that no path panics, redirects, or reaches a handler by a value
// that could not be stored.
func FuzzMux(f *testing.F) {
	f.Add("GET", "/apps/7/hooks/9")
	f.Add("POST", "//%2e%2e/%ff%00{")
	m := testMux()
	f.Fuzz(func(t *testing.T, method, path string) {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse("http://x/" + path)
		if err != nil {
			return
		}
		r.Method, r.URL = method, u
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 || strings.ContainsAny(w.Header().Get("X-Said"), "\x00") {
			t.Fatalf("%s %q: %d %q", method, path, w.Code, w.Header())
		}
	})
}

func BenchmarkMux(b *testing.B) {
	m := testMux()
	r := httptest.NewRequest("POST", "/auth/login", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		m.ServeHTTP(w, r)
	}
}
