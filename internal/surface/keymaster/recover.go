package keymaster

import (
	"net/http"
	"net/url"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// forgotPassword is POST /auth/forgot-password (contract §2.5).
func (a *API) forgotPassword(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.ForgotIn{
		Email: email(b, wire.Required), ClientID: appID(b, wire.Required),
		Limits: ForgotByIP(wire.OriginOf(r.Context())), Visitor: visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Silent = ForgotByEmail(in.Email)
	if err := a.SignIn.ForgotPassword(r.Context(), in); err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, plainError{"If an account exists with that email, a reset link has been sent."})
}

// resetPassword is POST /auth/reset-password (contract §2.6).
func (a *API) resetPassword(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.ResetIn{
		Token:    b.String("token", wire.Required, wire.Max(maxOpaque)),
		Password: b.String("password", wire.Required, wire.Min(1), wire.Max(maxPassword)),
		Limits:   ResetLimits(wire.OriginOf(r.Context())), Login: LoginByEmail(""), Visitor: visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	if err := a.SignIn.ResetPassword(r.Context(), in); err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, ok)
}

// magicLinkRequest is POST /auth/magic-link/request (contract §2.7).
func (a *API) magicLinkRequest(w http.ResponseWriter, r *http.Request) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := signin.MagicLinkIn{
		Email: email(b, wire.Required), ClientID: appID(b, wire.Required),
		RedirectURI: b.String("redirect_uri", wire.Max(maxOpaque)), Visitor: visitor(r),
	}
	if err := b.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Limits = MagicLinkLimits(wire.OriginOf(r.Context()), in.Email)
	if err := a.SignIn.RequestMagicLink(r.Context(), in); err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, statusResponse{"sent"})
}

// magicLinkVerify is GET /auth/magic-link/verify (contract §2.8). A HEAD or a
// prefetch, which nobody clicked, spends nothing.
func (a *API) magicLinkVerify(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		noStore(w)
		return
	}
	if wire.Prefetch(r) {
		// Not a success, so that no browser shows it in place of the click.
		wire.WriteJSON(w, http.StatusServiceUnavailable, plainError{"Not available for prefetch"})
		return
	}
	out, err := a.SignIn.MagicLink(r.Context(), signin.SpendLinkIn{
		Token: wire.Query(r).String("token"), Limits: MagicVerifyLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	a.arrive(w, r, out.Outcome, out.Client, out.RedirectURI, err)
}

// arrive ends a flow that goes by redirects (contract §4.2): at the
// application with tokens, or on the login page with the reason.
func (a *API) arrive(w http.ResponseWriter, r *http.Request, out signin.Outcome, cl client.Client, redirectURI string, err error) {
	if f, expected := wire.Fault(err); expected && loginErrors[f.Code] != "" {
		a.redirect(w, r, loginPage(r, cl, redirectURI, loginErrors[f.Code]))
		return
	} else if err != nil {
		a.fail(w, r, err)
		return
	}
	to, err := a.Destination(r, out, cl, redirectURI)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	switch {
	case out.Challenge != nil:
		// Somebody else's live session in this browser would take the login
		// page's fast path, past the person who still owes a factor.
		if wire.Cookie(r, Cookie) != "" {
			wire.ClearCookie(w, r, Cookie)
		}
	case out.SignedIn != nil:
		setSSO(w, r, out.SignedIn.Session)
	case out.Setup != nil:
		setSSO(w, r, out.Setup.Session)
	}
	a.redirect(w, r, to)
}

// loginErrors are the values of the login page's error parameter.
var loginErrors = map[fault.Code]string{
	fault.MagicLinkInvalid:    "invalid_magic_link",
	fault.NotEnrolled:         "not_enrolled",
	fault.EnrolmentPending:    "pending_approval",
	fault.EnrolmentSuspended:  "account_suspended",
	fault.FactorSetupRequired: "2fa_required",
	fault.InviteRequired:      "invite_required",
}

// Destination is where a browser goes with an outcome: to the application with
// its tokens in the query, or to the login page for what is still owed.
func (a *API) Destination(r *http.Request, out signin.Outcome, cl client.Client, redirectURI string) (string, error) {
	switch {
	case out.Challenge != nil:
		session, err := a.TOTPSession(r.Context(), *out.Challenge)
		if err != nil {
			return "", err
		}
		return loginPage(r, cl, redirectURI, "") + "#totp_session=" + url.QueryEscape(session), nil
	case out.Setup != nil:
		return loginPage(r, cl, redirectURI, loginErrors[fault.FactorSetupRequired]), nil
	case out.Pending:
		return loginPage(r, cl, redirectURI, loginErrors[fault.EnrolmentPending]), nil
	case redirectURI == "":
		// An application without a page of its own: the browser is signed in.
		return base(r.Context()) + "/account", nil
	}
	access, err := a.AccessToken(r.Context(), *out.SignedIn)
	if err != nil {
		return "", err
	}
	return wire.WithQuery(redirectURI, "access_token", access, "refresh_token", out.SignedIn.Refresh), nil
}

// loginPage is the address of the login page; what is not known is left out.
func loginPage(r *http.Request, cl client.Client, redirectURI, problem string) string {
	var q []string
	if cl.ID != "" {
		q = append(q, "app_id", string(cl.ID))
	}
	if redirectURI != "" {
		q = append(q, "redirect_uri", redirectURI)
	}
	if problem != "" {
		q = append(q, "error", problem)
	}
	return wire.WithQuery(wire.MountOf(r.Context()).Path+"/login", q...)
}

func (a *API) redirect(w http.ResponseWriter, _ *http.Request, to string) {
	noStore(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}
