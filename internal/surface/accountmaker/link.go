package accountmaker

import (
	"bytes"
	"html/template"
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/secret"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// sendMagicLink is POST /auth/send-magic-link (contract §3.12). The browser that
// asks gets a cookie by which it is known when it follows the link.
func (a *API) sendMagicLink(w http.ResponseWriter, r *http.Request, c *call) {
	in := signin.MagicLinkIn{
		ClientID: c.ref.ID, Email: c.email(true), RedirectURI: c.text("redirect_uri", field{max: maxOpaque}),
		Page: "/auth/sign-in-with-token", Browser: secret.Hex(16), Visitor: visitor(r),
	}
	c.text("preferred_language", field{max: maxLanguage})
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	in.Limits = mailLimits("magic", wire.OriginOf(r.Context()), in.Email)
	if err := a.SignIn.RequestMagicLink(r.Context(), in); err != nil {
		a.fail(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: loginCookie, Value: in.Browser, Path: cookiePath(r), MaxAge: int(signin.MagicLinkLifetime / time.Second),
		HttpOnly: true, Secure: wire.MountOf(r.Context()).Secure, SameSite: http.SameSiteLaxMode,
	})
	noContent(w)
}

func noContent(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// openLoginToken is GET /auth/sign-in-with-token (contract §3.15), which a mailed
// link leads to. A program that asks gets what it asks for. A person's browser is
// signed in if it is the one that asked for the link; another is shown a button, so
// that nobody signs in a stranger by sending them a link of their own, and what
// only looks spends nothing.
func (a *API) openLoginToken(w http.ResponseWriter, r *http.Request, c *call) {
	raw, ok := a.loginToken(w, r, c)
	switch {
	case !ok:
	case r.Method == http.MethodHead:
		noContent(w)
	case looks(r):
		a.askToConfirm(w, r, raw)
	case !navigates(r):
		a.spendLoginToken(w, r, c.ref.ID, raw, false)
	default:
		target, err := a.SignIn.MagicLinkTarget(r.Context(), raw)
		if err != nil && !fault.Is(err, fault.MagicLinkInvalid) {
			a.fail(w, r, err)
			return
		}
		if target.AskedBy(wire.Cookie(r, loginCookie)) && !target.Client.Policy.MagicLinkButton {
			a.spendLoginToken(w, r, c.ref.ID, raw, true)
			return
		}
		a.askToConfirm(w, r, raw)
	}
}

// signInWithToken is POST /auth/sign-in-with-token.
func (a *API) signInWithToken(w http.ResponseWriter, r *http.Request, c *call) {
	if raw, ok := a.loginToken(w, r, c); ok {
		a.spendLoginToken(w, r, c.ref.ID, raw, false)
	}
}

// loginToken reads the secret of a mailed link. No foreign page may have a browser
// show one: whoever mailed it to themselves would sign others in as them.
func (a *API) loginToken(w http.ResponseWriter, r *http.Request, c *call) (string, bool) {
	if c.foreign(r) {
		a.fail(w, r, refuse("origin-not-allowed"))
		return "", false
	}
	raw := c.text("token", field{required: true, secret: true, max: maxOpaque})
	c.text("client_id", field{max: maxOpaque})
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return "", false
	}
	return raw, true
}

// confirmLoginToken is where the button of the page leads.
func (a *API) confirmLoginToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxBody)
	if err := r.ParseForm(); err != nil {
		a.fail(w, r, refuse("invalid-request"))
		return
	}
	raw := r.PostForm.Get("token")
	if a.CSRF.Check(r, r.PostForm.Get("csrf"), raw) != nil {
		a.fail(w, r, refuse("csrf-invalid"))
		return
	}
	a.spendLoginToken(w, r, "", raw, true)
}

// spendLoginToken signs in by a mailed link, or by an invitation to an account,
// which is a link of that kind too. A browser that shows the answer to a person
// goes where the link says, with the tokens in cookies.
func (a *API) spendLoginToken(w http.ResponseWriter, r *http.Request, id client.ID, raw string, shown bool) {
	out, err := a.SignIn.MagicLink(r.Context(), signin.SpendLinkIn{
		Token: raw, Limits: tokenLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if fault.Is(err, fault.MagicLinkInvalid) && out.Client.ID == "" {
		a.acceptAccount(w, r, id, raw)
		return
	}
	if err != nil || out.SignedIn == nil {
		a.finish(w, r, out.Outcome, err)
		return
	}
	target := ""
	if p := out.Client.Policy; shown && out.Chosen && (p.AccessToken.Cookie != nil || p.RefreshToken.Cookie != nil) {
		target = out.RedirectURI
	}
	a.signedIn(w, r, *out.SignedIn, target)
}

// askToConfirm shows a button, which spends the link.
func (a *API) askToConfirm(w http.ResponseWriter, r *http.Request, raw string) {
	err := wire.AskToConfirm(w, wire.MountOf(r.Context()).Path+"/auth/sign-in-with-token/confirm", raw, a.CSRF.Token(w, r, raw))
	if err != nil {
		a.fail(w, r, err)
	}
}

// sendPasswordReset is POST /auth/send-password-reset (contract §3.13).
func (a *API) sendPasswordReset(w http.ResponseWriter, r *http.Request, c *call) {
	email := c.email(true)
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	err := a.SignIn.ForgotPassword(r.Context(), signin.ForgotIn{
		ClientID: c.ref.ID, Email: email, Limits: signin.Limits{Count: mailLimits("reset", wire.OriginOf(r.Context()), email)}, Visitor: visitor(r),
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	noContent(w)
}

// resetPassword is POST /auth/reset-password (contract §3.10).
func (a *API) resetPassword(w http.ResponseWriter, r *http.Request, c *call) {
	in := signin.ResetIn{
		Token:    c.text("token", field{required: true, secret: true, max: maxOpaque}),
		Password: c.text("new_password", field{required: true, secret: true, max: maxPassword}),
		Limits:   tokenLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	}
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	if err := a.SignIn.ResetPassword(r.Context(), in); err != nil {
		a.fail(w, r, err)
		return
	}
	noContent(w)
}

// sendVerification is POST /auth/send-verification-email (contract §3.11), and the
// path that the reference hints at.
func (a *API) sendVerification(w http.ResponseWriter, r *http.Request, c *call) {
	email := c.email(false)
	if err := c.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	err := a.SignIn.SendVerification(r.Context(), signin.SendVerificationIn{
		UserID: c.who.user, ClientID: c.who.client, Email: email, Page: "/auth/verify", Limits: verifyLimits(c.who.user), Visitor: visitor(r),
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	noContent(w)
}

// openVerification is GET /auth/verify (contract §3.17). To look costs nothing
// here either: a scanner's click would prove an address whose owner never saw the
// mail.
func (a *API) openVerification(w http.ResponseWriter, r *http.Request, c *call) {
	switch {
	case r.Method == http.MethodHead:
		noContent(w)
	case looks(r):
		message(w, http.StatusOK, "Confirm your address", "Open this link in your browser.")
	default:
		a.verify(w, r, c)
	}
}

// verify is POST /auth/verify.
func (a *API) verify(w http.ResponseWriter, r *http.Request, c *call) {
	raw, ok := a.loginToken(w, r, c)
	if !ok {
		return
	}
	_, err := a.SignIn.ConfirmEmail(r.Context(), raw, visitor(r))
	shown := r.Method == http.MethodGet && navigates(r)
	switch {
	case shown && fault.Is(err, fault.VerificationInvalid):
		message(w, http.StatusBadRequest, "This link does not work", "It has expired, or was for another address.")
	case err != nil:
		a.fail(w, r, err)
	case shown:
		message(w, http.StatusOK, "Your address is confirmed", "You can close this page.")
	default:
		noContent(w)
	}
}

var messagePage = template.Must(template.New("message").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p></main></body>
</html>
`))

// message is a page that only says something.
func message(w http.ResponseWriter, status int, title, text string) {
	var page bytes.Buffer
	if err := messagePage.Execute(&page, struct{ Title, Text string }{title, text}); err != nil {
		panic("accountmaker: " + err.Error()) // texts always fit
	}
	wire.PageHeaders(w, "")
	wire.Write(w, status, "text/html; charset=utf-8", page.Bytes())
}
