package server

import (
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/resource"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/surface/tofu"
)

// bound is a file that binds a client to each surface that has one.
const bound = `
clients:
  - {key: hack, id: 9e1b4f83-6a2c-4d0b-b7f5-2c8d3e0a1f66, name: HackIllinois, redirect_uris: [https://hack.example.com/auth/], access_token: {secret: hackillinois-signs-with-this-in-a-test}}
  - {key: tofu, id: 5c0e6d2b-3f7a-4a5e-8d14-9b2f6e1c7a40, name: Tofu, access_token: {secret: tofu-signs-with-this-in-a-test-of-ours}}
upstreams:
  - {key: gh, kind: github, client_id: x, client_secret: a-secret-of-ours-there}
  - {key: google, kind: google, client_id: x, client_secret: a-secret-of-ours-there}
surfaces:
  hackillinois: {client: hack, HACK}
  tofu: {client: tofu, TOFU}
`

// furnished is a server over d with the file bound, changed by what follows.
func furnished(t *testing.T, d *db.DB, hack, tofu string) *Server {
	t.Helper()
	c := testConfig("")
	c.Hosts = map[string]string{"hack.example.com": "hackillinois", "tofu.example.com": "tofu"}
	s, _ := newServer(t, Options{Config: c, DB: d})
	t.Cleanup(func() { s.Close() })
	text := strings.NewReplacer("HACK", hack, "TOFU", tofu).Replace(bound)
	f, err := resource.Parse("bound.yaml", []byte(text), resource.ParseOptions{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	core := &resource.Core{DB: d, Now: s.now, Key: testKey, Passwords: s.passwords}
	if _, err := core.Apply(t.Context(), f, resource.Options{NoMail: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.settings.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSettingsOfHackIllinois(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const id = "9e1b4f83-6a2c-4d0b-b7f5-2c8d3e0a1f66"
		s := furnished(t, d, "staff_domain: example.com", "")
		want := hackillinois.Settings{Client: id, Upstreams: map[string]string{"github": "gh", "google": "google"}, RenewWithin: 30 * 24 * time.Hour,
			Impersonation: true, StaffDomain: "example.com", GrantBy: []string{"github", "google"}}
		if got := s.settings.hackIllinois(); !reflect.DeepEqual(got, want) {
			t.Errorf("defaults:\ngot  %+v\nwant %+v", got, want)
		}
		s = furnished(t, d, `login: pass_through, impersonation: false, linkedin: legacy, legacy_tokens_until: "2026-12-31",
			admins: [a@example.com], grant_by: [google], hosted_domain: example.com, drop_grants: false, renew_for: 1d, any_role: true`, "")
		want = hackillinois.Settings{Client: id, Upstreams: map[string]string{"github": "gh", "google": "google"}, PassThrough: hackillinois.Providers,
			LinkedInLegacy: true, RenewWithin: 24 * time.Hour, LegacyUntil: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Admins: []string{"a@example.com"},
			GrantBy: []string{"google"}, StaffHosted: "example.com", KeepGrants: true, AnyRole: true}
		if got := s.settings.hackIllinois(); !reflect.DeepEqual(got, want) {
			t.Errorf("all:\ngot  %+v\nwant %+v", got, want)
		}
	})
}

func TestSettingsOfTofu(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const id = "5c0e6d2b-3f7a-4a5e-8d14-9b2f6e1c7a40"
		s := furnished(t, d, "", "google: google")
		want := tofu.Settings{Client: id, Google: "google", LogoutRevokesRefresh: true, PasswordRequiresNoMFA: true, RequireVerifiedEmail: true}
		if got := s.settings.tofu(); got != want {
			t.Errorf("defaults:\ngot  %+v\nwant %+v", got, want)
		}
		s = furnished(t, d, "", `append_slash: serve, rotate_refresh: true, proxy_mode: true, password_requires_no_mfa: false, require_verified_email: false,
			impersonation: true, pkce: required, return_to: https://app.example.com/bye`)
		want = tofu.Settings{Client: id, Serve: true, RotateRefresh: true, ProxyMode: true, Impersonation: true, RequirePKCE: true, ReturnTo: "https://app.example.com/bye"}
		if got := s.settings.tofu(); got != want {
			t.Errorf("all:\ngot  %+v\nwant %+v", got, want)
		}
	})
}

// An API that had a server to itself answers there for every path: by its
// prefix and on its host, and nowhere else (contracts hackillinois §1.2, §1.4; tofu §2.1).
func TestHabitsStayOnTheMount(t *testing.T) {
	s := furnished(t, dbtest.SQLite(t), "staff_domain: example.com", "google: google")
	const ours = "not found" // in the words of the first API
	for _, c := range []struct {
		method, host, path string
		status             int
		says               string
	}{
		{"GET", "", "/hackillinois/nothing", 405, ""},
		{"POST", "", "/hackillinois/auth/github/", 405, ""},
		{"GET", "", "/hackillinois/auth/github", 405, ""},
		{"OPTIONS", "", "/hackillinois/whatever/there/is", 200, ""},
		{"GET", "", "/hackillinois//auth/roles/", 301, ""},
		{"GET", "", "/hackillinois/", 200, "The API Gateway Lives"},
		{"GET", "", "/hackillinois/auth/linkedin/", 422, "Invalid OAuth provider."},
		{"GET", "hack.example.com", "/nothing", 405, ""},
		{"OPTIONS", "hack.example.com", "/whatever", 200, ""},
		{"GET", "hack.example.com", "/", 200, "The API Gateway Lives"},
		{"GET", "hack.example.com", "/auth/linkedin/", 422, "Invalid OAuth provider."},
		{"GET", "", "/tofu/nothing", 404, "The requested resource was not found on this server."},
		{"GET", "tofu.example.com", "/nothing/", 404, "The requested resource was not found on this server."},
		{"POST", "", "/tofu/api/token?x=1", 301, ""},
		{"POST", "tofu.example.com", "/api/token", 301, ""},
		{"POST", "", "/api/token", 301, ""},
		{"GET", "", "/api/token/", 405, "not allowed"},
		{"GET", "", "/tofu/api/core/auth/okta/login/", 404, "The requested resource was not found on this server."},
		{"GET", "", "/auth/linkedin/", 422, "Invalid OAuth provider."},
		{"OPTIONS", "", "/auth/roles/", 200, ""},
		{"GET", "", "/nothing", 404, ours},
		{"OPTIONS", "", "/nothing", 404, ours},
		{"GET", "", "//auth/roles/", 404, ours},
	} {
		r := httptest.NewRequest(c.method, "http://localhost:8080"+c.path, nil)
		if c.host != "" {
			r.Host = c.host
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		body := strings.ToLower(w.Body.String())
		if w.Code != c.status || !strings.Contains(body, strings.ToLower(c.says)) || c.says == "" && body != "" && c.status != 301 {
			t.Errorf("%s %s%s: got %d %q, want %d %q", c.method, c.host, c.path, w.Code, body, c.status, c.says)
		}
	}
}

// A surface that no client is bound to says so in its own words, and takes
// nothing from the others at the root.
func TestUnboundSurfacesAreSwitchedOff(t *testing.T) {
	c := testConfig("")
	s, _ := newServer(t, Options{Config: c, DB: dbtest.SQLite(t)})
	defer s.Close()
	if s.settings.hackIllinois().Client != "" || s.settings.tofu().Client != "" {
		t.Error("something is bound")
	}
	for path, want := range map[string]int{"/hackillinois/auth/github/": 405, "/auth/github/": 405, "/tofu/api/token/": 404, "/api/token/": 404, "/.well-known/openid-configuration": 200, "/login": 400} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost:8080"+path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d %q, want %d", path, w.Code, w.Body.String(), want)
		}
	}
	if !slices.ContainsFunc(issuers(c), func(i string) bool { return strings.HasSuffix(i, "/hackillinois") }) {
		t.Error("the mount has no issuer")
	}
}

// TestPassThroughIsTold restarts a server whose providers answer the application
// themselves, as an operator must know (contract hackillinois §9).
func TestPassThroughIsTold(t *testing.T) {
	for hack, want := range map[string]string{
		"":                       "",
		"login: pass_through":    `"providers":["github","google","linkedin"]`,
		"pass_through: [google]": `"providers":["google"]`,
	} {
		d := dbtest.SQLite(t)
		furnished(t, d, hack, "")
		again, log := newServer(t, Options{Config: testConfig(""), DB: d})
		t.Cleanup(func() { again.Close() })
		if got := log.String(); want == "" && strings.Contains(got, "pass_through") || !strings.Contains(got, want) {
			t.Errorf("%q: the log has %s", hack, got)
		}
	}
}
