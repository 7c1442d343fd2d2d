package pages

import (
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// target is the application that a page is for, and where the browser goes
// when done, as it travels through forms and links. State is echoed.
type target struct {
	AppID, RedirectURI, State string
}

func targetOf(q *wire.Params) target {
	id, _ := identity.ParseID(q.String("app_id"))
	return target{AppID: id, RedirectURI: q.String("redirect_uri"), State: q.String("state")}
}

func (t target) clientID() client.ID { return client.ID(t.AppID) }

// Query is the target as a query, for links between pages.
func (t target) Query() string {
	var pairs []string
	for _, kv := range [][2]string{{"app_id", t.AppID}, {"redirect_uri", t.RedirectURI}, {"state", t.State}} {
		if kv[1] != "" {
			pairs = append(pairs, kv[0], kv[1])
		}
	}
	return signin.WithQuery("", pairs...)
}

// loginData fills the login page.
type loginData struct {
	target
	Email       string
	Password    bool
	MagicLink   bool
	SignUp      bool
	Sent        bool // a sign-in link is on its way
	Setup       bool // the account page is where to go on
	TOTPSession string
}

// page checks the target of a login page. With the fast path it tries the
// browser's session first.
func (p *Pages) page(r *http.Request, t target, fast bool) (signin.LoginPage, error) {
	in := signin.ResumeIn{ClientID: t.clientID(), RedirectURI: t.RedirectURI, Visitor: visitor(r)}
	if fast {
		in.Cookie = wire.Cookie(r, p.Flow.Cookie)
	}
	return p.SignIn.Login(r.Context(), in)
}

func dataFor(t target, cl client.Client) loginData {
	return loginData{
		target: t, Password: cl.Offers(client.MethodPassword), MagicLink: cl.Offers(client.MethodMagicLink),
		SignUp: cl.Offers(client.MethodPassword) && cl.Policy.Registration != client.Invite,
	}
}

// login is GET /login (contract keymaster §4.1): straight on by a live session,
// else the form. A HEAD, or a browser that fetches ahead, gets no tokens.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	q := wire.Query(r)
	t := targetOf(q)
	problem := q.String("error")
	if t.AppID == "" && problem != "" {
		// A mailed link that nobody knows any more names no application.
		p.message(w, r, http.StatusOK, "Sign in", or(problems[problem], problems["oauth_failed"]))
		return
	}
	fast := r.Method == http.MethodGet && !wire.Prefetch(r) && q.String("prompt") != "login" && problem == ""
	page, err := p.page(r, t, fast)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if page.In != nil {
		p.arrive(w, r, t, page, signin.Outcome{SignedIn: page.In})
		return
	}
	v := view{Title: "Sign in", Look: lookOf(page.Client)}
	d := dataFor(t, page.Client)
	if problem != "" {
		v.Error = or(problems[problem], problems["oauth_failed"])
		d.Setup = problem == "2fa_required"
	}
	v.Data = d
	p.show(w, r, http.StatusOK, "login", v)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// arrive sends the browser to the application with an outcome, setting the
// session cookie on the way, or asks for the second factor.
func (p *Pages) arrive(w http.ResponseWriter, r *http.Request, t target, page signin.LoginPage, out signin.Outcome) {
	if out.Challenge != nil {
		session, err := p.Flow.TOTPSession(r.Context(), *out.Challenge)
		if err != nil {
			p.crash(w, r, err)
			return
		}
		d := dataFor(t, page.Client)
		d.TOTPSession = session
		p.show(w, r, http.StatusOK, "totp", view{Title: "Two-factor authentication", Look: lookOf(page.Client), Data: d})
		return
	}
	to, err := p.Flow.Destination(r, out, page.Client, page.RedirectURI)
	if err != nil {
		p.crash(w, r, err)
		return
	}
	cookie := ""
	switch {
	case out.SignedIn != nil:
		cookie = out.SignedIn.Session
		if t.State != "" && page.RedirectURI != "" {
			to = signin.WithQuery(to, "state", t.State)
		}
	case out.Setup != nil:
		cookie = out.Setup.Session
	}
	if cookie != "" {
		wire.SetCookie(w, r, p.Flow.Cookie, cookie, signin.SessionLifetime)
	}
	redirect(w, to)
}

// again shows the login form with what went wrong.
func (p *Pages) again(w http.ResponseWriter, r *http.Request, name string, page signin.LoginPage, d loginData, err error) {
	f, ok := p.asFault(w, r, err)
	if !ok {
		return
	}
	retryAfter(w, f)
	title := "Sign in"
	if name == "totp" {
		title = "Two-factor authentication"
	}
	p.show(w, r, statusOf(f), name, view{Title: title, Look: lookOf(page.Client), Error: words(f), Data: d})
}

func (p *Pages) postLogin(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t, false)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	email, _ := identity.NormalizeEmail(in.String("email"))
	out, err := p.SignIn.Password(r.Context(), signin.PasswordIn{
		ClientID: t.clientID(), Email: email, Password: in.String("password", wire.Max(maxPassword)),
		Limits: p.Flow.Limits.Login(wire.OriginOf(r.Context()), email), Visitor: visitor(r),
	})
	if err != nil {
		d := dataFor(t, page.Client)
		d.Email = in.String("email")
		p.again(w, r, "login", page, d, err)
		return
	}
	p.arrive(w, r, t, page, out)
}

// maxPassword is the longest password that is looked at.
const maxPassword = 1024

func (p *Pages) postMagicLink(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t, false)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := dataFor(t, page.Client)
	d.Email = in.String("email")
	email, err := identity.NormalizeEmail(d.Email)
	if err == nil {
		err = p.SignIn.RequestMagicLink(r.Context(), signin.MagicLinkIn{
			ClientID: t.clientID(), Email: email, RedirectURI: t.RedirectURI,
			Limits: p.Flow.Limits.Magic(wire.OriginOf(r.Context()), email), Visitor: visitor(r),
		})
	} else {
		err = fault.New(fault.EmailInvalid)
	}
	if err != nil {
		p.again(w, r, "login", page, d, err)
		return
	}
	d.Sent = true
	p.show(w, r, http.StatusOK, "login", view{
		Title: "Check your mail", Look: lookOf(page.Client), Data: d,
		Notice: "If that address can sign in here, a link is on its way to it. It works once, for 15 minutes.",
	})
}

func (p *Pages) postTOTP(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t, false)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	session := in.String("totp_session")
	code := in.String("code", wire.Max(64))
	if code == "" { // the script hands a challenge over from behind the "#"
		d := dataFor(t, page.Client)
		d.TOTPSession = session
		p.show(w, r, http.StatusOK, "totp", view{Title: "Two-factor authentication", Look: lookOf(page.Client), Data: d})
		return
	}
	out, err := p.challenge(r, page, session, code)
	if err != nil {
		d, name := dataFor(t, page.Client), "totp"
		d.TOTPSession = session
		if fault.Is(err, fault.ChallengeInvalid) || fault.Is(err, fault.CodeAttempts) {
			name = "login"
		}
		p.again(w, r, name, page, d, err)
		return
	}
	p.arrive(w, r, t, page, out)
}

// challenge answers a challenge of the page's own application: one that began
// at another does not end here.
func (p *Pages) challenge(r *http.Request, page signin.LoginPage, session, code string) (signin.Outcome, error) {
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
	return p.SignIn.Challenge(r.Context(), signin.ChallengeIn{Secret: secret, Code: code, Tries: p.Flow.Limits.TOTP(), Visitor: visitor(r)})
}
