package self

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/wire"
)

// Invited is what came of one address of InviteAll: an invitation, or why there is
// none, AlreadyEnrolled or InvitePending.
type Invited struct {
	Email   string
	Invite  invite.Invite
	Refused fault.Code
}

// InviteAll is InviteToAccount for several addresses at once, of which each comes once:
// in.Email is not read. One whose owner is a member or invited already does not keep
// the others from it.
func (c *Core) InviteAll(ctx context.Context, who Caller, in InviteAccountIn, emails []string) ([]Invited, error) {
	var all []string
	seen := map[string]bool{}
	for _, given := range emails {
		email, err := identity.NormalizeEmail(given)
		if err != nil {
			return nil, &fault.Error{Code: fault.EmailInvalid, Field: "emails", Err: err}
		}
		if !seen[email] {
			all, seen[email] = append(all, email), true
		}
	}
	var out []Invited
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = nil
		for _, email := range all {
			in := in
			in.Email = email
			made, err := c.inviteToAccount(ctx, tx, who, in)
			one := Invited{Email: email, Invite: made}
			switch f, ok := fault.From(err); {
			case ok && (f.Code == fault.AlreadyEnrolled || f.Code == fault.InvitePending):
				one.Refused = f.Code
			case err != nil:
				return err
			}
			out = append(out, one)
		}
		return nil
	})
	return out, err
}

// ResendIn sends an invitation to an organization again, as InviteAccountIn sent it.
type ResendIn struct {
	Org  org.ID
	ID   string
	Page string
}

// ResendInvite mails an invitation of an organization again, for another while. The
// secret that was mailed before is void: it is kept as a hash, and so there is another
// one now.
func (c *Core) ResendInvite(ctx context.Context, who Caller, in ResendIn) (invite.Invite, error) {
	var out invite.Invite
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		me, s, err := seatAs(ctx, tx, who, in.Org, org.Admin)
		if err != nil {
			return err
		}
		i, err := inviteOf(ctx, tx, in.Org, in.ID, c.Now())
		if err != nil {
			return err
		}
		if err := mayGive(s, i.OrgRole); err != nil {
			return err
		}
		rules := append(inviteLimits(me.ID, i.Email), limit.Rule{Name: "self.resend", Key: i.ID, N: 3, Per: time.Hour})
		if err := takeAll(ctx, tx, c.Now(), rules); err != nil {
			return err
		}
		renewed, raw, err := invite.Renew(ctx, tx, c.Key, i.ID, c.Now().Add(AccountInviteLifetime), c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.InviteSpent)
		} else if err != nil {
			return err
		}
		out = renewed
		cl, err := client.ByID(ctx, tx, i.ClientID)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if err := c.mailAccountInvite(ctx, tx, cl, s.Org, me, out, c.invitePage(cl, in.Page, raw)); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.InviteCreated, in.Org, cl, identity.User{}, map[string]any{"invite_id": i.ID, "email": i.Email, "role": string(i.OrgRole), "again": true})
	})
	return out, err
}

// inviteOf reads an invitation of an organization. To its people there are no others.
func inviteOf(ctx context.Context, tx *db.Tx, id org.ID, inviteID string, now time.Time) (invite.Invite, error) {
	i, err := invite.ByID(ctx, tx, inviteID, now)
	if errors.Is(err, db.ErrNotFound) || err == nil && i.OrgID != id {
		return i, fault.New(fault.InviteUnknown)
	}
	return i, err
}

// RevokeInvite ends an invitation of an organization that nobody has accepted.
func (c *Core) RevokeInvite(ctx context.Context, who Caller, id org.ID, inviteID string) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, s, err := seatAs(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		i, err := inviteOf(ctx, tx, id, inviteID, c.Now())
		if err == nil {
			err = mayGive(s, i.OrgRole)
		}
		if err != nil {
			return err
		}
		return c.revoke(ctx, tx, who, i)
	})
}

// AcceptIn accepts an invitation to an organization by who is signed in to a client.
type AcceptIn struct {
	ClientID client.ID
	Token    string
	Failures []limit.Rule // on wrong secrets
}

// AcceptInvite makes the caller a member of the organization that they are invited to.
// The invited address must be one that they have proved: an invitation that was passed
// on, or found, is nobody else's. What is refused spends nothing.
func (c *Core) AcceptInvite(ctx context.Context, who Caller, in AcceptIn) (org.Seat, error) {
	var out org.Seat
	wrong := false
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		wrong = false
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if err := takeAll(ctx, tx, c.Now(), in.Failures); err != nil {
			return err
		}
		i, err := invite.ByToken(ctx, tx, c.Key, in.Token, c.Now())
		if wrong = errors.Is(err, db.ErrNotFound) || err == nil && i.ClientID != "" && i.ClientID != in.ClientID; wrong {
			return nil // a value, so that the count of it is committed
		} else if err != nil {
			return err
		}
		if err := limit.Give(ctx, tx, in.Failures...); err != nil {
			return err
		}
		out, err = c.acceptInvite(ctx, tx, who, u, i)
		return err
	})
	if err == nil && wrong {
		return out, fault.New(fault.InviteInvalid)
	}
	return out, err
}

func (c *Core) acceptInvite(ctx context.Context, tx *db.Tx, who Caller, u identity.User, i invite.Invite) (org.Seat, error) {
	if who.Org != "" && who.Org != i.OrgID {
		return org.Seat{}, fault.New(fault.KeyPinned)
	}
	emails, err := identity.Emails(ctx, tx, u.ID)
	if err != nil {
		return org.Seat{}, err
	}
	switch e := identity.AddressIn(emails, i.Email); {
	case e == nil:
		return org.Seat{}, fault.New(fault.InviteEmailMismatch)
	case e.VerifiedAt.IsZero():
		return org.Seat{}, fault.New(fault.EmailUnverified)
	}
	if o, err := org.ByID(ctx, tx, i.OrgID); err != nil {
		return org.Seat{}, err
	} else if !o.Open() {
		return org.Seat{}, fault.New(fault.InviteInvalid)
	}
	if err := invite.Accept(ctx, tx, i.ID, u.ID, c.Now()); errors.Is(err, db.ErrNotFound) {
		return org.Seat{}, fault.New(fault.InviteInvalid) // another was first
	} else if err != nil {
		return org.Seat{}, err
	}
	m, made, err := org.Join(ctx, tx, i.OrgID, u.ID, i.OrgRole, c.Now())
	if err == nil {
		err = directory.Joined(ctx, tx, i.OrgID, u.ID, c.Now())
	}
	if err != nil {
		return org.Seat{}, err
	}
	detail := map[string]any{"invite_id": i.ID, "role": string(m.Role)}
	if err := c.in(ctx, tx, who, audit.InviteAccepted, i.OrgID, client.Client{ID: i.ClientID}, u, detail); err != nil {
		return org.Seat{}, err
	}
	if made {
		if err := c.in(ctx, tx, who, audit.MemberAdded, i.OrgID, client.Client{ID: i.ClientID}, u, detail); err != nil {
			return org.Seat{}, err
		}
	}
	return org.SeatOf(ctx, tx, i.OrgID, u.ID)
}

// invitePage is where the mail of an invitation leads.
func (c *Core) invitePage(cl client.Client, page, raw string) string {
	if cl.Policy.Links.Invite != "" {
		page = cl.Policy.Links.Invite
	}
	return wire.WithQuery(page, "token", raw)
}
