package oauth

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/token"
)

// refresh turns a refresh token into new tokens (RFC 6749 §6), and rotates it.
// One that was rotated before ends the grant (RFC 9700 §4.14.2), unless it is
// inside the client's grace. One of another client is refused and left as it is.
func (c *Core) refresh(ctx context.Context, in TokenIn) (Issued, error) {
	var h heldFamily
	a, err := c.presents(ctx, in, "refresh_token", func(ctx context.Context, tx *db.Tx, raw string) (_ client.Client, err error) {
		h = heldFamily{}
		if family, ok := token.FamilyOf(c.Key, raw); ok {
			h, err = heldByFamily(ctx, tx, family, c.Now())
		}
		return h.client.Client, notFoundIsZero(err)
	})
	if err != nil {
		return Issued{}, err
	}
	return c.refreshAs(ctx, a, h, in)
}

// refreshAs judges the token, and rotates it.
func (c *Core) refreshAs(ctx context.Context, a asking, h heldFamily, in TokenIn) (Issued, error) {
	g := h.grant.Grant
	switch {
	case g.ID == "":
		return Issued{}, badRefresh("unknown refresh token, or its grant has ended")
	case g.ClientID != a.client.ID:
		return Issued{}, badRefresh("the refresh token is of client " + string(g.ClientID))
	}
	found, err := h.family.Judge(c.Key, in.Params.Get("refresh_token"), c.Now(), graceOf(a.client))
	switch {
	case errors.Is(err, token.ErrReused):
		return Issued{}, c.refreshReused(ctx, a, g, in.Visitor)
	case err != nil:
		return Issued{}, badRefresh(err.Error())
	}
	if err := sameKey(a, g.Binding); err != nil {
		return Issued{}, err
	}
	if err := stands(a.client, g, h.standing.Standing, c.Now()); err != nil {
		return Issued{}, err
	}
	scope, resources, err := c.narrowed(g, in.Params)
	if err != nil {
		return Issued{}, err
	}
	out := Issued{
		Client: a.client, Grant: g, User: h.standing.User, Roles: h.standing.Roles, Scope: scope, Resources: resources, Binding: a.binding,
	}
	err = c.act(ctx, a, func(ctx context.Context, tx *db.Tx, now time.Time) (refused, err error) {
		out.Refresh, err = c.rotate(ctx, tx, a.client, found, in.Params.Get("refresh_token"), now)
		switch {
		case errors.Is(err, token.ErrReused):
			return badRefresh("the refresh token was used before"), c.endReused(ctx, tx, g, in.Visitor, now)
		case errors.Is(err, token.ErrUnknown):
			return badRefresh("the grant has ended"), nil
		case err != nil:
			return nil, err
		}
		if end := until(a.client, true, now); g.ExpiresAt.Before(end.Add(-sweepSlack)) {
			err = grant.Extend(ctx, tx, g.ID, end)
		}
		return nil, err
	})
	if err != nil {
		return Issued{}, err
	}
	return out, nil
}

// rotate replaces the token, or, where it is bound to a key anyway, lets it live
// on: FAPI 2.0 §5.3.2.1 has no rotation, since a client that loses the answer
// loses the grant.
func (c *Core) rotate(ctx context.Context, tx *db.Tx, cl client.Client, found token.Found, raw string, now time.Time) (string, error) {
	expires := cl.Policy.Rotated(found.Family.CreatedAt, now)
	if cl.Policy.FAPI() {
		return raw, token.Prolong(ctx, tx, found, expires, now)
	}
	return token.Rotate(ctx, tx, c.Key, found, expires, now)
}

func graceOf(cl client.Client) time.Duration { return cl.Policy.RefreshToken.ReuseGrace.D() }

func badRefresh(detail string) error {
	return &Error{Code: InvalidGrant, Description: "the refresh token is invalid, expired, used, or not this client's", Detail: detail}
}

// sameKey judges the key of a refresh. The refresh token of a public client is
// bound to the key of its first tokens (RFC 9449 §5, RFC 8705 §4); one of a
// confidential client is bound by the client's credentials, but what was bound
// once is not made a bearer token.
func sameKey(a asking, had grant.Binding) error {
	open := methodOf(a.client) == client.AuthNone
	switch {
	case had.JKT != "" && (a.binding.JKT == "" || open && a.binding.JKT != had.JKT):
		return refuse(InvalidGrant, "the refresh token is bound to another key")
	case had.X5T != "" && (a.binding.X5T == "" || open && a.binding.X5T != had.X5T):
		return refuse(InvalidGrant, "the refresh token is bound to another certificate")
	}
	return nil
}

// refreshReused ends the grant of a refresh token that was rotated before.
func (c *Core) refreshReused(ctx context.Context, a asking, g grant.Grant, v Visitor) error {
	return c.act(ctx, a, func(ctx context.Context, tx *db.Tx, now time.Time) (refused, err error) {
		return badRefresh("the refresh token was used before"), c.endReused(ctx, tx, g, v, now)
	})
}

func (c *Core) endReused(ctx context.Context, tx *db.Tx, g grant.Grant, v Visitor, now time.Time) error {
	ended, err := grant.End(ctx, tx, g.ID)
	if err != nil || !ended {
		return err
	}
	return audit.Record(ctx, tx, now, grantEvent(audit.RefreshReused, g, v))
}
