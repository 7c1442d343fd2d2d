package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/wire"
)

// echo is a surface whose routes answer with its name, the route and the mount.
func echo(name string, own bool, with []string, patterns ...string) surface {
	say := func(what string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, name+" "+what+" "+wire.MountOf(r.Context()).Base)
		}
	}
	s := surface{name: name, own: own, with: with, notFound: say("not found", 404), notAllowed: say("not allowed", 405), crash: say("crash", 500)}
	for _, p := range patterns {
		s.routes = append(s.routes, wire.Route{Method: "GET", Pattern: p, Handler: say(p, 200)})
	}
	return s
}

func testMounts(publicURL string, hosts map[string]string) *mounts {
	panics := echo("keymaster", false, []string{"pages", "absent"}, "/shared", "/km")
	panics.routes = append(panics.routes, wire.Route{Method: "GET", Pattern: "/panic", Handler: func(http.ResponseWriter, *http.Request) { panic("on purpose") }})
	greedy := echo("hackillinois", false, nil, "/hack")
	greedy.whole, greedy.alone = true, echo("hackillinois", false, nil, "/alone").routes
	all := []surface{
		panics,
		echo("tofu", false, nil, "/shared", "/tofu-only", "/healthz"),
		echo("snooplytics", false, nil, "/snoop"),
		greedy,
		echo("pages", true, nil, "/login", "/shared"),
	}
	c := config.Config{PublicURL: publicURL, Root: []string{"accountmaker", "hackillinois", "tofu", "keymaster"}, Hosts: hosts}
	return newMounts(echo("server", true, nil, "/healthz"), all, c, slog.New(slog.DiscardHandler))
}

func TestMounts(t *testing.T) {
	m := testMounts("https://auth.example.com", map[string]string{"km.example.com": "keymaster", "tofu.localhost:8080": "tofu"})
	for _, c := range []struct{ host, path, want string }{
		// The root: probes, then the order of root, then ours.
		{"auth.example.com", "/healthz", "server /healthz https://auth.example.com"},
		{"auth.example.com", "/shared", "tofu /shared https://auth.example.com"},
		{"auth.example.com", "/km", "keymaster /km https://auth.example.com"},
		{"auth.example.com", "/login", "pages /login https://auth.example.com"},
		{"10.0.0.1:8080", "/km", "keymaster /km https://auth.example.com"},
		{"auth.example.com", "/snoop", "tofu not found https://auth.example.com"}, // not named in root
		{"auth.example.com", "/", "tofu not found https://auth.example.com"},
		{"auth.example.com", "/keymaster", "tofu not found https://auth.example.com"},
		{"auth.example.com", "/absent", "tofu not found https://auth.example.com"},
		// By prefix: exclusive, with the pages of its contract.
		{"auth.example.com", "/keymaster/shared", "keymaster /shared https://auth.example.com/keymaster"},
		{"auth.example.com", "/keymaster/login", "pages /login https://auth.example.com/keymaster"},
		{"auth.example.com", "/keymaster/tofu-only", "keymaster not found https://auth.example.com/keymaster"},
		{"auth.example.com", "/keymaster/healthz", "keymaster not found https://auth.example.com/keymaster"},
		{"auth.example.com", "/keymaster/", "keymaster not found https://auth.example.com/keymaster"},
		{"auth.example.com", "/keymaster//shared", "keymaster not found https://auth.example.com/keymaster"},
		{"auth.example.com", "/keymaster/keymaster/shared", "keymaster not found https://auth.example.com/keymaster"},
		{"auth.example.com", "/snooplytics/snoop", "snooplytics /snoop https://auth.example.com/snooplytics"},
		{"auth.example.com", "/tofu/login", "tofu not found https://auth.example.com/tofu"},
		{"auth.example.com", "/keymaster%2Fshared", "tofu not found https://auth.example.com"},
		{"auth.example.com", "/%6beymaster/shared", "tofu not found https://auth.example.com"},
		// What only a mount of its own has, and what it says there of paths that it
		// does not have.
		{"auth.example.com", "/alone", "tofu not found https://auth.example.com"},
		{"auth.example.com", "/hackillinois/alone", "hackillinois /alone https://auth.example.com/hackillinois"},
		{"auth.example.com", "/hackillinois/absent", "hackillinois not found https://auth.example.com/hackillinois"},
		{"auth.example.com", "/pages/login", "tofu not found https://auth.example.com"}, // ours have no prefix
		// By host: that host's root is the surface's alone.
		{"km.example.com", "/km", "keymaster /km https://km.example.com"},
		{"KM.example.com:443", "/login", "pages /login https://km.example.com"},
		{"km.example.com.", "/km", "keymaster /km https://km.example.com"},
		{"km.example.com", "/tofu-only", "keymaster not found https://km.example.com"},
		{"km.example.com", "/keymaster/km", "keymaster not found https://km.example.com"},
		{"km.example.com", "/healthz", "keymaster not found https://km.example.com"},
		{"tofu.localhost:8080", "/healthz", "tofu /healthz https://tofu.localhost:8080"},
		{"tofu.localhost:8081", "/healthz", "server /healthz https://auth.example.com"}, // another port than configured
		{"sub.km.example.com", "/tofu-only", "tofu /tofu-only https://auth.example.com"},
	} {
		r := httptest.NewRequest("GET", "http://x"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if got := w.Body.String(); got != c.want {
			t.Errorf("%s%s: got %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

func TestMountsOfPlainHTTP(t *testing.T) {
	m := testMounts("http://localhost:8080", map[string]string{"km.localhost:8080": "keymaster", "km.example.com": "keymaster"})
	for host, want := range map[string]wire.Mount{
		"km.localhost:8080": {Base: "http://km.localhost:8080"},
		"km.example.com":    {Base: "https://km.example.com", Secure: true},
		"localhost:8080":    {Base: "http://localhost:8080"},
	} {
		r := httptest.NewRequest("GET", "http://x/km", nil)
		r.Host = host
		if got := m.find(r).at; got != want {
			t.Errorf("%s: got %+v, want %+v", host, got, want)
		}
	}
}

func TestWrongMethodAndPanicAreTheSurfacesOwn(t *testing.T) {
	m := testMounts("https://auth.example.com", nil)
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/km", "keymaster not allowed https://auth.example.com"},
		{"DELETE", "/snooplytics/snoop", "snooplytics not allowed https://auth.example.com/snooplytics"},
		{"POST", "/login", "pages not allowed https://auth.example.com"},
		{"GET", "/panic", "keymaster crash https://auth.example.com"},
	} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(c.method, "http://x"+c.path, nil))
		if got := w.Body.String(); got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestVisitTellsTheSurface(t *testing.T) {
	m := testMounts("https://auth.example.com", nil)
	for path, want := range map[string]string{
		"/km": "keymaster", "/login": "pages", "/keymaster/login": "pages", "/absent": "", "/tofu/tofu-only": "tofu",
	} {
		got := "?"
		h := withVisit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.ServeHTTP(w, r)
			got = surfaceOf(r.Context())
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://x"+path, nil))
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestIssuersAreAllMounts(t *testing.T) {
	got := issuers(config.Config{PublicURL: "https://a.example", Hosts: map[string]string{"b.example": "tofu", "am.example:8443": "accountmaker"}})
	want := []string{
		"https://a.example", "https://a.example/keymaster", "https://a.example/accountmaker", "https://a.example/snooplytics",
		"https://a.example/tofu", "https://a.example/hackillinois", "https://am.example:8443", "https://b.example",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
