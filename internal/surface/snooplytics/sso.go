package snooplytics

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/openid"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// callbackPath is where the providers of all organizations send browsers back to
// (contract §5). Which one it was, the state says.
const callbackPath = "/api/auth/sso/callback"

// ssoRoutes are single sign-on (contract §5 to §7):
//
//	login ──▶ the organization's provider ──▶ callback ──▶ the application's page
//	                                                            │ handle
//	                                        session cookie ◀── complete
func (a *API) ssoRoutes() []route {
	return []route{
		{method: "GET", path: "/auth/sso/{slug}/login", limit: ssoStartLimit, do: (*API).ssoLogin},
		{method: "GET", path: "/api/auth/sso/{slug}/login", limit: ssoStartLimit, do: (*API).ssoLogin},
		{method: "GET", path: callbackPath, do: (*API).ssoCallback},
		{method: "POST", path: "/api/auth/sso/complete", limit: completionLimit, do: (*API).ssoComplete},
	}
}

// bound is what an attempt of ours remembers.
type bound struct {
	RedirectTo string `json:"redirect_to,omitempty"`
}

// ssoLogin is GET /auth/sso/{slug}/login.
func (a *API) ssoLogin(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	var b bound
	if to, ok := c.query.OptString("redirect_to", wire.Max(maxURL)); ok {
		var err error
		if b.RedirectTo, err = a.landing(r, c, to); err != nil {
			return err
		}
	}
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	hint, _ := c.query.OptString("login_hint", wire.Max(maxEmail))
	started, err := a.SignIn.StartSSO(r.Context(), signin.SSOStart{
		Slug: r.PathValue("slug"), ClientID: c.client, Nowhere: true, Callback: base(r.Context()) + callbackPath, Cookie: wire.Cookie(r, flowCookie),
		Data: data, LoginHint: hint, Deferred: true, Unbound: c.set.AnyBrowser, Visitor: c.visitor(r),
	})
	if fault.Is(err, fault.SSODisabled) {
		return a.renamed(w, r, c, err)
	} else if err != nil {
		return a.failedSSO(w, r, c, err)
	}
	set := wire.SetCookie
	if started.CrossSite {
		set = wire.SetCrossSiteCookie
	}
	set(w, r, flowCookie, started.Cookie, signin.UpstreamLifetime)
	if started.Form == nil {
		return moved(w, started.Location)
	}
	var fields [][2]string
	for _, f := range started.Form.Fields {
		fields = append(fields, [2]string{f.Name, f.Value})
	}
	return wire.SendForm(w, started.Org.Name, started.Form.Action, fields)
}

// renamed sends a browser on whose organization has another slug now, as long as
// people may have the old one in their bookmarks (contract §14).
func (a *API) renamed(w http.ResponseWriter, r *http.Request, c *call, why error) error {
	slug, err := a.SignIn.FormerSlug(r.Context(), r.PathValue("slug"))
	if err != nil {
		return err
	}
	if slug == "" {
		return a.failedSSO(w, r, c, why)
	}
	to := loginURL(r, slug)
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	return moved(w, to)
}

// landing is where a person wants to be after the sign-in, "" for what is no place of
// the application's.
func (a *API) landing(r *http.Request, c *call, to string) (string, error) {
	to, err := a.callback(r, c, "redirect_to", to)
	if _, foreign := errors.AsType[*refusal](err); foreign {
		return "", nil
	}
	return to, err
}

// ssoCallback is GET /api/auth/sso/callback. It sets no session: what the browser gets
// is a handle, which the application's page trades for one.
func (a *API) ssoCallback(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	vals := url.Values{}
	for _, name := range []string{"code", "error", "iss"} { // what comes twice says nothing (RFC 6749 §3.1)
		v, _ := c.query.OptString(name, wire.Max(maxOpaque))
		vals.Set(name, v)
	}
	state, _ := c.query.OptString("state", wire.Max(maxOpaque))
	// It may end at once, in the manner of the pages: ours is that of who redeems a handle.
	who := visitor(r)
	who.Manner = signin.Manner{}
	got, err := a.SignIn.FinishSSO(r.Context(), signin.SSOReturn{State: state, Cookie: wire.Cookie(r, flowCookie), Answer: upstream.AnswerOf(vals), Visitor: who})
	if a.Signed != nil && !got.Deferred && (got.Org.ID != "" || c.set.errorPage() == "") {
		a.Signed(w, r, got, err)
		return nil
	}
	return a.deferred(w, r, c, got, err)
}

// Deferred answers a browser that came back from an organization's provider by another
// address than ours, if its attempt was begun here.
func (a *API) Deferred(w http.ResponseWriter, r *http.Request, got signin.SSOReturned, err error) {
	headers(w, r)
	set := a.Settings()
	if err := a.deferred(w, r, &call{set: set, client: set.Client}, got, err); err != nil {
		a.fail(w, r, err)
	}
}

func (a *API) deferred(w http.ResponseWriter, r *http.Request, c *call, got signin.SSOReturned, err error) error {
	if err != nil || got.Handle == "" {
		return a.failedSSO(w, r, c, err)
	}
	var b bound
	if err := json.Unmarshal(got.Data, &b); err != nil {
		return err
	}
	pairs := []string{"handle", got.Handle}
	if b.RedirectTo != "" {
		pairs = append(pairs, "redirect_to", b.RedirectTo)
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	return moved(w, wire.WithQuery(c.set.completionPage(), pairs...))
}

// ssoErrors are what the application's page is told (contract §6).
var ssoErrors = map[fault.Code]string{
	fault.UpstreamStateInvalid: "invalid_state", fault.UpstreamDenied: "access_denied", fault.UpstreamUnreachable: "idp_error",
	fault.UpstreamThrottled: "idp_error", fault.EmailRequired: "email_missing", fault.EmailUnverified: "account_not_linked",
	fault.EmailDomainForbidden: "email_domain_not_allowed", fault.AccountNotLinked: "account_not_linked", fault.LinkTaken: "account_not_linked",
	fault.AccountExists: "account_not_linked", fault.EnrolmentSuspended: "user_not_active", fault.EnrolmentPending: "user_not_active",
	fault.SSODisabled: "sso_not_configured", fault.ConnectionChanged: "sso_not_configured", fault.ClientUnknown: "sso_not_configured",
}

// failedSSO sends the browser to the application's page for sign-ins that failed. The
// provider's own words go to the log.
func (a *API) failedSSO(w http.ResponseWriter, r *http.Request, c *call, err error) error {
	f, expected := wire.Fault(err)
	page := c.set.errorPage()
	if err != nil && !expected || page == "" {
		return err
	}
	word := ssoErrors[fault.UpstreamStateInvalid]
	if expected {
		word = ssoWord(f)
		a.Log.WarnContext(r.Context(), "single sign-on failed", "request_id", wire.OriginOf(r.Context()).RequestID, "err", f)
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	return moved(w, wire.WithQuery(page, "error", word))
}

// ssoWord tells an answer that lies from one that we got no tokens for.
func ssoWord(f *fault.Error) string {
	if word := ssoErrors[f.Code]; word != "" {
		return word
	}
	why, ok := errors.AsType[*openid.Failure](f)
	switch {
	case f.Code != fault.UpstreamFailed, !ok, why.Step == openid.AtRequest && !errors.Is(why, openid.ErrLies):
		return "idp_error"
	case why.Redeemed(), errors.Is(why, openid.ErrLies), errors.Is(why, openid.ErrAudience):
		return "invalid_token"
	}
	return "token_exchange_failed"
}

// completionPage and errorPage are the application's own (contract §6).
func (s Settings) completionPage() string {
	if s.CompletionURL != "" {
		return s.CompletionURL
	}
	return strings.TrimSuffix(s.AppURL, "/") + "/auth/sso/complete"
}

func (s Settings) errorPage() string {
	switch {
	case s.ErrorURL != "":
		return s.ErrorURL
	case s.AppURL != "":
		return strings.TrimSuffix(s.AppURL, "/") + "/auth/sso/error"
	}
	return s.CompletionURL
}

// completedSSO is who signed in (contract §7).
type completedSSO struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
}

// ssoComplete is POST /api/auth/sso/complete.
func (a *API) ssoComplete(w http.ResponseWriter, r *http.Request, c *call) error {
	handle := c.text("handle", wire.Required, wire.Max(maxOpaque))
	if err := c.err(); err != nil {
		return err
	}
	got, err := a.SignIn.CompleteSSO(r.Context(), signin.SSOComplete{ClientID: c.client, Handle: handle, Cookie: wire.Cookie(r, flowCookie), Visitor: c.visitor(r)})
	if fault.Is(err, fault.HandleInvalid) {
		return refuse("INVALID_OR_EXPIRED_TOKEN").saying("Invalid or expired SSO handle").because(err)
	} else if err != nil {
		return as(err, completionCodes)
	}
	wire.ClearCookie(w, r, flowCookie)
	return a.finish(w, r, c, got.Outcome, true, func(in *signin.SignedIn) error {
		return done(w, completedSSO{string(in.User.ID), in.User.Email})
	})
}

// completionCodes are what is no handle's fault: the connection or the person is not
// what it was at the callback (contract §7).
var completionCodes = map[fault.Code]string{
	fault.ConnectionChanged: "FORBIDDEN", fault.SSODisabled: "FORBIDDEN", fault.EmailDomainForbidden: "FORBIDDEN", fault.AccountNotLinked: "FORBIDDEN",
	fault.NotEnrolled: "FORBIDDEN", fault.EnrolmentPending: "USER_NOT_ACTIVE", fault.EnrolmentSuspended: "USER_NOT_ACTIVE",
}
