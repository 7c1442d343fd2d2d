package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/password"
)

// Person is a user as the caller may see them: Enrolments holds their places as
// far as the caller asked and reaches, and Platform, whether they administer the
// platform, is told to platform administrators alone.
type Person struct {
	ID          identity.UserID
	Email       string
	DisplayName string
	Platform    bool
	TOTP        bool
	CreatedAt   time.Time
	Enrolments  []client.Enrolment
}

// UsersIn chooses users: all of them, or those with a place in ClientID, of one
// status if Status is set. Search is looked for in address and display name.
type UsersIn struct {
	ClientID client.ID
	Status   client.Status
	Search   string
	Page     Page
}

// Users returns one page of users and how many there are in all. All users are
// the platform's to see, those of a client its administrators', and a service's
// own with ScopeReadUsers.
func (c *Core) Users(ctx context.Context, who Caller, in UsersIn) ([]Person, int, error) {
	var out []Person
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		id, err := a.usersOf(ctx, tx, in.ClientID)
		if err != nil {
			return err
		}
		var ids []identity.UserID
		if id == "" {
			var us []identity.User
			us, total, err = identity.List(ctx, tx, in.Search, in.Page.Size, in.Page.offset())
			for _, u := range us {
				ids = append(ids, u.ID)
			}
		} else {
			var es []client.Enrolment
			es, total, err = client.Enrolled(ctx, tx, id, in.Status, in.Search, in.Page.Size, in.Page.offset())
			for _, e := range es {
				ids = append(ids, e.UserID)
			}
		}
		if err != nil {
			return err
		}
		out, err = a.people(ctx, tx, id, ids...)
		return err
	})
	return out, total, err
}

// usersOf is the client whose users the caller may list, "" for all users.
func (a authority) usersOf(ctx context.Context, tx *db.Tx, id client.ID) (client.ID, error) {
	if a.who.Service {
		if id == "" {
			id = a.who.ClientID
		}
		return id, a.scoped(ScopeReadUsers, id)
	}
	if id == "" {
		return "", a.atLeast(platform)
	}
	_, err := a.client(ctx, tx, id, clientAdmin)
	return id, err
}

// people reads users in the given order, as the caller may see them. A platform
// administrator sees all their places, others those in the client within.
func (a authority) people(ctx context.Context, tx *db.Tx, within client.ID, ids ...identity.UserID) ([]Person, error) {
	found, err := people(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	places, err := client.EnrolmentsOf(ctx, tx, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]Person, 0, len(ids))
	for _, id := range ids {
		p, ok := found[id]
		if !ok {
			continue // gone between two statements
		}
		for _, e := range places[id] {
			if a.tier == platform && e.ClientID == a.console && e.Has(roleAdmin) {
				p.Platform = true
			}
			if a.tier == platform || e.ClientID == within {
				p.Enrolments = append(p.Enrolments, e)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// UserIn is a user to be made. DisplayName and Password may be empty. Platform
// makes a platform administrator.
type UserIn struct {
	Email       string
	DisplayName string
	Password    string
	Platform    bool
}

// MaxDisplayName is the greatest length of a display name in characters.
const MaxDisplayName = 100

// CreateUser makes a user. A platform administrator makes one who has no place
// yet, or with Platform another administrator; a service with ScopeCreateUsers
// makes one with the place in itself that a sign-up gives, and without a
// password, which it is not to know. The address counts as unverified: nobody
// proved it.
func (c *Core) CreateUser(ctx context.Context, who Caller, in UserIn) (Person, error) {
	if who.Service {
		in.Password = ""
	}
	in, err := c.planUser(ctx, who, in)
	if err != nil {
		return Person{}, err
	}
	hash := ""
	if in.Password != "" {
		if hash, err = c.Passwords.Hash(ctx, in.Password); err != nil {
			return Person{}, password.Fault(err)
		}
	}
	var out Person
	err = c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		home, roles, err := a.userHome(ctx, tx, in)
		if err != nil {
			return err
		}
		now := c.Now()
		u := identity.User{
			ID: identity.NewUserID(), Email: in.Email, DisplayName: in.DisplayName, Status: identity.Active,
			PasswordHash: hash, CreatedAt: now, UpdatedAt: now,
		}
		u.GivenName, u.FamilyName = identity.Names(u.DisplayName)
		if err := identity.Create(ctx, tx, u); errors.Is(err, identity.ErrEmailTaken) {
			return fault.New(fault.AccountExists)
		} else if err != nil {
			return err
		}
		if err := c.createdUser(ctx, tx, a, u, home, roles); err != nil {
			return err
		}
		made, err := a.people(ctx, tx, home.ID, u.ID)
		if err != nil {
			return err
		}
		out = made[0]
		return nil
	})
	return out, err
}

// planUser returns in as it is stored, and refuses what can be refused without
// the cost of a hash.
func (c *Core) planUser(ctx context.Context, who Caller, in UserIn) (UserIn, error) {
	var home client.Client
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		home, _, err = a.userHome(ctx, tx, in)
		return err
	})
	if err != nil {
		return in, err
	}
	if in.Email, err = identity.NormalizeEmail(in.Email); err != nil {
		return in, &fault.Error{Code: fault.EmailInvalid, Field: "email", Err: err}
	}
	if in.DisplayName, err = line("display_name", in.DisplayName, 0, MaxDisplayName); err != nil {
		return in, err
	}
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := identity.ByEmail(ctx, tx, in.Email)
		return err
	})
	if err == nil {
		return in, fault.New(fault.AccountExists)
	}
	if !errors.Is(err, db.ErrNotFound) {
		return in, err
	}
	if in.Password == "" {
		return in, nil
	}
	return in, password.Fault(password.Policy(home.Password()).Check(in.Password, in.Email, in.DisplayName, home.Name))
}

// userHome is the client in which a new user gets a place, and the roles; the
// zero client for none.
func (a authority) userHome(ctx context.Context, tx *db.Tx, in UserIn) (client.Client, []string, error) {
	if !a.who.Service {
		if err := a.atLeast(platform); err != nil || !in.Platform {
			return client.Client{}, nil, err
		}
		cl, err := client.ByID(ctx, tx, a.console)
		return cl, unique(append(slices.Clone(cl.Policy.Roles.Default), roleAdmin)), err
	}
	if err := a.scoped(ScopeCreateUsers, a.who.ClientID); err != nil {
		return client.Client{}, nil, err
	}
	if in.Platform {
		return client.Client{}, nil, fault.New(fault.Forbidden)
	}
	cl, err := client.ByID(ctx, tx, a.who.ClientID)
	return cl, cl.Policy.Roles.Default, err
}

// createdUser enrols a new user in their home, if there is one, and records it.
func (c *Core) createdUser(ctx context.Context, tx *db.Tx, a authority, u identity.User, home client.Client, roles []string) error {
	if home.ID == "" {
		return c.record(ctx, tx, a, audit.UserCreated, home, u, nil)
	}
	e := client.Enrolment{UserID: u.ID, ClientID: home.ID, Status: client.Active, Roles: roles, CreatedAt: u.CreatedAt}
	if _, err := client.Enrol(ctx, tx, e); err != nil {
		return err
	}
	if home.Policy.Accounts {
		if own, made, err := org.Own(ctx, tx, u.ID, home.Tenant.ID, u.CreatedAt); err != nil {
			return err
		} else if made {
			if err := c.record(ctx, tx, a, audit.OrgCreated, home, u, map[string]any{"org": string(own.OrgID), "own": true}); err != nil {
				return err
			}
		}
	}
	// To the home's webhooks this is a sign-up like any other.
	method := "admin"
	if a.who.Service {
		method = "service_token"
	}
	if err := c.record(ctx, tx, a, audit.UserSignup, home, u, map[string]any{"method": method}); err != nil {
		return err
	}
	return c.record(ctx, tx, a, audit.UserEnrolled, home, u, map[string]any{"status": string(client.Active), "roles": roles})
}
