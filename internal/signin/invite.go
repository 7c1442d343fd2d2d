package signin

import (
	"context"
	"errors"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/session"
)

// InviteIn accepts an invitation. Failures are the limits on wrong codes.
// Email, DisplayName and Password are for a new user; Password may be empty.
type InviteIn struct {
	ClientID    client.ID
	Code        string
	Email       string
	DisplayName string
	Password    string
	Request     string
	Failures    []limit.Rule
	Visitor     Visitor
}

// AcceptInvite enrols the person that an invitation is for with its roles,
// making the user if there is none, and signs them in. The code alone stands
// for an existing user, because it was mailed to them and shown to nobody
// else; so it starts no browser session, and gives nothing to a user who is
// enrolled already (contract keymaster §2.4).
func (c *Core) AcceptInvite(ctx context.Context, in InviteIn) (Outcome, error) {
	plan, err := c.planInvite(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	hash := ""
	if plan.new && in.Password != "" {
		if hash, err = c.hash(ctx, in.Password); err != nil {
			return Outcome{}, err
		}
	}
	var out Outcome
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		user := plan.user
		if plan.new {
			// An invitation does not prove the address: whoever invited may
			// have seen the code.
			if user, err = c.create(ctx, tx, plan.client, newUser(plan.email, plan.name, hash, c.Now()), session.InviteBy, "", in.Visitor); err != nil {
				return nil, err
			}
		} else if user, err = c.prove(ctx, tx, user, plan.invite.Email, keep{}, in.Visitor); err != nil {
			// To an account that there is, the code was mailed and shown to
			// nobody else.
			return nil, err
		}
		if err := c.redeemInvite(ctx, tx, plan.invite, user, plan.client, in.Visitor); err != nil {
			return nil, err
		}
		var refused *fault.Error
		out, refused, err = c.admit(ctx, tx, proof{
			user: user, client: plan.client, amr: []string{session.InviteBy}, method: session.InviteBy,
			request: in.Request, visitor: in.Visitor, sessionless: !plan.new,
		})
		return refused, err
	})
	return out, err
}

// invitePlan is what an acceptance will do.
type invitePlan struct {
	client      client.Client
	invite      invite.Invite
	user        identity.User // the existing user, unless new
	new         bool
	email, name string
}

// planInvite finds the invitation and decides whom it is for. A wrong code
// counts against the limits in the same transaction that looks it up, so that
// any number of parallel guesses get no more tries than the limit.
func (c *Core) planInvite(ctx context.Context, in InviteIn) (invitePlan, error) {
	var p invitePlan
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		p = invitePlan{}
		now := c.Now()
		if err := takeIn(ctx, tx, now, in.Failures...); err != nil {
			return nil, err
		}
		var err error
		if p.client, err = clientFor(ctx, tx, in.ClientID, "", in.Request); err != nil {
			if f, ok := fault.From(err); ok {
				return f, nil
			}
			return nil, err
		}
		p.invite, err = invite.ByCode(ctx, tx, c.Key, in.Code, now)
		if errors.Is(err, db.ErrNotFound) || err == nil && (p.invite.ClientID != p.client.ID || p.invite.Status != invite.Pending) {
			return fault.New(fault.InviteInvalid), nil
		} else if err != nil {
			return nil, err
		}
		if err := limit.Give(ctx, tx, in.Failures...); err != nil {
			return nil, err
		}
		f, err := p.person(ctx, tx, in)
		return f, err
	})
	if err != nil {
		return p, err
	}
	if p.new && in.Password != "" {
		return p, CheckPassword(p.client.Password(), in.Password, p.email, p.name, p.client.Name)
	}
	return p, nil
}

// person decides whom the invitation is for.
func (p *invitePlan) person(ctx context.Context, tx *db.Tx, in InviteIn) (*fault.Error, error) {
	given := ""
	if in.Email != "" {
		var err error
		if given, err = identity.NormalizeEmail(in.Email); err != nil {
			return &fault.Error{Code: fault.EmailInvalid, Field: "email"}, nil
		}
	}
	if p.invite.Email != "" && given != "" && given != p.invite.Email {
		return fault.New(fault.InviteEmailMismatch), nil
	}
	p.email = given
	if p.invite.Email != "" {
		u, err := identity.ByEmail(ctx, tx, p.invite.Email)
		if err == nil {
			if u.CreatedAt.After(p.invite.CreatedAt) {
				// Nobody had the address when the code was made, so it was
				// shown to the inviter: it proves nothing about this user.
				return fault.New(fault.AccountExists), nil
			}
			p.user = u
			return p.mayEnrol(ctx, tx)
		}
		if !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
	}
	p.new = true
	if p.email == "" {
		return fault.New(fault.EmailRequired), nil
	}
	if in.DisplayName == "" {
		return fault.New(fault.DisplayNameRequired), nil
	}
	var err error
	if p.email, p.name, err = person(p.email, in.DisplayName, false); err != nil {
		f, _ := fault.From(err)
		return f, nil
	}
	if err := absent(ctx, tx, p.email); err != nil {
		if f, ok := fault.From(err); ok {
			return f, nil
		}
		return nil, err
	}
	return nil, nil
}

// mayEnrol refuses an existing user who has a place already, or may have none.
func (p *invitePlan) mayEnrol(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
	if p.user.Status != identity.Active {
		return fault.New(fault.EnrolmentSuspended), nil
	}
	e, err := client.EnrolmentOf(ctx, tx, p.user.ID, p.client.ID)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case e.Status == client.Suspended:
		return fault.New(fault.EnrolmentSuspended), nil
	case e.Status == client.Active:
		return fault.New(fault.AlreadyEnrolled), nil
	}
	return nil, nil
}
