package oidc

import (
	"net/http"

	"sallyport/internal/oauth"
)

// revoke is POST /oauth2/revoke (RFC 7009). What is no living token is answered
// as if it had been one.
func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	p, err := a.params(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := oauth.RevokeIn{Token: p.Get("token"), Access: a.accessOrNil(p.Get("token")), Visitor: a.visitor(r)}
	if in.Auth, err = a.clientAuth(r, p); err == nil {
		err = a.OAuth.Revoke(r.Context(), in)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}
