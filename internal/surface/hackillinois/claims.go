package hackillinois

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// claims are those of a token, in the order of the alphabet as the original has
// its own four: email, exp, id and roles (contract §2.1). The others are ours
// (§9 W6, W7, W15, W23); its verifiers ignore them.
type claims struct {
	Act           *actor     `json:"act,omitempty"` // who acts for the owner (RFC 8693 §4.1)
	Audience      client.ID  `json:"aud"`
	Email         string     `json:"email"`
	EmailVerified bool       `json:"email_verified"`
	Expires       int64      `json:"exp"`
	ID            string     `json:"id"`
	Issuer        string     `json:"iss"`
	TokenID       string     `json:"jti"`
	Roles         []string   `json:"roles"`
	Session       session.ID `json:"sid"`
}

// actor is the administrator who is somebody else for a while.
type actor struct {
	Subject string `json:"sub"`
}

// MarshalJSON writes the claims in ASCII without ">", "?", "~" and DEL. Those are
// the bytes of ASCII that can come out as "-" or "_" in base64url, which pages
// read by atob, and that knows neither (contract §2.1).
func (c claims) MarshalJSON() ([]byte, error) {
	type plain claims
	if c.Roles == nil {
		c.Roles = []string{}
	}
	text, err := json.Marshal(plain(c))
	if err != nil {
		return nil, err
	}
	return forAtob(text), nil
}

// forAtob escapes what atob would trip over. None of it is part of JSON's own
// syntax, so all of it stands inside strings.
func forAtob(text []byte) []byte {
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '>' || r == '?' || r == '~' || r == 0x7f || r > 0x7f && r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		case r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = append(out, text[0])
		}
		text = text[n:]
	}
	return out
}

// errNoSecret reports a client without a secret to sign with.
var errNoSecret = errors.New("hackillinois: the client has no access_token.secret to sign with")

// sign makes a token of the claims with the one key of the client. It fills in
// who made it, for whom, and which token it is.
func (a *API) sign(cl client.Client, base string, c claims) (string, error) {
	k, err := a.Keys.Active(jwks.HS256, cl.ID)
	if err != nil {
		return "", errors.Join(errNoSecret, err)
	}
	c.Audience, c.Issuer, c.TokenID = cl.ID, base, identity.RandomID()
	if cl.Policy.Issuer != "" {
		c.Issuer = cl.Policy.Issuer
	}
	return token.Sign(k, "JWT", c)
}
