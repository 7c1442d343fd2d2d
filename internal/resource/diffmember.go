package resource

import (
	"context"
	"errors"
	"maps"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/eviction"
	"sallyport/internal/org"
	"sallyport/internal/yaml"
)

// membership brings a user into an organization with the role that the file says.
// Who joins or rises does so with the user, who is lowered after all users: so that
// an organization may change hands.
func (x *userDiff) membership(path string, m Membership) {
	o := x.orgs[m.Org]
	x.joins[orgInviteKey(o.ID, x.u.Email)] = true
	was, exists := x.s.memberships[x.next.ID][o.ID]
	role := org.Role(m.Role)
	if !exists {
		if x.o.Memberships == nil {
			x.o.Memberships = map[org.ID]bool{}
		}
		x.o.Memberships[o.ID] = true
	}
	if !x.field("memberships."+m.Org, string(was.Role), string(role)) {
		return
	}
	switch {
	case !exists:
		x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
			_, made, err := org.Join(ctx, tx, o.ID, x.next.ID, role, x.now)
			if err == nil && !made {
				err = errMoved
			}
			if err == nil {
				err = directory.Joined(ctx, tx, o.ID, x.next.ID, x.now)
			}
			if err != nil {
				return err
			}
			return x.recordMember(ctx, tx, audit.MemberAdded, o.ID, map[string]any{"role": m.Role})
		})
	case was.Role.Below(role):
		x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error { return x.setRole(ctx, tx, path, o, was.Role, role) })
	default:
		x.late = append(x.late, func(ctx context.Context, tx *db.Tx) error { return x.setRole(ctx, tx, path, o, was.Role, role) })
	}
}

func (x *userDiff) setRole(ctx context.Context, tx *db.Tx, path string, o org.Org, was, role org.Role) error {
	if err := org.SetRole(ctx, tx, o.ID, x.next.ID, role, x.now); errors.Is(err, org.ErrLastOwner) {
		return x.ownerless(path, o)
	} else if err != nil {
		return err
	}
	return x.recordMember(ctx, tx, audit.MemberRoleChanged, o.ID, map[string]any{"role": string(role), "previous_role": string(was)})
}

// ownerless says in the file's terms that nobody would own an organization.
func (d *differ) ownerless(path string, o org.Org) error {
	return &yaml.Mistakes{List: []yaml.Mistake{d.f.mistake(path, "would leave the organization %q without an owner", or(o.Slug, string(o.ID)))}}
}

func (x *userDiff) recordMember(ctx context.Context, tx *db.Tx, a audit.Action, id org.ID, detail map[string]any) error {
	detail["org"], detail["email"], detail["name"] = string(id), x.next.Email, x.next.DisplayName
	return x.record(ctx, tx, audit.Event{Action: a, UserID: x.next.ID, Detail: detail})
}

// leave prunes the memberships that the file gave the user and names no more.
func (x *userDiff) leave(path string) {
	named := map[org.ID]bool{}
	for _, m := range x.u.Memberships {
		named[x.orgs[m.Org].ID] = true
	}
	x.o.Memberships = maps.Clone(x.o.Memberships)
	for _, id := range inOrder(x.o.Memberships) {
		was, there := x.s.memberships[x.next.ID][id]
		if named[id] || there && !x.differ.o.Prune {
			continue
		}
		delete(x.o.Memberships, id)
		if !there {
			continue
		}
		o := x.s.orgByID(id)
		x.leaves[x.next.ID] = append(x.leaves[x.next.ID], id)
		x.field("memberships."+or(o.Slug, string(id)), string(was.Role), "")
		x.late = append(x.late, func(ctx context.Context, tx *db.Tx) error {
			lost, err := eviction.Remove(ctx, tx, id, x.next.ID, x.now)
			if errors.Is(err, org.ErrLastOwner) {
				return x.ownerless(path, o)
			} else if errors.Is(err, db.ErrNotFound) {
				return nil // gone with its organization
			} else if err != nil {
				return err
			}
			if err := x.recordMember(ctx, tx, audit.MemberRemoved, id, map[string]any{"role": string(was.Role)}); err != nil {
				return err
			}
			for _, e := range lost.Events(id, x.next) {
				if err := x.record(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// ownAccount gives a user who has just got a place in a client an organization of
// their own, as a sign-up does, where the client's people have accounts.
func (x *userDiff) ownAccount(ctx context.Context, tx *db.Tx, cl client.Client) error {
	if !cl.Policy.Accounts {
		return nil
	}
	s, made, err := org.Own(ctx, tx, x.next.ID, cl.Tenant.ID, x.now)
	if err != nil || !made {
		return err
	}
	return x.recordMember(ctx, tx, audit.OrgCreated, s.OrgID, map[string]any{"own": true})
}
