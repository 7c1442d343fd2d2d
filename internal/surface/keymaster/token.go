package keymaster

import (
	"context"
	"encoding/json"
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// refresh is POST /token/refresh (contract §5.1). A replay ends all of the
// user's refresh tokens in the app.
func (a *API) refresh(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.RefreshIn{
		Token:    b.String("refresh_token", wire.Required, wire.Max(maxOpaque)),
		ClientID: appID(b, wire.Required),
		EndAll:   true,
		Visitor:  visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	out, err := a.SignIn.Refresh(r.Context(), in)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.tokens(w, r, out)
}

// revoke is POST /token/revoke (contract §5.2).
func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	raw := b.String("refresh_token", wire.Required)
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	if err := a.SignIn.Revoke(r.Context(), raw, visitor(r)); err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, ok)
}

type verified struct {
	Valid  bool            `json:"valid"`
	Claims json.RawMessage `json:"claims,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// verify is POST /token/verify (contract §5.3). It reads no database: what it
// says is what the token says, as of its signing.
func (a *API) verify(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	raw := b.String("token", wire.Required)
	audience := b.String("audience", wire.Required)
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	v, err := a.judge(r.Context(), raw, audience)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, v)
}

// userAlgs are the algorithms that an app's access tokens may be signed with.
var userAlgs = []string{jwks.RS256, jwks.ES256, jwks.EdDSA, jwks.HS256}

// judge says whether raw is a user's access token for the audience. It reads
// the database only for a client that has an issuer of its own.
func (a *API) judge(ctx context.Context, raw, audience string) (verified, error) {
	app, _ := identity.ParseID(audience)
	t, err := a.Tokens.Verify(client.ID(app), userAlgs, raw)
	var c anyClaims
	if err == nil {
		err = t.Claims(&c)
	}
	switch {
	case err != nil:
		return verified{Error: notValid(err)}, nil
	case t.Type != "JWT" || c.TokenType != "" || c.Subject == "" || c.Roles == nil || c.ID == "":
		// An ID token of the provider has the same keys and audience, but neither roles and jti.
		return verified{Error: "Invalid token"}, nil
	case c.Audience != audience && c.Audience != app:
		return verified{Error: "Invalid audience"}, nil
	}
	if err := a.issued(ctx, client.ID(app), c.Issuer); fault.Is(err, fault.Unauthenticated) {
		return verified{Error: "Invalid issuer"}, nil
	} else if err != nil {
		return verified{}, err
	}
	if err := t.CheckTimes(a.Now(), 0); err != nil {
		return verified{Error: notValid(err)}, nil
	}
	return verified{Valid: true, Claims: t.Payload}, nil
}
