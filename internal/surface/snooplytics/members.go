package snooplytics

import (
	"net/http"
	"strings"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// memberRoutes are who belongs to an organization and who is asked to (contract §14).
func (a *API) memberRoutes() []route {
	const member, asked = tenantPath + "/members/{memberId}", tenantPath + "/invites/{memberId}"
	return []route{
		{method: "GET", path: tenantPath + "/members", wants: byAny, scope: userRead, do: within(org.Viewer, (*API).listMembers)},
		{method: "PUT", path: member + "/role", wants: byAny, scope: userWrite, do: within(org.Admin, (*API).setRole)},
		{method: "DELETE", path: member, wants: byAny, scope: userWrite, bare: true, do: within(org.Viewer, (*API).removeMember)},
		{method: "GET", path: tenantPath + "/invites", wants: byAny, scope: userRead, do: within(org.Admin, (*API).listInvites)},
		{method: "POST", path: tenantPath + "/invites", wants: byAny, scope: userWrite, do: within(org.Admin, (*API).invite)},
		{method: "DELETE", path: asked, wants: byAny, scope: userWrite, bare: true, do: within(org.Admin, (*API).revokeInvite)},
		{method: "POST", path: asked + "/resend", wants: byAny, scope: userWrite, bare: true, do: within(org.Admin, (*API).resendInvite)},
		{method: "POST", path: "/api/user/invites/{token}/accept", wants: byAny, scope: userWrite, bare: true, do: (*API).acceptInvite},
	}
}

// member is one on the wire.
type member struct {
	ID        org.MembershipID `json:"memberId"`
	UserID    identity.UserID  `json:"userId"`
	Email     string           `json:"email"`
	FullName  string           `json:"fullName"`
	Role      string           `json:"role"`
	CreatedAt stamp            `json:"createdAt"`
}

func memberOf(m self.AccountMember) member {
	return member{ID: m.ID, UserID: m.UserID, Email: m.User.Email, FullName: m.User.DisplayName, Role: roleOf(m.Role), CreatedAt: stamp(m.CreatedAt)}
}

// listMembers is GET …/members, the oldest first.
func (a *API) listMembers(w http.ResponseWriter, r *http.Request, c *call) error {
	p := c.page()
	if err := c.err(); err != nil {
		return err
	}
	all, total, err := a.Self.AccountMembers(r.Context(), c.who.Caller, c.org, p.self())
	if err != nil {
		return err
	}
	return list(w, viewsOf(all, memberOf), total, p)
}

// member is the one of the path. Those of other organizations are as unknown as none.
func (a *API) member(r *http.Request, c *call) (self.AccountMember, error) {
	id, _ := identity.ParseID(r.PathValue("memberId"))
	return a.Self.Member(r.Context(), c.who.Caller, c.org, org.MembershipID(id))
}

// role reads a role, instead for none.
func (in *input) role(name string, instead org.Role) org.Role {
	given, ok := in.body.OptString(name, wire.Max(maxName))
	switch {
	case !ok && instead != "":
		return instead
	case !ok:
		in.body.String(name, wire.Required)
	case given != string(org.Owner) && given != string(org.Admin) && given != string(org.Member):
		in.wrong(name, "Invalid role")
	}
	return org.Role(given)
}

// setRole is PUT …/members/{memberId}/role.
func (a *API) setRole(w http.ResponseWriter, r *http.Request, c *call) error {
	role := c.role("role", "")
	if err := c.err(); err != nil {
		return err
	}
	m, err := a.member(r, c)
	if err == nil {
		err = a.Self.SetAccountRole(r.Context(), c.who.Caller, c.org, m.UserID, role)
	}
	if err != nil {
		return err
	}
	m.Role = role
	return done(w, memberOf(m))
}

// removeMember is DELETE …/members/{memberId}: somebody is removed, or leaves.
func (a *API) removeMember(w http.ResponseWriter, r *http.Request, c *call) error {
	m, err := a.member(r, c)
	if err == nil {
		err = a.Self.RemoveMember(r.Context(), c.who.Caller, c.org, m.UserID)
	}
	if err != nil {
		return err
	}
	return done(w, nil)
}

// invitation is one on the wire; its secret is in the mail alone.
type invitation struct {
	ID        string `json:"id"`
	Email     string `json:"email"`
	Role      string `json:"role"`
	Status    string `json:"status"`
	CreatedAt stamp  `json:"createdAt"`
	ExpiresAt stamp  `json:"expiresAt"`
}

func invitationOf(i invite.Invite) invitation {
	return invitation{ID: i.ID, Email: i.Email, Role: roleOf(i.OrgRole), Status: string(i.Status), CreatedAt: stamp(i.CreatedAt), ExpiresAt: stamp(i.ExpiresAt)}
}

// listInvites is GET …/invites, the newest first.
func (a *API) listInvites(w http.ResponseWriter, r *http.Request, c *call) error {
	p := c.page()
	if err := c.err(); err != nil {
		return err
	}
	all, total, err := a.Self.AccountInvites(r.Context(), c.who.Caller, c.org, p.self())
	if err != nil {
		return err
	}
	return list(w, viewsOf(all, invitationOf), total, p)
}

// skipped is an address that nobody was invited at.
type skipped struct {
	Email  string `json:"email"`
	Reason string `json:"reason"`
}

type invited struct {
	Invites []invitation `json:"invites"`
	Skipped []skipped    `json:"skipped"`
}

// mostInvited is how many addresses one request invites.
const mostInvited = 50

// invite is POST …/invites. Who is there, or invited already, keeps nobody else out.
func (a *API) invite(w http.ResponseWriter, r *http.Request, c *call) error {
	emails, role := c.body.Strings("emails", wire.Required, wire.Min(1), wire.Max(mostInvited)), c.role("role", org.Member)
	for _, e := range emails {
		if _, err := identity.NormalizeEmail(e); err != nil {
			c.wrong("emails", "Invalid email")
			break
		}
	}
	if err := c.err(); err != nil {
		return err
	}
	all, err := a.Self.InviteAll(r.Context(), c.who.Caller, self.InviteAccountIn{ClientID: c.client, Account: c.org, Role: role, Page: c.invitePage(r)}, emails)
	if err != nil {
		return err
	}
	out := invited{[]invitation{}, []skipped{}}
	for _, one := range all {
		switch one.Refused {
		case "":
			out.Invites = append(out.Invites, invitationOf(one.Invite))
		case fault.InvitePending:
			out.Skipped = append(out.Skipped, skipped{one.Email, "already_invited"})
		default:
			out.Skipped = append(out.Skipped, skipped{one.Email, "already_member"})
		}
	}
	if len(out.Invites) == 0 {
		return refuse("CONFLICT").saying("Everybody is a member or invited already").with(out)
	}
	return doneAs(w, http.StatusCreated, completed, out)
}

// invitePage is the application's page for invited people, who accept them signed in;
// it gets the secret as "token".
func (c *call) invitePage(r *http.Request) string {
	if c.set.AppURL == "" {
		return base(r.Context()) + "/auth/accept-invite"
	}
	return strings.TrimSuffix(c.set.AppURL, "/") + "/invites/accept"
}

// inviteID is the one of the path; what can be none's is one that nobody has.
func inviteID(r *http.Request) string {
	id, _ := identity.ParseID(r.PathValue("memberId"))
	return id
}

// revokeInvite is DELETE …/invites/{memberId}.
func (a *API) revokeInvite(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.Self.RevokeInvite(r.Context(), c.who.Caller, c.org, inviteID(r)); err != nil {
		return err
	}
	return done(w, nil)
}

// resendInvite is POST …/invites/{memberId}/resend.
func (a *API) resendInvite(w http.ResponseWriter, r *http.Request, c *call) error {
	i, err := a.Self.ResendInvite(r.Context(), c.who.Caller, self.ResendIn{Org: c.org, ID: inviteID(r), Page: c.invitePage(r)})
	if err != nil {
		return err
	}
	return done(w, invitationOf(i))
}

// acceptInvite is POST /api/user/invites/{token}/accept.
func (a *API) acceptInvite(w http.ResponseWriter, r *http.Request, c *call) error {
	s, err := a.Self.AcceptInvite(r.Context(), c.who.Caller, self.AcceptIn{
		ClientID: c.client, Token: r.PathValue("token"),
		Failures: []limit.Rule{{Name: "snooplytics.accept", Key: string(c.who.UserID), N: 10, Per: time.Minute}},
	})
	if err != nil {
		return err
	}
	return done(w, membershipOf(s))
}
