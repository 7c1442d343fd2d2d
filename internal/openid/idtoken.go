package openid

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/jwks"
	"sallyport/internal/secret"
	"sallyport/internal/token"
)

// Leeway is given for clocks that differ.
const Leeway = time.Minute

// Claims are those of ID tokens and of user information that are everybody's. A
// provider's own are in Payload, the JSON that the others came in.
type Claims struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      audience `json:"aud"`
	Party         *string  `json:"azp"`
	Nonce         string   `json:"nonce"`
	IssuedAt      *float64 `json:"iat"`
	AtHash        *string  `json:"at_hash"`
	Authenticated float64  `json:"auth_time"`
	Session       Word     `json:"sid"`

	Email         Word  `json:"email"`
	EmailVerified Truth `json:"email_verified"`
	Name          Word  `json:"name"`
	GivenName     Word  `json:"given_name"`
	FamilyName    Word  `json:"family_name"`
	Username      Word  `json:"preferred_username"`
	Picture       Word  `json:"picture"`
	Locale        Word  `json:"locale"`
	Roles         Words `json:"roles"`
	Groups        Words `json:"groups"`

	Payload json.RawMessage `json:"-"`
	More    json.RawMessage `json:"-"` // user information, where it was asked for to complete an ID token
}

// Expect is what an ID token is checked against. Nonce is what was sent, "" if
// nobody knows; NonceOptional takes a token without one. Keys, if not nil, says
// which of the issuer's keys may sign for it.
//
// Of a token that did not come with an answer to us: Within, if not 0, is how long ago
// it may have been made; Bare is one without its access token, so that at_hash is not
// judged; AnyParty takes one for us alone that another party asked for.
type Expect struct {
	ClientID      string
	Is            func(issuer string) bool
	Nonce         string
	NonceOptional bool
	Keys          func(set []byte) []byte
	Within        time.Duration
	Bare          bool
	AnyParty      bool
}

// audience is a list of one written as a text, or a list (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// IDToken checks an ID token (OpenID Connect Core §3.1.3.7) and returns its claims.
func (a *Asker) IDToken(ctx context.Context, m Metadata, t Tokens, x Expect) (Claims, error) {
	c, err := a.idToken(ctx, m, t, x)
	return c, During(AtToken, err)
}

func (a *Asker) idToken(ctx context.Context, m Metadata, t Tokens, x Expect) (Claims, error) {
	jwt, err := a.Verify(ctx, m.Keys, m.algs(), t.ID, x.Keys)
	if err != nil {
		return Claims{}, err
	}
	var c Claims
	if err := jwt.Claims(&c); err != nil {
		return Claims{}, Fail(ErrLies, "ID token with claims that are not what they should be")
	}
	c.Payload = jwt.Payload
	if err := checkAudience(c, x); err != nil {
		return Claims{}, err
	}
	switch times := a.checkTimes(jwt, c); {
	case !x.Is(c.Issuer):
		return Claims{}, Fail(ErrLies, "ID token of another issuer")
	case times != nil:
		return Claims{}, times
	case x.Within > 0 && *c.IssuedAt < float64(a.now().Add(-x.Within-Leeway).Unix()):
		return Claims{}, Fail(ErrLies, "ID token that was made too long ago")
	case !x.fits(c.Nonce):
		return Claims{}, Fail(ErrLies, "ID token with another nonce")
	case c.AtHash != nil && !x.Bare && !secret.Equal([]byte(*c.AtHash), []byte(atHash(jwt.Alg, t.Access))):
		return Claims{}, Fail(ErrLies, "ID token for another access token")
	}
	return c, nil
}

// checkAudience wants us among the audience and, where others are too or a party
// is named, us as the party that asked for the token.
func checkAudience(c Claims, x Expect) error {
	id := x.ClientID
	switch {
	case !slices.Contains(c.Audience, id):
		return Fail(ErrAudience, "ID token for another client")
	case x.AnyParty && len(c.Audience) == 1:
		return nil
	case c.Party != nil && *c.Party != id, c.Party == nil && len(c.Audience) > 1:
		return Fail(ErrAudience, "ID token that another client asked for")
	}
	return nil
}

func (a *Asker) checkTimes(jwt token.JWT, c Claims) error {
	now := a.now()
	if err := jwt.CheckTimes(now, Leeway); errors.Is(err, token.ErrExpired) {
		return Fail(ErrLies, "ID token that has expired")
	} else if err != nil {
		return Fail(ErrLies, "ID token without expiry, or not valid yet")
	}
	if c.IssuedAt == nil || *c.IssuedAt > float64(now.Add(Leeway).Unix()) {
		return Fail(ErrLies, "ID token without time of issue, or of the future")
	}
	return nil
}

// fits compares the nonce that came with what was sent. A nonce that nobody sent,
// for a code whose request we did not make, is not judged.
func (x Expect) fits(got string) bool {
	if x.Nonce == "" || x.NonceOptional && got == "" {
		return true
	}
	return secret.Equal([]byte(x.Nonce), []byte(got))
}

// atHash is OpenID Connect Core §3.1.3.6: the left half of the hash that the
// algorithm uses; Ed25519's is SHA-512.
func atHash(alg, access string) string {
	if alg == jwks.EdDSA {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Complete asks for user information (OpenID Connect Core §5.3) where an ID token
// leaves something out, as Okta's does. An address and what is said of it come
// from one place.
func (a *Asker) Complete(ctx context.Context, m Metadata, t Tokens, c *Claims) error {
	named := c.Name != "" || c.GivenName != ""
	if m.Userinfo == "" || c.Email != "" && c.EmailVerified.Known && named {
		return nil
	}
	more, err := a.Userinfo(ctx, m, t)
	if err != nil {
		return err
	}
	if more.Subject != c.Subject {
		return During(AtPerson, Fail(ErrLies, "user information about somebody else"))
	}
	c.More = more.Payload
	if more.Email != "" && (c.Email == "" || !c.EmailVerified.Known) {
		c.Email, c.EmailVerified = more.Email, more.EmailVerified
	}
	for _, one := range []struct{ have, more *Word }{
		{&c.Name, &more.Name}, {&c.GivenName, &more.GivenName}, {&c.FamilyName, &more.FamilyName},
		{&c.Username, &more.Username}, {&c.Picture, &more.Picture}, {&c.Locale, &more.Locale},
	} {
		if *one.have == "" {
			*one.have = *one.more
		}
	}
	if c.Roles == nil {
		c.Roles = more.Roles
	}
	if c.Groups == nil {
		c.Groups = more.Groups
	}
	return nil
}

// Userinfo is what the issuer says of the person to whoever has their token.
func (a *Asker) Userinfo(ctx context.Context, m Metadata, t Tokens) (c Claims, err error) {
	if err := a.Get(ctx, m.Userinfo, "Bearer "+t.Access, http.Header{}, &c.Payload); err != nil {
		return c, err
	}
	if err := json.Unmarshal(c.Payload, &c); err != nil {
		return c, During(AtPerson, Fail(ErrLies, "user information that is not what it should be"))
	}
	return c, nil
}
