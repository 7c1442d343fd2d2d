package pages

import (
	"net/http"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// What a sign-in at an upstream still owes when it comes back to /login:
//
//	?prove=        the address is somebody's here: the person signs in to that
//	               account, in any way of ours, and the two are connected
//	?oauth_token=  the application wants an invitation
//	#totp_session= the second factor (assets/fragment.js)
//
// and what an attempt comes back to /account with that began there.

// proving is an upstream account that waits for its owner to sign in here.
type proving struct {
	signin.Proving
	Secret string
}

func (d proving) heading() string { return "Connect " + d.Title }

// elsewhere is what somebody is told whom the application offers no way of ours.
func (d proving) elsewhere() string {
	return "There is an account with the address " + d.Email + " here already. Sign in to it another way, then connect " + d.Title + " on your account page."
}

// prove is what a form names to connect, in the browser that it was given to.
func (p *Pages) prove(r *http.Request, in *wire.Params) signin.Prove {
	return signin.Prove{Secret: in.String("prove"), Cookie: wire.Cookie(r, p.Flow.UpstreamCookie)}
}

// proving finds what a page is to name; nil if there is nothing by that secret in
// this browser. Then the page is as ever.
func (p *Pages) proving(r *http.Request, secret string) *proving {
	if secret == "" {
		return nil
	}
	at, err := p.SignIn.Proving(r.Context(), signin.Prove{Secret: secret, Cookie: wire.Cookie(r, p.Flow.UpstreamCookie)})
	if err != nil {
		return nil
	}
	return &proving{at, secret}
}

// join asks somebody whom an upstream vouched for for their invite code
// (contract keymaster §4.1).
func (p *Pages) join(w http.ResponseWriter, r *http.Request, page place, d joinData) {
	v := joinView(pageJoin, page, d)
	v.Notice = "This application is by invitation only. To finish, enter the code that you were sent."
	p.show(w, r, http.StatusOK, pageJoin, v)
}

// postJoin accepts the invitation (contract keymaster §3.3). It ends in what the
// sign-in was begun for, whatever the form says.
func (p *Pages) postJoin(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := joinData{target: t, OAuthToken: in.String("oauth_token"), Code: strings.TrimSpace(in.String("code"))}
	got, err := p.SignIn.AcceptUpstreamInvite(r.Context(), signin.UpstreamInviteIn{
		ClientID: page.Client.ID, Pending: d.OAuthToken, Code: d.Code, Terms: signin.Terms{NeedsEmail: true},
		Bound: true, Cookie: wire.Cookie(r, p.Flow.UpstreamCookie),
		Failures: p.Flow.Limits.Invite(wire.OriginOf(r.Context()), string(page.Client.ID)), Visitor: visitor(r),
	})
	switch {
	case fault.Is(err, fault.UpstreamStateInvalid), fault.Is(err, fault.AlreadyEnrolled):
		p.again(w, r, pageLogin, view{client: page.Client, Data: dataFor(t, page.Client)}, err)
		return
	case err != nil:
		p.again(w, r, pageJoin, joinView(pageJoin, page, d), err)
		return
	}
	t = target{AppID: string(got.Client.ID), RedirectURI: got.RedirectURI, State: got.State}
	if got.Request != "" {
		t = target{Request: got.Request}
	}
	if page, err = p.page(r, t); err != nil {
		p.fail(w, r, err)
		return
	}
	p.arrive(w, r, t, page, got.Outcome)
}

// connect sends the signed-in person to an upstream, to connect an account there,
// once they have shown what every change of their ways in asks for.
func (p *Pages) connect(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	who, err := p.browser(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	key, given := in.String("connect"), p.proof(in)
	if err = p.Self.Connecting(r.Context(), who, given, key); err == nil {
		err = p.Flow.Connect(w, r, key, wire.Cookie(r, p.Flow.Cookie))
	}
	if err != nil {
		p.unchanged(w, r, who, accountData{}, wrongPassword(err, given))
	}
}

// cameBack is what the account page says to somebody who comes back from an
// upstream.
func cameBack(q *wire.Params, d accountData) (v view) {
	if problem := q.String("error"); problem != "" {
		v.Error = reasonWords(problem, q.String("reason"))
	}
	for _, c := range d.Connections {
		if c.Linked && c.Upstream == q.String("connected") {
			v.Notice = c.Title + " is connected. You can sign in with it from now on."
		}
	}
	return v
}
