package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/secret"
	"sallyport/internal/token"
)

// The limits on an assertion: how far its times may lie from ours, and how long
// it may be good, since it is remembered for as long.
const (
	clockSkew        = 10 * time.Second
	assertionMaxLife = time.Hour
)

// assertion judges a signed assertion (RFC 7523 §3, OpenID Connect Core §9).
func (c *Core) assertion(ctx context.Context, cl client.Client, method string, in ClientAuth) ([]once, error) {
	if in.Method != ByAssertion {
		return nil, wrongClient("no assertion was sent")
	}
	jwt, err := c.verifyAssertion(ctx, cl, method, in.Assertion)
	if err != nil {
		return nil, err
	}
	var says struct {
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience audience `json:"aud"`
		ID       string   `json:"jti"`
		Expires  float64  `json:"exp"`
		IssuedAt float64  `json:"iat"`
	}
	if err := jwt.Claims(&says); err != nil {
		return nil, &Error{Code: InvalidClient, Description: "the assertion is malformed", Err: err}
	}
	now := c.Now()
	if err := jwt.CheckTimes(now, clockSkew); err != nil {
		return nil, &Error{Code: InvalidClient, Description: "the assertion is not of this time", Err: err}
	}
	at := float64(now.UnixMicro()) / 1e6
	switch {
	case !sameID(says.Issuer, cl.ID) || !sameID(says.Subject, cl.ID):
		return nil, wrongClient("iss and sub are " + short(says.Issuer) + " and " + short(says.Subject))
	case !c.assertedToUs(cl, says.Audience, in):
		return nil, &Error{Code: InvalidClient, Description: "the assertion is for another audience", Detail: short(strings.Join(says.Audience.names, " "))}
	case says.ID == "" || len(says.ID) > 512:
		return nil, refuse(InvalidClient, "the assertion has no jti")
	case says.Expires > at+assertionMaxLife.Seconds():
		return nil, refuse(InvalidClient, "the assertion is good for more than an hour")
	case says.IssuedAt > at+clockSkew.Seconds():
		return nil, refuse(InvalidClient, "the assertion is of the future")
	}
	until := time.UnixMicro(int64(says.Expires * 1e6)).Add(clockSkew)
	return []once{{"assertion " + string(cl.ID) + " " + says.ID, until, InvalidClient}}, nil
}

// sameID compares a client id that was sent with a row's.
func sameID(given string, id client.ID) bool {
	canonical, ok := identity.ParseID(given)
	return given == string(id) || ok && canonical == string(id)
}

// assertedToUs reports whether an assertion is meant for us: for the issuer, or
// by the older custom the endpoint. FAPI 2.0 §5.3.2.1 takes the issuer alone, as
// a text, since with endpoints another server can be made to collect what is
// good here.
func (c *Core) assertedToUs(cl client.Client, aud audience, in ClientAuth) bool {
	issuer := in.Visitor.Base
	if cl.Policy.FAPI() {
		return !aud.list && slices.Equal(aud.names, []string{issuer})
	}
	return slices.ContainsFunc(aud.names, func(name string) bool {
		return name == issuer || name == in.Endpoint || name == issuer+"/oauth2/token"
	})
}

// verifyAssertion checks the signature, once more with the client's newest keys
// if it is of one that we do not know.
func (c *Core) verifyAssertion(ctx context.Context, cl client.Client, method, raw string) (token.JWT, error) {
	if method == client.AuthSecretJWT {
		jwt, err := token.Verify(c.Keys, cl.ID, []string{jwks.HS256}, raw)
		if err != nil {
			err = &Error{Code: InvalidClient, Description: "client authentication failed", Err: err}
		}
		return jwt, err
	}
	jwt, err := c.verifySigned(ctx, cl, assertionAlgs(cl), raw)
	if errors.Is(err, token.ErrMalformed) || errors.Is(err, token.ErrSignature) || errors.Is(err, token.ErrKeySet) {
		err = &Error{Code: InvalidClient, Description: "client authentication failed", Err: err}
	}
	return jwt, err
}

// assertionAlgs are the algorithms that a client's assertions may have: the one
// it registered, else all that are allowed it (FAPI 2.0 §5.4.1 has no RS256).
func assertionAlgs(cl client.Client) []string {
	if alg := cl.Policy.OAuth.TokenEndpointAuthAlg; alg != "" {
		return []string{alg}
	}
	if cl.Policy.FAPI() {
		return []string{token.PS256, jwks.ES256, jwks.EdDSA}
	}
	return token.ClientAlgs
}

// certificateIs judges a client certificate: by its subject, which the proxy
// has verified the chain of, or by its key, which the client has registered
// (RFC 8705 §2.1, §2.2).
func (c *Core) certificateIs(ctx context.Context, cl client.Client, method string, in ClientAuth) error {
	cert := in.Certificate
	switch {
	case in.Method != "":
		return wrongClient("a client of mutual TLS sent other credentials")
	case cert == nil:
		return wrongClient("no certificate was shown")
	case c.Now().Before(cert.NotBefore) || c.Now().After(cert.NotAfter):
		return wrongClient("the certificate is not of this time")
	}
	if method == client.AuthTLS {
		want := cl.Policy.OAuth.TLSSubjectDN
		if want == "" || !secret.Equal([]byte(plainDN(want)), []byte(plainDN(cert.SubjectDN))) {
			return wrongClient("the certificate is of " + short(cert.SubjectDN))
		}
		return nil
	}
	for _, again := range []bool{false, true} {
		keys, err := c.keysOf(ctx, cl, again)
		if err != nil {
			return &Error{Code: InvalidClient, Description: "client authentication failed", Err: err}
		}
		if keys.Holds(cert.Public) {
			return nil
		}
	}
	return wrongClient("the certificate's key is not among the client's")
}

// plainDN writes a distinguished name without the spaces that a person puts
// between its parts (RFC 4514 §3 has none).
func plainDN(dn string) string {
	parts := strings.Split(dn, ",")
	for i, p := range parts {
		if i > 0 && !strings.HasSuffix(parts[i-1], `\`) { // an escaped comma parts nothing
			parts[i] = strings.TrimLeft(p, " ")
		}
	}
	return strings.Join(parts, ",")
}

// audience is an aud claim: a text, or a list of them (RFC 7519 §4.1.3).
type audience struct {
	names []string
	list  bool
}

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*a = audience{names: []string{one}}
		return nil
	}
	*a = audience{list: true}
	return json.Unmarshal(b, &a.names)
}
