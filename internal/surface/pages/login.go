package pages

import (
	"cmp"
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// target is the application that a page is for, and where the browser goes
// when done, as it travels through forms and links. State is echoed. Request is
// the handle of an authorization request, which says all that itself.
type target struct {
	AppID, RedirectURI, State, Request string
	// broken marks one that was given twice or is not text: which of two
	// addresses is meant is nobody's guess.
	broken bool
}

// noRequest is the handle of no request: what is given twice, or empty, is none.
const noRequest = "none"

func targetOf(q *wire.Params) target {
	if q.Has("request") {
		return target{Request: cmp.Or(q.String("request"), noRequest)}
	}
	id, _ := identity.ParseID(q.String("app_id"))
	t := target{AppID: id, RedirectURI: q.String("redirect_uri"), State: q.String("state")}
	t.broken = len(q.Problems()) > 0
	return t
}

// Query is the target as a query, for links between pages.
func (t target) Query() string {
	var pairs []string
	for _, kv := range [][2]string{{"app_id", t.AppID}, {"redirect_uri", t.RedirectURI}, {"state", t.State}, {"request", t.Request}} {
		if kv[1] != "" {
			pairs = append(pairs, kv[0], kv[1])
		}
	}
	return wire.WithQuery("", pairs...)
}

// place is what a target comes to: the application, where the browser goes when
// done and, of an authorization request, what it asks for.
type place struct {
	signin.LoginPage
	Pending oauth.PendingRequest
}

// page checks the target of a page, for a form or a link to it alike. An
// application without a page of its own has no redirect URI, and its people end
// on the account page; an address that is not registered is never gone to.
func (p *Pages) page(r *http.Request, t target) (place, error) {
	return p.resume(r, t, "")
}

// resume is page, and signs in by a session cookie if that will do. A request
// is never resumed by: that it came here says that the session will not do.
func (p *Pages) resume(r *http.Request, t target, cookie string) (at place, err error) {
	switch {
	case t.broken:
		return at, fault.New(fault.RedirectURIInvalid)
	case t.Request != "":
		at.Pending, err = p.OAuth.Pending(r.Context(), t.Request, wire.Cookie(r, p.Flow.Cookie))
		at.Client = at.Pending.Client
		return at, err
	}
	at.LoginPage, err = p.SignIn.Login(r.Context(), signin.ResumeIn{
		ClientID: client.ID(t.AppID), RedirectURI: t.RedirectURI, Cookie: cookie, Visitor: visitor(r),
	})
	if fault.Is(err, fault.RedirectURIInvalid) {
		at.RedirectURI = ""
		if t.RedirectURI == "" {
			err = nil
		}
	}
	return at, err
}

// loginData fills the login page and the page that asks for a code.
type loginData struct {
	target
	Email       string
	Password    bool
	MagicLink   bool
	Passkey     bool
	SignUp      bool
	Sent        bool // a sign-in link is on its way
	Setup       bool // the account page is where to go on
	TOTPSession string
	Proving     *proving

	First bool   // only the address is asked for: it may be of an organization's that has a provider
	Asked bool   // the address was given, and is of none such
	SSO   string // the organization that the person has to come by
}

func dataFor(t target, cl client.Client) loginData {
	return loginData{
		target: t, Password: cl.Offers(client.MethodPassword), MagicLink: cl.Offers(client.MethodMagicLink), Passkey: cl.Offers(client.MethodPasskey),
		SignUp: cl.Offers(client.MethodPassword) && !cl.Policy.Closed(),
	}
}

// login is GET /login (contract keymaster §4.1): straight on by a live session,
// else the form. A HEAD gets no tokens, nor does a browser that fetches ahead:
// its answer is none that it may show in place of the click.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	if wire.Prefetch(r) {
		p.message(w, r, http.StatusServiceUnavailable, titles[pageLogin], "Not available for prefetch.")
		return
	}
	q := wire.Query(r)
	t := targetOf(q)
	problem := q.String("error")
	switch {
	case t.Request != "":
	case q.String("app_id") == "" && problem != "":
		// A mailed link that nobody knows any more names no application.
		p.message(w, r, http.StatusOK, titles[pageLogin], reasonWords(problem, q.String("reason"))+" Go back to your application to start again.")
		return
	case q.String("app_id") == "":
		p.message(w, r, http.StatusBadRequest, titles[pageLogin], "Open the application that you want to use, and sign in from there.")
		return
	}
	cookie := ""
	if r.Method == http.MethodGet && q.String("prompt") != "login" && problem == "" {
		cookie = wire.Cookie(r, p.Flow.Cookie)
	}
	page, err := p.resume(r, t, cookie)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if page.In != nil {
		p.arrive(w, r, t, page, signin.Outcome{SignedIn: page.In})
		return
	}
	v := view{Title: titles[pageLogin], client: page.Client, Again: q.String("prompt") == "login"}
	d := dataFor(t, page.Client)
	if q.String("with") != "password" {
		d = p.firstData(r, t, page.Client)
	}
	if token := q.String("oauth_token"); token != "" {
		p.join(w, r, page, joinData{target: t, OAuthToken: token})
		return
	}
	if d.Proving = p.proving(r, q.String("prove")); d.Proving != nil {
		d.First = false
		problem, d.Email, v.Title = "", d.Proving.Email, d.Proving.heading()
	}
	switch {
	case d.Proving != nil && !d.Password && !d.MagicLink && !d.Passkey:
		v.Title, v.Error = titles[pageLogin], d.Proving.elsewhere()
		d.Proving = nil
	case d.Proving != nil:
	case problem == "":
		d.Email, v.Notice = expected(page.Pending)
	case problem == "pending_approval": // what a sign-up comes to, and no mistake
		v.Notice = problemWords(problem)
	default:
		v.Error = reasonWords(problem, q.String("reason"))
		d.Setup = problem == "2fa_required"
	}
	v.Data = d
	p.show(w, r, http.StatusOK, pageLogin, v)
}

// arrive sends the browser to the application with an outcome, setting the
// session cookie on the way, or asks for the second factor.
func (p *Pages) arrive(w http.ResponseWriter, r *http.Request, t target, page place, out signin.Outcome) {
	if out.Challenge != nil {
		session, err := p.Flow.TOTPSession(r.Context(), *out.Challenge)
		if err != nil {
			p.crash(w, r, err)
			return
		}
		d := dataFor(t, page.Client)
		d.TOTPSession = session
		p.show(w, r, http.StatusOK, pageTOTP, view{Title: titles[pageTOTP], client: page.Client, Data: d})
		return
	}
	if t.Request != "" && out.SignedIn != nil && out.SignedIn.Session == "" {
		// An invitation let them in; who they are is yet to be shown.
		p.show(w, r, http.StatusOK, pageLogin, view{
			Title: titles[pageLogin], Notice: "Your invitation is accepted. Sign in to go on.", client: page.Client, Data: dataFor(t, page.Client),
		})
		return
	}
	to, err := p.destination(r, t, page, out)
	if err != nil {
		p.crash(w, r, err)
		return
	}
	if t.State != "" && page.RedirectURI != "" { // echoed, or kept for the page that goes on
		to = wire.WithQuery(to, "state", t.State)
	}
	cookie := ""
	switch {
	case out.SignedIn != nil:
		cookie = out.SignedIn.Session
	case out.Setup != nil:
		cookie = out.Setup.Session
	}
	if cookie != "" {
		wire.SetCookie(w, r, p.Flow.Cookie, cookie, signin.SessionLifetime)
	}
	redirect(w, to)
}

// postLogin is a sign-in by password.
func (p *Pages) postLogin(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := dataFor(t, page.Client)
	d.Email = in.String("email")
	d.Proving = p.proving(r, in.String("prove"))
	email, err := identity.NormalizeEmail(d.Email)
	var out signin.Outcome
	if err != nil {
		err = fault.New(fault.EmailInvalid)
	} else {
		out, err = p.SignIn.Password(r.Context(), signin.PasswordIn{
			ClientID: page.Client.ID, Email: email, Password: in.String("password"), Request: t.Request, Prove: p.prove(r, in),
			Limits: p.Flow.Limits.Login(wire.OriginOf(r.Context()), email), Visitor: visitor(r),
		})
	}
	if err != nil {
		p.again(w, r, pageLogin, view{client: page.Client, Data: d}, err)
		return
	}
	p.arrive(w, r, t, page, out)
}

// postMagicLink asks for a link by mail. It says the same whoever asks.
func (p *Pages) postMagicLink(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := dataFor(t, page.Client)
	d.Email = in.String("email")
	d.Proving = p.proving(r, in.String("prove"))
	v := view{client: page.Client, Data: d}
	email, err := identity.NormalizeEmail(d.Email)
	if err != nil {
		err = fault.New(fault.EmailInvalid)
	} else {
		err = p.SignIn.RequestMagicLink(r.Context(), signin.MagicLinkIn{
			ClientID: page.Client.ID, Email: email, RedirectURI: t.RedirectURI, Request: t.Request, Prove: p.prove(r, in),
			Limits: p.Flow.Limits.Magic(wire.OriginOf(r.Context()), email), Visitor: visitor(r),
		})
	}
	if err != nil {
		p.again(w, r, pageLogin, v, err)
		return
	}
	d.Sent = true
	v.Title, v.Data = checkMail, d
	v.Notice = "If " + email + " can sign in here, a link is on its way to it. It works once, for 15 minutes."
	p.show(w, r, http.StatusOK, pageLogin, v)
}

// checkMail is the heading of a page that says that a mail is on its way.
const checkMail = "Check your mail"

// postTOTP answers a challenge. Without a code it shows the form: the script
// hands a challenge over from behind the "#".
func (p *Pages) postTOTP(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := dataFor(t, page.Client)
	d.TOTPSession = in.String("totp_session")
	v := view{Title: titles[pageTOTP], client: page.Client, Data: d}
	code := in.String("code", wire.Max(maxCode))
	if !in.Has("code") || in.String("code") == "" {
		p.show(w, r, http.StatusOK, pageTOTP, v)
		return
	}
	out, err := p.challenge(r, t, page, d.TOTPSession, code)
	switch {
	case fault.Is(err, fault.ChallengeInvalid), fault.Is(err, fault.CodeAttempts):
		p.again(w, r, pageLogin, v, err)
	case err != nil:
		p.again(w, r, pageTOTP, v, err)
	default:
		p.arrive(w, r, t, page, out)
	}
}

// maxCode is the longest code that is looked at.
const maxCode = 64

// challenge answers a challenge of the page's own application and request: one
// that began at another does not end here.
func (p *Pages) challenge(r *http.Request, t target, page place, session, code string) (signin.Outcome, error) {
	secret, err := p.Flow.Challenge(session)
	if err != nil {
		return signin.Outcome{}, err
	}
	cl, err := p.SignIn.ChallengeClient(r.Context(), secret)
	if err != nil {
		return signin.Outcome{}, err
	}
	if cl.ID != page.Client.ID {
		return signin.Outcome{}, fault.New(fault.ChallengeInvalid)
	}
	return p.SignIn.Challenge(r.Context(), signin.ChallengeIn{
		Secret: secret, Request: t.Request, Code: code, Tries: p.Flow.Limits.TOTP(), Visitor: visitor(r),
	})
}
