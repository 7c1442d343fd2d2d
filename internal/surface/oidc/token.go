package oidc

import (
	"errors"
	"net/http"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// tokenRoutes are those that clients and resources call with credentials. Pages
// of the clients' own origins may call them too, with DPoP.
func (a *API) tokenRoutes() []wire.Route {
	return a.open().Routes([]wire.Route{
		{Method: "POST", Pattern: a.Prefix + "/oauth2/token", Handler: a.token},
		{Method: "POST", Pattern: a.Prefix + "/oauth2/introspect", Handler: a.introspect},
		{Method: "POST", Pattern: a.Prefix + "/oauth2/revoke", Handler: a.revoke},
		{Method: "GET", Pattern: a.Prefix + "/oauth2/userinfo", Handler: a.userinfo},
		{Method: "POST", Pattern: a.Prefix + "/oauth2/userinfo", Handler: a.userinfo},
		{Method: "GET", Pattern: a.Prefix + "/oauth2/upstream/{upstream}/token", Handler: a.upstreamToken},
	})
}

// open lets pages of the clients' origins call.
func (a *API) open() wire.CORS {
	return wire.CORS{
		Allow: a.OAuth.AllowsOrigin, Fail: a.fail,
		Headers: []string{"Authorization", "Content-Type", "DPoP"}, Expose: []string{"DPoP-Nonce", "Retry-After", "WWW-Authenticate"},
	}
}

// tokenResponse is RFC 6749 §5.1, with the ID token of OpenID Connect Core
// §3.1.3.3 and the type of RFC 8693 §2.2.1. ExpiresAt is said below a prefix, where
// clients of another make of provider read it (contract snooplytics §13).
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	IssuedType  string `json:"issued_token_type,omitempty"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in,omitempty"`
	ExpiresAt   int64  `json:"expires_at,omitempty"`
	Refresh     string `json:"refresh_token,omitempty"`
	IDToken     string `json:"id_token,omitempty"`
	Scope       string `json:"scope,omitempty"`
}

// token is POST /oauth2/token (RFC 6749 §3.2).
func (a *API) token(w http.ResponseWriter, r *http.Request) {
	p, err := a.params(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := oauth.TokenIn{Params: p, Visitor: a.visitor(r), Open: a.readAccess}
	if in.Auth, err = a.clientAuth(r, p); err == nil {
		in.Proof, err = a.proof(r)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	i, err := a.OAuth.Token(r.Context(), in)
	if p.Get("grant_type") == client.GrantRefresh && a.Refresh != nil && refusedGrant(err) && a.Refresh(w, r, client.ID(in.Auth.ID), p.Get("refresh_token")) {
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out, err := a.tokens(a.issuer(r.Context()), i)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if in.Proof.Header != "" {
		w.Header().Set("DPoP-Nonce", a.OAuth.Nonce()) // RFC 9449 §8.2
	}
	w.Header().Set("Pragma", "no-cache")
	wire.WriteJSON(w, http.StatusOK, out)
}

// refusedGrant reports whether a client was proved and its refresh token was not.
func refusedGrant(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Code == oauth.InvalidGrant
}

// tokens makes the tokens of what was granted.
func (a *API) tokens(issuer string, i oauth.Issued) (tokenResponse, error) {
	access, life, err := a.accessToken(issuer, i)
	if err != nil {
		return tokenResponse{}, err
	}
	out := tokenResponse{
		AccessToken: access, IssuedType: i.TokenType, TokenType: "Bearer", ExpiresIn: int64(life.Seconds()), Refresh: i.Refresh, Scope: strings.Join(i.Scope, " "),
	}
	if a.Prefix != "" {
		out.ExpiresAt = a.Now().Add(life).Unix()
	}
	if i.Binding.JKT != "" {
		out.TokenType = "DPoP"
	}
	if i.OpenID() {
		out.IDToken, err = a.idToken(i, access, life)
	}
	return out, err
}
