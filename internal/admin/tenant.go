package admin

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// TenantChange says what a tenant is to be; what is nil stays, or has its
// default in a new tenant: a slug made from the name, and a policy of length
// alone.
type TenantChange struct {
	Name             *string
	Slug             *string
	MinLength        *int
	RequireUppercase *bool
	RequireLowercase *bool
	RequireDigit     *bool
	RequireSymbol    *bool
}

// maxMinLength keeps a policy from asking for passwords that nobody has.
const maxMinLength = 128

var (
	slugShape = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	notSlug   = regexp.MustCompile(`[^a-z0-9]+`)
)

// maxSlug is the greatest length of a slug, that of a host name's label.
const maxSlug = 63

// slugOf makes a slug of a name, "" if nothing of it can be in one.
func slugOf(name string) string {
	s := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return strings.TrimRight(s[:min(len(s), maxSlug)], "-")
}

func (ch TenantChange) apply(t *client.Tenant) ([]string, error) {
	var c edit
	if ch.Name != nil {
		s, err := line("name", *ch.Name, 1, maxName)
		if err != nil {
			return nil, err
		}
		set(&c, "name", &t.Name, s)
	}
	if ch.Slug != nil {
		if *ch.Slug != t.Slug && (len(*ch.Slug) > maxSlug || !slugShape.MatchString(*ch.Slug)) {
			return nil, invalid("slug", WantSlug)
		}
		set(&c, "slug", &t.Slug, *ch.Slug)
	}
	if ch.MinLength != nil {
		if *ch.MinLength < client.MinPassword || *ch.MinLength > maxMinLength {
			return nil, invalid("min_length", WantRange)
		}
		set(&c, "min_length", &t.Password.MinLength, *ch.MinLength)
	}
	for _, f := range []struct {
		name  string
		at    *bool
		given *bool
	}{
		{"require_uppercase", &t.Password.RequireUppercase, ch.RequireUppercase},
		{"require_lowercase", &t.Password.RequireLowercase, ch.RequireLowercase},
		{"require_digit", &t.Password.RequireDigit, ch.RequireDigit},
		{"require_symbol", &t.Password.RequireSymbol, ch.RequireSymbol},
	} {
		if f.given != nil {
			set(&c, f.name, f.at, *f.given)
		}
	}
	return c.fields, nil
}

// CreateTenant makes a tenant with its console client, whose administrators
// administer the tenant. Nobody is enrolled in it yet: the platform invites the
// first, and a platform administrator has no need to be one, nor stays one after
// losing that role.
func (c *Core) CreateTenant(ctx context.Context, who Caller, in TenantChange) (client.Tenant, error) {
	var made client.Tenant
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		if err := a.atLeast(platform); err != nil {
			return err
		}
		now := c.Now()
		t := client.Tenant{
			ID: client.TenantID(identity.NewID()), Password: client.PasswordPolicy{}.Stricter(client.PasswordPolicy{}),
			CreatedAt: now, UpdatedAt: now,
		}
		if _, err := in.apply(&t); err != nil {
			return err
		}
		if t.Name == "" {
			return invalid("name", WantLine)
		}
		if t.Slug = cmp.Or(t.Slug, slugOf(t.Name)); t.Slug == "" {
			return invalid("slug", WantSlug)
		}
		if err := slugTaken(client.CreateTenant(ctx, tx, t)); err != nil {
			return err
		}
		console := newConsole(c, t.Name+" Console")
		console.Console, console.Tenant = true, t
		if err := client.Create(ctx, tx, console); err != nil {
			return err
		}
		made = t
		detail := map[string]any{"tenant_id": t.ID, "slug": t.Slug}
		if err := c.record(ctx, tx, a, audit.TenantCreated, client.Client{}, identity.User{}, detail); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.ClientCreated, console, identity.User{}, map[string]any{"name": console.Name})
	})
	return made, err
}

// newConsole is a console client: public, and by invitation only.
func newConsole(c *Core, name string) client.Client {
	cl := newClient(c, "")
	cl.Name, cl.SecretHash = name, nil
	cl.Policy.Registration = client.Invite
	cl.Policy.Methods = []string{client.MethodPassword, client.MethodMagicLink}
	return cl
}

func slugTaken(err error) error {
	if errors.Is(err, client.ErrSlugTaken) {
		return fault.New(fault.SlugTaken)
	}
	return err
}

// UpdateTenant changes a tenant. Concurrent changes take turns.
func (c *Core) UpdateTenant(ctx context.Context, who Caller, id client.TenantID, in TenantChange) (client.Tenant, error) {
	var out client.Tenant
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		if _, err := a.tenantOf(ctx, tx, id); err != nil {
			return err
		}
		if err := lockTenant(ctx, tx, id); err != nil {
			return err
		}
		t, err := a.tenantOf(ctx, tx, id)
		if err != nil {
			return err
		}
		fields, err := in.apply(&t)
		if err != nil {
			return err
		}
		out = t
		if fields == nil {
			return nil
		}
		if err := slugTaken(client.UpdateTenant(ctx, tx, t, c.Now())); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.TenantUpdated, client.Client{}, identity.User{}, map[string]any{"tenant_id": t.ID, "fields": fields})
	})
	return out, err
}

// Tenant returns a tenant that the caller administers.
func (c *Core) Tenant(ctx context.Context, who Caller, id client.TenantID) (client.Tenant, error) {
	var out client.Tenant
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		out, err = a.tenantOf(ctx, tx, id)
		return err
	})
	return out, err
}

// Tenants returns one page of all tenants, oldest first, and how many there are.
func (c *Core) Tenants(ctx context.Context, who Caller, p Page) ([]client.Tenant, int, error) {
	var out []client.Tenant
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		if err := a.atLeast(platform); err != nil {
			return err
		}
		out, total, err = client.Tenants(ctx, tx, "", p.Size, p.offset())
		return err
	})
	return out, total, err
}
