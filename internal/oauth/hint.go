package oauth

import (
	"errors"
	"fmt"

	"sallyport/internal/jwks"
	"sallyport/internal/token"
)

// hinted is what an ID token that comes back to us says.
type hinted struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Session  string   `json:"sid"`
}

var errNoIDToken = errors.New("not an ID token")

// hint reads an ID token that we signed, expired or not (OpenID Connect Core
// §3.1.2.1, RP-Initiated Logout §2). Other JWTs of ours are none.
func (c *Core) hint(raw string) (hinted, error) {
	var h hinted
	t, err := token.Verify(c.Keys, "", []string{jwks.RS256, jwks.ES256, jwks.EdDSA}, raw)
	if err != nil {
		return h, err
	}
	if t.Type != "JWT" && t.Type != "" {
		return h, fmt.Errorf("%w: typ %s", errNoIDToken, t.Type)
	}
	if err := t.Claims(&h); err != nil {
		return h, err
	}
	if h.Issuer == "" || h.Subject == "" || len(h.Audience.names) == 0 {
		return h, errNoIDToken
	}
	return h, nil
}
