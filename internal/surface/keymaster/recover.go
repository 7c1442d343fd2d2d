package keymaster

import (
	"net/http"

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
	if !clicked(w, r) {
		return
	}
	out, err := a.SignIn.MagicLink(r.Context(), signin.SpendLinkIn{
		Token: wire.Query(r).String("token"), Cookie: wire.Cookie(r, UpstreamCookie), Limits: MagicVerifyLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	a.arrive(w, r, out.Outcome, errand{client: out.Client, redirectURI: out.RedirectURI}, err)
}

// arrive ends a flow that goes by redirects (contract §4.2): at the
// application with tokens, or on the login page with the reason.
func (a *API) arrive(w http.ResponseWriter, r *http.Request, out signin.Outcome, e errand, err error) {
	if f, expected := wire.Fault(err); expected && loginErrors[f.Code] != "" {
		a.redirect(w, r, e.loginPage(r, "error", loginErrors[f.Code]))
		return
	} else if err != nil {
		a.fail(w, r, err)
		return
	}
	to, err := a.destination(r, out, e)
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

func (a *API) redirect(w http.ResponseWriter, _ *http.Request, to string) {
	noStore(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}
