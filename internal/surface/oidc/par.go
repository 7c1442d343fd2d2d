package oidc

import (
	"net/http"

	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// pushedResponse is RFC 9126 §2.2.
type pushedResponse struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// push is POST /oauth2/par.
func (a *API) push(w http.ResponseWriter, r *http.Request) {
	p, err := a.params(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := oauth.PushIn{Params: p}
	if in.Auth, err = a.clientAuth(r, p); err == nil {
		in.Proof, err = a.proof(r)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	uri, life, err := a.OAuth.Push(r.Context(), in)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if in.Proof.Header != "" {
		w.Header().Set("DPoP-Nonce", a.OAuth.Nonce()) // RFC 9449 §8.2
	}
	wire.WriteJSON(w, http.StatusCreated, pushedResponse{uri, int64(life.Seconds())})
}
