package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/grant"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// introspection is what is told of a token (RFC 7662 §2.2).
type introspection struct {
	Active    bool            `json:"active"`
	Issuer    string          `json:"iss,omitempty"`
	Subject   string          `json:"sub,omitempty"`
	Audience  names           `json:"aud,omitempty"`
	ClientID  client.ID       `json:"client_id,omitempty"`
	Scope     string          `json:"scope,omitempty"`
	TokenType string          `json:"token_type,omitempty"`
	IssuedAt  int64           `json:"iat,omitempty"`
	Expires   int64           `json:"exp,omitempty"`
	ID        string          `json:"jti,omitempty"`
	AuthTime  int64           `json:"auth_time,omitempty"`
	ACR       string          `json:"acr,omitempty"`
	AMR       []string        `json:"amr,omitempty"`
	Roles     []string        `json:"roles,omitempty"`
	Actor     json.RawMessage `json:"act,omitempty"`
	Key       *grant.Binding  `json:"cnf,omitempty"`
}

// introspect is POST /oauth2/introspect (RFC 7662), answered as a JWT to who
// accepts one (RFC 9701 §4).
func (a *API) introspect(w http.ResponseWriter, r *http.Request) {
	p, err := a.params(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := oauth.IntrospectIn{Token: p.Get("token"), Access: a.accessOrNil(p.Get("token"))}
	if in.Auth, err = a.clientAuth(r, p); err != nil {
		a.fail(w, r, err)
		return
	}
	out, err := a.OAuth.Introspect(r.Context(), in)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	told := tell(out)
	if !acceptsJWT(r) {
		wire.WriteJSON(w, http.StatusOK, told)
		return
	}
	signed, err := a.signIntrospection(a.issuer(r.Context()), out.Caller, told)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.Write(w, http.StatusOK, "application/"+typeIntrospection, []byte(signed))
}

func acceptsJWT(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Accept"], func(s string) bool { return strings.Contains(strings.ToLower(s), "application/"+typeIntrospection) })
}

// accessOrNil is what a token says, if it is an access token of ours.
func (a *API) accessOrNil(raw string) *oauth.AccessToken {
	if t, err := a.readAccess(raw); err == nil {
		return &t
	}
	return nil
}

func tell(i oauth.Introspected) introspection {
	if !i.Active {
		return introspection{}
	}
	g := i.Live.Grant
	out := introspection{Active: true, ACR: g.ACR, AMR: g.AMR, AuthTime: unix(g.AuthenticatedAt), ClientID: i.Live.Client.ID}
	b := g.Binding
	scope := g.Scope
	if t := i.Access; t != nil {
		out.Issuer, out.Subject, out.Audience, out.ID, out.Actor, out.ClientID = t.Issuer, t.Subject, t.Audience, t.ID, t.Actor, t.ClientID
		out.IssuedAt, out.Expires, out.TokenType = t.IssuedAt.Unix(), t.ExpiresAt.Unix(), "Bearer"
		scope, b = t.Scope, t.Binding
		if b.JKT != "" {
			out.TokenType = "DPoP"
		}
	} else {
		out.Issuer, out.Subject, out.IssuedAt, out.Expires = g.Issuer, g.Subject, i.IssuedAt.Unix(), i.ExpiresAt.Unix()
	}
	out.Scope = strings.Join(scope, " ")
	if slices.Contains(scope, oauth.ScopeRoles) {
		out.Roles = i.Live.Roles
	}
	if b != (grant.Binding{}) {
		out.Key = &b
	}
	return out
}

// signIntrospection signs what is told for the one who asked (RFC 9701 §5).
func (a *API) signIntrospection(issuer string, asks client.Client, told introspection) (string, error) {
	alg := asks.Policy.OAuth.IntrospectionAlg
	if alg == "" {
		alg = jwks.RS256 // RFC 9701 §6
	}
	key, err := a.Keys.Active(alg, asks.ID)
	if err != nil {
		return "", err
	}
	return token.Sign(key, typeIntrospection, struct {
		Issuer   string        `json:"iss"`
		Audience client.ID     `json:"aud"`
		IssuedAt int64         `json:"iat"`
		Told     introspection `json:"token_introspection"`
	}{issuer, asks.ID, a.Now().Truncate(time.Second).Unix(), told})
}
