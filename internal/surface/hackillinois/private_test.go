package hackillinois_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/wire/transcript"
)

// privateHost serves the private listener of a site.
type privateHost struct {
	transcript.Host
	handler http.Handler
}

func (h privateHost) Handler() http.Handler { return h.handler }

// services makes the clients that services prove themselves by.
func (s *site) services() {
	for _, key := range []string{"registration", "checkin", "stranger"} {
		s.rig.Client(key, func(c *client.Client) { c.Key, c.SecretHash = key, client.HashSecret(s.rig.Key, key+"-secret") })
	}
	s.rig.Client("public", func(c *client.Client) { c.Key = "public" })
	s.rig.Client("off", func(c *client.Client) {
		c.Key, c.Active, c.SecretHash = "off", false, client.HashSecret(s.rig.Key, "off-secret")
	})
	s.settings.Services = []string{"registration", "checkin", "public", "off", "nobody"}
}

func privateStage(t *testing.T, d *db.DB) transcript.Stage {
	s := newSite(t, d)
	s.services()
	vars := map[string]string{"admin": s.admin(), "jane": s.login("github", "")}
	return transcript.Stage{Host: privateHost{s.rig, s.api.Private()}, Vars: vars, Hooks: hooks(s)}
}

func TestPrivateTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata/private", func(t *testing.T) transcript.Stage { return privateStage(t, dbtest.SQLite(t)) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata/private", func(t *testing.T) transcript.Stage { return privateStage(t, dbtest.Postgres(t)) })
	})
}

func TestEveryPrivateRouteHasATranscript(t *testing.T) {
	transcript.Coverage(t, newSite(t, dbtest.SQLite(t)).api.PrivateRoutes(), "testdata/private")
}

func TestW16ServicesProveThemselves(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		s.services()
		admin := s.admin()
		s.login("github", "")
		private := s.api.Private()
		ask := func(method, target, body string, headers ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, target, strings.NewReader(body))
			for i := 0; i+1 < len(headers); i += 2 {
				r.Header.Add(headers[i], headers[i+1])
			}
			w := httptest.NewRecorder()
			private.ServeHTTP(w, r)
			return w
		}
		basic := func(key, plain string) []string {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.SetBasicAuth(key, plain)
			return []string{"Authorization", r.Header.Get("Authorization")}
		}
		for name, headers := range map[string][]string{
			"nothing": nil, "an identity alone": {"HackIllinois-Identity", "github1290381"}, "an administrator's token": {"Authorization", admin},
			"a wrong secret": basic("registration", "checkin-secret"), "an empty secret": basic("registration", ""), "a public client": basic("public", ""),
			"a client that is switched off": basic("off", "off-secret"), "a client that is no service": basic("stranger", "stranger-secret"),
			"a client that there is not": basic("nobody", ""), "by id": basic(string(s.client.ID), ""), "no key": basic("", "registration-secret"),
		} {
			refused(t, name, ask("PUT", "/auth/roles/add/", `{"id":"github6892396","role":"Admin"}`, headers...))
		}
		const added = `{"id":"github6892396","roles":["User","Applicant"]}` + "\n"
		want(t, "a service", ask("PUT", "/auth/roles/add/", `{"id":"github6892396","role":"Applicant"}`, basic("registration", "registration-secret")...), 200, added)
		if n := s.audited("user.role_changed", "service:"); n != 1 {
			t.Errorf("%d entries by a service in the audit log, want 1", n)
		}
		// What a service may, it may there alone, and it is given no token.
		refused(t, "a service on the public side", s.ask("PUT", "/auth/roles/add/", `{"id":"github6892396","role":"Admin"}`, basic("registration", "registration-secret")...))
		if w := ask("GET", "/auth/token/refresh/", "", append(basic("registration", "registration-secret"), "HackIllinois-Identity", "github1290381")...); w.Code != http.StatusNotFound {
			t.Errorf("a token for a service: %d %s", w.Code, w.Body)
		}
		s.settings.Services = nil
		refused(t, "after it was taken off the list", ask("GET", "/auth/roles/list/", "", basic("registration", "registration-secret")...))
	})
}
