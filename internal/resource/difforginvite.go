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
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// orgInvite invites an address to an organization. An invitation that says the same
// already, whoever made it, stays: who was invited has the mail.
func (d *differ) orgInvite(in *Invite) {
	o, cl := d.orgs[in.Org], d.clients[in.Client]
	key := orgInviteKey(o.ID, in.Email)
	pending, waits := d.s.pending[key]
	made, ours := d.s.made[d.next.Invites[key]]
	c := Change{Action: Create, Kind: "invite", Name: in.Org + " " + in.Email, Fields: []Field{{"role", "", in.Role}}}
	switch {
	case d.isMember(in, o.ID):
		c.Action, c.Fields = None, nil
	case waits:
		c.Action = Update
		c.Fields = fieldsBetween(d.orgInviteAttrs(pending.ClientID, string(pending.OrgRole)), d.orgInviteAttrs(cl.ID, in.Role))
	case ours && (made.Status == invite.Accepted || made.Status == invite.Revoked):
		c.Action, c.Fields = None, nil // what became of it since is not the file's to undo
	}
	c.do = func(ctx context.Context, tx *db.Tx) error {
		if waits {
			if err := invite.Revoke(ctx, tx, pending.ID); err != nil {
				return err
			}
		}
		return d.makeOrgInvite(ctx, tx, cl, o, key, in)
	}
	d.add(c)
}

// orgInviteAttrs is what an invitation says: another takes its place if that
// changes.
func (d *differ) orgInviteAttrs(c client.ID, role string) []attr {
	name := ""
	if cl, there := d.s.byID[c]; there {
		name = fileKey(cl)
	}
	for key, cl := range d.clients {
		if cl.ID == c && c != "" {
			name = key
		}
	}
	return []attr{{"client", name}, {"role", role}}
}

// isMember reports whether the invited person will be a member once the users of
// the file are as it says.
func (d *differ) isMember(in *Invite, id org.ID) bool {
	if d.joins[orgInviteKey(id, in.Email)] {
		return true
	}
	p, there := d.s.people[in.Email]
	if !there || d.prunes(p.ID) || slices.Contains(d.leaves[p.ID], id) {
		return false
	}
	_, there = d.s.memberships[p.ID][id]
	return there
}

func (d *differ) makeOrgInvite(ctx context.Context, tx *db.Tx, cl client.Client, o org.Org, key string, in *Invite) error {
	made, raw, err := invite.CreateToOrg(ctx, tx, d.core.Key, invite.Invite{
		OrgID: o.ID, OrgRole: org.Role(in.Role), ClientID: cl.ID, Email: in.Email, InvitedBy: actor.String(), ExpiresAt: d.now.Add(InviteLifetime), Shown: d.o.NoMail}, d.now)
	if err != nil {
		return err
	}
	d.next.Invites[key] = made.ID
	err = d.record(ctx, tx, audit.Event{Action: audit.InviteCreated, ClientID: cl.ID,
		Detail: map[string]any{"invite_id": made.ID, "email": in.Email, "org": string(o.ID), "role": in.Role}})
	if err != nil {
		return err
	}
	link := or(cl.Policy.Links.Invite, d.o.BaseURL+"/auth/accept-invite")
	if page, err := url.Parse(link); err == nil {
		q := page.Query()
		q.Set("token", raw)
		page.RawQuery = q.Encode()
		link = page.String()
	}
	if d.o.NoMail {
		d.invited = append(d.invited, Invited{Client: in.Client, Org: in.Org, Email: in.Email, Link: secret.Value(link)})
		return nil
	}
	return job.EnqueueMail(ctx, tx, d.core.Key, mail.AccountInvite, in.Email, mail.Data{
		ClientName: cl.Name, Color: cl.Policy.Branding.Color, Org: o.Name, Link: link, Minutes: int(InviteLifetime.Minutes())}, d.now)
}
