package resource

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/yaml"
)

// differ compares one file with one state and lists the changes, each with what
// carries it out. It is used once: a transaction that runs again compares again.
type differ struct {
	core *Core
	f    *File
	s    *state
	o    Options
	memo *memo
	now  time.Time

	next     owned // what the file will own
	changes  []Change
	mistakes []yaml.Mistake
	tenants  map[string]client.Tenant   // by slug, as they will be
	clients  map[string]client.Client   // by the file's key, as they will be
	orgs     map[string]org.Org         // by slug, as they will be
	seen     map[identity.UserID]string // the users of the file, by the address it has
	// enrols are the places that the file gives, by inviteKey; unenrolled are
	// those that are pruned.
	enrols     map[string]bool
	joins      map[string]bool              // the memberships that it gives, by orgInviteKey
	leaves     map[identity.UserID][]org.ID // those that are pruned
	late       []step                       // what can be done only after all users
	unenrolled map[identity.UserID]map[client.ID]bool
	invited    []Invited
}

// actor is who the audit log says did it.
var actor = audit.Operator("apply")

func (c *Core) diff(f *File, s *state, o Options, m *memo, now time.Time) (*differ, error) {
	d := &differ{core: c, f: f, s: s, o: o, memo: m, now: now, next: s.owned.clone(),
		tenants: map[string]client.Tenant{}, clients: map[string]client.Client{}, seen: map[identity.UserID]string{},
		orgs: map[string]org.Org{}, enrols: map[string]bool{}, joins: map[string]bool{}, leaves: map[identity.UserID][]org.ID{}, unenrolled: map[identity.UserID]map[client.ID]bool{}}
	for i := range f.Tenants {
		d.tenant(&f.Tenants[i])
	}
	for i := range f.Upstreams {
		d.upstream(yaml.Index("upstreams", i), &f.Upstreams[i])
	}
	for i := range f.Clients {
		d.client(yaml.Index("clients", i), &f.Clients[i])
	}
	d.surfaces()
	d.organizations()
	for i := range f.Users {
		d.user(yaml.Index("users", i), &f.Users[i])
	}
	for i := range f.Invites {
		if in := &f.Invites[i]; in.Org != "" {
			d.orgInvite(in)
		} else {
			d.invite(in)
		}
	}
	d.forget()
	if o.Prune {
		d.prune()
	}
	if len(d.mistakes) > 0 {
		return nil, &yaml.Mistakes{List: d.mistakes}
	}
	return d, nil
}

func (d *differ) wrong(path, format string, args ...any) {
	d.mistakes = append(d.mistakes, d.f.mistake(path, format, args...))
}

// add lists a change, as None if it is an update of nothing.
func (d *differ) add(c Change) {
	if c.Action == Update && len(c.Fields) == 0 {
		c.Action = None
	}
	if c.Action == None {
		c.do = nil
	}
	d.changes = append(d.changes, c)
}

// record writes an audit entry of the apply.
func (d *differ) record(ctx context.Context, tx *db.Tx, e audit.Event) error {
	e.Actor = actor
	return audit.Record(ctx, tx, d.now, e)
}

// attr is one value of a resource as text to show and compare.
type attr struct{ name, value string }

// fieldsBetween lists what differs; both lists have the same names in one order.
func fieldsBetween(was, becomes []attr) []Field {
	var fields []Field
	for i, b := range becomes {
		old := ""
		if was != nil {
			old = was[i].value
		}
		if old != b.value {
			fields = append(fields, Field{b.name, old, b.value})
		}
	}
	return fields
}

func names(fields []Field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Name
	}
	return all
}

// joined is a list as one text; different lists give different texts.
func joined(list []string) string {
	shown := slices.Clone(list)
	for i, v := range shown {
		if strings.ContainsAny(v, ",\"") {
			shown[i] = strconv.Quote(v)
		}
	}
	return strings.Join(shown, ", ")
}

func yesNo(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// The texts that stand for secrets.
const (
	secretSet   = "(set)"
	secretOther = "(another)"
)

// secretField is the difference between two secrets of which only it may be
// said whether they are there.
func secretField(name string, had bool) Field {
	if had {
		return Field{name, secretSet, secretOther}
	}
	return Field{name, "", secretSet}
}

func (d *differ) tenant(t *Tenant) {
	was, exists := d.s.tenants[t.Slug]
	next := was
	next.Slug, next.Name = t.Slug, t.Name
	next.Password = t.Password.policy().Stricter(client.PasswordPolicy{})
	var before []attr
	if exists {
		before = tenantAttrs(was)
	} else {
		next.ID, next.CreatedAt = client.TenantID(identity.NewID()), d.now
		d.next.Tenants[next.ID] = true
	}
	d.tenants[t.Slug] = next
	c := Change{Action: Update, Kind: "tenant", Name: t.Slug, Fields: fieldsBetween(before, tenantAttrs(next))}
	c.do = func(ctx context.Context, tx *db.Tx) error {
		if err := client.UpdateTenant(ctx, tx, next, d.now); err != nil {
			return err
		}
		return d.record(ctx, tx, audit.Event{Action: audit.TenantUpdated, Detail: map[string]any{"tenant": next.Slug, "fields": names(c.Fields)}})
	}
	if !exists {
		c.Action = Create
		c.do = func(ctx context.Context, tx *db.Tx) error {
			if err := client.CreateTenant(ctx, tx, next); err != nil {
				return err
			}
			return d.record(ctx, tx, audit.Event{Action: audit.TenantCreated, Detail: map[string]any{"tenant": next.Slug, "name": next.Name}})
		}
	}
	d.add(c)
}

func tenantAttrs(t client.Tenant) []attr {
	return []attr{{"name", t.Name}, {"password", passwordText(PasswordPolicy(t.Password.Stricter(client.PasswordPolicy{})))}}
}

func (d *differ) surfaces() {
	ids := map[string]client.ID{}
	keys := map[string]string{}
	for key, c := range d.clients {
		ids[key] = c.ID
	}
	for _, c := range d.s.clients {
		keys[string(c.ID)] = fileKey(c)
	}
	for key, c := range d.clients {
		keys[string(c.ID)] = key
	}
	texts := d.f.Surfaces.texts(func(key string) string { return string(ids[key]) })
	for _, name := range surfaceNames {
		text, ok := texts[name]
		if !ok {
			continue
		}
		d.next.Surfaces[name] = true
		was, exists := d.s.surfaces[name]
		c := Change{Action: Update, Kind: "surface", Name: name, Fields: settingFields(was, text, keys)}
		if !exists {
			c.Action = Create
		}
		c.do = func(ctx context.Context, tx *db.Tx) error { return putSetting(ctx, tx, surfaceRow+name, text, d.now) }
		d.add(c)
	}
}

// forget drops from what the file owns whatever is no longer there.
func (d *differ) forget() {
	tenants := map[client.TenantID]bool{}
	for _, t := range d.s.tenants {
		tenants[t.ID] = true
	}
	for _, t := range d.tenants {
		tenants[t.ID] = true
	}
	maps.DeleteFunc(d.next.Tenants, func(id client.TenantID, _ bool) bool { return !tenants[id] })
	mine := map[client.ID]bool{}
	for _, c := range d.clients {
		mine[c.ID] = true
	}
	maps.DeleteFunc(d.next.Clients, func(id client.ID, _ ownedClient) bool {
		_, there := d.s.byID[id]
		return !there && !mine[id]
	})
	maps.DeleteFunc(d.next.Users, func(id identity.UserID, _ ownedUser) bool {
		_, there := d.s.users[id]
		return !there && d.seen[id] == ""
	})
	maps.DeleteFunc(d.next.Orgs, func(id org.ID, _ ownedOrg) bool {
		there := slices.ContainsFunc(d.f.Orgs, func(o Org) bool { return d.orgs[o.Slug].ID == id })
		for _, o := range d.s.orgs {
			there = there || o.ID == id
		}
		return !there
	})
	maps.DeleteFunc(d.next.Invites, func(_, id string) bool { _, there := d.s.made[id]; return !there })
	maps.DeleteFunc(d.next.Upstreams, func(key string, _ *remembered) bool {
		_, there := d.s.upstreams[key]
		return !there && !slices.ContainsFunc(d.f.Upstreams, func(u Upstream) bool { return u.Key == key })
	})
	maps.DeleteFunc(d.next.Surfaces, func(name string, _ bool) bool {
		_, there := d.s.surfaces[name]
		return !there && !slices.ContainsFunc(d.f.Surfaces.all(), func(one surface) bool { return one.name == name })
	})
}
