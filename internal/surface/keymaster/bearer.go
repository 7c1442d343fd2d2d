package keymaster

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/token"
)

// userToken is a user's access token that was sent to us (contract §1.3).
// AuthenticatedAt is when its owner signed in, zero where that is not known.
// Which roles its owner has is not asked of the token: they may have changed.
type userToken struct {
	UserID          identity.UserID
	Audience        client.ID
	AuthenticatedAt time.Time
}

// serviceToken is a client's own token that was sent to us.
type serviceToken struct {
	ClientID client.ID
	Scopes   []string
}

// bearerAlgs are the algorithms of tokens that are good on our own routes: those
// of server keys. The key of an HS256 app is known to the services behind it,
// any of which could make itself a token for any user.
var bearerAlgs = []string{jwks.RS256, jwks.ES256, jwks.EdDSA}

// bearer verifies the token of a request as far as all kinds have it in common:
// our signature, our issuer, its time. The contract has one answer for whatever
// is wrong (§1.3).
func (a *API) bearer(r *http.Request) (anyClaims, error) {
	raw, ok := authorization(r)
	if !ok {
		return anyClaims{}, fault.New(fault.Unauthenticated)
	}
	t, err := a.Tokens.Verify("", bearerAlgs, raw)
	if err == nil {
		err = t.CheckTimes(a.Now(), 0)
	}
	var c anyClaims
	if err == nil {
		err = t.Claims(&c)
	}
	if err == nil && (t.Type != "JWT" || c.Subject == "") {
		err = token.ErrMalformed
	}
	if err != nil {
		return anyClaims{}, &fault.Error{Code: fault.Unauthenticated, Err: err}
	}
	owner := client.ID(c.Audience)
	if c.TokenType == typeService {
		owner = client.ID(c.Subject)
	}
	return c, a.issued(r.Context(), owner, c.Issuer)
}

// issued refuses a token whose issuer is neither one of our mounts nor the one
// that its client has for itself.
func (a *API) issued(ctx context.Context, owner client.ID, issuer string) error {
	if slices.Contains(a.Issuers, issuer) {
		return nil
	}
	own, err := a.Admin.Issuer(ctx, owner)
	if err == nil && (own == "" || own != issuer) {
		err = fault.New(fault.Unauthenticated)
	}
	return err
}

// authorization returns the token of the Authorization header (RFC 6750 §2.1).
func authorization(r *http.Request) (string, bool) {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return "", false
	}
	scheme, raw, _ := strings.Cut(given[0], " ")
	raw = strings.TrimLeft(raw, " ")
	return raw, strings.EqualFold(scheme, "Bearer") && raw != ""
}

// userCaller is the user whose access token a request carries. A token of
// another kind is as good as none: a service's (contract §1.3), a totp_session,
// or an ID token of the same keys, which has no roles.
func (a *API) userCaller(r *http.Request) (userToken, error) {
	c, err := a.bearer(r)
	if err != nil {
		return userToken{}, err
	}
	return c.user()
}

func (c anyClaims) user() (userToken, error) {
	if c.TokenType != "" || c.Roles == nil || c.ID == "" {
		return userToken{}, fault.New(fault.Unauthenticated)
	}
	at, _ := identity.TimeOf(c.ID)
	app, _ := identity.ParseID(c.Audience)
	return userToken{UserID: identity.UserID(c.Subject), Audience: client.ID(app), AuthenticatedAt: at}, nil
}

func (c anyClaims) service() serviceToken {
	return serviceToken{ClientID: client.ID(c.Subject), Scopes: strings.Fields(c.Scope)}
}
