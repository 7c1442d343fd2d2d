package accountmaker

import (
	"context"
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The shapes of contract §2.3. What is null here always is something that
// Sallyport does not keep.
type sessionProfile struct {
	ID          string       `json:"id"`
	Application string       `json:"application_id"`
	Status      string       `json:"status"`
	Preferred   *string      `json:"preferred_membership_id"`
	Identity    identityView `json:"identity"`
	Credentials []credential `json:"credentials"`
	Memberships []membership `json:"memberships"`
	Active      *membership  `json:"active_membership"`
}

type identityView struct {
	ID          string  `json:"id"`
	AvatarURL   *string `json:"avatar_url"`
	ExternalID  *string `json:"external_id"`
	GivenName   *string `json:"given_name"`
	FamilyName  *string `json:"family_name"`
	DisplayName *string `json:"display_name"`
	Language    *string `json:"preferred_language"`
	Locale      *string `json:"locale"`
	Timezone    *string `json:"timezone"`
}

type credential struct {
	ID         string  `json:"id"`
	Email      *string `json:"email"`
	VerifiedAt *string `json:"email_verified_at"`
}

type membership struct {
	ID      string   `json:"id"`
	User    string   `json:"user_id"`
	Account string   `json:"account_id"`
	Role    string   `json:"role"`
	In      *account `json:"account,omitempty"`
}

type account struct {
	ID        string  `json:"id"`
	Parent    *string `json:"parent_id"`
	Name      *string `json:"name"`
	AvatarURL *string `json:"avatar_url"`
	Status    string  `json:"status"`
	PaidUntil *string `json:"paid_until"`
}

type authentication struct {
	Tokens  tokens         `json:"tokens"`
	Profile sessionProfile `json:"profile"`
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// at is an instant on this wire, null for none.
func at(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Truncate(time.Second).Format(time.RFC3339))
}

func accountOf(o org.Org) *account {
	parent := applicationID(o.Tenant)
	if o.Parent != "" {
		parent = accountID(o.Parent)
	}
	return &account{
		ID: accountID(o.ID), Parent: &parent, Name: orNull(o.Name), AvatarURL: orNull(o.Picture), Status: string(o.Status), PaidUntil: at(o.PaidUntil),
	}
}

func membershipOf(m org.Membership) membership {
	return membership{ID: membershipID(m.ID), User: userID(m.UserID), Account: accountID(m.OrgID), Role: roleOf(m.Role)}
}

func membershipID(id org.MembershipID) string { return identity.KSUID("mbr", string(id)) }

func identityOf(u identity.User) identityView {
	return identityView{ID: userID(u.ID), GivenName: orNull(u.GivenName), FamilyName: orNull(u.FamilyName), DisplayName: orNull(u.DisplayName)}
}

// profileOf is a person as they see themselves; active is the account that their
// token acts in.
func profileOf(v self.AccountView, tenant client.TenantID, active org.ID) sessionProfile {
	u := v.User
	p := sessionProfile{
		ID: userID(u.ID), Application: applicationID(tenant), Status: string(u.Status),
		Identity:    identityOf(u),
		Credentials: []credential{}, Memberships: []membership{},
	}
	for _, e := range v.Emails {
		p.Credentials = append(p.Credentials, credential{
			ID: identity.KSUID("eml", identity.NamedID(string(u.ID), e.Address)), Email: &e.Address, VerifiedAt: at(e.VerifiedAt),
		})
	}
	for _, s := range v.Seats {
		m := membershipOf(s.Membership)
		m.In = accountOf(s.Org)
		p.Memberships = append(p.Memberships, m)
		if s.Preferred {
			p.Preferred = &m.ID
		}
		if s.OrgID == active {
			p.Active = &m
		}
	}
	return p
}

// me is GET /auth/me (contract §3.8).
func (a *API) me(w http.ResponseWriter, r *http.Request, c *call) {
	v, err := a.Self.Account(r.Context(), c.person(r))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	cl, err := a.clientOf(r.Context(), c.ref)
	if err != nil && !unknownClient(err) {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, profileOf(v, cl.Tenant.ID, c.who.account))
}

type userView struct {
	ID          string  `json:"id"`
	Application string  `json:"application_id"`
	Status      string  `json:"status"`
	Preferred   *string `json:"preferred_membership_id"`
}

// user is GET /auth/user/{id} (contract §3.23).
func (a *API) user(w http.ResponseWriter, r *http.Request, c *call) {
	id, ok := identity.FromKSUID("uid", r.PathValue("id"))
	if !ok {
		a.problem(w, r, "not-found")
		return
	}
	u, preferred, err := a.Self.Colleague(r.Context(), c.person(r), identity.UserID(id))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	cl, err := a.clientOf(r.Context(), c.ref)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out := userView{ID: userID(u.ID), Application: applicationID(cl.Tenant.ID), Status: string(u.Status)}
	if preferred != "" {
		out.Preferred = new(membershipID(preferred))
	}
	wire.WriteJSON(w, http.StatusOK, out)
}

// finish answers with what a sign-in came to.
func (a *API) finish(w http.ResponseWriter, r *http.Request, out signin.Outcome, err error) {
	switch {
	case err != nil:
		a.fail(w, r, err)
	case out.Pending:
		a.problem(w, r, "approval-pending")
	case out.SignedIn == nil:
		a.problem(w, r, "second-factor-required")
	default:
		a.signedIn(w, r, *out.SignedIn, "")
	}
}

// signedIn answers with the tokens and the profile of a sign-in, and with cookies
// where the client has them; a browser that followed a link goes to its target
// instead.
func (a *API) signedIn(w http.ResponseWriter, r *http.Request, in signin.SignedIn, target string) {
	result, err := a.authentication(r.Context(), in)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.giveCookies(w, r, in.Client.Policy, result.Tokens)
	if target != "" {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	wire.WriteJSON(w, http.StatusOK, result)
}

func (a *API) authentication(ctx context.Context, in signin.SignedIn) (out authentication, err error) {
	if out.Tokens, err = a.tokens(ctx, in); err != nil {
		return out, err
	}
	v, err := a.Self.Account(ctx, self.Caller{UserID: in.User.ID})
	out.Profile = profileOf(v, in.Client.Tenant.ID, in.Membership.OrgID)
	return out, err
}
