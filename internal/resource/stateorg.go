package resource

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
)

// storedOrg is an organization with its domains, by name, and its connection.
type storedOrg struct {
	org.Org
	domains map[string]org.Domain
	sso     *sso.Connection
}

// loadOrgs reads the organizations that the file names or owns, with their domains,
// and the memberships of its users in them.
func (s *state) loadOrgs(ctx context.Context, tx *db.Tx, k *secret.Key, f *File) error {
	s.orgs, s.memberships = map[string]storedOrg{}, map[identity.UserID]map[org.ID]org.Membership{}
	all, err := orgsByID(ctx, tx, inOrder(s.owned.Orgs))
	if err != nil {
		return err
	}
	if f != nil {
		var slugs []string
		for _, o := range f.Orgs {
			slugs = append(slugs, o.Slug)
		}
		named, err := orgsBySlug(ctx, tx, slugs)
		if err != nil {
			return err
		}
		all = append(all, named...)
	}
	ids := map[org.ID]bool{}
	for _, o := range all {
		s.orgs[or(o.Slug, string(o.ID))] = storedOrg{Org: o, domains: map[string]org.Domain{}}
		ids[o.ID] = true
	}
	for slug, o := range s.orgs {
		claims, err := org.Domains(ctx, tx, o.ID)
		if err != nil {
			return err
		}
		for _, c := range claims {
			s.orgs[slug].domains[c.Name] = c
		}
		conn, err := sso.ByOrg(ctx, tx, k, o.ID)
		if err == nil {
			o.sso = &conn
			s.orgs[slug] = o
		} else if !errors.Is(err, db.ErrNotFound) {
			return err
		}
	}
	if s.inTenants, err = tenantOrgs(ctx, tx, inOrder(s.owned.Tenants)); err != nil {
		return err
	}
	if s.holders, err = holders(ctx, tx); err != nil {
		return err
	}
	members, err := membershipsOf(ctx, tx, inOrder(s.users))
	for _, m := range members {
		if !ids[m.OrgID] {
			continue
		}
		if s.memberships[m.UserID] == nil {
			s.memberships[m.UserID] = map[org.ID]org.Membership{}
		}
		s.memberships[m.UserID][m.OrgID] = m
	}
	return err
}

func (s *state) loadOrgInvite(ctx context.Context, tx *db.Tx, id org.ID, email string, now time.Time) error {
	i, err := pendingToOrg(ctx, tx, id, email, now)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err == nil && i.Status == invite.Pending {
		s.pending[orgInviteKey(id, email)] = i
	}
	return err
}

func (s *state) orgByID(id org.ID) org.Org {
	for _, o := range s.orgs {
		if o.ID == id {
			return o.Org
		}
	}
	return org.Org{ID: id}
}
