package sso

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/upstream"
)

// Changes are what the rules of a connection did to one person: their role in the
// organization, and their roles in the clients where any changed.
type Changes struct {
	Before, After org.Role
	Clients       map[client.ID]client.RuleChange
}

// ApplyRoles gives a member the roles that are due by the connection's rules for what
// is said of them, and takes back what its rules gave and do not give any more. Roles
// that somebody gave by hand stay. A person without a place in a client gets none
// there; db.ErrNotFound means that they are no member.
func ApplyRoles(ctx context.Context, tx *db.Tx, c Connection, u identity.UserID, p upstream.Profile, now time.Time) (Changes, error) {
	due, _ := c.RolesOf(p, "")
	var done Changes
	var err error
	if done.Before, done.After, err = org.ApplyRole(ctx, tx, c.OrgID, u, due, now); err != nil {
		return done, err
	}
	clients, err := client.RuledBy(ctx, tx, u, string(c.OrgID))
	if err != nil {
		return done, err
	}
	for _, r := range c.Roles {
		if r.Client != "" && !slices.Contains(clients, r.Client) {
			clients = append(clients, r.Client)
		}
	}
	slices.Sort(clients) // everybody locks in one order
	for _, id := range clients {
		_, roles := c.RolesOf(p, id)
		change, err := client.ApplyDue(ctx, tx, u, id, string(c.OrgID), roles, false, now)
		if errors.Is(err, db.ErrNotFound) {
			continue
		} else if err != nil {
			return done, err
		}
		if len(change.Given)+len(change.Dropped) == 0 {
			continue
		}
		if done.Clients == nil {
			done.Clients = map[client.ID]client.RuleChange{}
		}
		done.Clients[id] = change
	}
	return done, nil
}
