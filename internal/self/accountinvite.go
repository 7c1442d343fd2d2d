package self

import (
	"cmp"
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
)

// AccountInviteLifetime is how long an invitation to an account is good for
// (contract accountmaker §2.5).
const AccountInviteLifetime = 7 * 24 * time.Hour

// InviteAccountIn invites an address to an account. ClientID is the application
// that the invited person comes into. Page is the absolute URL of ours that takes
// the secret as "token"; the application's own comes first.
type InviteAccountIn struct {
	ClientID client.ID
	Account  org.ID
	Email    string
	Role     org.Role
	Page     string
	Limits   []limit.Rule
}

// InviteToAccount mails an invitation to an account. Its secret goes to the mailbox
// and to nobody else, whether there is a user or not: it signs in whoever has it.
// Owners invite to every role, admins to those below it.
func (c *Core) InviteToAccount(ctx context.Context, who Caller, in InviteAccountIn) (invite.Invite, error) {
	var out invite.Invite
	email, err := identity.NormalizeEmail(in.Email)
	if err != nil {
		return out, &fault.Error{Code: fault.EmailInvalid, Field: "email", Err: err}
	}
	in.Email = email
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = c.inviteToAccount(ctx, tx, who, in)
		return err
	})
	return out, err
}

// inviteToAccount is InviteToAccount in a transaction, for an address in its normal form.
func (c *Core) inviteToAccount(ctx context.Context, tx *db.Tx, who Caller, in InviteAccountIn) (invite.Invite, error) {
	me, s, err := seatAs(ctx, tx, who, in.Account, org.Admin)
	if err == nil {
		err = mayGive(s, in.Role)
	}
	if err != nil {
		return invite.Invite{}, err
	}
	rules := append(inviteLimits(who.UserID, in.Email), in.Limits...)
	if err := takeAll(ctx, tx, c.Now(), rules); err != nil {
		return invite.Invite{}, err
	}
	cl, err := client.ByID(ctx, tx, in.ClientID)
	if errors.Is(err, db.ErrNotFound) || err == nil && !cl.Active {
		return invite.Invite{}, fault.New(fault.ClientUnknown)
	} else if err != nil {
		return invite.Invite{}, err
	}
	if err := noMember(ctx, tx, in.Account, in.Email); err != nil {
		return invite.Invite{}, err
	}
	made, raw, err := invite.CreateToOrg(ctx, tx, c.Key, invite.Invite{
		OrgID: in.Account, OrgRole: in.Role, ClientID: cl.ID, Email: in.Email, InvitedBy: "user:" + string(me.ID), ExpiresAt: c.Now().Add(AccountInviteLifetime),
	}, c.Now())
	if errors.Is(err, invite.ErrPending) {
		return invite.Invite{}, fault.New(fault.InvitePending)
	} else if err != nil {
		return invite.Invite{}, err
	}
	if err := c.mailAccountInvite(ctx, tx, cl, s.Org, me, made, c.invitePage(cl, in.Page, raw)); err != nil {
		return invite.Invite{}, err
	}
	return made, c.in(ctx, tx, who, audit.InviteCreated, in.Account, cl, identity.User{}, map[string]any{"invite_id": made.ID, "email": in.Email, "role": string(in.Role)})
}

// inviteLimits are the core's own on mails that somebody has sent to others: as many as
// one person sends, and as many as one mailbox gets, whoever sends them. Anybody may have
// an organization, and says what it is called.
func inviteLimits(by identity.UserID, email string) []limit.Rule {
	return []limit.Rule{
		{Name: "self.invite", Key: string(by), N: 50, Per: time.Hour}, {Name: "self.invite.email", Key: email, N: 10, Per: time.Hour},
	}
}

func (c *Core) mailAccountInvite(ctx context.Context, tx *db.Tx, cl client.Client, o org.Org, by identity.User, i invite.Invite, link string) error {
	return job.EnqueueMail(ctx, tx, c.Key, mail.AccountInvite, i.Email, mail.Data{
		ClientName: cl.Name, Color: cl.Policy.Branding.Color, Org: o.Name, Inviter: cmp.Or(by.DisplayName, by.Email),
		Link: link, Minutes: int(AccountInviteLifetime.Minutes()),
	}, c.Now())
}

// noMember refuses the address of somebody who is in the account already.
func noMember(ctx context.Context, tx *db.Tx, id org.ID, email string) error {
	u, err := identity.ByEmail(ctx, tx, email)
	if err == nil {
		if _, err = org.MembershipOf(ctx, tx, id, u.ID); err == nil {
			return fault.New(fault.AlreadyEnrolled)
		}
	}
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	return err
}

// takeAll counts one attempt against every rule, or refuses.
func takeAll(ctx context.Context, tx *db.Tx, now time.Time, rules []limit.Rule) error {
	wait, _, err := limit.Take(ctx, tx, now, rules...)
	if err == nil && wait > 0 {
		return fault.Later(fault.RateLimited, wait)
	}
	return err
}

// Page is a part of a list: the Number-th, from 1, of Size, after the first Skip.
type Page struct{ Number, Size, Skip int }

func (p Page) offset() int { return p.Skip + (p.Number-1)*p.Size }

// AccountInvites returns one page of the invitations to an account, newest first,
// and how many there are.
func (c *Core) AccountInvites(ctx context.Context, who Caller, id org.ID, p Page) ([]invite.Invite, int, error) {
	var all []invite.Invite
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, _, err := seatAs(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		all, total, err = invite.List(ctx, tx, invite.Filter{OrgID: id, Limit: p.Size, Offset: p.offset()}, c.Now())
		return err
	})
	return all, total, err
}

// RevokeAccountInvite ends an invitation to an account that nobody has accepted.
func (c *Core) RevokeAccountInvite(ctx context.Context, who Caller, id string) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		i, err := invite.ByID(ctx, tx, id, c.Now())
		if errors.Is(err, db.ErrNotFound) || err == nil && i.OrgID == "" {
			return fault.New(fault.InviteUnknown)
		} else if err != nil {
			return err
		}
		_, s, err := seatAs(ctx, tx, who, i.OrgID, org.Admin)
		if err == nil {
			err = mayGive(s, i.OrgRole)
		}
		if fault.Is(err, fault.OrgUnknown) {
			return fault.New(fault.InviteUnknown)
		} else if err != nil {
			return err
		}
		return c.revoke(ctx, tx, who, i)
	})
}

// revoke ends an invitation, once.
func (c *Core) revoke(ctx context.Context, tx *db.Tx, who Caller, i invite.Invite) error {
	if err := invite.Revoke(ctx, tx, i.ID); errors.Is(err, invite.ErrAccepted) {
		return fault.New(fault.InviteSpent)
	} else if err != nil || i.Status == invite.Revoked {
		return err
	}
	return c.in(ctx, tx, who, audit.InviteRevoked, i.OrgID, client.Client{ID: i.ClientID}, identity.User{}, map[string]any{"invite_id": i.ID, "email": i.Email})
}
