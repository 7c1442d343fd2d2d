package hackillinois_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/upstream/upstreamtest"
)

// winners posts one code a hundred times at once and counts the tokens.
func (s *site) winners(provider, code, query string) int64 {
	var wg sync.WaitGroup
	var won atomic.Int64
	for range 100 {
		wg.Go(func() {
			if s.redeem(provider, code, query).Code == http.StatusOK {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	return won.Load()
}

func TestACodeIsGoodOnceUnderAnyRace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		if n := s.winners("github", s.code("github", "", ""), ""); n != 1 {
			t.Errorf("a code of ours: %d tokens of 100 posts", n)
		}
		location, cookie := s.begin("github", "")
		back := s.choose("github", location, "")
		var wg sync.WaitGroup
		var codes atomic.Int64
		for range 20 {
			wg.Go(func() {
				if strings.Contains(s.ask("GET", back, "", "Cookie", cookie).Header().Get("Location"), "code=") {
					codes.Add(1)
				}
			})
		}
		wg.Wait()
		if n := codes.Load(); n != 1 {
			t.Errorf("a callback: %d codes of 20", n)
		}
		s.settings.PassThrough = hackillinois.Providers
		location, _ = s.begin("google", "")
		theirs := query(t, s.choose("google", location, "")).Get("code")
		if n := s.winners("google", theirs, ""); n != 1 {
			t.Errorf("a provider's code: %d tokens of 100 posts", n)
		}
	})
}

func TestACodeIsGoodForItsProviderAndPageAlone(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	for name, c := range map[string]struct{ provider, query, at, with string }{
		"GitHub's at Google":             {"github", "", "google", ""},
		"GitHub's at LinkedIn":           {"github", "", "linkedin", ""},
		"Google's at GitHub":             {"google", "", "github", ""},
		"Google's, another page":         {"google", "?redirect_uri=" + page, "google", "?redirect_uri=" + adminPage},
		"Google's, another query":        {"google", "?redirect_uri=" + page + "?isiOS=1", "google", "?redirect_uri=" + page},
		"Google's, no page":              {"google", "?redirect_uri=" + adminPage, "google", ""},
		"Google's, a page for none":      {"google", "", "google", "?redirect_uri=" + adminPage},
		"LinkedIn's, another page":       {"linkedin", "?redirect_uri=" + page, "linkedin", "?redirect_uri=" + adminPage},
		"Google's, a page of an evil":    {"google", "", "google", "?redirect_uri=https://evil.example/"},
		"Google's, the page with a dot":  {"google", "", "google", "?redirect_uri=https://hackillinois.org./auth/"},
		"Google's, the page in capitals": {"google", "", "google", "?redirect_uri=https://HACKILLINOIS.ORG/auth/"},
	} {
		code := s.code(c.provider, "", c.query)
		want(t, name, s.redeem(c.at, code, c.with), 403, noToken)
		want(t, name+", then right", s.redeem(c.provider, code, c.query), 403, noToken)
	}
	for name, c := range map[string]struct{ provider, query, with string }{
		"GitHub's, any page":                {"github", "?redirect_uri=" + adminPage, "?redirect_uri=https://anything.example/%23x"},
		"GitHub's, no page":                 {"github", "?redirect_uri=" + adminPage, ""},
		"Google's, the default spelled out": {"google", "", "?redirect_uri=" + page},
		"Google's, the default left out":    {"google", "?redirect_uri=" + page, ""},
		"LinkedIn's":                        {"linkedin", "?redirect_uri=" + adminPage, "?redirect_uri=" + adminPage},
	} {
		if w := s.redeem(c.provider, s.code(c.provider, "", c.query), c.with); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	code := s.code("github", "", "")
	s.rig.Advance(2*time.Minute + time.Second)
	want(t, "after two minutes", s.redeem("github", code, ""), 403, noToken)
	location, cookie := s.begin("github", "")
	s.rig.Advance(10*time.Minute + time.Second)
	want(t, "an attempt of ten minutes ago", s.ask("GET", s.choose("github", location, ""), "", "Cookie", cookie), 403, noToken)
}

func TestForgedHeadersOpenNothing(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	s.admin()
	jane := s.login("github", "")
	for _, token := range []string{"", "null", jane} {
		for _, name := range []string{"HackIllinois-Identity", "Hackillinois-Identity", "HACKILLINOIS-IDENTITY", "HackIllinois-Impersonation", "X-HackIllinois-Identity", "HackIllinois_Identity"} {
			w := s.ask("GET", "/auth/roles/", "", "Authorization", token, name, "github1290381")
			if token == jane {
				want(t, name, w, 200, janesRoles)
			} else {
				refused(t, name, w)
			}
			refused(t, name+" at an Admin's route", s.ask("GET", "/auth/roles/list/", "", "Authorization", token, name, "github1290381"))
			refused(t, name+" to change a role", s.ask("PUT", "/auth/roles/add/", `{"id":"github6892396","role":"Admin"}`, "Authorization", token, name, "github1290381"))
		}
	}
}

// TestRolesInAForgedTokenOpenNothing has a thief of the secret, such as one of
// the services that verify by it, claim everything: what the session and the
// database do not say is not so.
func TestRolesInAForgedTokenOpenNothing(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	admin := s.admin()
	jane := s.login("github", "")
	all := []string{"User", "Staff", "Admin"}
	for name, with := range map[string]map[string]any{
		"Admin in her own": {"roles": all}, "Admin's id in her session": {"roles": all, "id": "github1290381"},
		"acting in her session":       {"roles": all, "act": map[string]any{"sub": "github1290381"}},
		"the Admin's session, her id": {"roles": all, "sid": payload(t, admin)["sid"]},
		"acting as the Admin":         {"roles": all, "sid": payload(t, admin)["sid"], "id": "github1290381", "act": map[string]any{"sub": "github1290381"}},
	} {
		refused(t, name, s.get("/auth/roles/list/", forgeHS256(changed(t, jane, with), tokenSecret)))
	}
	// Tokens that another API made for the same client by the same secret.
	for name, claims := range map[string]string{
		"Keymaster's": `{"sub":"x","email":"jane@gmail.com","name":null,"aud":"` + string(s.client.ID) + `","iss":"https://auth.example.com","iat":1,"exp":9999999999,"roles":["User"],"jti":"x"}`,
		"an ID token": `{"sub":"github6892396","aud":"` + string(s.client.ID) + `","iss":"https://auth.example.com","iat":1,"exp":9999999999}`,
	} {
		refused(t, name, s.get("/auth/roles/", forgeHS256(claims, tokenSecret)))
	}
}

// TestOtherClientsTokensAreNoneHere signs with the secret of another client of the
// installation.
func TestOtherClientsTokensAreNoneHere(t *testing.T) {
	s := newSite(t, dbtest.SQLite(t))
	jane := s.login("github", "")
	other := s.rig.Client("Other", func(c *client.Client) { c.Policy.AccessToken.Alg = jwks.HS256 })
	secret := []byte("b3RoZXItY2xpZW50LXNlY3JldC0xMjM0NTY")
	bound := s.client
	s.client = other
	s.sign(secret, nil)
	s.client = bound
	refused(t, "by another client's secret", s.get("/auth/roles/", forgeHS256(changed(t, jane, nil), secret)))
	want(t, "by ours", s.get("/auth/roles/", jane), 200, janesRoles)
}

func TestNobodyIsTakenOverByAnAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		// Somebody with a password has the address, in another application.
		other := s.rig.Client("Other", nil)
		victim := s.rig.User("victim@hackillinois.org", "Vera Victim", "correct horse battery staple", other)
		for _, verified := range []any{true, false} {
			s.fakes["github"].SetPeople(upstreamtest.Person{ID: "666", Email: "victim@hackillinois.org", EmailVerified: verified, Username: "mallory"})
			token := s.login("github", "")
			if c := payload(t, token); c["id"] != "github666" || c["email"] != "victim@hackillinois.org" {
				t.Errorf("claims %v", c)
			}
		}
		if n := s.count("users"); n != "users 2 " {
			t.Errorf("%s, want the victim and the newcomer", n)
		}
		if owner := s.owner("victim@hackillinois.org"); owner != victim.ID {
			t.Errorf("the address has become %s's", owner)
		}
		// Two providers with one address are two users (contract §5.4), and the id is
		// made of the provider's number, not of what somebody may choose.
		s.fakes["google"].SetPeople(upstreamtest.Person{ID: "42", Email: "both@gmail.com", EmailVerified: true, GivenName: "B"})
		s.fakes["github"].SetPeople(upstreamtest.Person{ID: "42", Email: "both@gmail.com", EmailVerified: true, Username: "google42"})
		one, two := payload(t, s.login("google", "")), payload(t, s.login("github", ""))
		if one["id"] != "google42" || two["id"] != "github42" || one["sid"] == two["sid"] {
			t.Errorf("ids %v and %v", one["id"], two["id"])
		}
		admin := s.loginAs("github", upstreamtest.Person{ID: "1290381", Email: "systems@hackillinois.org", EmailVerified: true, Username: "sam"})
		s.put("add", admin, "google42", "Staff")
		want(t, "the other is another", s.get("/auth/roles/github42/", admin), 200, `{"id":"github42","roles":["User"]}`+"\n")
	})
}

// loginAs has one person be the provider's only one.
func (s *site) loginAs(provider string, p upstreamtest.Person) string {
	s.t.Helper()
	s.fakes[provider].SetPeople(p)
	return s.login(provider, "")
}
