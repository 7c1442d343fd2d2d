package accountmaker

import (
	"net/http"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// memberRoutes are who belongs to an account and who is asked to (contract §8,
// Membership and Invite).
func (a *API) memberRoutes() []wire.Route {
	return []wire.Route{
		{Method: "POST", Pattern: "/api/accounts/{account_id}/invite", Handler: a.asUser(a.invite)},
		{Method: "GET", Pattern: "/api/accounts/{account_id}/invites", Handler: a.asUser(a.listInvites)},
		{Method: "DELETE", Pattern: "/api/invites/{invite_id}", Handler: a.asUser(a.revokeInvite)},
		{Method: "GET", Pattern: "/api/accounts/{account_id}/memberships", Handler: a.asUser(a.listMembers)},
		{Method: "GET", Pattern: "/api/memberships/{membership_id}", Handler: a.asUser(a.getMember)},
		{Method: "PATCH", Pattern: "/api/memberships/{membership_id}", Handler: a.asUser(a.updateMember)},
		{Method: "DELETE", Pattern: "/api/memberships/{membership_id}", Handler: a.asUser(a.removeMember)},
	}
}

// memberView is a Membership with who it is, as the other members see them.
type memberView struct {
	membership
	Identity identityView `json:"identity"`
}

func memberOf(m self.AccountMember) memberView {
	return memberView{membershipOf(m.Membership), identityOf(m.User)}
}

// mostMembers is how many members, or invitations, one answer lists.
const mostMembers = 1000

func (a *API) listMembers(w http.ResponseWriter, r *http.Request, c *call) {
	all, _, err := a.Self.AccountMembers(r.Context(), c.person(r), accountIn(r), self.Page{Number: 1, Size: mostMembers})
	a.answer(w, r, listOf(all, memberOf), err)
}

func (a *API) member(r *http.Request, c *call) (self.AccountMember, error) {
	id, _ := identity.FromKSUID("mbr", r.PathValue("membership_id"))
	return a.Self.AccountMember(r.Context(), c.person(r), org.MembershipID(id))
}

func (a *API) getMember(w http.ResponseWriter, r *http.Request, c *call) {
	m, err := a.member(r, c)
	a.answer(w, r, memberOf(m), err)
}

func (a *API) updateMember(w http.ResponseWriter, r *http.Request, c *call) {
	name := c.text("role", field{required: true, max: maxOpaque})
	role, ok := rolesByName[name]
	if !ok {
		c.fault("role", "enum", "owner, member or viewer", false)
	}
	m, err := a.member(r, c)
	if err == nil {
		err = c.err()
	}
	if err == nil {
		err = a.Self.SetAccountRole(r.Context(), c.person(r), m.OrgID, m.UserID, role)
	}
	m.Role = role
	a.answer(w, r, memberOf(m), err)
}

// removeMember is DELETE /api/memberships/{membership_id}: an owner removes
// somebody, or a member leaves.
func (a *API) removeMember(w http.ResponseWriter, r *http.Request, c *call) {
	m, err := a.member(r, c)
	if err == nil {
		err = a.Self.RemoveMember(r.Context(), c.person(r), m.OrgID, m.UserID)
	}
	a.answer(w, r, nil, err)
}

type inviteView struct {
	ID        string `json:"id"`
	Account   string `json:"account_id"`
	Email     string `json:"email"`
	Role      string `json:"role"`
	ExpiresAt string `json:"expires_at"`
}

func inviteOf(i invite.Invite) inviteView {
	return inviteView{
		ID: identity.KSUID("inv", i.ID), Account: accountID(i.OrgID), Email: i.Email, Role: roleOf(i.OrgRole),
		ExpiresAt: i.ExpiresAt.UTC().Format(time.RFC3339),
	}
}

// listedInvite is an invitation and what became of it.
type listedInvite struct {
	inviteView
	Status string `json:"status"`
}

// rolesByName are the roles that a member may be given; administrators are owners
// here (contract §8).
var rolesByName = map[string]org.Role{
	"": org.Member, "owner": org.Owner, "admin": org.Owner, "member": org.Member, "viewer": org.Viewer,
}

// invite is POST /api/accounts/{account_id}/invite (contract §8). The secret goes
// to the invited person's mail and nowhere else.
func (a *API) invite(w http.ResponseWriter, r *http.Request, c *call) {
	if accountIn(r) == "" {
		a.fail(w, r, fault.New(fault.OrgUnknown))
		return
	}
	email, name := c.email(true), c.text("role", field{max: maxOpaque})
	role, ok := rolesByName[name]
	if !ok {
		c.fault("role", "enum", "owner, member or viewer", false)
	}
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	made, err := a.Self.InviteToAccount(r.Context(), c.person(r), self.InviteAccountIn{
		ClientID: c.who.client, Account: accountIn(r), Email: email, Role: role,
		Page: base(r.Context()) + "/auth/accept-invite", Limits: inviteLimits(c.who.user),
	})
	a.answer(w, r, inviteOf(made), err)
}

// listInvites is GET /api/accounts/{account_id}/invites, the newest first.
func (a *API) listInvites(w http.ResponseWriter, r *http.Request, c *call) {
	all, _, err := a.Self.AccountInvites(r.Context(), c.person(r), accountIn(r), self.Page{Number: 1, Size: mostMembers})
	a.answer(w, r, listOf(all, func(i invite.Invite) listedInvite { return listedInvite{inviteOf(i), string(i.Status)} }), err)
}

func (a *API) revokeInvite(w http.ResponseWriter, r *http.Request, c *call) {
	id, _ := identity.FromKSUID("inv", r.PathValue("invite_id"))
	a.answer(w, r, nil, a.Self.RevokeAccountInvite(r.Context(), c.person(r), id))
}
