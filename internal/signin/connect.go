package signin

import (
	"context"
	"errors"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// connect links an upstream account to the user who wanted it and is still signed
// in, whatever addresses the two have. It says nothing about the address here:
// only a sign-in proves that.
func (c *Core) connect(ctx context.Context, tx *db.Tx, out *Returned, at pursued, v Visitor) (*fault.Error, error) {
	// Held, because the owner of the address may come just now and end whatever
	// somebody made before them: of the two, one sees the other.
	if err := identity.Hold(ctx, tx, at.user); errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.Unauthenticated), nil
	} else if err != nil {
		return nil, err
	}
	s, err := session.ByID(ctx, tx, at.data.Link, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.Unauthenticated), nil
	} else if err != nil {
		return nil, err
	}
	user, err := identity.ByID(ctx, tx, s.UserID)
	if err != nil {
		return nil, err
	}
	switch owner, _, err := identity.ByLink(ctx, tx, out.Profile.Issuer, out.Profile.Subject); {
	case user.Status != identity.Active:
		return fault.New(fault.EnrolmentSuspended), nil
	case out.Profile.Impersonator != "":
		// Somebody of the upstream's staff is there in the owner's name.
		return fault.New(fault.UpstreamDenied), nil
	case err == nil && owner.ID != user.ID:
		return fault.New(fault.LinkTaken), nil
	case err == nil:
		out.Linked = true
		return nil, nil
	case !errors.Is(err, db.ErrNotFound):
		return nil, err
	}
	out.Linked = true
	if err := c.addLink(ctx, tx, client.Client{}, user, out.Profile, v); err != nil {
		return nil, err
	}
	return nil, c.tellOfLink(ctx, tx, client.Client{}, user, out.Profile.Upstream)
}
