package self

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/eviction"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
)

// MaxAccountName is the greatest length of an account's name in characters.
const MaxAccountName = 100

// AccountChange says what an account is to be; what is nil stays. How it stands,
// and till when it is paid for, is the operator's to say.
type AccountChange struct {
	Name    *string
	Picture *string // an https URL, or ""
	Slug    *string // its owners' affair: members come in by it
}

func (ch AccountChange) apply(o *org.Org) (fields []string, err error) {
	if ch.Name != nil && *ch.Name != o.Name {
		name := strings.TrimSpace(*ch.Name)
		if utf8.RuneCountInString(name) > MaxAccountName || strings.ContainsFunc(name, unicode.IsControl) {
			return nil, &fault.Error{Code: fault.FieldInvalid, Field: "name"}
		}
		o.Name, fields = name, append(fields, "name")
	}
	if ch.Picture != nil && *ch.Picture != o.Picture {
		if u, err := url.Parse(*ch.Picture); *ch.Picture != "" && (err != nil || u.Scheme != "https" || u.Host == "" || len(*ch.Picture) > 2000) {
			return nil, &fault.Error{Code: fault.FieldInvalid, Field: "avatar_url"}
		}
		o.Picture, fields = *ch.Picture, append(fields, "avatar_url")
	}
	if ch.Slug != nil && *ch.Slug != o.Slug {
		if o.Slug, err = checkSlug(*ch.Slug); err != nil {
			return nil, err
		}
		fields = append(fields, "slug")
	}
	return fields, nil
}

// CreateAccount makes an account below another one, whose admins may, and makes the
// caller its owner. Those above have no rights in it by that.
func (c *Core) CreateAccount(ctx context.Context, who Caller, parent org.ID, ch AccountChange) (org.Seat, error) {
	return c.createAccount(ctx, who, org.Org{Parent: parent}, ch, func(ctx context.Context, tx *db.Tx) error {
		_, _, err := seatAs(ctx, tx, who, parent, org.Admin)
		return err
	})
}

// createAccount makes an account whose owner the caller is, if may finds nothing
// against it.
func (c *Core) createAccount(ctx context.Context, who Caller, o org.Org, ch AccountChange, may func(context.Context, *db.Tx) error) (org.Seat, error) {
	var made org.Seat
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := may(ctx, tx); err != nil {
			return err
		}
		o := o
		if _, err := ch.apply(&o); err != nil {
			return err
		}
		err := takeAll(ctx, tx, c.Now(), []limit.Rule{{Name: "self.account", Key: string(who.UserID), N: 100, Per: time.Hour}})
		if err != nil {
			return err
		}
		if made, err = org.Found(ctx, tx, o, who.UserID, c.Now()); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.OrgCreated, made.OrgID, client.Client{}, identity.User{}, map[string]any{"parent": string(o.Parent), "tenant": string(o.Tenant)})
	})
	return made, err
}

// AccountByID reads an account that the caller is a member of.
func (c *Core) AccountByID(ctx context.Context, who Caller, id org.ID) (org.Seat, error) {
	var s org.Seat
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		_, s, err = seat(ctx, tx, who, id)
		return err
	})
	return s, err
}

// AccountsBelow returns one page of the accounts below one that the caller is a
// member of, oldest first, and how many there are.
func (c *Core) AccountsBelow(ctx context.Context, who Caller, id org.ID, p Page) ([]org.Org, int, error) {
	var all []org.Org
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, _, err := seat(ctx, tx, who, id)
		if err != nil {
			return err
		}
		all, total, err = org.List(ctx, tx, org.Filter{Parent: id, Limit: p.Size, Offset: p.offset()})
		return err
	})
	return all, total, err
}

// UpdateAccount changes an account, as its admins may.
func (c *Core) UpdateAccount(ctx context.Context, who Caller, id org.ID, ch AccountChange) (org.Org, error) {
	var o org.Org
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, s, err := seatAs(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		o = s.Org
		fields, err := ch.apply(&o)
		if err != nil || fields == nil {
			return err
		}
		if s.Role != org.Owner && o.Slug != s.Org.Slug {
			return fault.New(fault.Forbidden)
		}
		if err := org.Update(ctx, tx, o, c.Now()); errors.Is(err, org.ErrSlugTaken) {
			return fault.New(fault.SlugTaken)
		} else if err != nil {
			return err
		}
		if o, err = org.ByID(ctx, tx, id); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.OrgUpdated, id, client.Client{}, identity.User{}, map[string]any{"fields": fields})
	})
	return o, err
}

// DeleteAccount ends an account with its memberships and invitations, as its owners
// may, while nothing else belongs to it.
func (c *Core) DeleteAccount(ctx context.Context, who Caller, id org.ID) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, s, err := seat(ctx, tx, who, id)
		if err != nil {
			return err
		}
		if s.Role != org.Owner {
			return fault.New(fault.Forbidden)
		}
		if err := c.deleteOrg(ctx, tx, who, id); errors.Is(err, org.ErrHolds) {
			return fault.New(fault.OrgHolds)
		} else if errors.Is(err, db.ErrNotFound) { // another owner was first
			return fault.New(fault.OrgUnknown)
		} else if err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.OrgDeleted, id, client.Client{}, identity.User{}, map[string]any{"org_name": s.Org.Name})
	})
}

// AccountMember is a member of an account as the others see them.
type AccountMember struct {
	org.Membership
	User identity.User
}

// AccountMembers returns one page of the members of an account, oldest first, and
// how many there are.
func (c *Core) AccountMembers(ctx context.Context, who Caller, id org.ID, p Page) ([]AccountMember, int, error) {
	var all []AccountMember
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		all = nil
		if _, _, err := seat(ctx, tx, who, id); err != nil {
			return err
		}
		ms, n, err := org.Members(ctx, tx, id, p.Size, p.offset())
		if err != nil {
			return err
		}
		total = n
		ids := make([]identity.UserID, len(ms))
		for i, m := range ms {
			ids[i] = m.UserID
		}
		users, err := identity.ByIDs(ctx, tx, ids)
		for _, m := range ms {
			all = append(all, AccountMember{m, users[m.UserID]})
		}
		return err
	})
	return all, total, err
}

// AccountMember returns one member of an account that the caller is a member of.
func (c *Core) AccountMember(ctx context.Context, who Caller, id org.MembershipID) (AccountMember, error) {
	var out AccountMember
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		m, err := org.MembershipByID(ctx, tx, id)
		if err == nil {
			_, _, err = seat(ctx, tx, who, m.OrgID)
		}
		if errors.Is(err, db.ErrNotFound) || fault.Is(err, fault.OrgUnknown) {
			return fault.New(fault.UserUnknown)
		} else if err != nil {
			return err
		}
		u, err := identity.ByID(ctx, tx, m.UserID)
		out = AccountMember{m, u}
		return err
	})
	return out, err
}

// SetAccountRole gives a member another role, as admins may below owners, and
// owners everywhere. The last owner stays one.
func (c *Core) SetAccountRole(ctx context.Context, who Caller, id org.ID, u identity.UserID, role org.Role) error {
	return c.changeMember(ctx, who, id, u, func(ctx context.Context, tx *db.Tx, s org.Seat, m org.Membership, user identity.User) error {
		if s.Role.Below(org.Admin) || !s.Org.Open() {
			return fault.New(fault.Forbidden)
		}
		for _, r := range []org.Role{role, m.Role} {
			if err := mayGive(s, r); err != nil {
				return err
			}
		}
		if role == m.Role {
			return nil
		}
		if err := org.SetRole(ctx, tx, id, u, role, c.Now()); err != nil {
			return err
		}
		return c.in(ctx, tx, who, audit.MemberRoleChanged, id, client.Client{}, user, map[string]any{"role": string(role), "previous_role": string(m.Role)})
	})
}

// RemoveMember ends a membership, with all that came by it: the caller's own, or one that
// they might lower. The last owner stays.
func (c *Core) RemoveMember(ctx context.Context, who Caller, id org.ID, u identity.UserID) error {
	return c.changeMember(ctx, who, id, u, func(ctx context.Context, tx *db.Tx, s org.Seat, m org.Membership, user identity.User) error {
		if u != who.UserID {
			if s.Role.Below(org.Admin) || !s.Org.Open() {
				return fault.New(fault.Forbidden)
			}
			if err := mayGive(s, m.Role); err != nil {
				return err
			}
		}
		lost, err := eviction.Remove(ctx, tx, id, u, c.Now())
		if err != nil {
			return err
		}
		if err := c.in(ctx, tx, who, audit.MemberRemoved, id, client.Client{}, user, map[string]any{"role": string(m.Role)}); err != nil {
			return err
		}
		return c.lost(ctx, tx, who, id, user, lost)
	})
}

// lost records what somebody lost with a membership.
func (c *Core) lost(ctx context.Context, tx *db.Tx, who Caller, id org.ID, user identity.User, l eviction.Lost) error {
	all := l.Events(id, user)
	if l.Sessions > 0 {
		all = append(all, audit.Event{
			Action: audit.UserLogout, UserID: user.ID, OrgID: id, Announce: true, Detail: map[string]any{"email": user.Email, "name": user.DisplayName, "reason": "member_removed"},
		})
	}
	return c.events(ctx, tx, who, all)
}

// events records what the caller's change brought about.
func (c *Core) events(ctx context.Context, tx *db.Tx, who Caller, all []audit.Event) error {
	for _, e := range all {
		e.Actor, e.IP, e.RequestID = audit.User(who.UserID), who.IP, who.RequestID
		if err := audit.Record(ctx, tx, c.Now(), e); err != nil {
			return err
		}
	}
	return nil
}

// deleteOrg deletes an organization, with what its people have from it.
func (c *Core) deleteOrg(ctx context.Context, tx *db.Tx, who Caller, id org.ID) error {
	all, err := eviction.Org(ctx, tx, id, c.Now())
	if err == nil {
		err = org.Delete(ctx, tx, id)
	}
	if err != nil {
		return err
	}
	return c.events(ctx, tx, who, all)
}

// changeMember runs fn on a member of an organization. Whoever changes members of
// the same one waits meanwhile: so what fn sees is true until it commits.
func (c *Core) changeMember(ctx context.Context, who Caller, id org.ID, u identity.UserID,
	fn func(context.Context, *db.Tx, org.Seat, org.Membership, identity.User) error,
) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := org.Lock(ctx, tx, id); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.OrgUnknown)
		} else if err != nil {
			return err
		}
		_, s, err := seat(ctx, tx, who, id)
		if err != nil {
			return err
		}
		m, err := org.MembershipOf(ctx, tx, id, u)
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.UserUnknown)
		} else if err != nil {
			return err
		}
		user, err := identity.ByID(ctx, tx, u)
		if err != nil {
			return err
		}
		if err = fn(ctx, tx, s, m, user); errors.Is(err, org.ErrLastOwner) {
			return fault.New(fault.LastAdministrator)
		}
		return err
	})
}
