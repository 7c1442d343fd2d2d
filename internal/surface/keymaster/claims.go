package keymaster

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/signin"
	"sallyport/internal/token"
)

// The kinds of JWT that this surface makes, in the claim token_type. A user's
// access token has none (contract §1.4).
const (
	typeService = "service"
	typeTOTP    = "totp_session"
)

// userClaims are the claims of a user's access token (contract §1.4).
type userClaims struct {
	Subject  identity.UserID `json:"sub"`
	Email    *string         `json:"email"`
	Name     *string         `json:"name"`
	Audience string          `json:"aud"`
	Issuer   string          `json:"iss"`
	IssuedAt int64           `json:"iat"`
	Expires  int64           `json:"exp"`
	Roles    []string        `json:"roles"`
	ID       string          `json:"jti"`
}

// serviceClaims are those of a client's own token (contract §5.4).
type serviceClaims struct {
	Subject   client.ID `json:"sub"`
	Issuer    string    `json:"iss"`
	Scope     string    `json:"scope"`
	TokenType string    `json:"token_type"`
	IssuedAt  int64     `json:"iat"`
	Expires   int64     `json:"exp"`
}

// challengeClaims wrap a challenge as the totp_session (contract §1.4). The
// jti is the challenge's single-use secret.
type challengeClaims struct {
	Subject   identity.UserID `json:"sub"`
	Audience  client.ID       `json:"aud"`
	Issuer    string          `json:"iss"`
	ID        string          `json:"jti"`
	TokenType string          `json:"token_type"`
	DeviceID  string          `json:"device_id,omitempty"`
	AMR       []string        `json:"amr"`
	IssuedAt  int64           `json:"iat"`
	Expires   int64           `json:"exp"`
}

// anyClaims are what is looked at in a token that comes back.
type anyClaims struct {
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	ID        string   `json:"jti"`
	TokenType string   `json:"token_type"`
	Scope     string   `json:"scope"`
	Roles     []string `json:"roles"`
	IssuedAt  int64    `json:"iat"`
}

// algOf is the algorithm of a client's tokens: RS256 unless its policy says
// otherwise (contract §1.4).
func algOf(p client.Policy) string {
	if p.AccessToken.Alg != "" {
		return p.AccessToken.Alg
	}
	return jwks.RS256
}

// issuerOf is the iss of a client's tokens on the mount of the request.
func issuerOf(ctx context.Context, p client.Policy) string {
	if p.Issuer != "" {
		return p.Issuer
	}
	return base(ctx)
}

// audienceOf is the aud of a client's tokens.
func audienceOf(c client.Client) string {
	if c.Policy.Audience != "" {
		return c.Policy.Audience
	}
	return string(c.ID)
}

// AccessToken signs the access token of a completed sign-in, with Keymaster's
// claims, for the mount that ctx carries.
func (a *API) AccessToken(ctx context.Context, in signin.SignedIn) (string, error) {
	p := in.Client.Policy
	key, err := a.Keys.Active(algOf(p), in.Client.ID)
	if err != nil {
		return "", err
	}
	now := a.Now().Truncate(time.Second)
	c := userClaims{
		Subject: in.User.ID, Email: orNull(in.User.Email), Audience: audienceOf(in.Client), Issuer: issuerOf(ctx, p),
		IssuedAt: now.Unix(), Expires: now.Add(p.AccessToken.Lifetime.D()).Unix(), Roles: in.Roles, ID: tokenID(in),
	}
	if in.User.DisplayName != "" {
		c.Name = &in.User.DisplayName
	}
	if c.Roles == nil {
		c.Roles = []string{}
	}
	return token.Sign(key, "JWT", c)
}

// tokenID is the jti. It tells when the person signed in, so that the account
// API knows a fresh sign-in from a refresh without a claim that the contract
// does not have: a UUIDv7 of that time, or a UUIDv4 where none was proved.
func tokenID(in signin.SignedIn) string {
	if in.AuthenticatedAt.IsZero() {
		return identity.RandomID()
	}
	return identity.IDAt(in.AuthenticatedAt)
}

// TOTPSession wraps a challenge as the JWT that /auth/totp/verify takes.
func (a *API) TOTPSession(ctx context.Context, ch signin.Challenge) (string, error) {
	key, err := a.Keys.Active(jwks.RS256, "")
	if err != nil {
		return "", err
	}
	return token.Sign(key, "JWT", challengeClaims{
		Subject: ch.UserID, Audience: ch.ClientID, Issuer: base(ctx), ID: ch.Secret, TokenType: typeTOTP,
		DeviceID: ch.DeviceID, AMR: ch.AMR, IssuedAt: ch.IssuedAt.Unix(), Expires: ch.IssuedAt.Add(signin.ChallengeLifetime).Unix(),
	})
}

// Challenge returns the secret of the challenge that a totp_session wraps.
func (a *API) Challenge(raw string) (string, error) {
	t, err := a.Tokens.Verify("", []string{jwks.RS256}, raw)
	if err == nil {
		err = t.CheckTimes(a.Now(), 0)
	}
	var c anyClaims
	if err == nil {
		err = t.Claims(&c)
	}
	if err != nil || c.TokenType != typeTOTP || !slices.Contains(a.Issuers, c.Issuer) {
		return "", &fault.Error{Code: fault.ChallengeInvalid, Err: err}
	}
	return c.ID, nil
}

// notValid words why an access token is not good (contract §5.3).
func notValid(err error) string {
	switch {
	case errors.Is(err, token.ErrExpired):
		return "Token has expired"
	case errors.Is(err, token.ErrSignature):
		return "Invalid signature"
	}
	return "Invalid token"
}
