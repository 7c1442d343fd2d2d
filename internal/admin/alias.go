package admin

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// Ruler is who administers the people of a client that names its own roles and
// knows its users by aliases: a user who holds the role By there, or Service, a
// client that the surface has found to be a service of it.
type Ruler struct {
	ClientID  client.ID
	UserID    identity.UserID
	By        string
	Service   client.ID
	IP        string
	RequestID string
}

// Roles are the roles of a user of a client, under the alias by which they were
// asked for.
type Roles struct {
	Alias string
	Roles []string
}

// ruling reads the client, and refuses who may not administer it any more.
func ruling(ctx context.Context, tx *db.Tx, who Ruler) (client.Client, error) {
	cl, err := client.ByID(ctx, tx, who.ClientID)
	if errors.Is(err, db.ErrNotFound) || err == nil && !cl.Active {
		return cl, fault.New(fault.ClientUnknown)
	}
	if err != nil || who.Service != "" {
		return cl, err
	}
	s, err := client.StandingOf(ctx, tx, who.UserID, who.ClientID)
	if errors.Is(err, db.ErrNotFound) {
		return cl, fault.New(fault.Unauthenticated)
	}
	e := client.Enrolment{Status: s.Enrolment, Roles: s.Roles}
	if err == nil && (s.User.Status != identity.Active || !e.Has(who.By)) {
		err = fault.New(fault.Unauthenticated)
	}
	return cl, err
}

// RolesOf returns the roles of the user whom the client knows by an alias, also
// of one who cannot sign in at the moment.
func (c *Core) RolesOf(ctx context.Context, id client.ID, alias string) (Roles, error) {
	out := Roles{Alias: alias}
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := identity.ByAlias(ctx, tx, string(id), alias)
		if err != nil {
			return unknownUser(err)
		}
		e, err := client.EnrolmentOf(ctx, tx, u.ID, id)
		out.Roles = e.Roles
		return unknownUser(err)
	})
	return out, err
}

// GiveRole gives the user of an alias one more role; one that they have already
// is no error. Unless anyRole is set it must be on the client's list.
func (c *Core) GiveRole(ctx context.Context, who Ruler, alias, role string, anyRole bool) (Roles, error) {
	return c.changeRoles(ctx, who, alias, func(ctx context.Context, tx *db.Tx, cl client.Client, u identity.UserID) (before, after []string, err error) {
		if role == "" || len(role) > maxRole || !anyRole && !slices.Contains(cl.Policy.Roles.Available, role) {
			return nil, nil, fault.New(fault.RoleInvalid, role)
		}
		return client.AddRole(ctx, tx, u, cl.ID, role, c.Now())
	})
}

// TakeRole takes a role from the user of an alias. Fails with RoleInvalid where
// they do not have it, and with LastAdministrator where it is the one that rules
// the client and nobody else has it.
func (c *Core) TakeRole(ctx context.Context, who Ruler, alias, role string) (Roles, error) {
	return c.changeRoles(ctx, who, alias, func(ctx context.Context, tx *db.Tx, cl client.Client, u identity.UserID) (before, after []string, err error) {
		before, after, err = client.RemoveRole(ctx, tx, u, cl.ID, role, role == who.By, c.Now())
		switch {
		case errors.Is(err, client.ErrNotHeld):
			err = fault.New(fault.RoleInvalid, role)
		case errors.Is(err, client.ErrLastHolder):
			err = fault.New(fault.LastAdministrator)
		}
		return before, after, err
	})
}

type roleChange func(context.Context, *db.Tx, client.Client, identity.UserID) (before, after []string, err error)

func (c *Core) changeRoles(ctx context.Context, who Ruler, alias string, change roleChange) (Roles, error) {
	out := Roles{Alias: alias}
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, err := ruling(ctx, tx, who)
		if err != nil {
			return err
		}
		u, err := identity.ByAlias(ctx, tx, string(cl.ID), alias)
		if err != nil {
			return unknownUser(err)
		}
		before, after, err := change(ctx, tx, cl, u.ID)
		if err != nil {
			return unknownUser(err)
		}
		out.Roles = after
		if slices.Equal(before, after) {
			return nil
		}
		return c.ruled(ctx, tx, who, audit.UserRoleChanged, cl, u, map[string]any{"alias": alias, "roles": after, "previous_roles": before})
	})
	return out, err
}

// ruled writes an audit entry of what a ruler did to a user.
func (c *Core) ruled(ctx context.Context, tx *db.Tx, who Ruler, action audit.Action, cl client.Client, u identity.User, detail map[string]any) error {
	actor := audit.User(who.UserID)
	if who.Service != "" {
		actor = audit.Service(who.Service)
	}
	detail["email"], detail["name"] = u.Email, u.DisplayName
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: actor, Action: action, ClientID: cl.ID, UserID: u.ID, IP: who.IP, RequestID: who.RequestID,
		Detail: detail, Announce: cl.HasWebhooks,
	})
}

// Bound is the client that a surface is bound to.
func (c *Core) Bound(ctx context.Context, id client.ID) (client.Client, error) {
	var cl client.Client
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		cl, err = client.ByID(ctx, tx, id)
		return err
	})
	if errors.Is(err, db.ErrNotFound) || err == nil && !cl.Active {
		return client.Client{}, fault.New(fault.ClientUnknown)
	}
	return cl, err
}

// Sibling is the client of that key, if the secret is its own: a service beside
// the surface that asks. Anything else is ClientAuthFailed.
func (c *Core) Sibling(ctx context.Context, key, plain string) (client.Client, error) {
	var cl client.Client
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		cl, err = client.ByKey(ctx, tx, key)
		return err
	})
	known := err == nil && cl.Active && cl.Confidential() && cl.VerifySecret(c.Key, plain)
	switch {
	case err != nil && !errors.Is(err, db.ErrNotFound):
		return client.Client{}, err
	case !known:
		return client.Client{}, fault.New(fault.ClientAuthFailed)
	}
	return cl, nil
}

// Holders are the aliases of the users who have a role in a client, the oldest
// place first.
func (c *Core) Holders(ctx context.Context, id client.ID, role string) ([]string, error) {
	all := []string{}
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		users, err := client.UsersWithRole(ctx, tx, id, role)
		if err != nil {
			return err
		}
		aliases, err := identity.Aliases(ctx, tx, string(id), users)
		all = all[:0]
		for _, u := range users {
			if alias, ok := aliases[u]; ok {
				all = append(all, alias)
			}
		}
		return err
	})
	return all, err
}

// KnownBy are the users of a client of whom an upstream said an address.
func (c *Core) KnownBy(ctx context.Context, id client.ID, email string) ([]identity.Known, error) {
	var all []identity.Known
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = identity.KnownBy(ctx, tx, string(id), email)
		return err
	})
	return all, err
}

// DescribeIn is what is to be known of the user of an alias, until their upstream
// says something else at the next sign-in.
type DescribeIn struct {
	Alias   string
	Profile identity.LinkProfile // of which the picture and what is said of the address are left as they are
	Email   string
}

// Describe replaces what is known of a user. A new address is nobody's word but
// the caller's: it counts as unverified.
func (c *Core) Describe(ctx context.Context, who Ruler, in DescribeIn) (identity.Known, error) {
	var k identity.Known
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, err := ruling(ctx, tx, who)
		if err != nil {
			return err
		}
		if k, err = identity.KnownAs(ctx, tx, string(cl.ID), in.Alias); err != nil {
			return unknownUser(err)
		}
		u, err := identity.ByID(ctx, tx, k.UserID)
		if err != nil {
			return unknownUser(err)
		}
		in.Profile.Picture, in.Profile.EmailVerified = k.Profile.Picture, k.Profile.EmailVerified && k.Email == in.Email
		k.Profile, k.Email = in.Profile, in.Email
		if err := identity.TouchLink(ctx, tx, k.Link); err != nil {
			return err
		}
		return c.ruled(ctx, tx, who, audit.UserUpdated, cl, u, map[string]any{"alias": in.Alias, "fields": []string{"profile"}})
	})
	return k, err
}
