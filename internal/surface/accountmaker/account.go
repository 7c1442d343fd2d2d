package accountmaker

import (
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/waitlist"
	"sallyport/internal/wire"
)

// openInvite is GET /auth/accept-invite (contract §3.3).
func (a *API) openInvite(w http.ResponseWriter, r *http.Request, c *call) {
	raw, ok := a.loginToken(w, r, c)
	switch {
	case !ok:
	case r.Method == http.MethodHead:
		noContent(w)
	case looks(r), navigates(r):
		a.askToConfirm(w, r, raw)
	default:
		a.acceptAccount(w, r, c.ref.ID, raw)
	}
}

// acceptInvite is POST /auth/accept-invite.
func (a *API) acceptInvite(w http.ResponseWriter, r *http.Request, c *call) {
	if raw, ok := a.loginToken(w, r, c); ok {
		a.acceptAccount(w, r, c.ref.ID, raw)
	}
}

// acceptAccount signs in by an invitation to an account, which is the active one
// then.
func (a *API) acceptAccount(w http.ResponseWriter, r *http.Request, id client.ID, raw string) {
	out, err := a.SignIn.AcceptAccountInvite(r.Context(), signin.AccountInviteIn{
		ClientID: id, Token: raw, Failures: inviteFailures(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	a.finish(w, r, out, err)
}

// switchAccounts is POST /auth/switch-accounts (contract §3.22).
func (a *API) switchAccounts(w http.ResponseWriter, r *http.Request, c *call) {
	given := c.text("account_id", field{required: true, max: maxOpaque})
	id, ok := identity.FromKSUID("acc", given)
	if given != "" && !ok {
		c.fault("account_id", "account_id", "the id of an account", false)
	}
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	if c.who.family == 0 { // of a grant: there are no tokens to end and renew
		a.fail(w, r, fault.New(fault.Forbidden))
		return
	}
	in, err := a.SignIn.SwitchAccount(r.Context(), signin.SwitchIn{
		UserID: c.who.user, ClientID: c.who.client, Family: c.who.family, Account: org.ID(id), Limits: switchLimits(c.who.user), Visitor: visitor(r),
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.signedIn(w, r, in, "")
}

// waitlistSignup is contract §3.18.
type waitlistSignup struct {
	ID        string `json:"id"`
	Account   string `json:"account_id"`
	User      string `json:"user_id"`
	Feature   string `json:"feature"`
	CreatedAt string `json:"created_at"`
}

func signupOf(e waitlist.Entry) waitlistSignup {
	return waitlistSignup{
		ID: identity.KSUID("wls", e.ID), Account: accountID(e.OrgID), User: userID(e.UserID), Feature: e.Feature, CreatedAt: e.CreatedAt.UTC().Format(time.RFC3339),
	}
}

// listWaitlist is GET /auth/waitlist.
func (a *API) listWaitlist(w http.ResponseWriter, r *http.Request, c *call) {
	all, err := a.Self.Waitlist(r.Context(), c.person(r), c.who.account)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out := struct {
		Items []waitlistSignup `json:"items"`
	}{[]waitlistSignup{}}
	for _, e := range all {
		out.Items = append(out.Items, signupOf(e))
	}
	wire.WriteJSON(w, http.StatusOK, out)
}

// feature reads the feature of the path.
func (a *API) feature(w http.ResponseWriter, r *http.Request) (string, bool) {
	name := r.PathValue("feature")
	if !waitlist.Feature(name) {
		a.fail(w, r, refuse("invalid-request", invalidParam{
			In: "path", Path: "feature", Type: "pattern", Received: null, Expected: "letters, digits, dots, underscores and hyphens",
		}))
		return "", false
	}
	return name, true
}

// checkWaitlist is GET /auth/waitlist/{feature}.
func (a *API) checkWaitlist(w http.ResponseWriter, r *http.Request, c *call) {
	name, ok := a.feature(w, r)
	if !ok {
		return
	}
	e, err := a.Self.WaitlistEntry(r.Context(), c.person(r), c.who.account, name)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out := struct {
		Feature  string          `json:"feature"`
		SignedUp bool            `json:"signed_up"`
		Signup   *waitlistSignup `json:"signup"`
	}{Feature: name, SignedUp: e != nil}
	if e != nil {
		out.Signup = new(signupOf(*e))
	}
	wire.WriteJSON(w, http.StatusOK, out)
}

// joinWaitlist is PUT /auth/waitlist/{feature}.
func (a *API) joinWaitlist(w http.ResponseWriter, r *http.Request, c *call) {
	name, ok := a.feature(w, r)
	if !ok {
		return
	}
	e, err := a.Self.JoinWaitlist(r.Context(), c.person(r), self.WaitIn{ClientID: c.who.client, Account: c.who.account, Feature: name})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, signupOf(e))
}

// leaveWaitlist is DELETE /auth/waitlist/{feature}.
func (a *API) leaveWaitlist(w http.ResponseWriter, r *http.Request, c *call) {
	name, ok := a.feature(w, r)
	if !ok {
		return
	}
	if err := a.Self.LeaveWaitlist(r.Context(), c.person(r), c.who.account, name); err != nil {
		a.fail(w, r, err)
		return
	}
	noContent(w)
}
