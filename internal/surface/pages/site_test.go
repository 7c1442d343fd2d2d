package pages_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/wire"
)

// site is a town on real sockets: Sallyport over plain http, at the root and
// under a prefix, and an application on another host that browsers come back to.
type site struct {
	town
	app  *httptest.Server // of the applications, all of them
	root string           // the URL of the server
	base string           // the URL of the mount under test
}

// newSite starts one. The mount is "" or "/keymaster".
func newSite(t *testing.T, mount string) *site {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>Welcome to the application</h1>`))
	}))
	t.Cleanup(app.Close)

	s := &site{town: newTown(t, dbtest.SQLite(t), app.URL), app: app}
	srv := httptest.NewUnstartedServer(nil)
	// A host has a name, or it has no passkeys. The application is another site to
	// the browser, as in real life.
	s.root = strings.Replace("http://"+srv.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	s.base = s.root + mount
	api, p := surfaces(t, s.Rig, s.root, s.root+"/keymaster")
	mux := &wire.Mux{NotFound: p.NotFound}
	mux.Add(api.Routes(), api.MethodNotAllowed)
	mux.Add(p.Routes(), p.MethodNotAllowed)
	mux.Add(provider(s.Rig, p, s.root, s.root+"/keymaster").Routes(), p.MethodNotAllowed)
	at := func(path string) http.Handler {
		m := wire.Mount{Base: s.root + path, Path: path}
		return http.StripPrefix(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mux.ServeHTTP(w, r.WithContext(wire.WithMount(r.Context(), m)))
		}))
	}
	mounts := http.NewServeMux()
	mounts.Handle("/", at(""))
	mounts.Handle("/keymaster/", at("/keymaster"))
	srv.Config.Handler = wire.Requests{Trusted: []netip.Prefix{}, Now: s.Now}.Wrap(wire.SecurityHeaders(false, mounts))
	srv.Start()
	t.Cleanup(srv.Close)
	return s
}

var link = regexp.MustCompile(`https?://\S+`)

// link takes the link of the newest mail to an address.
func (s *site) link(t *testing.T, to string) string {
	t.Helper()
	text, ok := s.Mail(to)
	if !ok {
		t.Fatalf("no mail to %s", to)
	}
	return link.FindString(text)
}

// login is the address of the sign-in page for an application.
func (s *site) login(app, more string) string { return "/login?app_id=" + s.vars[app] + more }

// post calls the API.
func (s *site) post(t *testing.T, path string, in map[string]string) map[string]any {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// verify asks the API whether an access token is good for an application.
func (s *site) verify(t *testing.T, access, app string) (ok bool, why any) {
	t.Helper()
	out := s.post(t, "/token/verify", map[string]string{"token": access, "audience": s.vars[app]})
	return out["valid"] == true, out["error"]
}
