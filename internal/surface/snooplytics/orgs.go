package snooplytics

import (
	"net/http"

	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// orgRoutes are the organizations of a person (contract §14).
func (a *API) orgRoutes() []route {
	return []route{
		{method: "GET", path: "/api/user/organizations", wants: byAny, scope: userRead, do: (*API).listOrgs},
		{method: "POST", path: "/api/user/organizations", wants: byAny, scope: userWrite, do: (*API).createOrg},
		{method: "GET", path: tenantPath, wants: byAny, scope: userRead, do: within(org.Viewer, (*API).getOrg)},
		{method: "PUT", path: tenantPath, wants: byAny, scope: userWrite, do: within(org.Owner, (*API).updateOrg)},
		{method: "GET", path: tenantPath + "/my-membership", wants: byAny, scope: userRead, do: within(org.Viewer, (*API).myMembership)},
	}
}

// organization is one on the wire, to a member.
type organization struct {
	ID        org.ID `json:"id"`
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	Role      string `json:"role"`
	CreatedAt stamp  `json:"createdAt"`
	UpdatedAt stamp  `json:"updatedAt"`
}

func organizationOf(s org.Seat) organization {
	return organization{ID: s.OrgID, Name: s.Org.Name, Slug: s.Org.Slug, Role: roleOf(s.Role), CreatedAt: stamp(s.Org.CreatedAt), UpdatedAt: stamp(s.Org.UpdatedAt)}
}

// roleOf is a role on the wire, which has three: who may only read is a member there.
func roleOf(r org.Role) string {
	if r == org.Viewer {
		r = org.Member
	}
	return string(r)
}

// listOrgs is GET /api/user/organizations.
func (a *API) listOrgs(w http.ResponseWriter, r *http.Request, c *call) error {
	p := c.page()
	if err := c.err(); err != nil {
		return err
	}
	all, err := a.Self.Organizations(r.Context(), c.who.Caller)
	if err != nil {
		return err
	}
	some := all[min(p.offset, len(all)):min(p.offset+p.limit, len(all))]
	return list(w, viewsOf(some, organizationOf), len(all), p)
}

// createOrg is POST /api/user/organizations.
func (a *API) createOrg(w http.ResponseWriter, r *http.Request, c *call) error {
	name, slug := c.line("name", wire.Required), c.text("slug", wire.Max(maxName))
	if err := c.err(); err != nil {
		return err
	}
	s, err := a.Self.CreateOrganization(r.Context(), c.who.Caller, name, slug)
	if err != nil {
		return err
	}
	return doneAs(w, http.StatusCreated, completed, organizationOf(s))
}

// getOrg is GET …/{organizationId}.
func (a *API) getOrg(w http.ResponseWriter, _ *http.Request, c *call) error {
	return done(w, organizationOf(c.seat))
}

// updateOrg is PUT …/{organizationId}.
func (a *API) updateOrg(w http.ResponseWriter, r *http.Request, c *call) error {
	var ch self.AccountChange
	if c.body.Has("name") {
		ch.Name = new(c.line("name", wire.Required))
	}
	if slug, ok := c.body.OptString("slug", wire.Max(maxName)); ok {
		ch.Slug = &slug
	}
	if err := c.err(); err != nil {
		return err
	}
	o, err := a.Self.UpdateAccount(r.Context(), c.who.Caller, c.org, ch)
	if err != nil {
		return err
	}
	c.seat.Org = o
	return done(w, organizationOf(c.seat))
}

// membership is the caller's own.
type membership struct {
	ID          org.MembershipID `json:"memberId"`
	Org         org.ID           `json:"organizationId"`
	UserID      string           `json:"userId"`
	Role        string           `json:"role"`
	Permissions []string         `json:"permissions"`
	CreatedAt   stamp            `json:"createdAt"`
}

// permissionsOf are what a role allows (contract §15).
func permissionsOf(r org.Role) []string {
	all := []string{"organization:read", "organization:manage-members", "organization:manage-billing", "organization:manage-security"}
	switch r {
	case org.Owner:
		return all
	case org.Admin:
		return all[:2]
	}
	return all[:1]
}

func membershipOf(s org.Seat) membership {
	return membership{ID: s.ID, Org: s.OrgID, UserID: string(s.UserID), Role: roleOf(s.Role), Permissions: permissionsOf(s.Role), CreatedAt: stamp(s.CreatedAt)}
}

// myMembership is GET …/my-membership.
func (a *API) myMembership(w http.ResponseWriter, _ *http.Request, c *call) error {
	return done(w, membershipOf(c.seat))
}
