package hackillinois_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/rig"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// The secrets that tokens are signed with.
var (
	tokenSecret    = []byte("YzQ1N2I0ZTItMGNhZC00ZmI1LThlYzktN2")
	previousSecret = []byte("MWY4ZDNlNzAtYTk1Yy00NmQyLWIwNzMtZT")
)

// The pages that the application has.
const (
	page      = "https://hackillinois.org/auth/"
	adminPage = "https://admin.hackillinois.org/auth/"
)

// The people of these tests, by the provider that they sign in with.
var people = map[string][]upstreamtest.Person{
	"github": {
		upstreamtest.Jane,
		{ID: "1290381", Email: "systems@hackillinois.org", EmailVerified: true, GivenName: "Sam", FamilyName: "Systems Admin", Username: "sam"},
		{ID: "77", Email: "una@hackillinois.org", EmailVerified: false, GivenName: "Una", FamilyName: "Unproved", Username: "una"},
		{ID: "78", Email: "stan@hackillinois.org", EmailVerified: true, GivenName: "Stan", FamilyName: "Staff", Username: "stan"},
		{ID: "79", Email: `"@hackillinois.org@"@evil.example`, EmailVerified: true, GivenName: "Mallory", Username: "mallory"},
		{ID: "80", Email: "x@hackillinois.org.evil.example", EmailVerified: true, Username: "nora"},
		{ID: "81", Email: "SYSTEMS@HackIllinois.ORG@evil.example", EmailVerified: true, Username: "otto"},
	},
	"google": {
		{ID: "901283019238091820933", Email: "jane@gmail.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe"},
		{ID: "908290138109283982388", Email: "stan@hackillinois.org", EmailVerified: true, GivenName: "Stan", FamilyName: "Staff", HostedDomain: "hackillinois.org"},
		{ID: "908290138109283982399", Email: "fake@hackillinois.org", EmailVerified: true, GivenName: "Fay", FamilyName: "Fake"},
	},
	"linkedin": {
		{ID: "782bbtaQ", Email: "systems@hackillinois.org", EmailVerified: true, GivenName: "Lee", FamilyName: "Linked"},
	},
}

// site is the surface on a mount of its own, with three fake providers.
type site struct {
	t        testing.TB
	rig      *rig.Rig
	api      *hackillinois.API
	handler  http.Handler
	client   client.Client
	settings *hackillinois.Settings
	fakes    map[string]*upstreamtest.Fake
	log      *bytes.Buffer
}

func newSite(t testing.TB, d *db.DB) *site {
	r := rig.New(t, d)
	s := &site{t: t, rig: r, fakes: map[string]*upstreamtest.Fake{}, log: new(bytes.Buffer)}
	for name, kind := range map[string]upstream.Kind{"github": upstream.GitHub, "google": upstream.Google, "linkedin": upstream.LinkedIn} {
		s.fakes[name] = r.Upstream(name, kind, nil, people[name]...)
	}
	s.client = r.Client("HackIllinois", func(c *client.Client) {
		c.Policy.Methods = []string{"github", "google", "linkedin"}
		c.Policy.RedirectURIs = []string{page, adminPage, "http://localhost:3000/auth/"}
		c.Policy.Linking = client.LinkingNever
		c.Policy.AccessToken = client.AccessToken{Alg: jwks.HS256, Lifetime: client.Duration(168 * time.Hour)}
		c.Policy.Roles = client.Roles{
			Available: []string{"Admin", "Staff", "Mentor", "Applicant", "Attendee", "User", "Sponsor", "Blobstore"}, Default: []string{"User"},
		}
	})
	s.sign(tokenSecret, nil)
	s.settings = &hackillinois.Settings{
		Client: s.client.ID, Upstreams: map[string]string{"github": "github", "google": "google", "linkedin": "linkedin"},
		RenewWithin: 30 * 24 * time.Hour, Impersonation: true, StaffDomain: "hackillinois.org", Admins: []string{"systems@hackillinois.org"},
		GrantBy: []string{"github", "google"},
	}
	s.api = &hackillinois.API{
		SignIn: r.SignIn, Self: r.Self, Admin: r.Admin, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now,
		Log: slog.New(slog.NewTextHandler(s.log, nil)), Issuers: []string{rig.Base},
		Settings: func() hackillinois.Settings { return *s.settings },
	}
	r.Mount(append(s.api.Routes(), s.api.Alone()...), s.api.MethodNotAllowed)
	r.NotFound(s.api.NotFound)
	s.handler = r.Handler()
	return s
}

// sign sets the secret that signs and the one before it.
func (s *site) sign(now, before []byte) {
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
		if _, err := jwks.SetClientSecret(ctx, tx, s.rig.Key, s.client.ID, now, s.rig.Now()); err != nil {
			return err
		}
		_, err := jwks.SetPreviousSecret(ctx, tx, s.rig.Key, s.client.ID, before, s.rig.Now())
		return err
	})
	s.rig.Advance(0)
}

// ask sends a request; headers come as name, value.
func (s *site) ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// begin starts a login and returns the provider's address and the cookie.
func (s *site) begin(provider, query string) (location, cookie string) {
	s.t.Helper()
	w := s.ask("GET", "/auth/"+provider+"/"+query, "")
	if w.Code != http.StatusFound {
		s.t.Fatalf("start at %s: %d %s", provider, w.Code, w.Body)
	}
	cookie, _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return w.Header().Get("Location"), cookie
}

// comeBack lets a person sign in at the provider and returns where our callback
// sends the browser on to.
func (s *site) comeBack(provider, person, query string) *url.URL {
	s.t.Helper()
	location, cookie := s.begin(provider, query)
	back := s.choose(provider, location, person)
	w := s.ask("GET", back, "", "Cookie", cookie)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusFound {
		s.t.Fatalf("callback of %s: %d %s", provider, w.Code, w.Body)
	}
	return to
}

func (s *site) choose(provider, location, person string) string {
	s.t.Helper()
	back, _, err := s.fakes[provider].Choose(location, person, false)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimPrefix(back, rig.Base)
}

// code is a code of ours for a person.
func (s *site) code(provider, person, query string) string {
	s.t.Helper()
	code := s.comeBack(provider, person, query).Query().Get("code")
	if code == "" {
		s.t.Fatal("no code")
	}
	return code
}

// redeem posts a code as the web site does.
func (s *site) redeem(provider, code, query string) *httptest.ResponseRecorder {
	return s.ask("POST", "/auth/code/"+provider+"/"+query, `{"code":"`+code+`"}`, "Authorization", "null")
}

// login is a whole login of a person, and returns their token.
func (s *site) login(provider, person string) string {
	s.t.Helper()
	return s.tokenOf(s.redeem(provider, s.code(provider, person, ""), ""))
}

// admin is the token of an administrator.
func (s *site) admin() string { s.t.Helper(); return s.login("github", "1290381") }

func (s *site) tokenOf(w *httptest.ResponseRecorder) string {
	s.t.Helper()
	var out struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK || out.Token == "" {
		s.t.Fatalf("no token: %d %s", w.Code, w.Body)
	}
	return out.Token
}

// get asks with a bare token.
func (s *site) get(target, token string, headers ...string) *httptest.ResponseRecorder {
	return s.ask("GET", target, "", append(headers, "Authorization", token)...)
}

// put changes a role.
func (s *site) put(what, token, id, role string) *httptest.ResponseRecorder {
	return s.ask("PUT", "/auth/roles/"+what+"/", `{"id":"`+id+`","role":"`+role+`"}`, "Authorization", token)
}

// want fails unless the answer has the status and body.
func want(t testing.TB, about string, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Errorf("%s: got %d %q, want %d %q", about, w.Code, w.Body, status, body)
	}
}

func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// count tells how many rows tables have.
func (s *site) count(tables ...string) string {
	s.t.Helper()
	var out strings.Builder
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
		out.Reset()
		for _, table := range tables {
			n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM `+table)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "%s %d ", table, n)
		}
		return nil
	})
	return out.String()
}

// audited counts the entries of an action whose detail holds a text.
func (s *site) audited(action audit.Action, holds string) int {
	s.t.Helper()
	n := 0
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
		all, _, err := audit.List(ctx, tx, audit.Filter{Action: action, ClientID: s.client.ID, Limit: 1000})
		n = 0
		for _, e := range all {
			detail, err := json.Marshal(e.Detail)
			if err != nil {
				return err
			}
			if strings.Contains(string(detail)+" "+e.Actor.String(), holds) {
				n++
			}
		}
		return err
	})
	return n
}

// owner is who has an address.
func (s *site) owner(email string) (id identity.UserID) {
	s.t.Helper()
	s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
		u, err := identity.ByEmail(ctx, tx, email)
		id = u.ID
		return err
	})
	return id
}
