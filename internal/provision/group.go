package provision

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
)

// GroupStep is one change of a group; what is nil stays. Members replaces all of them.
type GroupStep struct {
	Name       *string
	ExternalID *string
	Add        []identity.UserID
	Remove     []identity.UserID
	Members    *[]identity.UserID
}

func (s GroupStep) check() error {
	if s.Name != nil && (strings.TrimSpace(*s.Name) == "" || utf8.RuneCountInString(*s.Name) > maxName) {
		return refuse(Invalid, "displayName")
	}
	if s.ExternalID != nil && utf8.RuneCountInString(*s.ExternalID) > maxName {
		return refuse(Invalid, "externalId")
	}
	return nil
}

// Groups returns one page of the groups that q and keep choose (nil keeps all), in the
// same order always, and how many there are.
func (c *Core) Groups(ctx context.Context, who Caller, q Query, keep func(directory.Group) bool) (out []directory.Group, total int, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, total, err = chosen(q, keep, func(limit, offset int) ([]directory.Group, int, error) {
			return directory.Groups(ctx, tx, who.OrgID, q.Exact, limit, offset)
		})
		return err
	})
	return out, total, err
}

// Members returns who is in each of some groups.
func (c *Core) Members(ctx context.Context, who Caller, ids ...directory.GroupID) (all map[directory.GroupID][]directory.Member, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		all = make(map[directory.GroupID][]directory.Member, len(ids))
		for _, id := range ids {
			if all[id], err = directory.MembersOf(ctx, tx, who.OrgID, id); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// Group returns one group.
func (c *Core) Group(ctx context.Context, who Caller, id directory.GroupID) (g directory.Group, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		g, err = directory.GroupByID(ctx, tx, who.OrgID, id)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		err = refuse(NotFound, "")
	}
	return g, err
}

// CreateGroup makes a group.
func (c *Core) CreateGroup(ctx context.Context, who Caller, name, externalID string, members []identity.UserID) (g directory.Group, err error) {
	if err := (GroupStep{Name: &name, ExternalID: &externalID}).check(); err != nil {
		return g, err
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if g, err = directory.AddGroup(ctx, tx, who.OrgID, name, externalID, c.Now()); err != nil {
			return taken(err, "displayName")
		}
		added, err := directory.AddMembers(ctx, tx, g, members)
		if err != nil {
			return stranger(err)
		}
		if err := c.groupRoles(ctx, tx, who, added...); err != nil {
			return err
		}
		return c.record(ctx, tx, who, audit.GroupChanged, identity.User{}, groupDetail(g, len(added), 0))
	})
	return g, err
}

func groupDetail(g directory.Group, added, removed int) map[string]any {
	return map[string]any{"group": string(g.ID), "group_name": g.Name, "added": added, "removed": removed}
}

// ChangeGroup does the steps in their order, all or none, if the group is still as it was
// in a version; 0 is any. What changes nothing is no change.
func (c *Core) ChangeGroup(ctx context.Context, who Caller, id directory.GroupID, version int64, steps []GroupStep) (g directory.Group, err error) {
	for _, s := range steps {
		if err := s.check(); err != nil {
			return g, err
		}
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if g, err = directory.HoldGroup(ctx, tx, who.OrgID, id); errors.Is(err, db.ErrNotFound) {
			return refuse(NotFound, "")
		} else if err != nil {
			return err
		}
		if version != 0 && g.Version != version {
			return refuse(Changed, "")
		}
		was := g
		var added, removed []identity.UserID
		for _, s := range steps {
			in, out, err := step(ctx, tx, &g, s)
			if err != nil {
				return err
			}
			added, removed = append(added, in...), append(removed, out...)
		}
		if g == was && len(added)+len(removed) == 0 {
			return nil
		}
		if err := directory.ChangeGroup(ctx, tx, g, c.Now()); err != nil {
			return taken(err, "displayName")
		}
		touched := slices.Concat(added, removed)
		if g.Name != was.Name { // rules are about names
			if touched, err = with(ctx, tx, g, touched); err != nil {
				return err
			}
		}
		if err := c.groupRoles(ctx, tx, who, touched...); err != nil {
			return err
		}
		if err := c.record(ctx, tx, who, audit.GroupChanged, identity.User{}, groupDetail(g, len(added), len(removed))); err != nil {
			return err
		}
		g, err = directory.GroupByID(ctx, tx, who.OrgID, id)
		return err
	})
	return g, err
}

// step does one change to a group that is held: the name in g, the members in their rows.
func step(ctx context.Context, tx *db.Tx, g *directory.Group, s GroupStep) (added, removed []identity.UserID, err error) {
	if s.Name != nil {
		g.Name = *s.Name
	}
	if s.ExternalID != nil {
		g.ExternalID = *s.ExternalID
	}
	if s.Members != nil {
		have, err := directory.MembersOf(ctx, tx, g.OrgID, g.ID)
		if err != nil {
			return nil, nil, err
		}
		wanted := make(map[identity.UserID]bool, len(*s.Members))
		for _, u := range *s.Members {
			wanted[u] = true
		}
		s.Add = *s.Members
		for _, m := range have {
			if !wanted[m.ID] {
				s.Remove = append(s.Remove, m.ID)
			}
		}
	}
	if added, err = directory.AddMembers(ctx, tx, *g, s.Add); err != nil {
		return nil, nil, stranger(err)
	}
	removed, err = directory.RemoveMembers(ctx, tx, *g, s.Remove)
	return added, removed, err
}

// with are all the people of a group beside others.
func with(ctx context.Context, tx *db.Tx, g directory.Group, others []identity.UserID) ([]identity.UserID, error) {
	members, err := directory.MembersOf(ctx, tx, g.OrgID, g.ID)
	for _, m := range members {
		if !slices.Contains(others, m.ID) {
			others = append(others, m.ID)
		}
	}
	return others, err
}

func stranger(err error) error {
	if errors.Is(err, directory.ErrStranger) {
		return &Error{Kind: Invalid, Field: "members", Err: err}
	}
	return err
}

// DeleteGroup ends a group, if it is still as it was in a version; 0 is any. What it gave
// its members ends with it.
func (c *Core) DeleteGroup(ctx context.Context, who Caller, id directory.GroupID, version int64) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		g, err := directory.HoldGroup(ctx, tx, who.OrgID, id)
		if errors.Is(err, db.ErrNotFound) {
			return refuse(NotFound, "")
		} else if err != nil {
			return err
		}
		if version != 0 && g.Version != version {
			return refuse(Changed, "")
		}
		members, err := with(ctx, tx, g, nil)
		if err != nil {
			return err
		}
		if err := directory.RemoveGroup(ctx, tx, who.OrgID, id); err != nil {
			return err
		}
		if err := c.groupRoles(ctx, tx, who, members...); err != nil {
			return err
		}
		return c.record(ctx, tx, who, audit.GroupRemoved, identity.User{}, groupDetail(g, 0, len(members)))
	})
}
