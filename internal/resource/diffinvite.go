package resource

import (
	"context"
	"net/url"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/invite"
	"sallyport/internal/job"
	"sallyport/internal/mail"
	"sallyport/internal/secret"
)

// Invited is an invitation that was made and not mailed: Link is for the
// operator to hand over.
type Invited struct {
	Client string
	Org    string // the organization's slug, for one to an organization
	Email  string
	Link   secret.Value
}

func (d *differ) invite(in *Invite) {
	cl := d.clients[in.Client]
	key := inviteKey(cl.ID, in.Email)
	pending, waits := d.s.pending[key]
	made, ours := d.s.made[d.next.Invites[key]]
	roles := cl.Policy.Roles.Default
	if in.Role != "" {
		roles = []string{in.Role}
	} else if waits {
		roles = pending.Roles
	}
	c := Change{Action: Create, Kind: "invite", Name: in.Client + " " + in.Email}
	switch {
	case d.enrolled(in, cl.ID):
		c.Action = None // they are in, or will be
	case waits:
		c.Action = Update
		if !slices.Equal(pending.Roles, roles) {
			c.Fields = []Field{{"roles", joined(pending.Roles), joined(roles)}}
		}
	case ours && (made.Status == invite.Accepted || made.Status == invite.Revoked):
		c.Action = None // what became of it since is not the file's to undo
	default:
		c.Fields = []Field{{"roles", "", joined(roles)}}
	}
	c.do = func(ctx context.Context, tx *db.Tx) error { return d.makeInvite(ctx, tx, cl, key, in, roles) }
	d.add(c)
}

// enrolled reports whether the invited person will have a place in the client
// once the users of the file are as it says.
func (d *differ) enrolled(in *Invite, c client.ID) bool {
	if d.enrols[inviteKey(c, in.Email)] {
		return true
	}
	p, there := d.s.people[in.Email]
	if !there || d.prunes(p.ID) || d.unenrolled[p.ID][c] {
		return false
	}
	_, there = d.s.enrolments[p.ID][c]
	return there
}

func (d *differ) makeInvite(ctx context.Context, tx *db.Tx, cl client.Client, key string, in *Invite, roles []string) error {
	made, code, err := invite.Create(ctx, tx, d.core.Key, invite.Invite{
		ClientID: cl.ID, Email: in.Email, Roles: roles, InvitedBy: actor.String(), ExpiresAt: d.now.Add(InviteLifetime)}, d.now)
	if err != nil {
		return err
	}
	d.next.Invites[key] = made.ID
	err = d.record(ctx, tx, audit.Event{Action: audit.InviteCreated, ClientID: cl.ID,
		Detail: map[string]any{"invite_id": made.ID, "email": in.Email, "roles": nonNil(roles)}})
	if err != nil {
		return err
	}
	link := inviteLink(cl, d.o.BaseURL, code)
	if d.o.NoMail {
		d.invited = append(d.invited, Invited{Client: in.Client, Email: in.Email, Link: secret.Value(link)})
		return nil
	}
	return job.EnqueueMail(ctx, tx, d.core.Key, mail.Invite, in.Email, mail.Data{
		ClientName: cl.Name, Color: cl.Policy.Branding.Color, Link: link, Code: code, Minutes: int(InviteLifetime.Minutes())}, d.now)
}

// inviteLink is the page that takes an invitation, the application's own or
// ours at base, with the client and the code as parameters (contract keymaster
// §8.4).
func inviteLink(cl client.Client, base, code string) string {
	page, err := url.Parse(or(cl.Policy.Links.Invite, base+"/invite"))
	if err != nil {
		return "" // Parse has checked it; the mail then holds the code alone
	}
	q := "app_id=" + url.QueryEscape(string(cl.ID)) + "&code=" + url.QueryEscape(code)
	if page.RawQuery != "" {
		q = page.RawQuery + "&" + q
	}
	page.RawQuery = q
	return page.String()
}
