package oauth

import (
	"errors"
	"fmt"

	"sallyport/internal/jwks"
	"sallyport/internal/token"
)

// hinted is what an ID token that comes back to us says.
type hinted struct {
	Issuer   string
	Subject  string
	Audience []string
	Session  string
}

var errNoIDToken = errors.New("not an ID token")

// hint reads an ID token that we signed, expired or not (OpenID Connect Core
// §3.1.2.1, RP-Initiated Logout §2). Other JWTs of ours are none: their typ is
// another, or they never expire, or name nobody.
func (c *Core) hint(raw string) (hinted, error) {
	t, err := token.Verify(c.Keys, "", []string{jwks.RS256, jwks.ES256, jwks.EdDSA}, raw)
	if err != nil {
		return hinted{}, err
	}
	var says struct {
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience audience `json:"aud"`
		Session  string   `json:"sid"`
		Expires  float64  `json:"exp"`
	}
	if err := t.Claims(&says); err != nil {
		return hinted{}, err
	}
	if t.Type != "JWT" || says.Issuer == "" || says.Subject == "" || len(says.Audience.names) == 0 || says.Expires == 0 {
		return hinted{}, fmt.Errorf("%w: typ %q", errNoIDToken, t.Type)
	}
	return hinted{says.Issuer, says.Subject, says.Audience.names, says.Session}, nil
}
