package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/secret"
)

// redeem turns an authorization code into tokens (RFC 6749 §4.1.3). Of any
// number of callers with one code one gets them; a second one ends the grant
// and everything that came of it (RFC 9700 §4.5), for which of the two is the
// thief cannot be known.
func (c *Core) redeem(ctx context.Context, in TokenIn) (Issued, error) {
	var h held
	a, err := c.presents(ctx, in, "code", func(ctx context.Context, tx *db.Tx, code string) (_ client.Client, err error) {
		h, err = heldByCode(ctx, tx, secret.Hash(code))
		return h.client.Client, notFoundIsZero(err)
	})
	if err != nil {
		return Issued{}, err
	}
	return c.redeemAs(ctx, a, h, in)
}

// redeemAs judges the code, and spends it.
func (c *Core) redeemAs(ctx context.Context, a asking, h held, in TokenIn) (Issued, error) {
	g := h.grant.Grant
	switch {
	case g.ID == "":
		return Issued{}, badCode("unknown code, or its grant has ended")
	case g.ClientID != a.client.ID:
		return Issued{}, badCode("the code is of client " + string(g.ClientID))
	case !g.RedeemedAt.IsZero():
		return Issued{}, c.codeReplayed(ctx, a, g, in.Visitor)
	case !g.CodeExpiresAt.After(c.Now()):
		return Issued{}, badCode("the code expired " + c.Now().Sub(g.CodeExpiresAt).String() + " ago")
	}
	if err := mayRedeem(g, a.binding, in.Params); err != nil {
		return Issued{}, err
	}
	if err := stands(a.client, g, h.standing.Standing, c.Now()); err != nil {
		return Issued{}, err
	}
	scope, resources, err := c.narrowed(g, Params{"resource": in.Params["resource"]}) // a code has the scope it has
	if err != nil {
		return Issued{}, err
	}
	g.Binding = a.binding
	out := Issued{
		Client: a.client, Grant: g, User: h.standing.User, Roles: h.standing.Roles, Scope: scope, Resources: resources, Binding: a.binding, Nonce: g.Code.Nonce,
	}
	err = c.act(ctx, a, func(ctx context.Context, tx *db.Tx, now time.Time) (refused, err error) {
		err = grant.Redeem(ctx, tx, g.ID, until(a.client, getsRefresh(a.client, g.Scope), now), now)
		switch {
		case errors.Is(err, grant.ErrReplayed):
			return badCode("the code was redeemed before"), c.endReplayed(ctx, tx, g, in.Visitor, now)
		case errors.Is(err, db.ErrNotFound):
			return badCode("the code has expired, or its grant has ended"), nil
		case err != nil:
			return nil, err
		}
		if g.Binding != (grant.Binding{}) {
			if err := grant.Bind(ctx, tx, g.ID, g.Binding); err != nil {
				return nil, err
			}
		}
		out.Refresh, err = c.startFamily(ctx, tx, a.client, g, now)
		return nil, err
	})
	if err != nil {
		return Issued{}, err
	}
	return out, nil
}

// badCode is one answer for whatever is wrong with a code; the log has the cause.
func badCode(detail string) error {
	return &Error{Code: InvalidGrant, Description: "the code is invalid, expired, used, or not this client's", Detail: detail}
}

// mayRedeem compares a token request with the authorization request that its
// code came of.
func mayRedeem(g grant.Grant, b grant.Binding, p Params) error {
	uri := p.Get("redirect_uri")
	verifier := p.Get("code_verifier")
	switch {
	// OAuth 2.1 §10.2 drops the parameter; what is sent is compared all the same.
	case uri != "" && uri != g.Code.RedirectURI, uri == "" && g.Code.RedirectURIGiven && g.Code.Challenge == "":
		return &Error{Code: InvalidGrant, Description: "redirect_uri is not that of the authorization request", Detail: short(uri)}
	case g.Code.Challenge == "" && verifier != "":
		// RFC 9700 §4.8.2: somebody took the challenge out of the request.
		return refuse(InvalidGrant, "code_verifier was sent, but the authorization request had no code_challenge")
	case g.Code.Challenge != "" && !verifies(g.Code, verifier):
		return refuse(InvalidGrant, "code_verifier does not match the code_challenge")
	case g.Code.JKT != "" && g.Code.JKT != b.JKT:
		return refuse(InvalidGrant, "the code is bound to another key") // RFC 9449 §10
	}
	return nil
}

// verifies checks a code_verifier, which has 43 to 128 characters (RFC 7636
// §4.1, §4.6).
func verifies(code grant.Code, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	if code.ChallengeMethod == "plain" {
		return secret.Equal([]byte(verifier), []byte(code.Challenge))
	}
	sum := sha256.Sum256([]byte(verifier))
	return secret.Equal([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(code.Challenge))
}

// codeReplayed ends the grant of a code that was redeemed before.
func (c *Core) codeReplayed(ctx context.Context, a asking, g grant.Grant, v Visitor) error {
	return c.act(ctx, a, func(ctx context.Context, tx *db.Tx, now time.Time) (refused, err error) {
		return badCode("the code was redeemed before"), c.endReplayed(ctx, tx, g, v, now)
	})
}

func (c *Core) endReplayed(ctx context.Context, tx *db.Tx, g grant.Grant, v Visitor, now time.Time) error {
	ended, err := grant.End(ctx, tx, g.ID)
	if err != nil || !ended {
		return err
	}
	return audit.Record(ctx, tx, now, grantEvent(audit.CodeReplayed, g, v))
}

// grantEvent is what happened to a grant, by the hand of its client.
func grantEvent(action audit.Action, g grant.Grant, v Visitor) audit.Event {
	return audit.Event{
		Actor: audit.Service(g.ClientID), Action: action, ClientID: g.ClientID, UserID: g.UserID, IP: v.IP, RequestID: v.RequestID,
		Detail: map[string]any{"grant": string(g.ID)},
	}
}
