package snooplytics_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/surface/snooplytics"
)

// siege is the surface with two people, each the owner of an organization of their own.
type siege struct {
	*testing.T
	*rig.Rig
	api        *snooplytics.API
	server     *httptest.Server
	app        client.Client
	ann, mal   identity.User
	annOrg     string
	malOrg     string
	annSession string
	malSession string
}

func newSiege(t *testing.T, d *db.DB) *siege {
	t.Helper()
	s := &siege{T: t, Rig: rig.New(t, d)}
	s.app = s.Client("Snooplytics", func(c *client.Client) { policy(&c.Policy) })
	s.api = newAPI(t, s.Rig, snooplytics.Settings{Client: s.app.ID, AppURL: origin})
	s.Mount(s.api.Routes(), s.api.MethodNotAllowed)
	s.NotFound(s.api.NotFound)
	s.server = httptest.NewServer(s.Handler())
	t.Cleanup(s.server.Close)
	s.ann, s.mal = s.User("ann@example.com", "Ann", password, s.app), s.User("mal@example.com", "Mal", password, s.app)
	s.annOrg, s.malOrg = s.org(s.ann), s.org(s.mal)
	s.annSession, s.malSession = s.session("ann@example.com"), s.session("mal@example.com")
	return s
}

func (s *siege) org(u identity.User) string {
	s.Helper()
	seat, err := s.Self.CreateOrganization(s.Context(), self.Caller{UserID: u.ID}, u.DisplayName, "")
	if err != nil {
		s.Fatal(err)
	}
	return string(seat.OrgID)
}

func (s *siege) session(email string) string {
	s.Helper()
	out, err := s.SignIn.Password(s.Context(), signin.PasswordIn{ClientID: s.app.ID, Email: email, Password: password, Visitor: signin.Visitor{IP: "192.0.2.7", Base: rig.Base}})
	if err != nil {
		s.Fatal(err)
	}
	return out.SignedIn.Session
}

// key makes a key of Mal's.
func (s *siege) key(change func(*self.APIKeyIn)) string {
	s.Helper()
	in := self.APIKeyIn{ClientID: s.app.ID, Prefix: "ba_", Name: "x", Scopes: snooplytics.Scopes, Grantable: snooplytics.Scopes}
	change(&in)
	_, raw, err := s.Self.CreateAPIKey(s.Context(), self.Caller{UserID: s.mal.ID}, in)
	if err != nil {
		s.Fatal(err)
	}
	return raw
}

// ask sends a request with a header, and returns the status and the body.
func (s *siege) ask(method, path, header, value string) (int, string) {
	s.Helper()
	return s.send(method, path, header, value, `{}`)
}

// send is ask with a body.
func (s *siege) send(method, path, header, value, body string) (int, string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", origin)
	r.Header.Set(header, value)
	res, err := s.server.Client().Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(got)
}

const cookieHeader = "__Secure-better-auth.session_token="

// code is the code of an answer.
func code(t *testing.T, body string) string {
	t.Helper()
	var e struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return e.Code
}

// fill puts ids into a pattern: an organization's, and one that is nobody's.
func fill(pattern, org string) string {
	return strings.NewReplacer("{organizationId}", org, "{memberId}", nobody, "{domain}", "example.org", "{token}", strings.Repeat("0", 64)).Replace(pattern)
}

// perRequest lets the limit on all requests of an address breathe.
const perRequest = 15 * time.Minute / 100

const nobody = "01890a5d-ac96-774b-bcce-b302099a8057"

// No route of an organization tells who is no member whether there is one, whatever they
// show, and none takes a key that is pinned to another (OWASP API1:2023).
func TestForeignOrganizationIsLikeNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSiege(t, d)
		pinned := s.key(func(in *self.APIKeyIn) { in.Org = org.ID(s.malOrg) })
		free := s.key(func(*self.APIKeyIn) {})
		routes := 0
		for _, e := range s.api.Endpoints() {
			if !strings.Contains(e.Pattern, "{organizationId}") {
				continue
			}
			routes++
			for _, as := range []struct{ name, header, value, want string }{
				{"session", "Cookie", cookieHeader + s.malSession, "TENANT_VIOLATION"},
				{"key", "X-Api-Key", free, "TENANT_VIOLATION"},
				{"pinned key", "X-Api-Key", pinned, "FORBIDDEN"},
			} {
				status, there := s.ask(e.Method, fill(e.Pattern, s.annOrg), as.header, as.value)
				_, none := s.ask(e.Method, fill(e.Pattern, nobody), as.header, as.value)
				if there != none {
					t.Errorf("%s %s by a %s: %s where there is one, %s where there is none", e.Method, e.Pattern, as.name, there, none)
				}
				// A body that lacks something may be refused first, without a look at anything.
				if got := code(t, there); status != http.StatusForbidden && got != "VALIDATION_ERROR" || status == http.StatusForbidden && got != as.want {
					t.Errorf("%s %s by a %s: got %d %s, want %s", e.Method, e.Pattern, as.name, status, got, as.want)
				}
			}
			s.Advance(perRequest)
		}
		if routes < 20 {
			t.Errorf("%d routes of organizations, want all of them", routes)
		}
	})
}

// A key opens what its scopes name and nothing else; one that has all opens no route
// that is for sessions.
func TestKeyOpensWhatItsScopesName(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSiege(t, d)
		other := s.key(func(in *self.APIKeyIn) { in.Scopes = []string{"projects:read"} })
		for _, e := range s.api.Endpoints() {
			if !strings.HasPrefix(e.Pattern, "/api/user/") && !strings.HasPrefix(e.Pattern, "/api/auth/api-key/") {
				continue
			}
			status, body := s.ask(e.Method, fill(e.Pattern, s.malOrg), "X-Api-Key", other)
			want := "API_KEY_MISSING_SCOPES"
			if e.Method == http.MethodDelete && e.Pattern == "/api/user/me" {
				want = "FORBIDDEN"
			}
			if got := code(t, body); status != http.StatusForbidden || got != want {
				t.Errorf("%s %s: got %d %s, want 403 %s", e.Method, e.Pattern, status, got, want)
			}
			s.Advance(perRequest)
		}
	})
}

// Who has an account does not show in what identify does: it is the same number of
// statements for everybody, and the same answer.
func TestIdentifyIsTheSameWorkForEverybody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSiege(t, d)
		work := func(email string) (int64, signin.Identified) {
			t.Helper()
			before := d.Stats().Statements
			got, err := s.SignIn.Identify(t.Context(), signin.IdentifyIn{ClientID: s.app.ID, Email: email})
			if err != nil {
				t.Fatal(err)
			}
			return d.Stats().Statements - before, got
		}
		known, a := work("ann@example.com")
		unknown, b := work("nobody@example.com")
		elsewhere, c := work("nobody@elsewhere.example")
		if known != 1 || unknown != 1 || elsewhere != 1 {
			t.Errorf("%d statements for a known address, %d and %d for unknown ones, want 1", known, unknown, elsewhere)
		}
		if a != b || b != c {
			t.Errorf("got %+v, %+v, %+v", a, b, c)
		}
	})
}
