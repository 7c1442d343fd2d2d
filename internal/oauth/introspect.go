package oauth

import (
	"context"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/token"
)

// IntrospectIn is a question about a token (RFC 7662 §2.1). Access is what the
// token says if it is an access token of ours, else nil.
type IntrospectIn struct {
	Auth   ClientAuth
	Token  string
	Access *AccessToken
}

// Introspected is the answer. Caller is the client that asks. Without Active
// nothing else is to be told. Access is nil for a refresh token, and then
// IssuedAt and ExpiresAt are the refresh token's.
type Introspected struct {
	Caller    client.Client
	Active    bool
	Access    *AccessToken
	Live      Live
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Introspect tells a client about a token of its own, or one that is meant for
// it. Others are to it what made-up ones are: not active (RFC 7662 §2.2, §4). A
// client that cannot prove who it is may not ask.
func (c *Core) Introspect(ctx context.Context, in IntrospectIn) (Introspected, error) {
	cl, err := c.Authenticate(ctx, in.Auth)
	if err != nil {
		return Introspected{}, err
	}
	if methodOf(cl) == client.AuthNone {
		return Introspected{}, refuse(InvalidClient, "a public client may not introspect")
	}
	if in.Token == "" {
		return Introspected{}, refuse(InvalidRequest, "token is missing")
	}
	out := Introspected{Caller: cl}
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		if in.Access != nil {
			return c.introspectAccess(ctx, tx, *in.Access, &out)
		}
		return c.introspectRefresh(ctx, tx, in.Token, &out)
	})
	return out, err
}

func (c *Core) introspectAccess(ctx context.Context, tx *db.Tx, t AccessToken, out *Introspected) error {
	if !concerns(out.Caller, t) {
		return nil
	}
	l, ok, err := c.live(ctx, tx, t)
	if err == nil && ok {
		out.Active, out.Access, out.Live = true, &t, l
	}
	return err
}

// concerns reports whether a token is the client's own, or the client is the
// resource that it is for: by its id, or by the audience it is known as.
func concerns(cl client.Client, t AccessToken) bool {
	return t.ClientID == cl.ID || slices.Contains(t.Audience, string(cl.ID)) ||
		cl.Policy.Audience != "" && slices.Contains(t.Audience, cl.Policy.Audience)
}

func (c *Core) introspectRefresh(ctx context.Context, tx *db.Tx, raw string, out *Introspected) error {
	id, ok := token.FamilyOf(c.Key, raw)
	if !ok {
		return nil
	}
	h, err := heldByFamily(ctx, tx, id, c.Now())
	if err != nil {
		return notFoundIsZero(err)
	}
	g, cl := h.grant.Grant, h.client.Client
	_, err = h.family.Judge(c.Key, raw, c.Now(), graceOf(cl))
	if err != nil || cl.ID != out.Caller.ID || stands(cl, g, h.standing.Standing, c.Now()) != nil {
		return nil //nolint:nilerr // a token that is not good is not active, and that is all
	}
	out.Active, out.IssuedAt, out.ExpiresAt = true, h.family.UsedAt, h.family.ExpiresAt
	out.Live = Live{Client: cl, Grant: g, User: h.standing.User, Roles: h.standing.Roles}
	return nil
}
