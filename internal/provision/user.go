package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// Person is what a directory says of somebody. Email is their address, "" where it says
// none: then their name stands for it, if it is one. Attributes is all that it said, in
// the words of its protocol.
type Person struct {
	Name        string
	ExternalID  string
	Active      bool
	Email       string
	DisplayName string
	GivenName   string
	FamilyName  string
	Attributes  json.RawMessage
}

// User is a person with the groups that they are in.
type User struct {
	directory.User
	Groups []directory.Group
}

// The greatest sizes of what is kept, in characters and for attributes in bytes.
const (
	maxName       = 256
	maxAttributes = 16 << 10
	maxDisplay    = 100 // of the account, as everywhere
)

// check refuses what cannot be kept. Who was spoken of has attributes, if only none.
func (p *Person) check() error {
	if p.Attributes == nil {
		p.Attributes = json.RawMessage(`{}`)
	}
	switch {
	case strings.TrimSpace(p.Name) == "" || utf8.RuneCountInString(p.Name) > maxName:
		return refuse(Invalid, "userName")
	case utf8.RuneCountInString(p.ExternalID) > maxName:
		return refuse(Invalid, "externalId")
	case len(p.Attributes) > maxAttributes:
		return refuse(Invalid, "schemas")
	}
	return nil
}

// address is the address that a directory gives somebody, normalised, or "" if it gives
// none.
func (p Person) address() (string, error) {
	if p.Email == "" {
		address, err := identity.NormalizeEmail(p.Name)
		if err != nil {
			return "", nil //nolint:nilerr // a name need not be an address
		}
		return address, nil
	}
	address, err := identity.NormalizeEmail(p.Email)
	if err != nil {
		return "", &Error{Kind: Invalid, Field: "emails", Err: err}
	}
	return address, nil
}

// names are the names of the account.
func (p Person) names() (display, given, family string) {
	display = strings.TrimSpace(p.DisplayName)
	if display == "" {
		display = strings.TrimSpace(p.GivenName + " " + p.FamilyName)
	}
	if display == "" {
		display, _, _ = strings.Cut(p.Name, "@")
	}
	return clip(display, maxDisplay), clip(p.GivenName, maxDisplay), clip(p.FamilyName, maxDisplay)
}

// Query chooses people or groups: by what has an index, and by a condition of the
// protocol's that is asked of each. Start counts from 1.
type Query struct {
	Exact        directory.Exact
	Start, Count int
}

// maxScan is how many people a condition is asked of for one answer.
const maxScan = 10_000

// scanPage is how many are read at a time for it.
const scanPage = 500

// Users returns one page of the people that q and keep choose (nil keeps all), in the
// same order always, and how many there are.
func (c *Core) Users(ctx context.Context, who Caller, q Query, keep func(directory.User) bool) ([]User, int, error) {
	var out []User
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		found, n, err := chosen(q, keep, func(limit, offset int) ([]directory.User, int, error) {
			return directory.Users(ctx, tx, who.OrgID, q.Exact, limit, offset)
		})
		if err != nil {
			return err
		}
		total = n
		out, err = withGroups(ctx, tx, who.OrgID, found...)
		return err
	})
	return out, total, err
}

// chosen is one page of what list lists, as far as keep keeps it, and how many are kept.
func chosen[T any](q Query, keep func(T) bool, list func(limit, offset int) ([]T, int, error)) (page []T, total int, err error) {
	if keep == nil {
		return list(q.Count, q.Start-1)
	}
	for offset := 0; ; offset += scanPage {
		part, all, err := list(scanPage, offset)
		if err != nil {
			return nil, 0, err
		}
		if all > maxScan {
			return nil, 0, refuse(TooMany, "")
		}
		for _, v := range part {
			if !keep(v) {
				continue
			}
			if total++; total >= q.Start && len(page) < q.Count {
				page = append(page, v)
			}
		}
		if len(part) < scanPage {
			return page, total, nil
		}
	}
}

// withGroups puts people beside their groups.
func withGroups(ctx context.Context, tx *db.Tx, id org.ID, all ...directory.User) ([]User, error) {
	ids := make([]identity.UserID, len(all))
	for i, u := range all {
		ids[i] = u.ID
	}
	groups, err := directory.GroupsOf(ctx, tx, id, ids...)
	out := make([]User, len(all))
	for i, u := range all {
		out[i] = User{u, groups[u.ID]}
	}
	return out, err
}

// User returns one person.
func (c *Core) User(ctx context.Context, who Caller, id identity.UserID) (out User, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = read(ctx, tx, who, id)
		return err
	})
	return out, err
}

func read(ctx context.Context, tx *db.Tx, who Caller, id identity.UserID) (User, error) {
	u, err := directory.UserByID(ctx, tx, who.OrgID, id)
	if errors.Is(err, db.ErrNotFound) {
		return User{}, refuse(NotFound, "")
	} else if err != nil {
		return User{}, err
	}
	all, err := withGroups(ctx, tx, who.OrgID, u)
	if err != nil {
		return User{}, err
	}
	return all[0], nil
}

// CreateUser takes somebody in: a new account, or the one that has the address. Whom the
// directory has told us of already is refused; of a member whom we took into it ourselves
// it has not.
func (c *Core) CreateUser(ctx context.Context, who Caller, p Person) (out User, err error) {
	if err := p.check(); err != nil {
		return out, err
	}
	address, err := p.address()
	if err != nil {
		return out, err
	}
	if address == "" {
		return out, refuse(Invalid, "emails")
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if own, err := owns(ctx, tx, who.OrgID, address); err != nil {
			return err
		} else if !own {
			return &Error{Kind: Foreign, Field: "emails", Value: address}
		}
		u, err := c.account(ctx, tx, who, address, p)
		if err != nil {
			return err
		}
		x := directory.User{OrgID: who.OrgID, ID: u.ID, Name: p.Name, ExternalID: p.ExternalID, Active: p.Active, Role: org.Member, Attributes: p.Attributes}
		had, err := directory.UserByID(ctx, tx, who.OrgID, u.ID)
		adopted := err == nil && had.Attributes == nil
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if p.Active {
			err = c.activate(ctx, tx, who, &x, u)
		} else {
			err = c.deactivate(ctx, tx, who, &x, u)
		}
		if err != nil {
			return err
		}
		if adopted {
			x.Version = had.Version
			err = directory.Change(ctx, tx, x, c.Now())
		} else {
			err = directory.Add(ctx, tx, x, c.Now())
		}
		if err != nil {
			return taken(err, "userName")
		}
		out, err = read(ctx, tx, who, u.ID)
		return err
	})
	return out, err
}

// ReplaceUser takes over all that the directory says of somebody, if they are still as
// they were in a version; 0 is any. What changes nothing is no change.
func (c *Core) ReplaceUser(ctx context.Context, who Caller, id identity.UserID, version int64, p Person) (out User, err error) {
	if err := p.check(); err != nil {
		return out, err
	}
	address, err := p.address()
	if err != nil {
		return out, err
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		x, u, err := c.hold(ctx, tx, who, id, version)
		if err != nil {
			return err
		}
		was := x
		if err := c.renew(ctx, tx, who, &u, address, p); err != nil {
			return err
		}
		switch {
		case p.Active && !x.Active:
			err = c.activate(ctx, tx, who, &x, u)
		case !p.Active: // also of who was: somebody may have put them back in by hand
			err = c.deactivate(ctx, tx, who, &x, u)
		}
		if err != nil {
			return err
		}
		x.Name, x.ExternalID, x.Active, x.Attributes = p.Name, p.ExternalID, p.Active, p.Attributes
		if !same(was, x) {
			if err := directory.Change(ctx, tx, x, c.Now()); err != nil {
				return taken(err, "userName")
			}
		}
		if p.Active && !was.Active {
			if err := c.groupRoles(ctx, tx, who, id); err != nil {
				return err
			}
		}
		out, err = read(ctx, tx, who, id)
		return err
	})
	return out, err
}

// same reports whether two states of a person are one.
func same(a, b directory.User) bool {
	return a.Name == b.Name && a.ExternalID == b.ExternalID && a.Active == b.Active && a.Disabled == b.Disabled && a.Role == b.Role && bytes.Equal(a.Attributes, b.Attributes)
}

// DeleteUser puts somebody out and takes them out of the directory, if they are still as
// they were in a version; 0 is any. The account stays, disabled, for what others have of
// theirs.
func (c *Core) DeleteUser(ctx context.Context, who Caller, id identity.UserID, version int64) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		x, u, err := c.hold(ctx, tx, who, id, version)
		if err != nil {
			return err
		}
		if err := c.deactivate(ctx, tx, who, &x, u); err != nil {
			return err
		}
		return directory.Remove(ctx, tx, x, c.Now())
	})
}

// hold reads somebody and their account, and has whoever else changes the account wait.
func (c *Core) hold(ctx context.Context, tx *db.Tx, who Caller, id identity.UserID, version int64) (x directory.User, u identity.User, err error) {
	if err := identity.Hold(ctx, tx, id); err != nil && !errors.Is(err, db.ErrNotFound) {
		return x, u, err
	}
	if x, err = directory.UserByID(ctx, tx, who.OrgID, id); errors.Is(err, db.ErrNotFound) {
		return x, u, refuse(NotFound, "")
	} else if err != nil {
		return x, u, err
	}
	if version != 0 && x.Version != version {
		return x, u, refuse(Changed, "")
	}
	u, err = identity.ByID(ctx, tx, id)
	return x, u, err
}

// taken turns what the record refuses into what the directory is told.
func taken(err error, field string) error {
	switch {
	case errors.Is(err, directory.ErrTaken):
		return &Error{Kind: Taken, Field: field, Err: err}
	case errors.Is(err, directory.ErrChanged):
		return &Error{Kind: Changed, Err: err}
	}
	return err
}
