package snooplytics_test

import (
	"net/http"
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
)

// An application that an owner lets write their account does not become their
// organization's provider by that, however lately they signed in to it.
func TestTokenSetsNoSignInUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSiege(t, d)
		s.api.Granted = func(*http.Request, string) (oauth.Live, oauth.AccessToken, error) {
			return oauth.Live{User: s.ann, Grant: grant.Grant{AMR: []string{"pwd"}, AuthenticatedAt: s.Now()}}, oauth.AccessToken{Scope: []string{"user:read", "user:write"}}, nil
		}
		at := "/api/user/organizations/" + s.annOrg
		if status, body := s.ask("GET", at+"/settings/sso", "Authorization", "Bearer x"); status != http.StatusOK {
			t.Errorf("to look: %d %s", status, body)
		}
		for _, c := range []struct{ method, path, body string }{
			{"PUT", "/settings/sso", `{"provider":"oidc","issuer":"https://evil.example","clientId":"x","clientSecret":"y"}`},
			{"DELETE", "/settings/sso", `{}`}, {"POST", "/settings/sso/domains", `{"domain":"acme.com"}`},
			{"PUT", "/settings/auth-policy", `{"requirement":"any"}`}, {"PUT", "/mfa", `{"required":false}`},
		} {
			if status, body := s.send(c.method, at+c.path, "Authorization", "Bearer x", c.body); status != http.StatusForbidden || !strings.Contains(body, "Session is not fresh") {
				t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
			}
		}
	})
}
