package signin

import (
	"cmp"
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/session"
)

// AccountInviteIn accepts an invitation to an account. ClientID may be empty if
// the invitation names a client. Failures are the limits on wrong secrets.
type AccountInviteIn struct {
	ClientID client.ID
	Token    string
	Failures []limit.Rule
	Visitor  Visitor
}

// AcceptAccountInvite makes the invited person a member of the account and signs
// them in to act in it, making the user if there is none. The secret was mailed and
// shown to nobody, not even to who invited, so it proves the address, as a magic
// link does (contract accountmaker §3.3). What else stands at the gates stays:
// a second factor, a suspension, and an operator's approval, which no account's
// owner can give.
func (c *Core) AcceptAccountInvite(ctx context.Context, in AccountInviteIn) (Outcome, error) {
	var out Outcome
	err := c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			out = Outcome{}
			if err := takeIn(ctx, tx, c.Now(), in.Failures...); err != nil {
				return nil, err
			}
			i, refused, err := c.accountInvite(ctx, tx, in)
			if refused != nil || err != nil {
				return refused, err
			}
			if err := limit.Give(ctx, tx, in.Failures...); err != nil {
				return nil, err
			}
			cl, err := clientFor(ctx, tx, cmp.Or(i.ClientID, in.ClientID), "", "")
			if f, ok := fault.From(err); ok {
				return f, nil
			} else if err != nil {
				return nil, err
			}
			out, refused, err = c.joinInvited(ctx, tx, i, cl, in.Visitor)
			return refused, err
		})
	})
	return out, err
}

// accountInvite finds the invitation, with the client that it is accepted in. One
// that names a client is good in no other: its door is not the account's to open.
func (c *Core) accountInvite(ctx context.Context, tx *db.Tx, in AccountInviteIn) (invite.Invite, *fault.Error, error) {
	i, err := invite.ByToken(ctx, tx, c.Key, in.Token, c.Now())
	if errors.Is(err, db.ErrNotFound) || err == nil && in.ClientID != "" && i.ClientID != "" && i.ClientID != in.ClientID {
		return i, fault.New(fault.InviteInvalid), nil
	} else if err != nil {
		return i, nil, err
	}
	o, err := org.ByID(ctx, tx, i.OrgID)
	if err != nil {
		return i, nil, err
	}
	if !o.Open() {
		return i, fault.New(fault.InviteInvalid), nil
	}
	return i, nil, nil
}

// joinInvited spends the invitation and admits the person.
func (c *Core) joinInvited(ctx context.Context, tx *db.Tx, i invite.Invite, cl client.Client, v Visitor) (Outcome, *fault.Error, error) {
	now := c.Now()
	user, err := c.invited(ctx, tx, i, cl, v)
	if err != nil {
		return Outcome{}, nil, err
	}
	if user.Status != identity.Active {
		return Outcome{}, fault.New(fault.EnrolmentSuspended), nil
	}
	if err := invite.Accept(ctx, tx, i.ID, user.ID, now); errors.Is(err, db.ErrNotFound) {
		return Outcome{}, nil, fault.New(fault.InviteInvalid) // another was first: nothing of this stays
	} else if err != nil {
		return Outcome{}, nil, err
	}
	m, _, err := org.Join(ctx, tx, i.OrgID, user.ID, i.OrgRole, now)
	if err == nil {
		err = directory.Joined(ctx, tx, i.OrgID, user.ID, now)
	}
	if err != nil {
		return Outcome{}, nil, err
	}
	detail := map[string]any{"invite_id": i.ID, "org": string(i.OrgID), "role": string(m.Role)}
	for _, a := range []audit.Action{audit.InviteAccepted, audit.MemberAdded} {
		if err := audit.Record(ctx, tx, now, v.event(a, user, cl, detail)); err != nil {
			return Outcome{}, nil, err
		}
	}
	if i.ClientID != "" && cl.Policy.Registration == client.Invite {
		if _, err := client.Activate(ctx, tx, user.ID, cl.ID, cl.Policy.Roles.Default, now); err != nil {
			return Outcome{}, nil, err
		}
	}
	out, refused, err := c.admit(ctx, tx, proof{
		user: user, client: cl, amr: []string{session.InviteBy}, method: session.InviteBy, visitor: v, account: i.OrgID,
	})
	if refused != nil && refused.Code == fault.NotEnrolled {
		return out, nil, refused // not here: the invitation is good elsewhere
	}
	return out, refused, err
}

// invited is the user whom an invitation to an account is for, made if there is
// none. Either way their address is proved, but by a secret that an operator handed
// over: that one gives nobody an account that somebody has.
func (c *Core) invited(ctx context.Context, tx *db.Tx, i invite.Invite, cl client.Client, v Visitor) (identity.User, error) {
	user, err := identity.ByEmail(ctx, tx, i.Email)
	if err == nil && i.Shown {
		return user, fault.New(fault.AccountExists)
	}
	if err == nil {
		return c.prove(ctx, tx, user, i.Email, keep{}, v)
	}
	if !errors.Is(err, db.ErrNotFound) {
		return user, err
	}
	user = newUser(i.Email, "", "", c.Now())
	user.EmailVerified = !i.Shown
	if user, err = c.create(ctx, tx, cl, user, session.InviteBy, "", v); fault.Is(err, fault.AccountExists) {
		return user, errRaced
	}
	return user, err
}
