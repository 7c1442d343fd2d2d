package self

import (
	"context"
	"errors"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// HolderIn is what a token of a surface's own says of its owner: the alias by
// which a client knows them, and the session that it was made in. A token from
// before there were sessions names none.
type HolderIn struct {
	ClientID client.ID
	Alias    string
	Session  session.ID
}

// Holder is the owner of such a token, with the roles that they have now.
type Holder struct {
	UserID identity.UserID
	Roles  []string
}

// Holder reads who holds a token. Nobody does, which is Unauthenticated, once
// the session has ended, the user or their place in the client is not active, or
// the client is switched off.
func (c *Core) Holder(ctx context.Context, in HolderIn) (Holder, error) {
	var h Holder
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		h, err = holderOf(ctx, tx, in, c.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return Holder{}, fault.New(fault.Unauthenticated)
	}
	return h, err
}

// Known reads what the upstream said last of the user whom a client knows by an
// alias; LinkUnknown where none has said anything.
func (c *Core) Known(ctx context.Context, id client.ID, alias string) (identity.Known, error) {
	var k identity.Known
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		k, err = identity.KnownAs(ctx, tx, string(id), alias)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return k, fault.New(fault.LinkUnknown)
	}
	return k, err
}
