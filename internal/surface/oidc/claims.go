package oidc

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
)

// The types of JWT that this surface makes. All are signed with the same keys, so
// each reader asks for its own (RFC 8725 §3.11).
const (
	typeAccess        = "at+jwt" // RFC 9068 §2.1
	typeID            = "JWT"
	typeUserinfo      = "JWT"                     // it has no exp, so it passes for no token
	typeIntrospection = "token-introspection+jwt" // RFC 9701 §5
)

// names is a JSON string, or a list of them if it is not exactly one, as aud is.
type names []string

// MarshalJSON writes one name as a text.
func (n names) MarshalJSON() ([]byte, error) {
	if len(n) == 1 {
		return json.Marshal(n[0])
	}
	return json.Marshal([]string(n))
}

// UnmarshalJSON reads either form.
func (n *names) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// accessClaims are those of an access token (RFC 9068 §2.2), and gid, ours: the
// grant it came of, with which it ends. An opaque token holds the same, sealed.
type accessClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience names           `json:"aud"`
	ClientID client.ID       `json:"client_id"`
	Scope    string          `json:"scope,omitempty"`
	IssuedAt int64           `json:"iat"`
	Expires  int64           `json:"exp"`
	ID       string          `json:"jti"`
	AuthTime int64           `json:"auth_time,omitempty"`
	ACR      string          `json:"acr,omitempty"`
	AMR      []string        `json:"amr,omitempty"`
	Roles    []string        `json:"roles,omitempty"`
	Grant    grant.ID        `json:"gid,omitempty"`
	Actor    json.RawMessage `json:"act,omitempty"`
	Key      *grant.Binding  `json:"cnf,omitempty"`
}

// opaque begins every opaque access token, so that one that leaked is found by
// who searches for it.
const (
	opaque      = "sp_at_"
	opaqueLabel = "access-token"
)

// accessToken makes the access token of what was granted, and tells how long it
// is good. HS256 is not for these: whoever checks such a token could make one,
// so a client that has it gets the default.
func (a *API) accessToken(issuer string, i oauth.Issued) (string, time.Duration, error) {
	c, life := a.accessClaims(issuer, i)
	p := i.Client.Policy.AccessToken
	if p.Format == client.FormatOpaque {
		b, err := json.Marshal(c)
		if err != nil {
			return "", 0, err
		}
		return opaque + base64.RawURLEncoding.EncodeToString(a.OAuth.Key.SealEach(opaqueLabel, b)), life, nil
	}
	alg := p.Alg
	if !slices.Contains(serverAlgs, alg) {
		alg = jwks.ES256
	}
	key, err := a.Keys.Active(alg, "")
	if err != nil {
		return "", 0, err
	}
	raw, err := token.Sign(key, typeAccess, c)
	return raw, life, err
}

func (a *API) accessClaims(issuer string, i oauth.Issued) (accessClaims, time.Duration) {
	life := i.Client.Policy.AccessToken.Lifetime.D()
	now := a.Now().Truncate(time.Second)
	if left := i.NotAfter.Sub(now); !i.NotAfter.IsZero() && left < life {
		life = left
	}
	c := accessClaims{
		Issuer: issuer, Subject: string(i.Client.ID), Audience: i.Resources, ClientID: i.Client.ID, Scope: strings.Join(i.Scope, " "),
		IssuedAt: now.Unix(), Expires: now.Add(life).Unix(), ID: identity.RandomID(),
	}
	if len(c.Audience) == 0 {
		c.Audience = names{issuer}
		if own := a.audienceOf(i.Client); own != "" {
			c.Audience = names{own}
		}
	}
	if i.Binding != (grant.Binding{}) {
		c.Key = &i.Binding
	}
	g := i.Grant
	if g.UserID == "" {
		return c, life
	}
	c.Issuer, c.Subject, c.Grant, c.ACR, c.AMR, c.Actor = g.Issuer, g.Subject, g.ID, g.ACR, g.AMR, g.Actor
	c.AuthTime = unix(g.AuthenticatedAt)
	if slices.Contains(i.Scope, oauth.ScopeRoles) {
		c.Roles = i.Roles
	}
	return c, life
}

// audienceOf is the audience that a client has of its own. What the operator named
// as a resource is asked for by name, so that the person reads it: who made a client
// without the operator does not come by it as its audience.
func (a *API) audienceOf(cl client.Client) string {
	own := cl.Policy.Audience
	if cl.Source != client.Operator && slices.Contains(a.OAuth.Resources(), own) {
		return ""
	}
	return own
}

// unix is a NumericDate, 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// serverAlgs are the algorithms of the installation's own keys. A client's shared
// secret makes no token that is good here: the client could make it itself.
var serverAlgs = []string{jwks.RS256, jwks.ES256, jwks.EdDSA}

var errNoAccess = errors.New("no access token of ours")

// readAccess reads an access token that was sent to us: of our making, of its
// type, of its time. Whether it is still good is the core's to say. Every error
// is one of the token.
func (a *API) readAccess(raw string) (oauth.AccessToken, error) {
	var t token.JWT
	var err error
	if sealed, ok := strings.CutPrefix(raw, opaque); ok {
		t, err = a.openOpaque(sealed)
	} else {
		t, err = a.Tokens.Verify("", serverAlgs, raw)
		if err == nil && t.Type != typeAccess {
			err = errNoAccess
		}
	}
	if err != nil {
		return oauth.AccessToken{}, err
	}
	if err := t.CheckTimes(a.Now(), 0); err != nil {
		return oauth.AccessToken{}, err
	}
	var c accessClaims
	if err := t.Claims(&c); err != nil {
		return oauth.AccessToken{}, err
	}
	out := oauth.AccessToken{
		ID: c.ID, Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, GrantID: c.Grant, Audience: c.Audience, Scope: strings.Fields(c.Scope),
		Actor: c.Actor, IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(c.Expires, 0).UTC(),
	}
	if c.Key != nil {
		out.Binding = *c.Key
	}
	return out, nil
}

func (a *API) openOpaque(sealed string) (token.JWT, error) {
	if len(sealed) > token.MaxJWT || strings.ContainsAny(sealed, "\r\n") {
		return token.JWT{}, errNoAccess
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return token.JWT{}, errNoAccess
	}
	plain, err := a.OAuth.Key.OpenEach(opaqueLabel, b)
	return token.JWT{Type: typeAccess, Payload: plain}, err
}

// idClaims are those of an ID token (OpenID Connect Core §2). It has no jti, by
// which Keymaster tells a person's access token.
type idClaims struct {
	Issuer     string    `json:"iss"`
	Subject    string    `json:"sub"`
	Audience   string    `json:"aud"`
	Authorized client.ID `json:"azp"`
	IssuedAt   int64     `json:"iat"`
	Expires    int64     `json:"exp"`
	AuthTime   int64     `json:"auth_time,omitempty"`
	Nonce      string    `json:"nonce,omitempty"`
	ACR        string    `json:"acr,omitempty"`
	AMR        []string  `json:"amr,omitempty"`
	Session    string    `json:"sid,omitempty"`
	Hash       string    `json:"at_hash,omitempty"`
	personal
}

// idToken makes the ID token that goes with an access token. Claims about the
// person are at the userinfo endpoint, and here only if they were asked for by
// name (Core §5.4, §5.5).
func (a *API) idToken(i oauth.Issued, access string, life time.Duration) (string, error) {
	alg := i.Client.Policy.IDTokenAlg()
	key, err := a.Keys.Active(alg, i.Client.ID)
	if err != nil {
		return "", err
	}
	now := a.Now().Truncate(time.Second)
	g := i.Grant
	return token.Sign(key, typeID, idClaims{
		Issuer: g.Issuer, Subject: g.Subject, Audience: string(i.Client.ID), Authorized: i.Client.ID,
		IssuedAt: now.Unix(), Expires: now.Add(life).Unix(), AuthTime: unix(g.AuthenticatedAt), Nonce: i.Nonce,
		ACR: g.ACR, AMR: g.AMR, Session: string(g.SessionID), Hash: halfHash(alg, access),
		personal: personalOf(wants(g.Claims).IDToken, i.User, i.Roles),
	})
}

// halfHash is at_hash (Core §3.1.3.6): half the hash that the ID token's alg uses.
func halfHash(alg, access string) string {
	if alg == jwks.EdDSA {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// personal are the claims about a person that we know (Core §5.1), and roles.
type personal struct {
	Name          string   `json:"name,omitempty"`
	GivenName     string   `json:"given_name,omitempty"`
	FamilyName    string   `json:"family_name,omitempty"`
	Email         string   `json:"email,omitempty"`
	EmailVerified *bool    `json:"email_verified,omitempty"`
	Roles         []string `json:"roles,omitempty"`
}

// wanted is the claims parameter of an authorization request (Core §5.5).
type wanted struct {
	Userinfo map[string]json.RawMessage `json:"userinfo"`
	IDToken  map[string]json.RawMessage `json:"id_token"`
}

// wants reads it; the core checked it when it came.
func wants(raw json.RawMessage) (w wanted) {
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &w) // what does not parse asks for nothing
	}
	return w
}

// ofScope are the claims that a scope stands for (Core §5.4).
var ofScope = map[string][]string{
	oauth.ScopeProfile: {"name", "given_name", "family_name"},
	oauth.ScopeEmail:   {"email", "email_verified"},
	oauth.ScopeRoles:   {"roles"},
}

func personalOf(asked map[string]json.RawMessage, u identity.User, roles []string) (p personal) {
	for name := range asked {
		switch name {
		case "name":
			p.Name = u.DisplayName
		case "given_name":
			p.GivenName = u.GivenName
		case "family_name":
			p.FamilyName = u.FamilyName
		case "email":
			p.Email = u.Email
		case "email_verified":
			if u.Email != "" {
				p.EmailVerified = &u.EmailVerified
			}
		case "roles":
			p.Roles = roles
		}
	}
	return p
}
