package pages

import (
	"net/http"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// joinData fills the sign-up and the invitation page.
type joinData struct {
	target
	Email, Name, Code string
	MinLength         int
}

func (p *Pages) signup(w http.ResponseWriter, r *http.Request) {
	p.join(w, r, "signup", "Create your account")
}

func (p *Pages) invite(w http.ResponseWriter, r *http.Request) {
	p.join(w, r, "invite", "Accept your invitation")
}

func (p *Pages) join(w http.ResponseWriter, r *http.Request, name, title string) {
	q := wire.Query(r)
	t := targetOf(q)
	page, err := p.page(r, t, false)
	if err != nil && !fault.Is(err, fault.RedirectURIInvalid) {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, name, view{Title: title, Look: lookOf(page.Client), Data: joinData{
		target: t, Code: q.String("code"), MinLength: page.Client.Password().MinLength,
	}})
}

// joinAgain shows the form with what went wrong; the password is typed anew.
func (p *Pages) joinAgain(w http.ResponseWriter, r *http.Request, name, title string, page signin.LoginPage, d joinData, err error) {
	f, ok := p.asFault(w, r, err)
	if !ok {
		return
	}
	retryAfter(w, f)
	d.MinLength = page.Client.Password().MinLength
	p.show(w, r, statusOf(f), name, view{Title: title, Look: lookOf(page.Client), Error: words(f), Data: d})
}

func (p *Pages) postSignup(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t, false)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := joinData{target: t, Email: in.String("email"), Name: in.String("display_name")}
	out, err := p.SignIn.SignUp(r.Context(), signin.SignUpIn{
		ClientID: t.clientID(), Email: d.Email, DisplayName: d.Name, Password: in.String("password", wire.Max(maxPassword)),
		Limits: p.Flow.Limits.SignUp(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if err != nil {
		p.joinAgain(w, r, "signup", "Create your account", page, d, err)
		return
	}
	p.arrive(w, r, t, page, out)
}

func (p *Pages) postInvite(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t, false)
	if err != nil && !fault.Is(err, fault.RedirectURIInvalid) {
		p.fail(w, r, err)
		return
	}
	d := joinData{target: t, Email: strings.TrimSpace(in.String("email")), Name: strings.TrimSpace(in.String("display_name")), Code: in.String("code")}
	out, err := p.SignIn.AcceptInvite(r.Context(), signin.InviteIn{
		ClientID: t.clientID(), Code: d.Code, Email: d.Email, DisplayName: d.Name, Password: in.String("password", wire.Max(maxPassword)),
		Failures: p.Flow.Limits.Invite(wire.OriginOf(r.Context()), t.AppID), Visitor: visitor(r),
	})
	if err != nil {
		p.joinAgain(w, r, "invite", "Accept your invitation", page, d, err)
		return
	}
	p.arrive(w, r, t, page, out)
}

// verifyEmail shows a button: a scanner that follows the mail's link verifies
// nothing.
func (p *Pages) verifyEmail(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusOK, "confirm", view{Title: "Confirm your e-mail address", Data: confirmData{
		Action: "/verify-email", Token: wire.Query(r).String("token"), Button: "Confirm",
		Text: "Press the button to confirm that this e-mail address is yours and that you created the account. If you did not, just close this page.",
	}})
}

// confirmData fills a page that asks for one click.
type confirmData struct{ Action, Token, Button, Text string }

func (p *Pages) postVerifyEmail(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	if err := p.SignIn.VerifyEmail(r.Context(), in.String("token"), visitor(r)); err != nil {
		p.fail(w, r, err)
		return
	}
	p.message(w, r, http.StatusOK, "Thank you", "Your e-mail address is confirmed.")
}

// magicLink shows the button that signs in, where links do not by themselves.
func (p *Pages) magicLink(w http.ResponseWriter, r *http.Request) {
	raw := wire.Query(r).String("token")
	v := view{Title: "Sign in", Data: confirmData{
		Action: "/magic-link", Token: raw, Button: "Sign in", Text: "Press the button to sign in.",
	}}
	if to, err := p.SignIn.MagicLinkTarget(r.Context(), raw); err == nil {
		v.Look = lookOf(to.Client)
	} else if _, ok := p.asFault(w, r, err); !ok {
		return
	}
	p.show(w, r, http.StatusOK, "confirm", v)
}

func (p *Pages) postMagicLinkSpend(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	out, err := p.SignIn.MagicLink(r.Context(), in.String("token"), p.Flow.Limits.MagicVerify(wire.OriginOf(r.Context())), visitor(r))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	t := target{AppID: string(out.Client.ID), RedirectURI: out.RedirectURI}
	p.arrive(w, r, t, signin.LoginPage{Client: out.Client, RedirectURI: out.RedirectURI}, out.Outcome)
}

// forgotData fills the recovery pages.
type forgotData struct {
	target
	Email, Token string
	Sent         bool
}

func (p *Pages) forgot(w http.ResponseWriter, r *http.Request) {
	t := targetOf(wire.Query(r))
	page, err := p.page(r, t, false)
	if err != nil && !fault.Is(err, fault.RedirectURIInvalid) {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "forgot", view{Title: "Forgot your password?", Look: lookOf(page.Client), Data: forgotData{target: t}})
}

func (p *Pages) postForgot(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t, false)
	if err != nil && !fault.Is(err, fault.RedirectURIInvalid) {
		p.fail(w, r, err)
		return
	}
	d := forgotData{target: t, Email: in.String("email")}
	v := view{Title: "Forgot your password?", Look: lookOf(page.Client)}
	email, err := identity.NormalizeEmail(d.Email)
	if err != nil {
		err = fault.New(fault.EmailInvalid)
	} else {
		err = p.SignIn.ForgotPassword(r.Context(), signin.ForgotIn{
			ClientID: t.clientID(), Email: email, Limits: p.Flow.Limits.ForgotIP(wire.OriginOf(r.Context())),
			Silent: p.Flow.Limits.ForgotEmail(email), Visitor: visitor(r),
		})
	}
	if err != nil {
		f, ok := p.asFault(w, r, err)
		if !ok {
			return
		}
		retryAfter(w, f)
		v.Error, v.Data = words(f), d
		p.show(w, r, statusOf(f), "forgot", v)
		return
	}
	d.Sent = true
	v.Title, v.Data = "Check your mail", d
	v.Notice = "If an account exists with that e-mail address, a link to choose a new password is on its way to it."
	p.show(w, r, http.StatusOK, "forgot", v)
}

func (p *Pages) reset(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusOK, "reset", view{Title: "Choose a new password", Data: forgotData{Token: wire.Query(r).String("token")}})
}

func (p *Pages) postReset(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	raw := in.String("token")
	err := p.SignIn.ResetPassword(r.Context(), signin.ResetIn{
		Token: raw, Password: in.String("password", wire.Max(maxPassword)),
		Limits: p.Flow.Limits.Reset(wire.OriginOf(r.Context())), Login: p.Flow.Limits.LoginEmail(""), Visitor: visitor(r),
	})
	if err != nil {
		f, ok := p.asFault(w, r, err)
		if !ok {
			return
		}
		retryAfter(w, f)
		p.show(w, r, statusOf(f), "reset", view{Title: "Choose a new password", Error: words(f), Data: forgotData{Token: raw}})
		return
	}
	wire.ClearCookie(w, r, p.Flow.Cookie)
	p.message(w, r, http.StatusOK, "Password changed", "Your new password is set. You have been signed out everywhere; sign in with it where you need to.")
}
