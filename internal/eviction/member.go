package eviction

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/logout"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/token"
)

// Lost is what Member took away beside the keys: roles in clients, invitations to come
// back by, and browser sessions.
type Lost struct {
	Roles    map[client.ID]client.RuleChange
	Invites  []invite.Invite
	Sessions int
}

// Remove ends somebody's membership, by hand, with all that they had by it, and has the
// organization's directory know: no sign-in brings them back until it says that they are
// to be there. Its failures are those of org.Leave.
func Remove(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, now time.Time) (Lost, error) {
	if err := org.Leave(ctx, tx, id, u); err != nil {
		return Lost{}, err
	}
	if err := directory.Left(ctx, tx, id, u, now); err != nil {
		return Lost{}, err
	}
	return Member(ctx, tx, id, u, now)
}

// Member ends what somebody has from an organization that does not end with the
// membership by itself: the roles that its rules gave them in clients, invitations of
// theirs to it that are pending, the keys that are pinned to it, and what its own
// provider signed in, with all that was granted there.
func Member(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, now time.Time) (l Lost, err error) {
	if l.Roles, err = dropRoles(ctx, tx, id, u, now); err != nil {
		return l, fmt.Errorf("drop roles: %w", err)
	}
	if l.Invites, err = invite.RevokeOf(ctx, tx, id, u); err != nil {
		return l, err
	}
	if _, err := apikey.EndByUser(ctx, tx, u, id); err != nil {
		return l, err
	}
	if _, err := token.EndByUserUpstream(ctx, tx, u, sso.Key(id)); err != nil {
		return l, err
	}
	all, err := session.ByUser(ctx, tx, u, now)
	for _, s := range all {
		if s.Upstream != sso.Key(id) {
			continue
		}
		if err := endSession(ctx, tx, u, s.ID, now); err != nil {
			return l, err
		}
		l.Sessions++
	}
	return l, err
}

// Org ends what people have from an organization that is about to be deleted, and does
// not go with it: the roles that its rules gave them in clients, and what its own
// provider signed in.
func Org(ctx context.Context, tx *db.Tx, id org.ID, now time.Time) ([]audit.Event, error) {
	people, err := client.RuledPeople(ctx, tx, string(id))
	if err != nil {
		return nil, err
	}
	var all []audit.Event
	for _, u := range people {
		user, err := identity.ByID(ctx, tx, u)
		if err != nil {
			return nil, err
		}
		roles, err := dropRoles(ctx, tx, id, u, now)
		if err != nil {
			return nil, fmt.Errorf("drop roles: %w", err)
		}
		all = append(all, Lost{Roles: roles}.Events(id, user)...)
	}
	_, err = Upstream(ctx, tx, sso.Key(id), now)
	return all, err
}

// dropRoles takes back what an organization's rules gave somebody in clients.
func dropRoles(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, now time.Time) (map[client.ID]client.RuleChange, error) {
	in, err := client.RuledBy(ctx, tx, u, string(id))
	if err != nil {
		return nil, err
	}
	slices.Sort(in) // everybody locks in one order
	dropped := map[client.ID]client.RuleChange{}
	for _, cl := range in {
		change, err := client.ApplyDue(ctx, tx, u, cl, string(id), nil, false, now)
		if errors.Is(err, db.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		if len(change.Dropped) > 0 {
			dropped[cl] = change
		}
	}
	return dropped, nil
}

// endSession ends a session with its tokens and whatever was granted in it, also what
// would outlive a sign-out.
func endSession(ctx context.Context, tx *db.Tx, u identity.UserID, s session.ID, now time.Time) error {
	if _, err := session.End(ctx, tx, u, s); err != nil {
		return err
	}
	if _, err := token.EndBySession(ctx, tx, s); err != nil {
		return err
	}
	if err := logout.Session(ctx, tx, s, now); err != nil {
		return err
	}
	lasting, err := grant.BySession(ctx, tx, s)
	for _, g := range lasting {
		if _, err := grant.End(ctx, tx, g.ID); err != nil {
			return err
		}
	}
	return err
}

// Events are what the audit log is to say of it but for the sessions, without who did it:
// roles that are gone, of which their client hears, and invitations that are void.
func (l Lost) Events(id org.ID, u identity.User) []audit.Event {
	var all []audit.Event
	for _, cl := range slices.Sorted(maps.Keys(l.Roles)) {
		change := l.Roles[cl]
		all = append(all, audit.Event{
			Action: audit.UserRoleChanged, ClientID: cl, UserID: u.ID, OrgID: id, Announce: true,
			Detail: map[string]any{
				"email": u.Email, "name": u.DisplayName, "roles": change.Roles, "previous_roles": slices.Concat(change.Roles, change.Dropped), "by": "rule",
			},
		})
	}
	for _, i := range l.Invites {
		all = append(all, audit.Event{
			Action: audit.InviteRevoked, ClientID: i.ClientID, OrgID: id, Detail: map[string]any{"invite_id": i.ID, "email": i.Email},
		})
	}
	return all
}
