package oidc

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/oauth"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// userinfoClaims are those of the userinfo endpoint (OpenID Connect Core §5.3.2).
// Issuer and Audience are in a signed answer alone.
type userinfoClaims struct {
	Issuer   string `json:"iss,omitempty"`
	Audience string `json:"aud,omitempty"`
	Subject  string `json:"sub"`
	personal
}

// userinfo is GET and POST /oauth2/userinfo (OpenID Connect Core §5.3).
func (a *API) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, raw, err := a.bearer(w, r)
	if err != nil {
		a.failBearer(w, r, scheme, err)
		return
	}
	l, t, err := a.use(r, scheme, raw, oauth.ScopeOpenID)
	if err != nil {
		a.failBearer(w, r, scheme, err)
		return
	}
	if scheme == "DPoP" {
		w.Header().Set("DPoP-Nonce", a.OAuth.Nonce())
	}
	c := userinfoClaims{Subject: l.Grant.Subject, personal: personalOf(askedFor(t.Scope, l.Grant.Claims), l.User, l.Roles)}
	alg := l.Client.Policy.OAuth.UserinfoAlg
	if alg == "" {
		wire.WriteJSON(w, http.StatusOK, c)
		return
	}
	c.Issuer, c.Audience = l.Grant.Issuer, string(l.Client.ID)
	key, err := a.Keys.Active(alg, l.Client.ID)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	signed, err := token.Sign(key, typeUserinfo, c)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.Write(w, http.StatusOK, "application/jwt", []byte(signed))
}

// askedFor are the claims that the scope stands for, and those asked for by name.
func askedFor(scope []string, claims json.RawMessage) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, s := range scope {
		for _, name := range ofScope[s] {
			all[name] = nil
		}
	}
	for name := range wants(claims).Userinfo {
		all[name] = nil
	}
	return all
}

// bearer is the access token of a request and the scheme it came by: in the
// header, or in the form of a POST (RFC 6750 §2.1, §2.2). In the query it is not
// looked for (§5.3). No token is an *oauth.Error without a code.
func (a *API) bearer(w http.ResponseWriter, r *http.Request) (scheme, raw string, err error) {
	given := r.Header["Authorization"]
	if len(given) > 1 {
		return "Bearer", "", badRequest("more than one Authorization header")
	}
	if len(given) == 1 {
		name, rest, _ := strings.Cut(given[0], " ")
		switch {
		case strings.EqualFold(name, "Bearer"):
			scheme = "Bearer"
		case strings.EqualFold(name, "DPoP"):
			scheme = "DPoP"
		}
		raw = strings.TrimLeft(rest, " ")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded" {
		p, err := a.params(w, r)
		if err != nil {
			return "Bearer", "", err
		}
		if p.Has("access_token") {
			if raw != "" {
				return "Bearer", "", badRequest("the token is in the header and in the body")
			}
			scheme, raw = "Bearer", p.Get("access_token")
		}
	}
	if scheme == "" || raw == "" {
		return "Bearer", "", &oauth.Error{}
	}
	return scheme, raw, nil
}

// use judges a token that came with a request to us, which takes a scope.
func (a *API) use(r *http.Request, scheme, raw, need string) (oauth.Live, oauth.AccessToken, error) {
	t, err := a.readAccess(raw)
	if err != nil {
		return oauth.Live{}, t, &oauth.Error{Code: oauth.InvalidToken, Description: "the token is malformed, expired or not ours", Err: err}
	}
	in := oauth.UseIn{Token: t, Scheme: scheme, Need: need}
	if in.Proof, err = a.proof(r); err != nil {
		return oauth.Live{}, t, err
	}
	in.Proof.AccessToken = raw
	if in.Certificate, err = a.certificate(r); err != nil {
		return oauth.Live{}, t, &oauth.Error{Code: oauth.InvalidToken, Description: "the client certificate could not be read", Err: err}
	}
	l, err := a.OAuth.Use(r.Context(), in)
	if err == nil && !a.forUs(t, l) {
		err = &oauth.Error{Code: oauth.InvalidToken, Description: "the token is for another resource", Detail: strings.Join(t.Audience, " ")}
	}
	return l, t, err
}

// Granted judges a person's access token that came with a request to another API
// of ours, as a bearer token that takes no scope of its own.
func (a *API) Granted(r *http.Request, raw string) (oauth.Live, oauth.AccessToken, error) {
	return a.use(r, "Bearer", raw, "")
}

// forUs reports whether a token is for the issuer, as one is that was asked for
// without a resource (RFC 8707 §2, RFC 9068 §4).
func (a *API) forUs(t oauth.AccessToken, l oauth.Live) bool {
	own := a.audienceOf(l.Client)
	return slices.Contains(t.Audience, t.Issuer) || own != "" && slices.Contains(t.Audience, own)
}

// failBearer refuses at a resource: in the WWW-Authenticate header (RFC 6750 §3,
// RFC 9449 §7.1). A request without any token is told no error.
func (a *API) failBearer(w http.ResponseWriter, r *http.Request, scheme string, err error) {
	e, status := refusal(err)
	switch e.Code {
	case "", oauth.InvalidDPoPProof, oauth.UseDPoPNonce, oauth.InvalidToken:
		status = http.StatusUnauthorized
	}
	a.answerHeaders(w, r, e)
	if status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusBadRequest {
		w.Header().Set("WWW-Authenticate", challenge(scheme, e))
	}
	if e.Code == "" {
		// Both ways, for who has not tried one yet.
		w.Header().Add("WWW-Authenticate", challenge("DPoP", e))
		w.WriteHeader(status)
		return
	}
	a.note(r, e, status, err)
	wire.WriteJSON(w, status, errorBody{e.Code, printable(e.Description)})
}
