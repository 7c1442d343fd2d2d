package provision

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/eviction"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
)

// account finds or makes the account of an address of the organization's own. Where
// nobody had proved the address, whoever made the account may be somebody else: every way
// in that they made for themselves ends, because the account gets a place in the
// organization now.
func (c *Core) account(ctx context.Context, tx *db.Tx, who Caller, address string, p Person) (identity.User, error) {
	now := c.Now()
	u, err := identity.ByEmail(ctx, tx, address)
	if errors.Is(err, db.ErrNotFound) {
		u = identity.User{ID: identity.NewUserID(), Email: address, EmailVerified: true, Status: identity.Active, CreatedAt: now, UpdatedAt: now}
		u.DisplayName, u.GivenName, u.FamilyName = p.names()
		if err := identity.Create(ctx, tx, u); errors.Is(err, identity.ErrEmailTaken) {
			return u, &Error{Kind: Taken, Field: "emails", Err: err}
		} else if err != nil {
			return u, err
		}
		return u, c.record(ctx, tx, who, audit.UserCreated, u, nil)
	}
	if err != nil {
		return u, err
	}
	if u.Email != address { // it is an account of some other address, which is not the organization's to take
		return u, refuse(Taken, "emails")
	}
	if err := identity.Hold(ctx, tx, u.ID); err != nil {
		return u, err
	}
	first, err := identity.VerifyEmail(ctx, tx, u.ID, address, now)
	if err != nil {
		return u, err
	}
	if first {
		u.EmailVerified = true
		if err := c.expel(ctx, tx, who, u); err != nil {
			return u, err
		}
	}
	return u, c.rename(ctx, tx, who, &u, p)
}

// expel ends what somebody made for themselves in an account whose address nobody had
// proved.
func (c *Core) expel(ctx context.Context, tx *db.Tx, who Caller, u identity.User) error {
	if err := identity.ReplacePassword(ctx, tx, u.ID, "", c.Now()); err != nil {
		return err
	}
	gone, err := eviction.Squatter(ctx, tx, u.ID, "", "", c.Now())
	if err != nil {
		return err
	}
	if err := c.record(ctx, tx, who, audit.UserEmailVerified, u, nil); err != nil {
		return err
	}
	if gone.Sessions == 0 {
		return nil
	}
	return c.record(ctx, tx, who, audit.UserLogout, u, map[string]any{"reason": "email_verified"})
}

// rename takes the names over that the directory has for an account of its own, if it has
// any.
func (c *Core) rename(ctx context.Context, tx *db.Tx, who Caller, u *identity.User, p Person) error {
	display, given, family := p.names()
	if p.DisplayName+p.GivenName+p.FamilyName == "" {
		return nil
	}
	if display == u.DisplayName && given == u.GivenName && family == u.FamilyName {
		return nil
	}
	u.DisplayName, u.GivenName, u.FamilyName = display, given, family
	if err := identity.SetName(ctx, tx, u.ID, display, given, family, c.Now()); err != nil {
		return err
	}
	return c.record(ctx, tx, who, audit.UserUpdated, *u, map[string]any{"fields": []string{"name"}})
}

// renew takes over address and names of somebody whose account is the organization's
// own. Of any other account neither is, and another address is refused.
func (c *Core) renew(ctx context.Context, tx *db.Tx, who Caller, u *identity.User, address string, p Person) error {
	own, err := owns(ctx, tx, who.OrgID, u.Email)
	if err != nil {
		return err
	}
	if address != "" && address != u.Email {
		if err := c.readdress(ctx, tx, who, u, address, own); err != nil {
			return err
		}
	}
	if !own {
		return nil
	}
	return c.rename(ctx, tx, who, u, p)
}

// readdress gives an account of the organization's another address of its own.
func (c *Core) readdress(ctx context.Context, tx *db.Tx, who Caller, u *identity.User, address string, own bool) error {
	next, err := owns(ctx, tx, who.OrgID, address)
	if err != nil {
		return err
	}
	if !own || !next {
		return &Error{Kind: Foreign, Field: "emails", Value: address}
	}
	if holder, err := identity.ByEmail(ctx, tx, address); err == nil && holder.ID != u.ID {
		return refuse(Taken, "emails")
	} else if err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	if err := identity.SetPrimary(ctx, tx, u.ID, address, c.Now()); errors.Is(err, identity.ErrEmailTaken) {
		return &Error{Kind: Taken, Field: "emails", Err: err}
	} else if err != nil {
		return err
	}
	// What lies in the old mailbox is its next owner's to read.
	if err := onetime.EndAll(ctx, tx, u.ID, onetime.Reset, onetime.MagicLink, onetime.VerifyEmail); err != nil {
		return err
	}
	u.Email, u.EmailVerified = address, true
	return c.record(ctx, tx, who, audit.UserUpdated, *u, map[string]any{"fields": []string{"email"}})
}

// activate gives somebody their place in the organization, and their account back if a
// directory disabled it and nobody else did. Ownership comes back from its own people alone.
func (c *Core) activate(ctx context.Context, tx *db.Tx, who Caller, x *directory.User, u identity.User) error {
	own, err := owns(ctx, tx, who.OrgID, u.Email)
	if err != nil {
		return err
	}
	if own && u.Status == identity.Disabled {
		released, err := directory.Release(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if released {
			if err := identity.SetStatus(ctx, tx, u.ID, identity.Active, c.Now()); err != nil {
				return err
			}
			if err := c.record(ctx, tx, who, audit.UserUnsuspended, u, nil); err != nil {
				return err
			}
		}
	}
	x.Active, x.Disabled = true, x.Disabled && !own // who does not own the address leaves it to who does
	role := x.Role
	if role == org.Owner {
		role = org.Admin
	}
	m, made, err := org.Join(ctx, tx, who.OrgID, u.ID, role, c.Now())
	if err != nil {
		return err
	}
	if x.Role = m.Role; !made {
		return nil
	}
	return c.record(ctx, tx, who, audit.MemberAdded, u, map[string]any{"role": string(m.Role)})
}

// deactivate takes somebody's place in the organization, and ends what they had from it
// at once. The last owner keeps the ownership, so that the organization has one when
// somebody comes back; what they cannot do is sign in.
func (c *Core) deactivate(ctx context.Context, tx *db.Tx, who Caller, x *directory.User, u identity.User) error {
	x.Active = false
	// What a rule gave is not theirs to come back to.
	_, _, err := org.ApplyRole(ctx, tx, who.OrgID, u.ID, "", c.Now())
	var m org.Membership
	if err == nil {
		m, err = org.MembershipOf(ctx, tx, who.OrgID, u.ID)
	}
	if err == nil {
		x.Role = m.Role
		if err = org.Leave(ctx, tx, who.OrgID, u.ID); err == nil {
			err = c.record(ctx, tx, who, audit.MemberRemoved, u, map[string]any{"role": string(m.Role)})
		}
	}
	if err != nil && !errors.Is(err, db.ErrNotFound) && !errors.Is(err, org.ErrLastOwner) {
		return err
	}
	ended, err := c.strip(ctx, tx, who, u)
	if err != nil {
		return err
	}
	own, err := owns(ctx, tx, who.OrgID, u.Email)
	if err != nil {
		return err
	}
	if own && u.Status == identity.Active {
		x.Disabled = true
		if err := identity.SetStatus(ctx, tx, u.ID, identity.Disabled, c.Now()); err != nil {
			return err
		}
		if err := c.record(ctx, tx, who, audit.UserSuspended, u, nil); err != nil {
			return err
		}
	}
	if own {
		n, err := eviction.Everything(ctx, tx, u.ID, c.Now())
		if err != nil {
			return err
		}
		ended += int(n)
	}
	if ended == 0 {
		return nil
	}
	return c.record(ctx, tx, who, audit.UserLogout, u, map[string]any{"reason": "deactivated"})
}

// strip ends what somebody has from the organization alone, whosever their address is,
// and reports how many browser sessions that were. What acts in it ended with the
// membership.
func (c *Core) strip(ctx context.Context, tx *db.Tx, who Caller, u identity.User) (sessions int, err error) {
	lost, err := eviction.Member(ctx, tx, who.OrgID, u.ID, c.Now())
	if err != nil {
		return 0, err
	}
	for _, e := range lost.Events(who.OrgID, u) {
		e.Actor, e.IP, e.RequestID = audit.Directory(who.OrgID), who.IP, who.RequestID
		if err := audit.Record(ctx, tx, c.Now(), e); err != nil {
			return 0, err
		}
	}
	return lost.Sessions, nil
}
