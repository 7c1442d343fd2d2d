package admin

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

// secretBytes is the length of a client's secret: 64 hexadecimal digits.
const secretBytes = 32

// CreateClient makes a client in a tenant and returns it with its secret, which
// is not kept. A platform administrator may leave the tenant out and make one
// that has none; a tenant's administrator makes them in the tenant.
func (c *Core) CreateClient(ctx context.Context, who Caller, in ClientChange) (client.Client, string, error) {
	var made client.Client
	plain := secret.Hex(secretBytes)
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		if err := a.atLeast(tenantAdmin); err != nil {
			return err
		}
		cl := newClient(c, plain)
		if home := a.homeTenant(in.Tenant); home != "" {
			t, err := a.tenantOf(ctx, tx, home)
			if err != nil {
				return err
			}
			cl.Tenant = t
		}
		if _, err := in.apply(&cl, false, false); err != nil {
			return err
		}
		if cl.Name == "" {
			return invalid("name", WantLine)
		}
		if err := client.Create(ctx, tx, cl); err != nil {
			return err
		}
		made = cl
		return c.record(ctx, tx, a, audit.ClientCreated, cl, identity.User{}, map[string]any{"name": cl.Name})
	})
	return made, plain, err
}

// homeTenant is where a new client goes: as asked for, else a tenant's
// administrator's own.
func (a authority) homeTenant(asked *client.TenantID) client.TenantID {
	switch {
	case asked != nil && *asked != "":
		return *asked
	case a.tier == tenantAdmin:
		return a.tenant
	}
	return ""
}

// newClient is a client before anything is said about it.
func newClient(c *Core, plain string) client.Client {
	now := c.Now()
	p := client.Policy{
		Methods: []string{client.MethodPassword},
		Roles:   client.Roles{Available: []string{"user", roleManager, roleAdmin}, Default: []string{"user"}},
	}
	return client.Client{
		ID: client.NewID(), Active: true, SecretHash: client.HashSecret(c.Key, plain), Policy: p.WithDefaults(),
		CreatedAt: now, UpdatedAt: now,
	}
}

// UpdateClient changes a client. Concurrent changes take turns, so that none
// undoes what another did to some other part.
func (c *Core) UpdateClient(ctx context.Context, who Caller, id client.ID, in ClientChange) (client.Client, error) {
	var out client.Client
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := c.locked(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if in.Tenant != nil && *in.Tenant != cl.Tenant.ID {
			return invalid("tenant_id", WantSame)
		}
		uploaded, err := hasLogo(ctx, tx, id)
		if err != nil {
			return err
		}
		fields, err := in.apply(&cl, a.isConsole(cl), uploaded)
		if err != nil {
			return err
		}
		if !cl.Active && a.isConsole(cl) {
			return fault.New(fault.Forbidden)
		}
		if in.DropLogo && uploaded {
			fields = append(fields, "logo")
			if err := dropLogo(ctx, tx, id); err != nil {
				return err
			}
		}
		if fields == nil {
			out = cl
			return nil
		}
		out, err = c.store(ctx, tx, a, cl, audit.ClientUpdated, map[string]any{"fields": fields})
		return err
	})
	return out, err
}

// locked reads a client that the caller administers, for a change.
func (c *Core) locked(ctx context.Context, tx *db.Tx, a authority, id client.ID) (client.Client, error) {
	if _, err := a.client(ctx, tx, id, clientAdmin); err != nil {
		return client.Client{}, err
	}
	if err := lockClient(ctx, tx, id); err != nil && !errors.Is(err, db.ErrNotFound) {
		return client.Client{}, err
	}
	return a.client(ctx, tx, id, clientAdmin)
}

// store writes a changed client and returns it as it is then.
func (c *Core) store(ctx context.Context, tx *db.Tx, a authority, cl client.Client, action audit.Action, detail map[string]any) (client.Client, error) {
	if err := client.Update(ctx, tx, cl, c.Now()); err != nil {
		return cl, err
	}
	if err := c.record(ctx, tx, a, action, cl, identity.User{}, detail); err != nil {
		return cl, err
	}
	return client.ByID(ctx, tx, cl.ID)
}

// Client returns a client that the caller administers.
func (c *Core) Client(ctx context.Context, who Caller, id client.ID) (client.Client, error) {
	var out client.Client
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		out, err = a.client(ctx, tx, id, clientAdmin)
		return err
	})
	return out, err
}

// Clients returns one page of the clients that the caller administers, oldest
// first, and how many there are. A tenant narrows it to the tenant's.
func (c *Core) Clients(ctx context.Context, who Caller, tenant client.TenantID, p Page) ([]client.Client, int, error) {
	var out []client.Client
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		if err := a.atLeast(clientAdmin); err != nil {
			return err
		}
		f := client.Filter{Tenant: tenant, Limit: p.Size, Offset: p.offset()}
		switch a.tier {
		case clientAdmin:
			f.ID = who.ClientID
		case tenantAdmin:
			if tenant != "" && tenant != a.tenant {
				return fault.New(fault.Forbidden)
			}
			f.Tenant = a.tenant
		}
		out, total, err = client.List(ctx, tx, f)
		return err
	})
	return out, total, err
}

// DeactivateClient switches a client off: nobody signs in to it or refreshes a
// token of it, and its own secret opens nothing. Everything about it stays. A
// console client is not switched off: who would switch it on again?
func (c *Core) DeactivateClient(ctx context.Context, who Caller, id client.ID) error {
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := c.locked(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if a.isConsole(cl) {
			return fault.New(fault.Forbidden)
		}
		if !cl.Active {
			return nil
		}
		cl.Active = false
		_, err = c.store(ctx, tx, a, cl, audit.ClientDeactivated, nil)
		return err
	})
}

// NewSecret gives a client another secret and returns it; it is not kept, and
// the old one opens nothing from then on.
func (c *Core) NewSecret(ctx context.Context, who Caller, id client.ID) (string, error) {
	plain := secret.Hex(secretBytes)
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := a.client(ctx, tx, id, clientAdmin)
		if err != nil {
			return err
		}
		if err := client.SetSecret(ctx, tx, id, client.HashSecret(c.Key, plain), c.Now()); err != nil {
			return err
		}
		return c.record(ctx, tx, a, audit.ClientSecretChanged, cl, identity.User{}, nil)
	})
	return plain, err
}
