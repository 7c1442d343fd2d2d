package provision

import (
	"context"
	"errors"
	"maps"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// groupRoles gives people the roles that the rules of the organization's connection have
// for the groups that they are in, and takes back what only a rule gave.
func (c *Core) groupRoles(ctx context.Context, tx *db.Tx, who Caller, people ...identity.UserID) error {
	if len(people) == 0 {
		return nil
	}
	conn, err := sso.ByOrg(ctx, tx, c.Key, who.OrgID)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if !slices.ContainsFunc(conn.Roles, func(r sso.RoleRule) bool { return aboutGroups(conn, r) }) {
		return nil
	}
	people = slices.Clone(people)
	slices.Sort(people) // everybody locks in one order
	for _, u := range slices.Compact(people) {
		if err := c.rolesOf(ctx, tx, who, conn, u); err != nil {
			return err
		}
	}
	return nil
}

// aboutGroups reports whether a rule asks for a group, by whatever name its provider has
// for them.
func aboutGroups(conn sso.Connection, r sso.RoleRule) bool {
	return r.Claim == sso.GroupsClaim || r.Claim == conn.Attributes.Groups && r.Claim != ""
}

func (c *Core) rolesOf(ctx context.Context, tx *db.Tx, who Caller, conn sso.Connection, id identity.UserID) error {
	names, err := directory.NamesOf(ctx, tx, who.OrgID, id)
	if err != nil {
		return err
	}
	if conn.Roles, err = judged(ctx, tx, conn, id); err != nil {
		return err
	}
	said := upstream.Profile{Groups: names, Attributes: map[string][]string{held: {held}}}
	done, err := sso.ApplyRoles(ctx, tx, conn, id, said, c.Now())
	if errors.Is(err, db.ErrNotFound) { // no member: deactivated, or put out by hand
		return nil
	} else if err != nil {
		return err
	}
	return c.recordRoles(ctx, tx, who, id, done)
}

// held is a claim that stands for what somebody has already.
const held = "held"

// judged are the rules as far as a directory's groups decide them. What the provider's
// word gave at a sign-in by another claim the directory says nothing of: it stays as it is
// until the next one, unless a group decides about the same role.
func judged(ctx context.Context, tx *db.Tx, conn sso.Connection, u identity.UserID) ([]sso.RoleRule, error) {
	var all []sso.RoleRule
	role := map[org.Role]bool{}
	in := map[sso.RoleRule]bool{}
	for _, r := range conn.Roles {
		if aboutGroups(conn, r) {
			r.Claim = sso.GroupsClaim
			all = append(all, r)
			role[r.Role], in[sso.RoleRule{Client: r.Client, ClientRole: r.ClientRole}] = true, true
		}
	}
	m, err := org.MembershipOf(ctx, tx, conn.OrgID, u)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	places, err := client.EnrolmentsOf(ctx, tx, u)
	if err != nil {
		return nil, err
	}
	for _, r := range conn.Roles {
		if aboutGroups(conn, r) {
			continue
		}
		if r.Role != "" && r.Role == m.Role && !role[r.Role] {
			all = append(all, sso.RoleRule{Claim: held, Value: held, Role: r.Role})
		}
		has := slices.ContainsFunc(places[u], func(e client.Enrolment) bool { return e.ClientID == r.Client && e.Has(r.ClientRole) })
		if r.ClientRole != "" && has && !in[sso.RoleRule{Client: r.Client, ClientRole: r.ClientRole}] {
			all = append(all, sso.RoleRule{Claim: held, Value: held, Client: r.Client, ClientRole: r.ClientRole})
		}
	}
	return all, nil
}

// recordRoles records what the rules changed.
func (c *Core) recordRoles(ctx context.Context, tx *db.Tx, who Caller, id identity.UserID, done sso.Changes) error {
	if done.Before == done.After && len(done.Clients) == 0 {
		return nil
	}
	u, err := identity.ByID(ctx, tx, id)
	if err != nil {
		return err
	}
	if done.Before != done.After {
		err := c.record(ctx, tx, who, audit.MemberRoleChanged, u, map[string]any{"role": string(done.After), "previous_role": string(done.Before), "by": "rule"})
		if err != nil {
			return err
		}
	}
	for _, cl := range slices.Sorted(maps.Keys(done.Clients)) {
		change := done.Clients[cl]
		before := slices.DeleteFunc(slices.Clone(change.Roles), func(r string) bool { return slices.Contains(change.Given, r) })
		err := audit.Record(ctx, tx, c.Now(), audit.Event{
			Actor: audit.Directory(who.OrgID), Action: audit.UserRoleChanged, ClientID: cl, UserID: id, OrgID: who.OrgID, IP: who.IP, RequestID: who.RequestID, Announce: true,
			Detail: map[string]any{
				"email": u.Email, "name": u.DisplayName, "roles": change.Roles, "previous_roles": append(before, change.Dropped...), "by": "rule",
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
