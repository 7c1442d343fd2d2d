package snooplytics_test

import (
	"log/slog"
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/surface/snooplytics"
	"sallyport/internal/wire"
)

// provider is the provider below /api/auth (contract §13).
func provider(r *rig.Rig) *oidc.API {
	return &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base},
		Prefix: "/api/auth", Cookie: "km_sso",
		Message: func(w http.ResponseWriter, _ *http.Request, status int, title, _ string) {
			wire.Write(w, status, "text/plain", []byte(title))
		},
	}
}

// granted judges access tokens as the provider does.
func granted(r *rig.Rig) func(*http.Request, string) (oauth.Live, oauth.AccessToken, error) {
	return provider(r).Granted
}

// third is an application of somebody else's, which people let have some of theirs.
func third(r *rig.Rig) client.Client {
	return r.Client("Third", func(c *client.Client) {
		c.Policy.OAuth.Scopes = snooplytics.Scopes
		c.Policy.OAuth.Consent = client.ConsentImplicit
		c.Policy.Grants = []string{"authorization_code", "refresh_token"}
	})
}
