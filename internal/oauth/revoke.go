package oauth

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/token"
)

// RevokeIn is a token that its client wants to end (RFC 7009 §2.1). Access is
// what the token says if it is an access token of ours, else nil.
type RevokeIn struct {
	Auth    ClientAuth
	Token   string
	Access  *AccessToken
	Visitor Visitor
}

// Revoke ends an access token, or, by any refresh token of its family, a grant
// with everything that came of it. What is no living token is no error (RFC 7009
// §2.2); one of another client is, and is left as it is.
func (c *Core) Revoke(ctx context.Context, in RevokeIn) error {
	cl, seen, err := c.authenticate(ctx, in.Auth)
	if err != nil {
		return err
	}
	if in.Token == "" {
		return refuse(InvalidRequest, "token is missing")
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := spend(ctx, tx, seen); err != nil {
			return err
		}
		if in.Access != nil {
			if in.Access.ClientID != cl.ID {
				return notYours(in.Access.ClientID)
			}
			return grant.RevokeToken(ctx, tx, in.Access.ID, in.Access.ExpiresAt)
		}
		return c.revokeRefresh(ctx, tx, cl, in)
	})
}

// revokeRefresh ends the grant by an old refresh token as well: a client that
// signs out while it refreshes must not stay signed in.
func (c *Core) revokeRefresh(ctx context.Context, tx *db.Tx, cl client.Client, in RevokeIn) error {
	id, ok := token.FamilyOf(c.Key, in.Token)
	if !ok {
		return nil
	}
	h, err := heldByFamily(ctx, tx, id, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return c.revokeSignIn(ctx, tx, cl, in)
	} else if err != nil {
		return err
	}
	g := h.grant.Grant
	if g.ClientID != cl.ID {
		return notYours(g.ClientID)
	}
	if ended, err := grant.End(ctx, tx, g.ID); err != nil || !ended {
		return err
	}
	return audit.Record(ctx, tx, c.Now(), grantEvent(audit.RefreshRevoked, g, in.Visitor))
}

// revokeSignIn ends a family that began with a sign-in by one of our other APIs,
// for those whose clients sign out here (contract accountmaker §3).
func (c *Core) revokeSignIn(ctx context.Context, tx *db.Tx, cl client.Client, in RevokeIn) error {
	found, err := token.Find(ctx, tx, c.Key, in.Token, c.Now(), 0)
	f := found.Family
	switch {
	case errors.Is(err, token.ErrUnknown), f.GrantID != "":
		return nil
	case err != nil && !errors.Is(err, token.ErrReused):
		return err
	case f.ClientID != cl.ID:
		return notYours(f.ClientID)
	}
	if n, err := token.End(ctx, tx, f.ID); err != nil || n == 0 {
		return err
	}
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: audit.Service(cl.ID), Action: audit.RefreshRevoked, ClientID: cl.ID, UserID: f.UserID, IP: in.Visitor.IP, RequestID: in.Visitor.RequestID,
	})
}

func notYours(id client.ID) error {
	return &Error{Code: InvalidGrant, Description: "the token was issued to another client", Detail: "client " + string(id)}
}
