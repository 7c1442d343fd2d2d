package pages

import (
	"net/http"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// joinData fills the sign-up and the invitation page.
type joinData struct {
	target
	Email, Name, Code string
	OAuthToken        string // of somebody whom an upstream vouched for
	MinLength         int
}

// joinView is a page to join an application by.
func joinView(name string, page place, d joinData) view {
	d.MinLength = page.Client.Password().MinLength
	return view{Title: titles[name], client: page.Client, Data: d}
}

// signup is GET /signup. Who needs an invitation is asked for its code.
func (p *Pages) signup(w http.ResponseWriter, r *http.Request) {
	t := targetOf(wire.Query(r))
	page, err := p.page(r, t)
	switch {
	case err != nil:
		p.fail(w, r, err)
	case page.Client.Policy.Closed():
		v := joinView(pageInvite, page, joinData{target: t})
		v.Notice = said[fault.InviteRequired]
		p.show(w, r, http.StatusOK, pageInvite, v)
	case !page.Client.Offers(client.MethodPassword):
		p.fail(w, r, fault.New(fault.MethodDisabled, client.MethodPassword))
	default:
		p.show(w, r, http.StatusOK, pageSignUp, joinView(pageSignUp, page, joinData{target: t}))
	}
}

// postSignup makes an account with a password.
func (p *Pages) postSignup(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := joinData{target: t, Email: in.String("email"), Name: in.String("display_name")}
	out, err := p.SignIn.SignUp(r.Context(), signin.SignUpIn{
		ClientID: page.Client.ID, Email: d.Email, DisplayName: d.Name, Password: in.String("password"), Request: t.Request,
		Limits: p.Flow.Limits.SignUp(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	name := pageSignUp
	if fault.Is(err, fault.InviteRequired) {
		name = pageInvite
	}
	if err != nil {
		p.again(w, r, name, joinView(name, page, d), err)
		return
	}
	p.arrive(w, r, t, page, out)
}

// invite is GET /invite, where the link of an invitation leads. The code is
// filled in; nothing happens to it before the button is pressed.
func (p *Pages) invite(w http.ResponseWriter, r *http.Request) {
	q := wire.Query(r)
	t := targetOf(q)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, pageInvite, joinView(pageInvite, page, joinData{target: t, Code: q.String("code")}))
}

// postInvite accepts an invitation.
func (p *Pages) postInvite(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := joinData{
		target: t, Code: strings.TrimSpace(in.String("code")),
		Email: strings.TrimSpace(in.String("email")), Name: strings.TrimSpace(in.String("display_name")),
	}
	out, err := p.SignIn.AcceptInvite(r.Context(), signin.InviteIn{
		ClientID: page.Client.ID, Code: d.Code, Email: d.Email, DisplayName: d.Name, Password: in.String("password"), Request: t.Request,
		Failures: p.Flow.Limits.Invite(wire.OriginOf(r.Context()), string(page.Client.ID)), Visitor: visitor(r),
	})
	if err != nil {
		p.again(w, r, pageInvite, joinView(pageInvite, page, d), err)
		return
	}
	p.arrive(w, r, t, page, out)
}
