package signin

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/secret"
)

// maxInviteTries is how many wrong codes end a sign-in that waits for an
// invitation (contract keymaster §3.3).
const maxInviteTries = 5

// UpstreamInviteIn is an invitation for somebody whom an upstream vouches for.
// Pending is what Returned.Invite was. DisplayName may be empty: the upstream's.
// Bound takes it only with the binding cookie of the browser that came back from
// the upstream, for a page: without, somebody could have another type the code
// into a sign-in that is not theirs.
type UpstreamInviteIn struct {
	ClientID    client.ID
	Pending     string
	Code        string
	DisplayName string
	Bound       bool
	Cookie      string
	Terms       Terms
	Failures    []limit.Rule // of wrong codes and secrets alone
	Visitor     Visitor
}

// AcceptUpstreamInvite enrols whom an upstream vouched for with the roles of the
// invitation, making the user if there is none, and signs them in. A wrong code
// leaves the waiting sign-in usable, maxInviteTries times in all. An invitation
// for an address wants an account whose address the upstream vouches for.
func (c *Core) AcceptUpstreamInvite(ctx context.Context, in UpstreamInviteIn) (Returned, error) {
	var out Returned
	err := c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			out = Returned{}
			if err := takeIn(ctx, tx, c.Now(), in.Failures...); err != nil {
				return nil, err
			}
			if _, err := clientFor(ctx, tx, in.ClientID, "", ""); err != nil {
				if f, ok := fault.From(err); ok {
					return f, nil
				}
				return nil, err
			}
			s, err := onetime.Peek(ctx, tx, onetime.Pending, in.Pending, c.Now())
			if errors.Is(err, db.ErrNotFound) || err == nil && s.ClientID != in.ClientID {
				return fault.New(fault.UpstreamStateInvalid), nil
			} else if err != nil {
				return nil, err
			}
			w, up, refused, err := c.resume(ctx, tx, &out, s)
			if refused != nil || err != nil {
				return refused, err
			}
			if in.Bound && !secret.Equal(w.Browser, secret.Hash(in.Cookie)) {
				return fault.New(fault.UpstreamStateInvalid), nil
			}
			return c.acceptInvite(ctx, tx, in, &out, arrival{up: up, browser: w.Browser, terms: in.Terms, visitor: in.Visitor})
		})
	})
	return out, err
}

func (c *Core) acceptInvite(ctx context.Context, tx *db.Tx, in UpstreamInviteIn, out *Returned, a arrival) (*fault.Error, error) {
	now, p := c.Now(), out.Profile
	inv, err := invite.ByCode(ctx, tx, c.Key, in.Code, now)
	wrong := fault.InviteInvalid
	switch {
	case errors.Is(err, db.ErrNotFound), err == nil && (inv.ClientID != in.ClientID || inv.Status != invite.Pending):
	case err != nil:
		return nil, err
	case inv.Email != "" && (inv.Email != p.Email || !p.EmailTrusted):
		wrong = fault.InviteEmailMismatch
	default:
		wrong = ""
	}
	if wrong != fault.InviteInvalid {
		if err := limit.Give(ctx, tx, in.Failures...); err != nil {
			return nil, err
		}
	}
	if wrong != "" {
		_, err := onetime.Try(ctx, tx, onetime.Pending, in.Pending, maxInviteTries, now)
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.UpstreamStateInvalid), nil
		}
		return fault.New(wrong), err
	}
	user, rel, err := c.relate(ctx, tx, out.Client, p)
	if err != nil {
		return nil, err
	}
	if f := a.terms.refuse(rel, user, p); f != nil {
		return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
	}
	if rel == unproved {
		return fault.New(fault.AccountExists), nil // theirs by an address that nobody vouched for
	}
	if f, err := c.mayAccept(ctx, tx, out.Client, user); f != nil || err != nil {
		return f, err
	}
	if in.DisplayName != "" && rel == stranger {
		p.Name = in.DisplayName
		p.GivenName, p.FamilyName = identity.Names(p.Name)
	}
	if user, err = c.settle(ctx, tx, out.Client, user, rel, p, a); err != nil {
		return nil, err
	}
	if _, err := onetime.Spend(ctx, tx, onetime.Pending, in.Pending, now); errors.Is(err, db.ErrNotFound) {
		return nil, fault.New(fault.UpstreamStateInvalid) // rolls back
	} else if err != nil {
		return nil, err
	}
	if err := c.redeemInvite(ctx, tx, inv, user, out.Client, in.Visitor); err != nil {
		return nil, err
	}
	var refused *fault.Error
	out.Outcome, refused, err = c.admit(ctx, tx, a.proof(*out, user))
	return refused, err
}

// mayAccept refuses a user who has a place already, or may have none.
func (c *Core) mayAccept(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User) (*fault.Error, error) {
	if u.ID == "" {
		return nil, nil
	}
	p := invitePlan{client: cl, user: u}
	return p.mayEnrol(ctx, tx)
}

// redeemInvite uses an invitation up for a user and gives them its place. Its
// refusals are errors: they roll back what was done on the way.
func (c *Core) redeemInvite(ctx context.Context, tx *db.Tx, inv invite.Invite, u identity.User, cl client.Client, v Visitor) error {
	now := c.Now()
	if err := invite.Accept(ctx, tx, inv.ID, u.ID, now); errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.InviteInvalid)
	} else if err != nil {
		return err
	}
	activated, err := client.Activate(ctx, tx, u.ID, cl.ID, slices.Clone(inv.Roles), now)
	if err != nil {
		return err
	}
	if !activated { // enrolled or suspended meanwhile: the code stays unused
		return fault.New(fault.AlreadyEnrolled)
	}
	if err := c.ownAccount(ctx, tx, cl, u, v); err != nil {
		return err
	}
	return audit.Record(ctx, tx, now, v.event(audit.InviteAccepted, u, cl, map[string]any{"invite_id": inv.ID, "roles": inv.Roles}))
}
