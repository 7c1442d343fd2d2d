package signin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
)

// by is the upstream that the person proved themselves to, now or when they began the
// session that they come back with.
func (p proof) by() string {
	switch {
	case p.upstream != nil:
		return p.upstream.Key
	case p.existing != nil:
		return p.existing.Upstream
	}
	return ""
}

// org is the organization by whose provider the person came, "" for none.
func (p proof) org() org.ID {
	id, ok := sso.OrgOf(p.by())
	if !ok {
		return ""
	}
	return id
}

// undemanded refuses a sign-in that does not do what the person's organization demands,
// and would not do so with the second factor that is asked for next.
func (p proof) undemanded(s client.Standing, met bool, now time.Time) *fault.Error {
	d := s.Demand
	switch {
	case met, s.Factor && !p.second && d.Met(p.by(), true, now):
		return nil
	case !d.Provided(p.by(), session.TwoFactors(p.amr)):
		return fault.New(fault.SSORequired, d.Slug, d.Org)
	case s.Factor: // it was not asked for where it could have been given
		return fault.New(fault.MFARequired, d.Slug, d.Org)
	}
	return nil // there is none yet: it is set up
}

// applyConnection is applyRules for who came by their organization's own provider.
func (c *Core) applyConnection(ctx context.Context, tx *db.Tx, p proof, s *client.Standing, now time.Time) error {
	done, err := sso.ApplyRoles(ctx, tx, *p.connection, p.user.ID, p.said, now)
	if errors.Is(err, db.ErrNotFound) {
		return nil // no member: a second factor stood between, and they were put out meanwhile
	} else if err != nil {
		return fmt.Errorf("apply the connection's rules: %w", err)
	}
	return c.recordRoles(ctx, tx, p, done, s, now)
}

// recordRoles tells the audit log what the connection's rules changed, and the standing
// what they changed in this client.
func (c *Core) recordRoles(ctx context.Context, tx *db.Tx, p proof, done sso.Changes, s *client.Standing, now time.Time) error {
	if change, ok := done.Clients[p.client.ID]; ok {
		s.Roles = change.Roles
	}
	record := func(a audit.Action, id client.ID, detail map[string]any) error {
		cl := p.client
		if id != cl.ID {
			cl = client.Client{ID: id}
		}
		detail["by"] = "rule"
		e := p.visitor.event(a, p.user, cl, detail)
		e.Actor, e.OrgID = audit.System(), p.org()
		return audit.Record(ctx, tx, now, e)
	}
	if done.Before != done.After {
		err := record(audit.MemberRoleChanged, p.client.ID, map[string]any{"org": string(p.org()), "role": string(done.After), "previous_role": string(done.Before)})
		if err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(done.Clients)) {
		change := done.Clients[id]
		err := record(audit.UserRoleChanged, id, map[string]any{"roles": change.Roles, "given": change.Given, "dropped": change.Dropped, "upstream": p.method})
		if err != nil {
			return err
		}
	}
	return nil
}
