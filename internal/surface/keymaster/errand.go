package keymaster

import (
	"errors"
	"net/http"
	"net/url"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// errand is what a sign-in that goes by redirects is for: an application, where
// the browser goes when done and the state to echo; or a request that waits.
type errand struct {
	client      client.Client
	redirectURI string
	state       string
	request     string
}

// errandOf is what somebody was on their way to who went to an upstream.
func errandOf(got signin.Returned) errand {
	return errand{client: got.Client, redirectURI: got.RedirectURI, state: got.State, request: got.Request}
}

// loginPage is the address of the login page for the errand, with more pairs of
// its query; what is not known is left out.
func (e errand) loginPage(r *http.Request, more ...string) string {
	var q []string
	for _, kv := range [][2]string{{"app_id", string(e.client.ID)}, {"redirect_uri", e.redirectURI}, {"state", e.state}} {
		if kv[1] != "" && e.request == "" {
			q = append(q, kv[0], kv[1])
		}
	}
	if e.request != "" {
		q = append(q, "request", e.request)
	}
	return wire.WithQuery(wire.MountOf(r.Context()).Path+"/login", append(q, more...)...)
}

// destination is where a browser goes with an outcome: to the application with
// its tokens in the query, back to the request, or to the login page for what is
// still owed.
func (a *API) destination(r *http.Request, out signin.Outcome, e errand) (string, error) {
	switch {
	case out.Challenge != nil:
		session, err := a.TOTPSession(r.Context(), *out.Challenge)
		if err != nil {
			return "", err
		}
		return e.loginPage(r) + "#totp_session=" + url.QueryEscape(session), nil
	case out.Setup != nil:
		return e.loginPage(r, "error", loginErrors[fault.FactorSetupRequired]), nil
	case out.Pending:
		return e.loginPage(r, "error", loginErrors[fault.EnrolmentPending]), nil
	case e.request != "":
		at, err := a.OAuth.Pending(r.Context(), e.request, "")
		if _, gone := errors.AsType[*oauth.Error](err); gone {
			return e.loginPage(r), nil // which says so
		}
		return at.Next(e.request, wire.MountOf(r.Context()).Path), err
	case e.redirectURI == "":
		// An application without a page of its own: the browser is signed in.
		return base(r.Context()) + "/account", nil
	}
	access, err := a.AccessToken(r.Context(), *out.SignedIn)
	if err != nil {
		return "", err
	}
	q := []string{"access_token", access, "refresh_token", out.SignedIn.Refresh}
	if e.state != "" {
		q = append(q, "state", e.state)
	}
	return wire.WithQuery(e.redirectURI, q...), nil
}

// Destination is destination for the pages, which echo the state themselves.
func (a *API) Destination(r *http.Request, out signin.Outcome, cl client.Client, redirectURI string) (string, error) {
	return a.destination(r, out, errand{client: cl, redirectURI: redirectURI})
}

// loginErrors are the values of the login page's error parameter.
var loginErrors = map[fault.Code]string{
	fault.MagicLinkInvalid:    "invalid_magic_link",
	fault.NotEnrolled:         "not_enrolled",
	fault.EnrolmentPending:    "pending_approval",
	fault.EnrolmentSuspended:  "account_suspended",
	fault.FactorSetupRequired: "2fa_required",
	fault.InviteRequired:      "invite_required",
	fault.SSORequired:         "sso_required",
	fault.MFARequired:         "2fa_required",
}

// upstreamProblem is why a sign-in at an upstream failed: the contract's value
// of error (§3.2), and a reason of ours beside it, where a person can do
// something about it.
type upstreamProblem struct{ problem, reason string }

func (p upstreamProblem) pairs() []string {
	if p.reason == "" {
		return []string{"error", p.problem}
	}
	return []string{"error", p.problem, "reason", p.reason}
}

var upstreamProblems = map[fault.Code]upstreamProblem{
	fault.UpstreamDenied:       {"oauth_denied", ""},
	fault.UpstreamFailed:       {"oauth_failed", ""},
	fault.UpstreamStateInvalid: {"oauth_failed", "expired"},
	fault.UpstreamUnreachable:  {"oauth_failed", "unreachable"},
	fault.UpstreamThrottled:    {"oauth_failed", "busy"},
	fault.EmailUnverified:      {"oauth_failed", "unverified"},
	fault.EmailRequired:        {"oauth_failed", "unverified"},
	fault.LinkTaken:            {"oauth_failed", "taken"},
	fault.Forbidden:            {"oauth_failed", ""}, // somebody of the upstream's staff, in the owner's name
}

// clicked is false for a request that nobody meant by a click, and answers it: a
// HEAD, or a browser that fetches ahead.
func clicked(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodHead {
		noStore(w)
		return false
	}
	if wire.Prefetch(r) {
		// Not a success, so that no browser shows it in place of the click.
		wire.WriteJSON(w, http.StatusServiceUnavailable, plainError{"Not available for prefetch"})
		return false
	}
	return true
}
