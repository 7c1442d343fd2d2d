package pages

import (
	"net/http"
	"net/url"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/saml"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// Sign-in by an organization's own provider. Each mount has one address for what
// providers answer by OpenID Connect, and one by SAML, whatever the sign-in was begun
// for: a provider's administrator registers it once.
//
//	/login ── address ──▶ POST /login/email ──┐
//	/login ── "single sign-on" ──▶ /sso/{org}─┤          ┌─▶ the application (arrive)
//	/setup/test ──────────────────────────────┴▶ provider ──▶ callbackPath, acsPath
//	another API of this mount ──────────────────▶            ├─▶ /setup/test
//	                                                         └─▶ that API, by its handle
const (
	callbackPath = "/api/auth/sso/callback" // contract snooplytics §6
	acsPath      = "/sso/saml/acs"
)

// SSOCookie is the name of the cookie that binds a sign-in at an organization's
// provider to the browser that began it, on every surface of a mount.
const SSOCookie = "sso_flow"

// maxOpaque is how long what comes back to us may be, of what providers make up.
const maxOpaque = 4096

// ssoRoutes are the routes of sign-in by an organization's provider.
func (p *Pages) ssoRoutes() []wire.Route {
	return []wire.Route{
		{Method: "POST", Pattern: "/login/email", Handler: p.form(p.postEmail)},
		{Method: "GET", Pattern: "/sso/{org}", Handler: p.sso},
		{Method: "GET", Pattern: callbackPath, Handler: p.ssoCallback},
		{Method: "POST", Pattern: acsPath, Handler: p.samlResponse},
		{Method: "GET", Pattern: "/sso/saml/metadata/{org}", Handler: p.samlMetadata},
		{Method: "GET", Pattern: "/sso/saml/slo/{org}", Handler: p.samlLogout},
		{Method: "POST", Pattern: "/sso/saml/slo/{org}", Handler: p.samlLogoutPosted},
	}
}

// ssoLimits count sign-ins that are sent to a provider, and addresses that are asked
// about. A whole office may come by one network.
func ssoLimits(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "pages.sso.ip", Key: o.Network(), N: 300, Per: 15 * time.Minute}}
}

// postEmail is the first half of a sign-in where organizations have providers of their
// own: whose address is of one's domain goes there, all others are asked for what
// the application takes. It tells of the domain, and nothing of the person.
func (p *Pages) postEmail(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := dataFor(t, page.Client)
	d.Email = in.String("email")
	email, err := identity.NormalizeEmail(d.Email)
	if err != nil {
		d.First = true
		p.again(w, r, pageLogin, view{client: page.Client, Data: d}, fault.New(fault.EmailInvalid))
		return
	}
	o := wire.OriginOf(r.Context())
	got, err := p.SignIn.Identify(r.Context(), signin.IdentifyIn{ClientID: page.Client.ID, Email: email, Limits: ssoLimits(o)})
	if err == nil && got.Routed.Found() {
		err = p.departSSO(w, r, signin.SSOStart{
			Slug: got.Routed.Slug, ClientID: page.Client.ID, LoginHint: email, RedirectURI: t.RedirectURI, State: t.State, Request: t.Request,
			Nowhere: true, Again: in.Has("again"),
		})
		if err == nil {
			return
		}
	}
	switch {
	case err != nil:
		d.First = true
		p.again(w, r, pageLogin, view{client: page.Client, Data: d}, err)
	case !d.Password && !d.MagicLink && !d.Passkey:
		d.First = true
		p.again(w, r, pageLogin, view{client: page.Client, Data: d, Error: "There is no single sign-on for " + email + "."}, fault.New(fault.SSODisabled))
	default:
		d.Asked = true
		p.show(w, r, http.StatusOK, pageLogin, view{Title: titles[pageLogin], client: page.Client, Data: d})
	}
}

// sso is GET /sso/{org}: to the provider of an organization, for the application that
// the query names. It is what a provider's own list of applications leads to, too.
func (p *Pages) sso(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		p.message(w, r, http.StatusServiceUnavailable, titles[pageLogin], "Not available for prefetch.")
		return
	}
	q := wire.Query(r)
	t := targetOf(q)
	if t.AppID == "" && t.Request == "" {
		p.message(w, r, http.StatusBadRequest, titles[pageLogin], "Open the application that you want to use, and sign in from there.")
		return
	}
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	hint, _ := identity.NormalizeEmail(q.String("login_hint"))
	err = p.departSSO(w, r, signin.SSOStart{
		Slug: r.PathValue("org"), ClientID: page.Client.ID, LoginHint: hint, RedirectURI: t.RedirectURI, State: t.State, Request: t.Request,
		Nowhere: true, Again: q.String("prompt") == "login",
	})
	if err != nil {
		p.again(w, r, pageLogin, view{client: page.Client, Data: p.firstData(r, t, page.Client)}, err)
	}
}

// departSSO sends the browser to a provider; it answers unless it fails.
func (p *Pages) departSSO(w http.ResponseWriter, r *http.Request, in signin.SSOStart) error {
	base := wire.MountOf(r.Context()).Base
	in.Callback, in.Cookie, in.Visitor = base+callbackPath, wire.Cookie(r, SSOCookie), visitor(r)
	in.Limits = ssoLimits(wire.OriginOf(r.Context()))
	started, err := p.SignIn.StartSSO(r.Context(), in)
	if err != nil {
		p.note(r, in.Slug, err)
		return err
	}
	set := wire.SetCookie
	if started.CrossSite {
		set = wire.SetCrossSiteCookie
	}
	set(w, r, SSOCookie, started.Cookie, signin.UpstreamLifetime)
	return away(w, started.Location, started.Form)
}

// away sends the browser to a provider, by a form where that is wanted.
func away(w http.ResponseWriter, location string, form *saml.Form) error {
	if form == nil {
		redirect(w, location)
		return nil
	}
	var fields [][2]string
	for _, f := range form.Fields {
		fields = append(fields, [2]string{f.Name, f.Value})
	}
	return wire.SendForm(w, "your provider", form.Action, fields)
}

// note tells the log why a provider was of no use. The reason holds no secret.
func (p *Pages) note(r *http.Request, slug string, err error) {
	if f, ok := wire.Fault(err); ok && f.Err != nil {
		p.Log.InfoContext(r.Context(), "sign-in at an organization's provider failed", "request_id", wire.OriginOf(r.Context()).RequestID, "org", slug, "err", f)
	}
}

// ssoCallback is what an OpenID Connect provider sends a browser to.
func (p *Pages) ssoCallback(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || wire.Prefetch(r) {
		p.message(w, r, http.StatusServiceUnavailable, titles[pageLogin], "Not available for prefetch.")
		return
	}
	q := wire.Query(r)
	vals := url.Values{}
	for _, name := range []string{"code", "error", "iss"} {
		vals.Set(name, q.String(name, wire.Max(maxOpaque)))
	}
	p.finishSSO(w, r, signin.SSOReturn{State: q.String("state", wire.Max(maxOpaque)), Answer: upstream.AnswerOf(vals)})
}

// finishSSO judges what a browser came back with.
func (p *Pages) finishSSO(w http.ResponseWriter, r *http.Request, in signin.SSOReturn) {
	in.Cookie, in.Visitor = wire.Cookie(r, SSOCookie), visitor(r)
	got, err := p.SignIn.FinishSSO(r.Context(), in)
	if got.Deferred && p.Deferred != nil {
		p.Deferred(w, r, got, err)
		return
	}
	p.Signed(w, r, got, err)
}

// Signed ends a sign-in at an organization's provider that was begun on a page, or
// nobody knows where.
func (p *Pages) Signed(w http.ResponseWriter, r *http.Request, got signin.SSOReturned, err error) {
	f, expected := wire.Fault(err)
	if err != nil && !expected {
		p.crash(w, r, err)
		return
	}
	p.note(r, got.Org.Slug, err)
	path := wire.MountOf(r.Context()).Path
	t := target{AppID: string(got.Client.ID), RedirectURI: got.RedirectURI, State: got.State, Request: got.Request}
	switch {
	case got.Test:
		redirect(w, path+setupAt("test"))
	case got.Client.ID == "" && t.Request == "":
		p.fail(w, r, err)
	case expected:
		p.sayOnLogin(w, r, t, f)
	default:
		page, err := p.page(r, t)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		p.arrive(w, r, t, page, got.Outcome)
	}
}

// sayOnLogin goes back to the sign-in page, which says why. What may hold for a
// while is said there and then, with when to come back.
func (p *Pages) sayOnLogin(w http.ResponseWriter, r *http.Request, t target, f *fault.Error) {
	problem := problemOf(f.Code)
	pairs := []string{"error", problem}
	if problem == "" {
		pairs = []string{"error", "sso_failed", "reason", ssoReasonOf(f.Code)}
	}
	if t.Request != "" {
		t = target{Request: t.Request}
	}
	redirect(w, wire.WithQuery(wire.MountOf(r.Context()).Path+"/login"+t.Query(), pairs...))
}

// firstData fills the sign-in page as it is met first: with the address alone where an
// organization has a provider of its own.
func (p *Pages) firstData(r *http.Request, t target, cl client.Client) loginData {
	d := dataFor(t, cl)
	some, err := p.SignIn.AnySSO(r.Context())
	d.First = err == nil && some
	return d
}

// ssoRequired is the organization that somebody has to come by; "" if that is not what
// is wrong.
func ssoRequired(f *fault.Error) string {
	if f.Code == fault.SSORequired && len(f.Params) > 0 {
		return f.Params[0]
	}
	return ""
}

// Required is the way that is left to somebody who has to come by their organization.
func (d loginData) Required() string {
	to := "/sso/" + url.PathEscape(d.SSO) + d.Query()
	if d.Email == "" {
		return to
	}
	return wire.WithQuery(to, "login_hint", d.Email)
}
