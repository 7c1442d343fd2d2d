package tofu

import (
	"net/http"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// welcome is the answer of a sign-in by a provider (contract §7).
type welcome struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	User         person `json:"user"`
}

type person struct {
	ID        int64  `json:"id"`
	Email     string `json:"email"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
}

// popup is what Google's popup flow has in place of a redirect URI (contract §11).
const popup = "postmessage"

// workOS is POST /api/core/auth/workos/callback/ (contract §8.1): WorkOS is the
// source of truth, so whoever it knows is made a user here.
func (a *API) workOS(w http.ResponseWriter, r *http.Request, q request) error {
	return a.social(w, r, q, q.settings.WorkOS, false, signin.Terms{
		VerifiedOnly: q.settings.RequireVerifiedEmail, NeedsEmail: true, Rename: true, Mailbox: true, Impersonation: q.settings.Impersonation,
	})
}

// google is POST /api/core/auth/google/login/ (contract §8.2), for users who are
// there already.
func (a *API) google(w http.ResponseWriter, r *http.Request, q request) error {
	return a.social(w, r, q, q.settings.Google, true, signin.Terms{Existing: true, VerifiedOnly: true})
}

// okta is POST /api/core/auth/okta/login/ (contract §8.3), the same with Okta.
func (a *API) okta(w http.ResponseWriter, r *http.Request, q request) error {
	return a.social(w, r, q, q.settings.Okta, true, signin.Terms{Existing: true, VerifiedOnly: true})
}

// social signs in with a code that a page got (contract §7). code_verifier and
// nonce are ours: what is sent is checked.
func (a *API) social(w http.ResponseWriter, r *http.Request, q request, key string, redirected bool, terms signin.Terms) error {
	if err := a.sentByPage(r, q.settings, anyOf(r)); err != nil {
		return err
	}
	b, err := readFields(w, r)
	if err != nil {
		return err
	}
	o := wire.OriginOf(r.Context())
	x := upstream.Exchange{Code: b.text("code"), Visitor: upstream.Visitor{IP: o.IP, UserAgent: o.UserAgent}}
	if redirected {
		x.RedirectURI, x.Nonce = b.text("redirect_uri"), b.optional("nonce")
	}
	if x.Verifier = b.optional("code_verifier"); q.settings.RequirePKCE {
		x.Verifier = b.text("code_verifier")
	}
	if err := b.err(); err != nil {
		return err
	}
	cl, err := a.client(r.Context(), q.settings)
	if err != nil {
		return err
	}
	if redirected && !mayReturn(cl, x.RedirectURI, key == q.settings.Google) {
		return fault.New(fault.RedirectURIInvalid)
	}
	terms.SessionFor = sessionLife(cl.Policy)
	out, err := a.SignIn.ExchangeUpstream(r.Context(), signin.ExchangeIn{
		ClientID: cl.ID, Upstream: key, Exchange: x, Terms: terms, Visitor: visitor(r), Limits: socialLimits(o),
	})
	if err == nil {
		err = unfinishedHere(out)
	}
	if f, ok := fault.From(err); ok && (f.Code == fault.UpstreamUnknown || f.Code == fault.MethodDisabled) {
		a.NotFound(w, r) // the settings name an upstream that is not there, or not the client's
		return nil
	}
	if err != nil {
		return err
	}
	in := *out.Outcome.SignedIn
	t, number, err := a.issue(r, in)
	if err != nil {
		return err
	}
	a.give(w, r, q.settings, cl, &t)
	write(w, r, http.StatusOK, welcome{t.Access, t.Refresh, person{number, in.User.Email, in.User.GivenName, in.User.FamilyName}})
	return nil
}

// mayReturn reports whether the page that got the code is one of the client's.
func mayReturn(cl client.Client, uri string, google bool) bool {
	return google && uri == popup || slices.Contains(cl.Policy.RedirectURIs, uri)
}

// unfinishedHere refuses a sign-in that would go on somewhere else: these routes
// have no second step.
func unfinishedHere(out signin.Returned) error {
	switch {
	case out.Outcome.SignedIn != nil:
		return nil
	case out.Outcome.Challenge != nil:
		return refuse(http.StatusForbidden, unfinishedWords["mfa_challenge"], "mfa_challenge")
	case out.Outcome.Setup != nil:
		return fault.New(fault.FactorSetupRequired)
	case out.Outcome.Pending:
		return fault.New(fault.EnrolmentPending)
	case out.Prove != "" && out.Profile.EmailTrusted: // another account there is this user's
		return fault.New(fault.LinkTaken)
	case out.Prove != "":
		return fault.New(fault.EmailUnverified)
	}
	return fault.New(fault.NotEnrolled) // an invitation is missing
}
