package snooplytics

import (
	"net/http"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/onetime"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

type status struct {
	Status bool `json:"status"`
}

// ok is what a change without anything to tell answers.
var okay = status{true}

// magicLinkLife is how long a mailed sign-in is good (contract §11).
const magicLinkLife = 5 * time.Minute

// The fields that say where a browser ends up that followed a mailed sign-in.
const toHome, toNewcomers, toTrouble = "callbackURL", "newUserCallbackURL", "errorCallbackURL"

// sendMagicLink is POST /sign-in/magic-link: the same for whoever has the address.
func (a *API) sendMagicLink(w http.ResponseWriter, r *http.Request, c *call) error {
	in := signin.MagicLinkIn{
		ClientID: c.client, Email: c.email(), Name: c.text("name", wire.Max(maxName)), Life: magicLinkLife, Visitor: c.visitor(r),
	}
	home, newcomers, trouble := c.text(toHome, wire.Max(maxURL)), c.text(toNewcomers, wire.Max(maxURL)), c.text(toTrouble, wire.Max(maxURL))
	err := c.err()
	if err == nil {
		in.Page, err = a.page(r, c, "/api/auth/magic-link/verify", toHome, home, toNewcomers, newcomers, toTrouble, trouble)
	}
	if err == nil {
		in.Limits = perAddress("magic", in.Email, 5, time.Hour).Count
		err = a.SignIn.RequestMagicLink(r.Context(), in)
	}
	if err != nil {
		return err
	}
	return done(w, okay)
}

// byLink is a sign-in by a mailed link that leads nowhere.
type byLink struct {
	Token   *string `json:"token"`
	User    user    `json:"user"`
	Session sitting `json:"session"`
}

// destinations are where a browser ends up that followed a mailed sign-in.
type destinations struct{ home, newcomers, trouble string }

// destinations reads them from the link.
func (a *API) destinations(r *http.Request, c *call) (destinations, error) {
	fields := []string{toHome, toNewcomers, toTrouble}
	given := make([]string, len(fields))
	for i, field := range fields {
		given[i] = c.text(field, wire.Max(maxURL))
	}
	if err := c.err(); err != nil {
		return destinations{}, err
	}
	for i, field := range fields {
		var err error
		if given[i], err = a.callback(r, c, field, given[i]); err != nil {
			return destinations{}, err
		}
	}
	return destinations{given[0], or(given[1], given[0]), or(given[2], given[0])}, nil
}

// openMagicLink is GET /magic-link/verify, which a mailed link leads to. Who only
// looks spends nothing; where the client has it so, nobody does but by a button.
func (a *API) openMagicLink(w http.ResponseWriter, r *http.Request, c *call) error {
	raw := c.text("token", required, wire.Max(maxOpaque))
	to, err := a.destinations(r, c)
	if err != nil {
		return err
	}
	if wire.Looks(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	target, err := a.SignIn.MagicLinkTarget(r.Context(), raw)
	if err == nil && target.Client.Policy.MagicLinkButton {
		return a.askToConfirm(w, r, raw)
	}
	return a.spendMagicLink(w, r, c, raw, to)
}

// spendMagicLink signs in by a mailed link.
func (a *API) spendMagicLink(w http.ResponseWriter, r *http.Request, c *call, raw string, to destinations) error {
	out, err := a.SignIn.MagicLink(r.Context(), signin.SpendLinkIn{Token: raw, Visitor: c.visitor(r)})
	if err != nil {
		if code := codeOf(err); code != "" {
			return c.back(w, to.trouble, "error", code)
		}
		return err
	}
	if to.home == "" {
		return a.finish(w, r, c, out.Outcome, true, func(in *signin.SignedIn) error {
			return done(w, byLink{name(in.Session), userOfSignIn(in), sittingOf(in.Started)})
		})
	}
	if out.New {
		to.home = to.newcomers
	}
	return a.land(w, r, c, out.Outcome, to.home, to.trouble)
}

// land ends a sign-in of a browser that is on its way somewhere.
func (a *API) land(w http.ResponseWriter, r *http.Request, c *call, out signin.Outcome, home, trouble string) error {
	switch {
	case out.SignedIn != nil:
		a.admit(w, r, c, out.SignedIn, true)
		return c.back(w, home)
	case out.Challenge != nil:
		a.challenge(w, r, c, *out.Challenge, true)
		return c.back(w, home, "twoFactorRedirect", "true")
	case out.Setup != nil:
		if out.Setup.Session != "" {
			c.signIn(w, r, out.Setup.Session, false)
		}
		return c.back(w, trouble, "error", "MFA_REQUIRED")
	}
	return c.back(w, trouble, "error", "USER_NOT_ACTIVE")
}

// requestReset is POST /request-password-reset: the same for whoever has the address.
func (a *API) requestReset(w http.ResponseWriter, r *http.Request, c *call) error {
	in := signin.ForgotIn{ClientID: c.client, Email: c.email(), Visitor: c.visitor(r)}
	given := c.text("redirectTo", wire.Max(maxURL))
	if err := c.err(); err != nil {
		return err
	}
	to, err := a.callback(r, c, "redirectURL", given)
	if err != nil {
		if codeOf(err) == "INVALID_CALLBACK_URL" {
			err = refuse("INVALID_REDIRECT_URL")
		}
		return err
	}
	if to = or(to, c.set.AppURL); to != "" { // else a page of ours
		in.Page = wire.WithQuery("/api/auth/reset-password/{token}", "callbackURL", to)
	}
	in.Limits = perAddress("reset", in.Email, 3, 15*time.Minute)
	if err := a.SignIn.ForgotPassword(r.Context(), in); err != nil {
		return err
	}
	return done(w, struct {
		Status  bool   `json:"status"`
		Message string `json:"message"`
	}{true, "If this email exists in our system, check your email for the reset link"})
}

// openReset is GET /reset-password/{token}, which a mailed link leads to: it takes the
// token to the application's page and spends nothing.
func (a *API) openReset(w http.ResponseWriter, r *http.Request, c *call) error {
	given := c.text("callbackURL", wire.Max(maxURL))
	if err := c.err(); err != nil {
		return err
	}
	to, err := a.callback(r, c, "callbackURL", given)
	if err != nil {
		return err
	}
	raw := r.PathValue("token")
	_, err = a.SignIn.ClientBy(r.Context(), signin.ClientRef{Secret: raw, Purposes: []onetime.Purpose{onetime.Reset}})
	switch {
	case fault.Is(err, fault.ClientUnknown):
		return c.back(w, to, "error", "INVALID_TOKEN")
	case err != nil:
		return err
	}
	return c.back(w, to, "token", raw)
}

// resetPassword is POST /reset-password.
func (a *API) resetPassword(w http.ResponseWriter, r *http.Request, c *call) error {
	in := signin.ResetIn{
		Password: c.text("newPassword", required, wire.Max(maxPassword)), Token: c.text("token", wire.Max(maxOpaque)),
		Limits: signin.Limits{Count: resetTries(r)}, KeepKeys: !c.set.ResetEndsKeys, Visitor: c.visitor(r),
	}
	if err := c.err(); err != nil {
		return err
	}
	if err := a.SignIn.ResetPassword(r.Context(), in); err != nil {
		return err
	}
	return done(w, okay)
}

// sendVerification is POST /send-verification-email: the same for whoever has the
// address.
func (a *API) sendVerification(w http.ResponseWriter, r *http.Request, c *call) error {
	in := signin.RequestVerificationIn{ClientID: c.client, Email: c.email(), Visitor: c.visitor(r)}
	back := c.text("callbackURL", wire.Max(maxURL))
	err := c.err()
	if err == nil {
		in.Page, err = a.page(r, c, "/api/auth/verify-email", "callbackURL", back)
	}
	if err == nil {
		in.Limits = perAddress("verify", in.Email, 5, time.Hour).Count
		err = a.SignIn.RequestVerification(r.Context(), in)
	}
	if err != nil {
		return err
	}
	return done(w, okay)
}

// verifyEmail is GET /verify-email, which a mailed link leads to. What only looks
// proves nothing: a scanner's click would prove an address whose owner never saw the
// mail.
func (a *API) verifyEmail(w http.ResponseWriter, r *http.Request, c *call) error {
	raw, given := c.text("token", required, wire.Max(maxOpaque)), c.text("callbackURL", wire.Max(maxURL))
	if err := c.err(); err != nil {
		return err
	}
	to, err := a.callback(r, c, "callbackURL", given)
	if err != nil {
		return err
	}
	if wire.Looks(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	err = a.SignIn.Confirm(r.Context(), raw, c.visitor(r))
	if f, ok := fault.From(err); ok && f.Code == fault.VerificationInvalid {
		code := "INVALID_TOKEN"
		if len(f.Params) > 0 {
			code = "TOKEN_EXPIRED"
		}
		if to != "" {
			return c.back(w, to, "error", code)
		}
		return refuse(code).as(http.StatusUnauthorized)
	}
	switch {
	case err != nil:
		return err
	case to != "":
		return c.back(w, to)
	}
	return done(w, struct {
		Status bool  `json:"status"`
		User   *user `json:"user"`
	}{Status: true})
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
