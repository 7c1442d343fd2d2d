package accountmaker

import (
	"context"
	"strconv"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/signin"
	"sallyport/internal/token"
)

// accessClaims are those of an access token (contract §2.4). Account and Role are
// not there without an active membership. The first part of the jti names the
// family of the refresh token beside it, which an account switch ends.
type accessClaims struct {
	Issuer      string `json:"iss"`
	Subject     string `json:"sub"`
	Audience    string `json:"aud"`
	Expires     int64  `json:"exp"`
	IssuedAt    int64  `json:"iat"`
	Scope       string `json:"scope"`
	Client      string `json:"cid"`
	Application string `json:"app"`
	Account     string `json:"acc,omitempty"`
	User        string `json:"uid"`
	Role        string `json:"role,omitempty"`
	ID          string `json:"jti"`
}

// tokens are SessionTokens (contract §2.2).
type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
}

// root is the id that the application has to which all belongs that has no tenant.
const root = "00000000-0000-0000-0000-000000000000"

// applicationID is the id of a client's user namespace.
func applicationID(t client.TenantID) string {
	if t == "" {
		return identity.KSUID("app", root)
	}
	return identity.KSUID("app", string(t))
}

func userID(id identity.UserID) string { return identity.KSUID("uid", string(id)) }

func accountID(id org.ID) string { return identity.KSUID("acc", string(id)) }

// roleOf is a role as this API has it: it knows no administrators below owners.
func roleOf(r org.Role) string {
	if r == org.Admin {
		r = org.Member
	}
	return string(r)
}

// issuerOf is the iss of a client's tokens on the mount of the request.
func issuerOf(ctx context.Context, p client.Policy) string {
	if p.Issuer != "" {
		return p.Issuer
	}
	return base(ctx)
}

// tokens signs the access token of a completed sign-in or a refresh, with the
// client's own key if it has one.
func (a *API) tokens(ctx context.Context, in signin.SignedIn) (tokens, error) {
	p := in.Client.Policy
	key, err := a.Keys.Own(jwks.RS256, in.Client.ID)
	if err != nil {
		return tokens{}, err
	}
	now, cid := a.Now().Truncate(time.Second), identity.KSUID("cid", string(in.Client.ID))
	life := p.AccessToken.Lifetime.D()
	c := accessClaims{
		Issuer: issuerOf(ctx, p), Subject: userID(in.User.ID), Audience: cid, IssuedAt: now.Unix(), Expires: now.Add(life).Unix(),
		Client: cid, Application: applicationID(in.Client.Tenant.ID), User: userID(in.User.ID), ID: tokenID(in.Family),
	}
	if p.Audience != "" {
		c.Audience = p.Audience
	}
	if in.Membership.ID != "" {
		c.Account, c.Role = accountID(in.Membership.OrgID), roleOf(in.Membership.Role)
	}
	access, err := token.Sign(key, "JWT", c)
	return tokens{access, in.Refresh, "Bearer", int(life / time.Second)}, err
}

func tokenID(family int64) string {
	return strconv.FormatInt(family, 36) + "." + secret.Hex(16)
}
