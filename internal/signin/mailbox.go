package signin

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/upstream"
)

// readdress takes over the address of a user whom the upstream knows, where the
// upstream is the source of truth. One that somebody else has is not taken from
// them: whose mailbox it is now, an operator has to find out.
func (c *Core) readdress(ctx context.Context, tx *db.Tx, cl client.Client, user *identity.User, p upstream.Profile, a arrival) (*fault.Error, error) {
	if !p.EmailTrusted || p.Email == user.Email {
		return nil, nil
	}
	owner, err := identity.ByEmail(ctx, tx, p.Email)
	switch {
	case err == nil && owner.ID != user.ID:
		return fault.New(fault.LinkTaken), nil
	case !errors.Is(err, db.ErrNotFound):
		return nil, err // also nil: another address of their own
	}
	now := c.Now()
	s, err := client.StandingOf(ctx, tx, user.ID, cl.ID)
	if err != nil {
		return nil, err
	}
	if !s.Demand.Provided(a.up.Key, false) {
		// Without the address of their organization they would owe it nothing.
		return fault.New(fault.SSORequired, s.Demand.Slug, s.Demand.Org), nil
	}
	if err := identity.SetPrimary(ctx, tx, user.ID, p.Email, now); errors.Is(err, identity.ErrEmailTaken) {
		return nil, errRaced
	} else if err != nil {
		return nil, err
	}
	// What lies in the old mailbox is its next owner's to read.
	if err := onetime.EndAll(ctx, tx, user.ID, onetime.Reset, onetime.MagicLink, onetime.VerifyEmail); err != nil {
		return nil, err
	}
	user.Email, user.EmailVerified = p.Email, true
	return nil, audit.Record(ctx, tx, now, a.visitor.event(audit.UserUpdated, *user, cl, map[string]any{"fields": []string{"email"}, "upstream": a.up.Key}))
}
