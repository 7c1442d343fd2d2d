package admin

import (
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
	"sallyport/internal/mail"
)

// InviteIn is an invitation to be made. Email may be empty, unless a service
// invites; Roles nil are those that every enrolment gets. Quiet sends no mail
// where the code can be handed over otherwise.
type InviteIn struct {
	ClientID client.ID
	Email    string
	Roles    []string
	Days     int
	Quiet    bool
}

// MaxInviteDays is the longest that an invitation may be good for.
const MaxInviteDays = 30

// Invited is an invitation that was made. Code and Link are empty where they
// are the invited person's alone to know.
type Invited struct {
	Invite invite.Invite
	Code   string
	Link   string
}

// rounds is how often an invitation is tried anew that lost to others for the
// same address.
const rounds = 5

// Invite makes an invitation, which takes the place of an earlier pending one
// for the same address, and mails it.
//
// The code of an invitation for an existing account lets its holder in as that
// person. So it is mailed, whatever the caller wishes, and shown to nobody.
// What a service invites is mailed too.
func (c *Core) Invite(ctx context.Context, who Caller, in InviteIn) (Invited, error) {
	var out Invited
	var err error
	if in.Email != "" {
		if in.Email, err = identity.NormalizeEmail(in.Email); err != nil {
			return out, &fault.Error{Code: fault.EmailInvalid, Field: "email", Err: err}
		}
	}
	for range rounds {
		err = c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
			out, err = c.invite(ctx, tx, a, in)
			return err
		})
		if !errors.Is(err, db.ErrConflict) {
			break
		}
	}
	return out, err
}

func (c *Core) invite(ctx context.Context, tx *db.Tx, a authority, in InviteIn) (Invited, error) {
	cl, err := a.inviting(ctx, tx, in)
	if err != nil {
		return Invited{}, err
	}
	roles := unique(in.Roles)
	if roles == nil {
		roles = cl.Policy.Roles.Default
	}
	if err := a.mayGrant(cl, roles); err != nil {
		return Invited{}, err
	}
	if in.Days < 1 || in.Days > MaxInviteDays {
		return Invited{}, invalid("days", WantRange)
	}
	exists, err := mayInvite(ctx, tx, in.Email, cl.ID)
	if err != nil {
		return Invited{}, err
	}
	now := c.Now()
	life := time.Duration(in.Days) * 24 * time.Hour
	made, code, err := invite.Create(ctx, tx, c.Key, invite.Invite{
		ClientID: cl.ID, Email: in.Email, Roles: roles, InvitedBy: a.name(), ExpiresAt: now.Add(life),
	}, now)
	if err != nil {
		return Invited{}, err
	}
	detail := map[string]any{"invite_id": made.ID, "email": made.Email, "roles": roles}
	if err := c.record(ctx, tx, a, audit.InviteCreated, cl, identity.User{}, detail); err != nil {
		return Invited{}, err
	}
	out := Invited{Invite: made, Code: code, Link: inviteLink(cl, a.who.Base, code)}
	if in.Email != "" && (exists || a.who.Service || !in.Quiet) {
		if err := job.EnqueueMail(ctx, tx, c.Key, mail.Invite, in.Email, mail.Data{
			ClientName: cl.Name, Color: cl.Policy.Branding.Color, Link: out.Link, Code: code,
			Inviter: a.user.DisplayName, Minutes: int(life.Minutes()),
		}, now); err != nil {
			return Invited{}, err
		}
	}
	if exists {
		out.Code, out.Link = "", ""
	}
	return out, nil
}

// inviting reads the client that the caller may invite to.
func (a authority) inviting(ctx context.Context, tx *db.Tx, in InviteIn) (client.Client, error) {
	if !a.who.Service {
		cl, err := a.client(ctx, tx, in.ClientID, manager)
		if err == nil && !cl.Active {
			err = fault.New(fault.ClientUnknown)
		}
		return cl, err
	}
	if err := a.scoped(ScopeInvite, in.ClientID); err != nil {
		return client.Client{}, err
	}
	if in.Email == "" {
		return client.Client{}, fault.New(fault.EmailRequired)
	}
	return client.ByID(ctx, tx, in.ClientID)
}

// mayInvite refuses who has a place already, and reports whether the address is
// an account's. A pending place is none yet.
func mayInvite(ctx context.Context, tx *db.Tx, email string, id client.ID) (exists bool, err error) {
	if email == "" {
		return false, nil
	}
	u, err := identity.ByEmail(ctx, tx, email)
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	e, err := client.EnrolmentOf(ctx, tx, u.ID, id)
	switch {
	case errors.Is(err, db.ErrNotFound), err == nil && e.Status == client.Pending:
		return true, nil
	case err != nil:
		return false, err
	}
	return true, fault.New(fault.AlreadyEnrolled)
}

// name is who invites, for people to read.
func (a authority) name() string {
	if a.who.Service {
		return "service:" + string(a.who.ClientID)
	}
	return "user:" + string(a.who.UserID)
}

// inviteLink is the page at which an invitation is accepted: the application's
// own if it named one, else ours.
func inviteLink(cl client.Client, base, code string) string {
	page := base + "/invite"
	if own := cl.Policy.Links.Invite; own != "" {
		page = own
	}
	return link(page, "app_id", string(cl.ID), "code", code)
}

// InvitesIn chooses invitations: of one client, of one status, if they are set.
type InvitesIn struct {
	ClientID client.ID
	Status   invite.Status
	Page     Page
}

// Invites returns one page of the invitations that the caller may revoke, newest
// first, and how many there are.
func (c *Core) Invites(ctx context.Context, who Caller, in InvitesIn) ([]invite.Invite, int, error) {
	var out []invite.Invite
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		id, tenant, err := a.within(ctx, tx, in.ClientID, manager)
		if err != nil {
			return err
		}
		f := invite.Filter{ClientID: id, Tenant: tenant, Status: in.Status, Limit: in.Page.Size, Offset: in.Page.offset()}
		out, total, err = invite.List(ctx, tx, f, c.Now())
		return err
	})
	return out, total, err
}

// within narrows a list to what the caller reaches: a client that was asked for,
// their tenant, their own client, or for the platform nothing at all.
func (a authority) within(ctx context.Context, tx *db.Tx, id client.ID, least tier) (client.ID, client.TenantID, error) {
	if err := a.atLeast(least); err != nil {
		return "", "", err
	}
	switch {
	case id == "" && a.tier == platform:
		return "", "", nil
	case id == "" && a.tier == tenantAdmin:
		return "", a.tenant, nil
	case id == "":
		return a.who.ClientID, "", nil
	}
	_, err := a.client(ctx, tx, id, least)
	return id, "", err
}

// RevokeInvite ends an invitation that nobody has accepted.
func (c *Core) RevokeInvite(ctx context.Context, who Caller, id string) error {
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		if err := a.atLeast(manager); err != nil {
			return err
		}
		i, err := invite.ByID(ctx, tx, id, c.Now())
		if errors.Is(err, db.ErrNotFound) || err == nil && i.OrgID != "" { // an organization's is its owners' to revoke
			return fault.New(fault.InviteUnknown)
		}
		if err != nil {
			return err
		}
		cl, err := a.client(ctx, tx, i.ClientID, manager)
		if fault.Is(err, fault.Forbidden) {
			return fault.New(fault.InviteUnknown)
		}
		if err != nil {
			return err
		}
		if err := invite.Revoke(ctx, tx, id); errors.Is(err, invite.ErrAccepted) {
			return fault.New(fault.InviteSpent)
		} else if err != nil {
			return err
		}
		if i.Status == invite.Revoked {
			return nil
		}
		return c.record(ctx, tx, a, audit.InviteRevoked, cl, identity.User{}, map[string]any{"invite_id": id, "email": i.Email})
	})
}
