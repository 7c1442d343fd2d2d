package oidc

import (
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// upstreamToken is GET /oauth2/upstream/{upstream}/token: the access token that
// an upstream gave at the person's last sign-in, in the words of RFC 6749 §5.1,
// with which the application calls that upstream's API. It is asked for as
// userinfo is.
func (a *API) upstreamToken(w http.ResponseWriter, r *http.Request) {
	scheme, raw, err := a.bearer(w, r)
	if err != nil {
		a.failBearer(w, r, scheme, err)
		return
	}
	l, t, err := a.use(r, scheme, raw, client.ScopeUpstream)
	if err != nil {
		a.failBearer(w, r, scheme, err)
		return
	}
	got, err := a.OAuth.UpstreamToken(r.Context(), oauth.UpstreamTokenIn{Token: t, Live: l, Upstream: r.PathValue("upstream"), Visitor: a.visitor(r)})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if scheme == "DPoP" {
		w.Header().Set("DPoP-Nonce", a.OAuth.Nonce())
	}
	out := tokenResponse{AccessToken: got.Access.Reveal(), TokenType: "Bearer", Scope: got.Scope}
	if !got.ExpiresAt.IsZero() {
		out.ExpiresIn = int64(got.ExpiresAt.Sub(a.Now()).Seconds())
	}
	wire.WriteJSON(w, http.StatusOK, out)
}
