package resource

import (
	"context"
	"errors"
	"maps"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/eviction"
	"sallyport/internal/org"
	"sallyport/internal/sso"
	"sallyport/internal/yaml"
)

// ownedOrg is an organization that the file names. Made says that the file made it,
// and Domains which domains it brought.
type ownedOrg struct {
	Made    bool            `json:"made,omitempty"`
	Domains map[string]bool `json:"domains,omitempty"`
	SSO     *remembered     `json:"sso,omitempty"` // of a connection that it brought, how the secret was called
}

// orgDiff is one organization of the file on the way to a change.
type orgDiff struct {
	*differ
	f      *Org
	was    storedOrg
	exists bool
	next   org.Org
	o      ownedOrg
	c      Change
	steps  []step
}

// organizations compares those of the file, each after the one above it.
func (d *differ) organizations() {
	index := map[string]int{}
	for i, o := range d.f.Orgs {
		index[o.Slug] = i
	}
	done := map[string]bool{}
	var visit func(i int)
	visit = func(i int) {
		o := &d.f.Orgs[i]
		if done[o.Slug] {
			return
		}
		done[o.Slug] = true
		if o.Parent != "" {
			visit(index[o.Parent])
		}
		d.org(yaml.Index("orgs", i), o)
	}
	for i := range d.f.Orgs {
		visit(i)
	}
	for i := range d.f.Clients {
		if cl := &d.f.Clients[i]; cl.Org != "" {
			d.holder(cl)
		}
	}
}

// holder gives a client of the file to the organization that it names.
func (d *differ) holder(cl *Client) {
	id, to := d.clients[cl.Key].ID, d.orgs[cl.Org]
	was, there := d.s.holders[id]
	if there && was == to.ID {
		return
	}
	d.add(Change{Action: Update, Kind: "client", Name: cl.Key, Fields: []Field{{"org", or(d.s.orgByID(was).Slug, string(was)), cl.Org}}, do: func(ctx context.Context, tx *db.Tx) error {
		if err := org.HoldClient(ctx, tx, to.ID, id); err != nil {
			return err
		}
		return d.record(ctx, tx, audit.Event{Action: audit.ClientUpdated, ClientID: id, Detail: map[string]any{"fields": []string{"org"}, "org": string(to.ID)}})
	}})
}

func (d *differ) org(path string, f *Org) {
	was, exists := d.s.orgs[f.Slug]
	x := &orgDiff{differ: d, f: f, was: was, exists: exists, next: was.Org, c: Change{Action: Update, Kind: "org", Name: f.Slug}}
	x.next.Slug, x.next.Name, x.next.Picture = f.Slug, f.Name, f.Picture
	if f.Parent != "" || f.Tenant != "" || !exists {
		x.next.Parent, x.next.Tenant = d.orgs[f.Parent].ID, d.tenants[f.Tenant].ID
	}
	if f.Status != "" {
		x.next.Status = org.Status(f.Status)
	}
	var before []attr
	if exists {
		before = d.orgAttrs(was.Org)
		if was.Parent != x.next.Parent || was.Tenant != x.next.Tenant {
			d.wrong(path, "is elsewhere already; an organization does not move")
		}
	} else {
		x.c.Action = Create
		x.next.ID, x.next.CreatedAt, x.o.Made = org.NewID(), d.now, true
		x.next.Status = org.Status(or(string(x.next.Status), string(org.Active)))
	}
	d.orgs[f.Slug] = x.next
	if o, ok := d.next.Orgs[x.next.ID]; ok {
		x.o = o
	}
	x.c.Fields = fieldsBetween(before, d.orgAttrs(x.next))
	own := len(x.c.Fields) > 0
	x.domains()
	x.sso(path)
	x.policy(path)
	d.next.Orgs[x.next.ID] = x.o
	c := x.c
	c.do = func(ctx context.Context, tx *db.Tx) error { return x.do(ctx, tx, own) }
	d.add(c)
}

func (d *differ) orgAttrs(o org.Org) []attr {
	parent, tenant := "", ""
	for slug, above := range d.orgs {
		if slug != "" && above.ID == o.Parent && o.Parent != "" {
			parent = slug
		}
	}
	for slug, t := range d.tenants {
		if t.ID == o.Tenant && o.Tenant != "" {
			tenant = slug
		}
	}
	return []attr{{"name", o.Name}, {"picture", o.Picture}, {"parent", parent}, {"tenant", tenant}, {"status", string(o.Status)}}
}

func (x *orgDiff) do(ctx context.Context, tx *db.Tx, own bool) error {
	if !x.exists {
		if _, err := org.Create(ctx, tx, x.next, x.now); err != nil {
			return err
		}
	} else if own {
		if err := org.Update(ctx, tx, x.next, x.now); err != nil {
			return err
		}
	}
	action := audit.OrgUpdated
	if !x.exists {
		action = audit.OrgCreated
	}
	if err := x.say(ctx, tx, action, map[string]any{"name": x.next.Name, "fields": names(x.c.Fields)}); err != nil {
		return err
	}
	for _, s := range x.steps {
		if err := s(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

func (x *orgDiff) say(ctx context.Context, tx *db.Tx, a audit.Action, detail map[string]any) error {
	detail["org"] = string(x.next.ID)
	return x.record(ctx, tx, audit.Event{Action: a, Detail: detail})
}

// domains claims what the file names, and takes back, if pruning, what it had
// brought and names no more. A domain that was proved since stays proved.
func (x *orgDiff) domains() {
	named := map[string]bool{}
	for _, f := range x.f.Domains {
		named[f.Name] = true
		was, exists := x.was.domains[f.Name]
		verifies := f.Verified && was.VerifiedAt.IsZero()
		if !exists {
			if x.o.Domains == nil {
				x.o.Domains = map[string]bool{}
			}
			x.o.Domains[f.Name] = true
		}
		if !exists || verifies {
			x.c.Fields = append(x.c.Fields, Field{"domains." + f.Name, domainText(exists, was), claimText(f.Verified)})
			x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error { return x.claim(ctx, tx, f.Name, exists, verifies) })
		}
		x.answers(f, was)
	}
	x.o.Domains = maps.Clone(x.o.Domains)
	for _, name := range inOrder(x.o.Domains) {
		was, there := x.was.domains[name]
		if named[name] || there && !x.differ.o.Prune {
			continue
		}
		delete(x.o.Domains, name)
		if there {
			x.c.Fields = append(x.c.Fields, Field{"domains." + name, domainText(true, was), ""})
			x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
				if err := org.Disclaim(ctx, tx, x.next.ID, name); err != nil {
					return err
				}
				return x.say(ctx, tx, audit.DomainRemoved, map[string]any{"domain": name})
			})
		}
	}
}

// answers names the client that a domain is for.
func (x *orgDiff) answers(f OrgDomain, was org.Domain) {
	id := x.clients[f.Client].ID
	if f.Client == "" || was.Client == id {
		return
	}
	before := ""
	if was.Client != "" {
		before = x.clientKey(sso.RoleRule{Client: was.Client})
	}
	field := "domains." + f.Name + ".client"
	x.c.Fields = append(x.c.Fields, Field{field, before, f.Client})
	x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
		if err := org.SetDomainClient(ctx, tx, x.next.ID, f.Name, id); err != nil {
			return err
		}
		return x.say(ctx, tx, audit.OrgUpdated, map[string]any{"fields": []string{field}})
	})
}

func domainText(exists bool, d org.Domain) string {
	if !exists {
		return ""
	}
	return claimText(!d.VerifiedAt.IsZero())
}

func claimText(verified bool) string {
	if verified {
		return "verified"
	}
	return "claimed"
}

func (x *orgDiff) claim(ctx context.Context, tx *db.Tx, name string, exists, verifies bool) error {
	if !exists {
		if _, err := org.Claim(ctx, tx, x.next.ID, name, x.now); err != nil {
			return err
		}
		if err := x.say(ctx, tx, audit.DomainClaimed, map[string]any{"domain": name}); err != nil {
			return err
		}
	}
	if !verifies {
		return nil
	}
	if err := org.Verify(ctx, tx, x.next.ID, name, x.now); errors.Is(err, org.ErrDomainTaken) {
		return x.taken(name)
	} else if err != nil {
		return err
	}
	return x.say(ctx, tx, audit.DomainVerified, map[string]any{"domain": name})
}

// taken says in the file's terms that a domain is another's.
func (x *orgDiff) taken(name string) error {
	i := slices.IndexFunc(x.differ.f.Orgs, func(o Org) bool { return o.Slug == x.f.Slug })
	return &yaml.Mistakes{List: []yaml.Mistake{x.differ.f.mistake(yaml.Index("orgs", i), "%s is verified by another organization", name)}}
}

func orgInviteKey(id org.ID, email string) string { return "org:" + string(id) + " " + email }

// prunesOrg reports whether an organization of the database is to be deleted.
func (d *differ) prunesOrg(id org.ID) bool {
	named := slices.ContainsFunc(d.f.Orgs, func(o Org) bool { return d.orgs[o.Slug].ID == id })
	return d.o.Prune && !named && d.s.owned.Orgs[id].Made
}

// pruneOrgs deletes those below others first.
func (d *differ) pruneOrgs() {
	var gone []org.Org
	for _, id := range inOrder(d.next.Orgs) {
		if slices.ContainsFunc(d.f.Orgs, func(o Org) bool { return d.orgs[o.Slug].ID == id }) {
			continue
		}
		delete(d.next.Orgs, id)
		if d.prunesOrg(id) {
			gone = append(gone, d.s.orgByID(id))
		}
	}
	depth := func(o org.Org) (n int) {
		for o.Parent != "" && n <= len(gone) {
			o, n = d.s.orgByID(o.Parent), n+1
		}
		return n
	}
	slices.SortStableFunc(gone, func(a, b org.Org) int { return depth(b) - depth(a) })
	for _, o := range gone {
		name := or(o.Slug, string(o.ID))
		d.remove("org", name, audit.Event{Action: audit.OrgDeleted, Detail: map[string]any{"org": string(o.ID), "name": o.Name}},
			func(ctx context.Context, tx *db.Tx) error {
				all, err := eviction.Org(ctx, tx, o.ID, d.now)
				if err != nil {
					return err
				}
				err = org.Delete(ctx, tx, o.ID)
				if errors.Is(err, org.ErrHolds) {
					return &yaml.Mistakes{List: []yaml.Mistake{{File: d.f.name, Msg: "the organization " + name + " cannot be pruned: others or clients belong to it"}}}
				}
				for _, e := range all {
					err = errors.Join(err, d.record(ctx, tx, e))
				}
				return err
			})
	}
}
