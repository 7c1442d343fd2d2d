package pages

import (
	"net/http"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// forgotData fills the recovery pages.
type forgotData struct {
	target
	Email, Token string
	Sent         bool
}

// forgot is GET /forgot-password.
func (p *Pages) forgot(w http.ResponseWriter, r *http.Request) {
	t := targetOf(wire.Query(r))
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, pageForgot, view{Title: titles[pageForgot], client: page.Client, Data: forgotData{target: t}})
}

// postForgot asks for a reset link by mail. It says the same whoever asks.
func (p *Pages) postForgot(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := forgotData{target: t, Email: in.String("email")}
	v := view{client: page.Client, Data: d}
	email, err := identity.NormalizeEmail(d.Email)
	if err != nil {
		err = fault.New(fault.EmailInvalid)
	} else {
		err = p.SignIn.ForgotPassword(r.Context(), signin.ForgotIn{
			ClientID: page.Client.ID, Email: email, Request: t.Request, Limits: p.Flow.Limits.ForgotIP(wire.OriginOf(r.Context())),
			Silent: p.Flow.Limits.ForgotEmail(email), Visitor: visitor(r),
		})
	}
	if err != nil {
		p.again(w, r, pageForgot, v, err)
		return
	}
	d.Sent = true
	v.Title, v.Data = checkMail, d
	v.Notice = "If there is an account for " + email + ", a link to choose a new password is on its way to it. It works once, for one hour."
	p.show(w, r, http.StatusOK, pageForgot, v)
}

// reset is GET /reset-password, where the mailed link leads.
func (p *Pages) reset(w http.ResponseWriter, r *http.Request) {
	raw := wire.Query(r).String("token")
	if raw == "" {
		p.fail(w, r, fault.New(fault.ResetInvalid))
		return
	}
	d := forgotData{Token: raw, target: target{Request: wire.Query(r).String("request")}}
	p.show(w, r, http.StatusOK, pageReset, view{Title: titles[pageReset], Data: d})
}

// postReset sets the new password. A password that is refused leaves the link
// good; a link that is not leaves nothing to try.
func (p *Pages) postReset(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	raw, t := in.String("token"), target{Request: in.String("request")}
	err := p.SignIn.ResetPassword(r.Context(), signin.ResetIn{
		Token: raw, Password: in.String("password"),
		Limits: p.Flow.Limits.Reset(wire.OriginOf(r.Context())), Login: p.Flow.Limits.LoginEmail(""), Visitor: visitor(r),
	})
	switch {
	case fault.Is(err, fault.ResetInvalid):
		p.fail(w, r, err)
	case err != nil:
		p.again(w, r, pageReset, view{Data: forgotData{Token: raw, target: t}}, err)
	default:
		wire.ClearCookie(w, r, p.Flow.Cookie)
		p.changed(w, r, t)
	}
}

// changed says that a new password is set, and leads on to the request that the
// person was to sign in for, if it waits still.
func (p *Pages) changed(w http.ResponseWriter, r *http.Request, t target) {
	m := messageData{Text: "Your new password is set, and you are signed out everywhere."}
	page, err := place{}, error(nil)
	if t.Request != "" {
		page, err = p.page(r, t)
	}
	if t.Request == "" || err != nil {
		m.Text += " Go back to your application and sign in with it."
	} else {
		m.Href, m.Link = "/login"+t.Query(), "Sign in to "+page.Client.Name
	}
	p.show(w, r, http.StatusOK, pageMessage, view{Title: "Password changed", client: page.Client, Data: m})
}
