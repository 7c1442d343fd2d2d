package self

import (
	"context"
	"errors"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// Organizations are the caller's places in organizations, the oldest first, as far as
// their credential reaches.
func (c *Core) Organizations(ctx context.Context, who Caller) ([]org.Seat, error) {
	var all []org.Seat
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := active(ctx, tx, who)
		if err == nil {
			all, err = seats(ctx, tx, who)
		}
		return err
	})
	return all, err
}

// CreateOrganization makes an organization with a slug and makes the caller its owner.
// Without a slug it gets one that is made of its name. A key that is pinned to an
// organization makes no other.
func (c *Core) CreateOrganization(ctx context.Context, who Caller, name, slug string) (org.Seat, error) {
	change := AccountChange{Name: &name}
	if slug != "" {
		change.Slug = &slug
	}
	var made org.Seat
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err == nil && who.Org != "" {
			err = fault.New(fault.KeyPinned)
		}
		if err != nil {
			return err
		}
		var o org.Org
		if _, err := change.apply(&o); err != nil {
			return err
		}
		if err := takeAll(ctx, tx, c.Now(), []limit.Rule{{Name: "self.account", Key: string(u.ID), N: 100, Per: time.Hour}}); err != nil {
			return err
		}
		if made, err = found(ctx, tx, o, u.ID, c.Now()); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.OrgCreated, made.OrgID, client.Client{}, identity.User{}, map[string]any{"org_name": o.Name, "slug": made.Org.Slug})
	})
	return made, err
}

// slugTries is how often a slug that was made of a name is told from another one's.
const slugTries = 5

// found founds an organization under its slug, or under one that is free.
func found(ctx context.Context, tx *db.Tx, o org.Org, owner identity.UserID, now time.Time) (org.Seat, error) {
	given := o.Slug != ""
	if !given {
		o.Slug = org.SlugOf(o.Name)
	}
	for range slugTries {
		s, err := org.Found(ctx, tx, o, owner, now)
		if !errors.Is(err, org.ErrSlugTaken) {
			return s, err
		}
		if given {
			break
		}
		o.Slug = org.SlugOf(o.Name) + "-" + secret.Code("abcdefghijklmnopqrstuvwxyz0123456789", 6)
	}
	return org.Seat{}, fault.New(fault.SlugTaken)
}

// checkSlug reads a slug as somebody typed it.
func checkSlug(s string) (string, error) {
	if s = strings.ToLower(strings.TrimSpace(s)); !org.Slug(s) {
		return "", &fault.Error{Code: fault.FieldInvalid, Field: "slug"}
	}
	return s, nil
}

// Seat is the caller's own place in an organization.
func (c *Core) Seat(ctx context.Context, who Caller, id org.ID) (org.Seat, error) {
	return c.AccountByID(ctx, who, id)
}

// Member returns a member of an organization that the caller is a member of too.
// Those of other organizations are as unknown there as those who are nowhere.
func (c *Core) Member(ctx context.Context, who Caller, id org.ID, m org.MembershipID) (AccountMember, error) {
	var out AccountMember
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, _, err := seat(ctx, tx, who, id); err != nil {
			return err
		}
		found, err := org.MembershipByID(ctx, tx, m)
		if errors.Is(err, db.ErrNotFound) || err == nil && found.OrgID != id {
			return fault.New(fault.UserUnknown)
		} else if err != nil {
			return err
		}
		u, err := identity.ByID(ctx, tx, found.UserID)
		out = AccountMember{found, u}
		return err
	})
	return out, err
}
