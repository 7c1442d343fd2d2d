package admin

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/logout"
	"sallyport/internal/mail"
	"sallyport/internal/token"
)

// place is a user's place in a client, locked for a change.
type place struct {
	client.Enrolment
	user   identity.User
	client client.Client
}

// change runs fn on a user's place in a client in which the caller has at least
// the tier least. Whoever changes the same place waits meanwhile, and in the
// installation's console client whoever changes any: so what fn sees is true
// until it commits.
func (c *Core) change(ctx context.Context, who Caller, u identity.UserID, id client.ID, least tier, fn func(context.Context, *db.Tx, authority, place) error) error {
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		var p place
		var err error
		if p.client, err = a.client(ctx, tx, id, least); err != nil {
			return err
		}
		if a.isPlatform(p.client) {
			if err := lockClient(ctx, tx, id); err != nil {
				return err
			}
		}
		if err := lockEnrolment(ctx, tx, u, id); err != nil {
			return unknownUser(err)
		}
		if p.Enrolment, err = client.EnrolmentOf(ctx, tx, u, id); err != nil {
			return unknownUser(err)
		}
		if p.user, err = identity.ByID(ctx, tx, u); err != nil {
			return unknownUser(err)
		}
		return fn(ctx, tx, a, p)
	})
}

// unknownUser is one answer for a user who does not exist and one who has no
// place in the client, whose existence is not the caller's affair.
func unknownUser(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.UserUnknown)
	}
	return err
}

// keepsAdmin refuses to take the role admin from the last platform
// administrator: nobody could give it back but the command line.
func (a authority) keepsAdmin(ctx context.Context, tx *db.Tx, p place) error {
	if !a.isPlatform(p.client) || !p.Has(roleAdmin) {
		return nil
	}
	n, err := otherAdmins(ctx, tx, p.ClientID, p.UserID)
	if err == nil && n == 0 {
		return fault.New(fault.LastAdministrator)
	}
	return err
}

// SetRoles replaces the roles that a user has in a client. They are in the next
// token that is signed; administration heeds them at once.
func (c *Core) SetRoles(ctx context.Context, who Caller, u identity.UserID, id client.ID, roles []string) error {
	roles = unique(roles)
	return c.change(ctx, who, u, id, clientAdmin, func(ctx context.Context, tx *db.Tx, a authority, p place) error {
		if err := a.mayGrant(p.client, roles); err != nil {
			return err
		}
		if slices.Equal(roles, p.Roles) {
			return nil
		}
		if !slices.Contains(roles, roleAdmin) {
			if err := a.keepsAdmin(ctx, tx, p); err != nil {
				return err
			}
		}
		if err := client.SetRoles(ctx, tx, u, id, roles, c.Now()); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.UserRoleChanged, p.client, p.user, map[string]any{"roles": roles, "previous_roles": p.Roles})
	})
}

// Suspend takes an active place away for a time: every sign-in and refresh is
// refused until Unsuspend. What the user granted the client ends; the refresh
// tokens of a sign-in by our own API stay till then, so that they can be told why
// (contract keymaster §5.1). Suspending twice is no error.
func (c *Core) Suspend(ctx context.Context, who Caller, u identity.UserID, id client.ID) error {
	return c.change(ctx, who, u, id, clientAdmin, func(ctx context.Context, tx *db.Tx, a authority, p place) error {
		if p.Status == client.Suspended {
			return nil
		}
		if err := a.keepsAdmin(ctx, tx, p); err != nil {
			return err
		}
		if err := c.move(ctx, tx, p, client.Active, client.Suspended); err != nil {
			return err
		}
		if err := logout.Place(ctx, tx, u, id, c.Now()); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.UserSuspended, p.client, p.user, nil)
	})
}

// Unsuspend gives a suspended place back, and ends the refresh tokens from before
// the suspension: the user signs in anew. If it is active, that is no error.
func (c *Core) Unsuspend(ctx context.Context, who Caller, u identity.UserID, id client.ID) error {
	return c.change(ctx, who, u, id, clientAdmin, func(ctx context.Context, tx *db.Tx, a authority, p place) error {
		if p.Status == client.Active {
			return nil
		}
		if err := c.move(ctx, tx, p, client.Suspended, client.Active); err != nil {
			return err
		}
		if _, err := token.EndByUserClient(ctx, tx, u, id); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.UserUnsuspended, p.client, p.user, nil)
	})
}

// Approve makes a pending place active and mails the user. Of any number of
// callers one does; the others are told that it is not pending.
func (c *Core) Approve(ctx context.Context, who Caller, u identity.UserID, id client.ID) error {
	return c.change(ctx, who, u, id, manager, func(ctx context.Context, tx *db.Tx, a authority, p place) error {
		if err := a.below(p.client, p.Roles); err != nil {
			return err
		}
		if err := c.move(ctx, tx, p, client.Pending, client.Active); err != nil {
			return err
		}
		if err := c.record(ctx, tx, a, audit.UserApproved, p.client, p.user, map[string]any{"roles": p.Roles}); err != nil {
			return err
		}
		d := mail.Data{ClientName: p.client.Name, Color: p.client.Policy.Branding.Color, Name: p.user.DisplayName}
		if len(p.client.Policy.RedirectURIs) > 0 {
			d.Link = link(who.Base+"/login", "app_id", string(id))
		}
		return job.EnqueueMail(ctx, tx, c.Key, mail.Approved, p.user.Email, d, c.Now())
	})
}

// Reject removes a pending place.
func (c *Core) Reject(ctx context.Context, who Caller, u identity.UserID, id client.ID) error {
	return c.change(ctx, who, u, id, manager, func(ctx context.Context, tx *db.Tx, a authority, p place) error {
		removed, err := client.RemovePending(ctx, tx, u, id)
		if err != nil {
			return err
		}
		if !removed {
			return fault.New(fault.EnrolmentState)
		}
		return c.record(ctx, tx, a, audit.UserRejected, p.client, p.user, nil)
	})
}

// Unenrol ends a user's place in a client and signs them out of it. The user
// stays.
func (c *Core) Unenrol(ctx context.Context, who Caller, u identity.UserID, id client.ID) error {
	return c.change(ctx, who, u, id, clientAdmin, func(ctx context.Context, tx *db.Tx, a authority, p place) error {
		if err := a.keepsAdmin(ctx, tx, p); err != nil {
			return err
		}
		if err := client.Remove(ctx, tx, u, id); err != nil {
			return unknownUser(err)
		}
		if err := logout.Place(ctx, tx, u, id, c.Now()); err != nil {
			return err
		}
		if _, err := token.EndByUserClient(ctx, tx, u, id); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.UserDeleted, p.client, p.user, nil)
	})
}

// move brings a place from one status to another, or refuses if it is in a
// third.
func (c *Core) move(ctx context.Context, tx *db.Tx, p place, was, becomes client.Status) error {
	moved, err := client.Move(ctx, tx, p.UserID, p.ClientID, was, becomes, c.Now())
	if err == nil && !moved {
		return fault.New(fault.EnrolmentState)
	}
	return err
}
