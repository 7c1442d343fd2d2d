package resource

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
)

// prune deletes what the file owns and names no more.
func (d *differ) prune() {
	d.pruneInvites()
	d.pruneUsers()
	d.pruneClients(d.pruneSurfaces())
	d.pruneOrgs()
	d.pruneUpstreams()
	d.pruneTenants()
}

// remove lists a deletion and what the audit log says of it.
func (d *differ) remove(kind, name string, e audit.Event, do step) {
	d.add(Change{Action: Delete, Kind: kind, Name: name, do: func(ctx context.Context, tx *db.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return d.record(ctx, tx, e)
	}})
}

// inOrder are the keys of a map, so that a plan reads the same every time.
func inOrder[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func (d *differ) pruneInvites() {
	named := map[string]bool{}
	for _, in := range d.f.Invites {
		if in.Org != "" {
			named[orgInviteKey(d.orgs[in.Org].ID, in.Email)] = true
			continue
		}
		named[inviteKey(d.clients[in.Client].ID, in.Email)] = true
	}
	for _, key := range inOrder(d.next.Invites) {
		made := d.s.made[d.next.Invites[key]]
		if named[key] {
			continue
		}
		delete(d.next.Invites, key)
		if made.Status == invite.Pending {
			to := fileKey(d.s.byID[made.ClientID])
			if made.OrgID != "" {
				to = d.s.orgByID(made.OrgID).Slug
			}
			d.remove("invite", to+" "+made.Email,
				audit.Event{Action: audit.InviteRevoked, ClientID: made.ClientID, Detail: map[string]any{"email": made.Email}},
				func(ctx context.Context, tx *db.Tx) error { return invite.Revoke(ctx, tx, made.ID) })
		}
	}
}

// prunes reports whether a user of the database is to be deleted.
func (d *differ) prunes(id identity.UserID) bool {
	return d.o.Prune && d.seen[id] == "" && d.s.owned.Users[id].Made
}

func (d *differ) pruneUsers() {
	for _, id := range inOrder(d.next.Users) {
		if d.seen[id] != "" {
			continue
		}
		u := d.s.users[id].User
		delete(d.next.Users, id)
		if d.prunes(id) {
			d.remove("user", u.Email, audit.Event{Action: audit.UserDeleted, UserID: id, Detail: map[string]any{"email": u.Email, "name": u.DisplayName}},
				func(ctx context.Context, tx *db.Tx) error { return d.deleteUser(ctx, tx, u) })
		}
	}
}

// deleteUser tells the applications that listen before the user is gone.
func (d *differ) deleteUser(ctx context.Context, tx *db.Tx, u identity.User) error {
	for _, c := range inOrder(d.s.enrolments[u.ID]) {
		if !d.s.byID[c].HasWebhooks {
			continue
		}
		err := d.record(ctx, tx, audit.Event{Action: audit.UserDeleted, ClientID: c, UserID: u.ID, Announce: true,
			Detail: map[string]any{"email": u.Email, "name": u.DisplayName}})
		if err != nil {
			return err
		}
	}
	return deleteUser(ctx, tx, u.ID)
}

// pruneSurfaces returns the settings that stay.
func (d *differ) pruneSurfaces() map[string]string {
	stay := maps.Clone(d.s.surfaces)
	for _, one := range d.f.Surfaces.all() {
		delete(stay, one.name) // what the file says names clients of the file
	}
	for _, name := range inOrder(stay) {
		if d.next.Surfaces[name] {
			delete(stay, name)
			delete(d.next.Surfaces, name)
			d.remove("surface", name, audit.Event{Action: audit.ResourcesApplied, Detail: map[string]any{"surface": name, "removed": true}},
				func(ctx context.Context, tx *db.Tx) error { return deleteSetting(ctx, tx, surfaceRow+name) })
		}
	}
	return stay
}

func (d *differ) pruneClients(surfaces map[string]string) {
	bound := map[client.ID]string{}
	if s, err := surfacesFrom(surfaces); err == nil {
		bound = s.clientIDs()
	}
	named := map[client.ID]bool{}
	for _, c := range d.clients {
		named[c.ID] = true
	}
	for _, c := range d.s.clients {
		if c.Key == "" || named[c.ID] {
			continue
		}
		if surface := bound[c.ID]; surface != "" {
			d.wrong("surfaces", "surface %s is bound to the client %q, which is to be deleted; name another one", surface, c.Key)
		}
		delete(d.next.Clients, c.ID)
		d.remove("client", c.Key, audit.Event{Action: audit.ClientDeleted, ClientID: c.ID, Detail: map[string]any{"client": c.Key, "name": c.Name}},
			func(ctx context.Context, tx *db.Tx) error { return client.Delete(ctx, tx, c.ID) })
	}
}

// pruneTenants leaves a tenant that has clients of its own.
func (d *differ) pruneTenants() {
	inUse := map[client.TenantID]bool{}
	for _, c := range d.s.clients {
		if c.Key == "" {
			inUse[c.Tenant.ID] = true
		}
	}
	for _, o := range d.s.inTenants {
		inUse[o.Tenant] = inUse[o.Tenant] || !d.prunesOrg(o.ID)
	}
	for _, slug := range inOrder(d.s.tenants) {
		t := d.s.tenants[slug]
		if _, named := d.tenants[slug]; named || !d.next.Tenants[t.ID] || inUse[t.ID] {
			continue
		}
		delete(d.next.Tenants, t.ID)
		d.remove("tenant", slug, audit.Event{Action: audit.TenantDeleted, Detail: map[string]any{"tenant": slug, "name": t.Name}},
			func(ctx context.Context, tx *db.Tx) error { return deleteTenant(ctx, tx, t.ID) })
	}
}
