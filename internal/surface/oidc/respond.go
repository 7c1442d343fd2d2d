package oidc

import (
	"net/http"
	"strings"
	"time"

	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// responseLife is how long a signed authorization response is good (JARM §2.1).
const responseLife = 10 * time.Minute

// Reply sends what an authorization request came to back to the client, in the
// response mode that it asked for. The pages answer by it too.
func (a *API) Reply(w http.ResponseWriter, r *http.Request, reply oauth.Reply) {
	if e := reply.Refused; e != nil {
		a.note(r, e, http.StatusFound, e)
	}
	params, mode := reply.Params, reply.Mode
	if bare, ok := strings.CutSuffix(mode, ".jwt"); ok {
		signed, err := a.signReply(reply)
		if err != nil {
			a.refusePage(w, r, err)
			return
		}
		params, mode = [][2]string{{"response", signed}}, bare
	}
	switch mode {
	case oauth.ModeFormPost:
		a.formPost(w, r, reply, params)
	case oauth.ModeFragment:
		redirect(w, r, reply.RedirectURI+"#"+strings.TrimPrefix(wire.WithQuery("", flat(params)...), "?"))
	default:
		redirect(w, r, wire.WithQuery(reply.RedirectURI, flat(params)...))
	}
}

// signReply makes a JWT of the response (JARM §2.1), with which the client knows
// who answered, and that nobody changed it on the way.
func (a *API) signReply(reply oauth.Reply) (string, error) {
	alg := reply.Client.Policy.OAuth.AuthorizationAlg
	switch {
	case alg == "" && reply.Client.Policy.FAPI():
		alg = jwks.ES256
	case alg == "":
		alg = jwks.RS256
	}
	key, err := a.Keys.Active(alg, "")
	if err != nil {
		return "", err
	}
	claims := map[string]any{"iss": reply.Issuer, "aud": reply.Client.ID, "exp": a.Now().Add(responseLife).Unix()}
	for _, p := range reply.Params {
		claims[p[0]] = p[1]
	}
	return token.Sign(key, "JWT", claims)
}

// flat lists names and values one after the other.
func flat(params [][2]string) []string {
	var out []string
	for _, p := range params {
		out = append(out, p[0], p[1])
	}
	return out
}

// formPost has the browser post the response (OAuth 2.0 Form Post Response Mode §2) to
// a registered URI, which is never a script.
func (a *API) formPost(w http.ResponseWriter, r *http.Request, reply oauth.Reply, params [][2]string) {
	if err := wire.SendForm(w, reply.Client.Name, reply.RedirectURI, params); err != nil {
		a.refusePage(w, r, err)
	}
}
