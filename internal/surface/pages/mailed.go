package pages

import (
	"net/http"

	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// confirmData fills a page that asks for one click: a scanner that follows the
// links of a mail presses no button.
type confirmData struct{ Action, Token, Button, Text string }

// verifyEmail is GET /verify-email.
func (p *Pages) verifyEmail(w http.ResponseWriter, r *http.Request) {
	raw := wire.Query(r).String("token")
	if raw == "" {
		p.fail(w, r, fault.New(fault.VerificationInvalid))
		return
	}
	p.show(w, r, http.StatusOK, pageConfirm, view{Title: "Confirm your e-mail address", Data: confirmData{
		Action: "/verify-email", Token: raw, Button: "Confirm",
		Text: "Did you create an account with the address that the mail went to? Then confirm that it is yours. If you did not, just close this page.",
	}})
}

// postVerifyEmail spends the link.
func (p *Pages) postVerifyEmail(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	if err := p.SignIn.VerifyEmail(r.Context(), in.String("token"), visitor(r)); err != nil {
		p.fail(w, r, err)
		return
	}
	p.message(w, r, http.StatusOK, "Thank you", "Your e-mail address is confirmed. You can close this page.")
}

// magicLink is GET /magic-link, for installations whose links do not sign in by
// themselves. It spends nothing.
func (p *Pages) magicLink(w http.ResponseWriter, r *http.Request) {
	raw := wire.Query(r).String("token")
	to, err := p.SignIn.MagicLinkTarget(r.Context(), raw)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, pageConfirm, view{Title: titles[pageLogin], client: to.Client, Data: confirmData{
		Action: "/magic-link", Token: raw, Button: "Sign in",
		Text: "Press the button to go on. If you did not ask to be signed in, just close this page.",
	}})
}

// postMagicLinkSpend signs in by the link. What goes wrong is said on the
// sign-in page of the link's application, if it is known.
func (p *Pages) postMagicLinkSpend(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	var page place
	t, err := p.requestOf(r, in.String("token"))
	if err == nil && t.Request != "" {
		page, err = p.page(r, t)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	out, err := p.SignIn.MagicLink(r.Context(), signin.SpendLinkIn{
		Token: in.String("token"), Request: t.Request, Cookie: wire.Cookie(r, p.Flow.UpstreamCookie), Limits: p.Flow.Limits.MagicVerify(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if t.Request == "" {
		t = target{AppID: string(out.Client.ID), RedirectURI: out.RedirectURI}
		page = place{LoginPage: signin.LoginPage{Client: out.Client, RedirectURI: out.RedirectURI}}
	}
	switch {
	case err != nil && out.Client.ID == "":
		p.fail(w, r, err)
	case err != nil:
		p.again(w, r, pageLogin, view{client: out.Client, Data: dataFor(t, out.Client)}, err)
	default:
		p.arrive(w, r, t, page, out.Outcome)
	}
}

// requestOf is the request that a link was asked for in, if it was. A link that
// is none is found out when it is spent.
func (p *Pages) requestOf(r *http.Request, raw string) (target, error) {
	to, err := p.SignIn.MagicLinkTarget(r.Context(), raw)
	if fault.Is(err, fault.MagicLinkInvalid) {
		err = nil
	}
	return target{Request: to.Request}, err
}
