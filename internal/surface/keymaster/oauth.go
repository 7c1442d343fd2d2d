package keymaster

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// UpstreamCookie is the name of the cookie that binds a sign-in at an upstream
// to the browser that began it (contract §3.1).
const UpstreamCookie = "km_oauth"

// UpstreamRoutes are sign-in by an upstream (contract §3), which goes by
// redirects: start, the provider, callback. They are on every mount that has the
// pages, whether or not it has the rest of this API, and each mount has one
// callback for each upstream, which the operator registers there.
func (a *API) UpstreamRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/oauth/{provider}/start", Handler: a.oauthStart},
		{Method: "GET", Pattern: "/oauth/{provider}/callback", Handler: a.oauthCallback},
		{Method: "POST", Pattern: "/oauth/{provider}/callback", Handler: a.oauthPosted},
	}
}

// named are the providers that the contract knows by name (§3). Any other key of
// a configured upstream is one, too.
var named = []string{"google", "github", "microsoft", "apple"}

// terms are what Keymaster demands of whom an upstream vouches for: an address,
// for one who is new (contract §3.2).
var terms = signin.Terms{NeedsEmail: true}

// callback is the address that an upstream sends browsers back to.
func callback(r *http.Request, key string) string {
	return base(r.Context()) + "/oauth/" + url.PathEscape(key) + "/callback"
}

// oauthStart is GET /oauth/{provider}/start (contract §3.1): for an application,
// or for a request that waits, which says itself who signs in where.
func (a *API) oauthStart(w http.ResponseWriter, r *http.Request) {
	if !clicked(w, r) {
		return
	}
	q := wire.Query(r)
	e := errand{state: q.String("state", wire.Max(maxOpaque)), request: q.String("request", wire.Max(maxOpaque))}
	id, _ := identity.ParseID(q.String("app_id"))
	in := signin.UpstreamStart{
		ClientID: client.ID(id), Upstream: r.PathValue("provider"), RedirectURI: q.String("redirect_uri"), Nowhere: true, State: e.state,
		Callback: callback(r, r.PathValue("provider")), Cookie: wire.Cookie(r, UpstreamCookie),
		Again: q.String("prompt") == "login", Limits: UpstreamLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	}
	err := q.Err()
	if err == nil && e.request != "" {
		err = a.forRequest(r, &in, e.request)
	}
	var started signin.UpstreamStarted
	if err == nil {
		started, err = a.SignIn.StartUpstream(r.Context(), in)
	}
	if err == nil {
		a.depart(w, r, started)
		return
	}
	e.client, e.redirectURI = started.Client, started.RedirectURI
	a.notStarted(w, r, e, in.Upstream, err)
}

// forRequest fills in what a request that waits says of its sign-in. Who is
// signed in already and has to sign in again proves themselves anew there, too.
func (a *API) forRequest(r *http.Request, in *signin.UpstreamStart, handle string) error {
	at, err := a.OAuth.Pending(r.Context(), handle, wire.Cookie(r, Cookie))
	if err != nil {
		return err
	}
	in.ClientID, in.RedirectURI, in.State, in.Request = at.Client.ID, "", "", handle
	in.Again = in.Again || at.User.ID != "" || at.Request.Asks("login") || at.Request.Asks("select_account")
	if hint, err := identity.NormalizeEmail(at.Request.LoginHint); err == nil { // whatever else it says is nobody's business there
		in.LoginHint = hint
	}
	return nil
}

// depart sends the browser to the upstream.
func (a *API) depart(w http.ResponseWriter, r *http.Request, s signin.UpstreamStarted) {
	set := wire.SetCookie
	if s.CrossSite {
		set = wire.SetCrossSiteCookie
	}
	set(w, r, UpstreamCookie, s.Cookie, signin.UpstreamLifetime)
	a.redirect(w, r, s.Location)
}

// notStarted answers a start that came to nothing. A person on our own pages
// reads why there, as does one whose upstream cannot be asked; all else is the
// application's mistake.
func (a *API) notStarted(w http.ResponseWriter, r *http.Request, e errand, key string, err error) {
	if _, gone := errors.AsType[*oauth.Error](err); gone {
		a.redirect(w, r, e.loginPage(r)) // which says so
		return
	}
	f, expected := wire.Fault(err)
	switch {
	case expected && upstreamProblems[f.Code].problem != "":
		a.note(r, f)
		a.redirect(w, r, e.loginPage(r, upstreamProblems[f.Code].pairs()...))
		return
	case expected && f.Code == fault.UpstreamUnknown && !client.Own(key): // the application offers it, the operator does not
		err = fault.New(fault.MethodDisabled, key)
	case expected && f.Code == fault.MethodDisabled && !slices.Contains(named, key):
		known, problem := a.SignIn.Knows(r.Context(), key)
		if problem != nil {
			err = problem
		} else if !known {
			err = fault.New(fault.UpstreamUnknown)
		}
	}
	a.fail(w, r, err)
}

// oauthCallback is GET /oauth/{provider}/callback (contract §3.2).
func (a *API) oauthCallback(w http.ResponseWriter, r *http.Request) {
	if clicked(w, r) {
		a.returned(w, r, wire.Query(r))
	}
}

// oauthPosted is the same for an upstream whose page posts the answer.
func (a *API) oauthPosted(w http.ResponseWriter, r *http.Request) {
	p, err := wire.ReadForm(w, r, wire.MaxBody)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.returned(w, r, p)
}

// answerOf is what an upstream says in a query or a form. A parameter that comes
// twice says nothing (RFC 6749 §3.1).
func answerOf(p *wire.Params) upstream.Answer {
	vals := url.Values{}
	for _, name := range []string{"code", "error", "iss", "user"} {
		vals.Set(name, p.String(name, wire.Max(maxOpaque)))
	}
	return upstream.AnswerOf(vals)
}

// ours is what we have an attempt remember.
type ours struct {
	Account bool `json:"account,omitempty"` // it was begun on the account page
}

// returned judges what a browser came back with and sends it on.
func (a *API) returned(w http.ResponseWriter, r *http.Request, p *wire.Params) {
	key := r.PathValue("provider")
	got, err := a.SignIn.FinishUpstream(r.Context(), signin.UpstreamReturn{
		Upstream: key, State: p.String("state", wire.Max(maxOpaque)), Cookie: wire.Cookie(r, UpstreamCookie), Answer: answerOf(p), Terms: terms, Visitor: visitor(r),
	})
	var o ours
	if len(got.Data) > 0 {
		if bad := json.Unmarshal(got.Data, &o); bad != nil && err == nil {
			err = bad
		}
	}
	e := errandOf(got)
	f, expected := wire.Fault(err)
	if expected {
		a.note(r, f)
	}
	switch {
	case o.Account && (err == nil || expected):
		a.connected(w, r, key, f)
	case expected && upstreamProblems[f.Code].problem != "":
		a.redirect(w, r, e.loginPage(r, upstreamProblems[f.Code].pairs()...))
	case err == nil && got.Invite != "":
		a.keepBound(w, r)
		a.redirect(w, r, e.loginPage(r, "error", loginErrors[fault.NotEnrolled], "oauth_token", got.Invite))
	case err == nil && got.Prove != "":
		a.keepBound(w, r)
		a.redirect(w, r, e.loginPage(r, "error", "oauth_failed", "prove", got.Prove))
	default:
		a.arrive(w, r, got.Outcome, e, err)
	}
}

// keepBound lets the binding cookie live for as long as what waits: on our pages
// that is good in this browser alone.
func (a *API) keepBound(w http.ResponseWriter, r *http.Request) {
	wire.SetCookie(w, r, UpstreamCookie, wire.Cookie(r, UpstreamCookie), signin.PendingLifetime)
}

// note tells the log why a sign-in at an upstream failed: the person is told less,
// and the operator may have to do something. The reason holds no secret.
func (a *API) note(r *http.Request, f *fault.Error) {
	if f.Err != nil {
		a.Log.InfoContext(r.Context(), "sign-in at an upstream failed", "request_id", wire.OriginOf(r.Context()).RequestID,
			"upstream", r.PathValue("provider"), "err", f)
	}
}

// Connect sends the browser of somebody who is signed in, and has proved it anew,
// to an upstream, to connect an account there. The page that they come back to
// is /account.
func (a *API) Connect(w http.ResponseWriter, r *http.Request, key, session string) error {
	data, err := json.Marshal(ours{Account: true})
	if err != nil {
		return err
	}
	started, err := a.SignIn.StartUpstream(r.Context(), signin.UpstreamStart{
		Upstream: key, Link: session, Proved: true, Callback: callback(r, key), Cookie: wire.Cookie(r, UpstreamCookie), Data: data,
		Again: true, Limits: UpstreamLimits(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if err == nil {
		a.depart(w, r, started)
	}
	return err
}

// connected ends on the account page.
func (a *API) connected(w http.ResponseWriter, r *http.Request, key string, f *fault.Error) {
	page := wire.MountOf(r.Context()).Path + "/account"
	if f == nil {
		a.redirect(w, r, wire.WithQuery(page, "connected", key))
		return
	}
	why := upstreamProblems[f.Code]
	if why.problem == "" {
		why.problem = "oauth_failed"
	}
	a.redirect(w, r, wire.WithQuery(page, why.pairs()...))
}
