package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/jwks"
	"sallyport/internal/secret"
	"sallyport/internal/token"
)

// leeway is given for clocks that differ.
const leeway = time.Minute

// claims are those of ID tokens and of user information that somebody here reads.
type claims struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      audience `json:"aud"`
	Party         *string  `json:"azp"`
	Nonce         string   `json:"nonce"`
	IssuedAt      *float64 `json:"iat"`
	AtHash        *string  `json:"at_hash"`
	Authenticated float64  `json:"auth_time"`
	Session       word     `json:"sid"`

	Email         word  `json:"email"`
	EmailVerified truth `json:"email_verified"`
	Name          word  `json:"name"`
	GivenName     word  `json:"given_name"`
	FamilyName    word  `json:"family_name"`
	Username      word  `json:"preferred_username"`
	Picture       word  `json:"picture"`
	Locale        word  `json:"locale"`
	Roles         words `json:"roles"`
	Groups        words `json:"groups"`

	HostedDomain word  `json:"hd"`               // Google
	TenantID     word  `json:"tid"`              // Microsoft
	ObjectID     word  `json:"oid"`              // Microsoft
	DomainOwner  truth `json:"xms_edov"`         // Microsoft
	PrivateEmail truth `json:"is_private_email"` // Apple
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

// openID is the code exchange of OpenID Connect Core §3.1.3 with what follows.
func (b *Broker) openID(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	m, err := b.metadata(ctx, u)
	if err != nil {
		return Profile{}, err
	}
	password, err := u.password(b.now())
	if err != nil {
		return Profile{}, err
	}
	if u.Kind == Google {
		x.Code = unescaped(x.Code)
	}
	t, err := b.redeem(ctx, m.Token, u.Settings.ClientID, password, x.form(), m.basic(u))
	if err != nil {
		return Profile{}, err
	}
	c, err := b.claims(ctx, u, m, t, x)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{Issuer: u.Issuer(), Subject: c.Subject, Username: string(c.Username), Picture: string(c.Picture), Locale: string(c.Locale),
		Roles: c.Roles, Groups: c.Groups, Session: string(c.Session), Tokens: t.asProfile(b.now())}
	if c.Authenticated > 0 && c.Authenticated < math.MaxInt32 {
		p.Authenticated = time.Unix(int64(c.Authenticated), 0).UTC()
	}
	p.setNames(string(c.Name), string(c.GivenName), string(c.FamilyName))
	return p, during(AtToken, u.believe(&p, c, x))
}

// claims are those of the ID token and of what it leaves out. A request to Google
// that somebody else made may have been for OAuth alone: then user information
// is all there is, from Google itself and for the token that it has just given.
func (b *Broker) claims(ctx context.Context, u Upstream, m metadata, t tokens, x Exchange) (c claims, err error) {
	if t.ID == "" && u.Kind == Google && x.Nonce == "" {
		return c, b.get(ctx, m.Userinfo, "Bearer "+t.Access, http.Header{}, &c)
	}
	if c, err = b.idToken(ctx, u, m, t, x.Nonce); err != nil {
		return claims{}, during(AtToken, err)
	}
	return c, during(AtPerson, b.complete(ctx, u, m, t, &c))
}

// password is what u proves itself with at the token endpoint.
func (u Upstream) password(now time.Time) (string, error) {
	if u.Kind == Apple {
		return u.appleSecret(now)
	}
	return u.Secret.Reveal(), nil
}

// believe takes what the kind is to be believed in.
func (u Upstream) believe(p *Profile, c claims, x Exchange) error {
	switch u.Kind {
	case Google:
		return u.google(p, c)
	case Microsoft:
		return u.microsoft(p, c)
	case Apple:
		u.apple(p, c, x.User)
		return nil
	}
	p.setEmail(u.Settings, string(c.Email), c.EmailVerified.is, c.EmailVerified.known, anyDomain)
	return nil
}

// idToken checks an ID token (OpenID Connect Core §3.1.3.7) and returns its claims.
func (b *Broker) idToken(ctx context.Context, u Upstream, m metadata, t tokens, nonce string) (claims, error) {
	var keep func([]byte) []byte
	if u.Kind == Microsoft {
		keep = keysOfIssuer(t.ID)
	}
	jwt, err := b.verifySigned(ctx, m.Keys, m.algs(), t.ID, keep)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if err := jwt.Claims(&c); err != nil {
		return claims{}, fail(ErrLies, "ID token with claims that are not what they should be")
	}
	if err := checkAudience(c, u.Settings.ClientID); err != nil {
		return claims{}, err
	}
	switch times := b.checkTimes(jwt, c); {
	case !u.isIssuer(m.Issuer, c.Issuer):
		return claims{}, fail(ErrLies, "ID token of another issuer")
	case times != nil:
		return claims{}, times
	case !nonceFits(u.kind().nonce, nonce, c.Nonce):
		return claims{}, fail(ErrLies, "ID token with another nonce")
	case c.AtHash != nil && !secret.Equal([]byte(*c.AtHash), []byte(atHash(jwt.Alg, t.Access))):
		return claims{}, fail(ErrLies, "ID token for another access token")
	}
	return c, nil
}

// checkAudience wants us among the audience and, where others are too or a party
// is named, us as the party that asked for the token.
func checkAudience(c claims, id string) error {
	switch {
	case !slices.Contains(c.Audience, id):
		return fail(ErrAudience, "ID token for another client")
	case c.Party != nil && *c.Party != id, c.Party == nil && len(c.Audience) > 1:
		return fail(ErrAudience, "ID token that another client asked for")
	}
	return nil
}

func (b *Broker) checkTimes(jwt token.JWT, c claims) error {
	now := b.now()
	if err := jwt.CheckTimes(now, leeway); errors.Is(err, token.ErrExpired) {
		return fail(ErrLies, "ID token that has expired")
	} else if err != nil {
		return fail(ErrLies, "ID token without expiry, or not valid yet")
	}
	if c.IssuedAt == nil || *c.IssuedAt > float64(now.Add(leeway).Unix()) {
		return fail(ErrLies, "ID token without time of issue, or of the future")
	}
	return nil
}

// nonceFits compares what was sent with what came. A nonce that nobody sent, for
// a code whose request we did not make, is not judged.
func nonceFits(rule nonce, sent, got string) bool {
	if sent == "" || rule == nonceIfThere && got == "" {
		return true
	}
	return secret.Equal([]byte(sent), []byte(got))
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

// complete asks for user information (OpenID Connect Core §5.3) where the ID
// token leaves something out, as Okta's does. An address and what is said of it
// come from one place.
func (b *Broker) complete(ctx context.Context, u Upstream, m metadata, t tokens, c *claims) error {
	named := c.Name != "" || c.GivenName != ""
	if m.Userinfo == "" || u.Kind == Microsoft || c.Email != "" && c.EmailVerified.known && named {
		return nil
	}
	var more claims
	if err := b.get(ctx, m.Userinfo, "Bearer "+t.Access, http.Header{}, &more); err != nil {
		return err
	}
	if more.Subject != c.Subject {
		return fail(ErrLies, "user information about somebody else")
	}
	if more.Email != "" && (c.Email == "" || !c.EmailVerified.known) {
		c.Email, c.EmailVerified = more.Email, more.EmailVerified
	}
	for _, one := range []struct{ have, more *word }{
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
