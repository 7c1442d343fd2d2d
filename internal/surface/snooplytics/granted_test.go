package snooplytics_test

import (
	"log/slog"
	"net/http"

	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/surface/oidc"
)

// granted judges access tokens as the provider below /api/auth does.
func granted(r *rig.Rig) func(*http.Request, string) (oauth.Live, oauth.AccessToken, error) {
	p := &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base},
		Prefix: "/api/auth",
	}
	return p.Granted
}
