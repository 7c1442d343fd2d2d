// Package pages serves what a person sees: sign-in, sign-up, invitation,
// recovery and account pages, rendered here and working without JavaScript
// (contract keymaster §4). There are three scripts: one hands over a second-factor
// challenge that a redirect put behind the "#", where only a script can see it,
// one asks the browser for a passkey, which nothing else can, and one copies a value.
//
//	/login ── live session ──────────────────────────────┐
//	   │                                                 ▼
//	   ├─ password ──────────┬─ no second factor ──▶ the application, with
//	   ├─ mailed link ───────┤                       what its Flow hands out
//	   ├─ passkey ───────────┤
//	   ├─ upstream ──────────┤                       (or /account if it
//	   └─ /signup, /invite ──┴─ code ──────────────────▲ has no page)
//
// A sign-in at an upstream leaves the pages by a link and ends as the Flow has
// it; what it still owes comes back to /login (upstream.go).
//
// A sign-in for an authorization request goes the same ways and ends at the
// provider instead (request.go).
//
// A page does what the API beside it does, by the same operations and under the
// same limits; it has its own words for what goes wrong. It decides nothing
// about people: which application a browser came from, and what it gets there,
// is its Flow's.
//
// What keeps strangers out of a form: its token fits one browser (wire.CSRF);
// nothing is framed, run, cached or passed on as a referrer (CSP 3, RFC 9700
// §4.2, §4.16); a browser is only ever sent to a registered address.
package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/enterprise"
	"sallyport/internal/limit"
	"sallyport/internal/oauth"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// Flow is the API whose applications send people here: how a sign-in ends on
// its wire, the name of its session cookie, and the limits it counts.
type Flow struct {
	Cookie string
	// Destination is where the browser goes with an outcome: to redirectURI
	// with tokens, or to a page of ours, by its path, for what is still owed.
	Destination func(r *http.Request, out signin.Outcome, cl client.Client, redirectURI string) (string, error)
	// TOTPSession wraps a challenge for a form, Challenge unwraps it.
	TOTPSession func(ctx context.Context, ch signin.Challenge) (string, error)
	Challenge   func(totpSession string) (string, error)
	// UpstreamCookie is the name of the cookie that binds a sign-in at an upstream
	// to its browser. Connect sends the browser of who is signed in by session to
	// an upstream, to connect an account; it answers unless it fails. Sign-ins
	// there begin at /oauth/{upstream}/start.
	UpstreamCookie string
	Connect        func(w http.ResponseWriter, r *http.Request, upstream, session string) error
	Limits         Limits
}

// Limits are the flow's rules.
type Limits struct {
	Login       func(o wire.Origin, email string) signin.Limits
	LoginEmail  func(email string) limit.Rule
	TOTP        func() limit.Rule
	SignUp      func(o wire.Origin) signin.Limits
	Invite      func(o wire.Origin, app string) []limit.Rule
	ForgotIP    func(o wire.Origin) signin.Limits
	ForgotEmail func(email string) []limit.Rule
	Reset       func(o wire.Origin) signin.Limits
	Magic       func(o wire.Origin, email string) []limit.Rule
	MagicVerify func(o wire.Origin) signin.Limits
	Password    func() limit.Rule
	PasskeyAsk  func(o wire.Origin) []limit.Rule
	Passkey     func(o wire.Origin) signin.Limits
}

// Pages is the surface.
type Pages struct {
	SignIn *signin.Core
	Self   *self.Core
	OAuth  *oauth.Core
	// Reply sends a browser back to the client of an authorization request.
	Reply func(w http.ResponseWriter, r *http.Request, reply oauth.Reply)
	Flow  Flow
	// Enterprise is what an IT administrator sets up.
	Enterprise *enterprise.Core
	// Deferred ends a sign-in at an organization's provider that another API of the
	// mount began; nil if there is none.
	Deferred func(w http.ResponseWriter, r *http.Request, got signin.SSOReturned, err error)
	CSRF     *wire.CSRF
	Now      func() time.Time
	Log      *slog.Logger

	views sync.Map // name → *template.Template, parsed when first shown
}

// Routes lists every route of the surface; there are no others.
func (p *Pages) Routes() []wire.Route {
	return slices.Concat(p.personRoutes(), p.ssoRoutes(), p.setupRoutes())
}

// personRoutes are those of who signs in, and of who is signed in.
func (p *Pages) personRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/login", Handler: p.login},
		{Method: "POST", Pattern: "/login", Handler: p.form(p.postLogin)},
		{Method: "POST", Pattern: "/login/passkey/options", Handler: p.form(p.postPasskeyOptions)},
		{Method: "POST", Pattern: "/login/passkey", Handler: p.form(p.postPasskey)},
		{Method: "POST", Pattern: "/login/magic-link", Handler: p.form(p.postMagicLink)},
		{Method: "POST", Pattern: "/login/totp", Handler: p.form(p.postTOTP)},
		{Method: "POST", Pattern: "/login/invite", Handler: p.form(p.postJoin)},
		{Method: "GET", Pattern: "/signup", Handler: p.signup},
		{Method: "POST", Pattern: "/signup", Handler: p.form(p.postSignup)},
		{Method: "GET", Pattern: "/invite", Handler: p.invite},
		{Method: "POST", Pattern: "/invite", Handler: p.form(p.postInvite)},
		{Method: "GET", Pattern: "/forgot-password", Handler: p.forgot},
		{Method: "POST", Pattern: "/forgot-password", Handler: p.form(p.postForgot)},
		{Method: "GET", Pattern: "/reset-password", Handler: p.reset},
		{Method: "POST", Pattern: "/reset-password", Handler: p.form(p.postReset)},
		{Method: "GET", Pattern: "/verify-email", Handler: p.verifyEmail},
		{Method: "POST", Pattern: "/verify-email", Handler: p.form(p.postVerifyEmail)},
		{Method: "GET", Pattern: "/magic-link", Handler: p.magicLink},
		{Method: "POST", Pattern: "/magic-link", Handler: p.form(p.postMagicLinkSpend)},
		{Method: "GET", Pattern: "/consent", Handler: p.consent},
		{Method: "POST", Pattern: "/consent", Handler: p.boundForm(p.postConsent, "request")},
		{Method: "GET", Pattern: "/device", Handler: p.device},
		{Method: "POST", Pattern: "/device", Handler: p.form(p.postDevice)},
		{Method: "POST", Pattern: "/device/answer", Handler: p.boundForm(p.postDeviceAnswer, "request")},
		{Method: "GET", Pattern: "/logout", Handler: p.logout},
		{Method: "POST", Pattern: "/logout", Handler: p.boundForm(p.postLogout, "request")},
		{Method: "GET", Pattern: "/account", Handler: p.account},
		{Method: "POST", Pattern: "/account", Handler: p.boundForm(p.postAccount)},
		{Method: "POST", Pattern: "/account/passkey/options", Handler: p.boundForm(p.postNewPasskeyOptions)},
	}
}

// formHandler handles a form that was read and checked.
type formHandler func(http.ResponseWriter, *http.Request, *wire.Params)

// form reads a posted form and checks that it came from a page of ours.
func (p *Pages) form(next formHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.readForm(w, r, next, func(*wire.Params) []string { return nil })
	}
}

// boundForm is form for a page that shows one session's account: who signed in
// as somebody else meanwhile does not change that one's by an old page. A field
// that is named is bound with it.
func (p *Pages) boundForm(next formHandler, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.readForm(w, r, next, func(in *wire.Params) []string {
			bind := []string{wire.Cookie(r, p.Flow.Cookie)}
			for _, name := range fields {
				bind = append(bind, in.String(name))
			}
			return bind
		})
	}
}

func (p *Pages) readForm(w http.ResponseWriter, r *http.Request, next formHandler, bind func(*wire.Params) []string) {
	in, err := wire.ReadForm(w, r, wire.MaxBody)
	var bound []string
	if err == nil {
		bound = bind(in)
	}
	if p.checkForm(w, r, in, err, bound...) {
		next(w, r, in)
	}
}

// checkForm reports whether a form could be read and came from a page of ours, and
// answers if not.
func (p *Pages) checkForm(w http.ResponseWriter, r *http.Request, in *wire.Params, err error, bind ...string) bool {
	if err != nil {
		p.message(w, r, statusOfBody(err), failed, "The form could not be read. Please go back and try again.")
		return false
	}
	if err := p.CSRF.Check(origin(r), in.String("csrf"), bind...); err != nil {
		p.message(w, r, http.StatusForbidden, "This page is too old", "Please go back, reload the page and try again. Your browser must accept cookies.")
		return false
	}
	return true
}

// statusOfBody is the status for a form that could not be read.
func statusOfBody(err error) int {
	if bad, ok := errors.AsType[*wire.BodyError](err); ok {
		switch bad.Kind {
		case wire.WrongType:
			return http.StatusUnsupportedMediaType
		case wire.TooLarge:
			return http.StatusRequestEntityTooLarge
		}
	}
	return http.StatusBadRequest
}

// origin returns r without an Origin that says nothing: our pages send no
// referrer, and so their forms come from "null" (Fetch §3.2). A browser that
// sends no Sec-Fetch-Site beside it (Safari before 16.4; any over plain http)
// could not sign in; there the token decides alone.
func origin(r *http.Request) *http.Request {
	if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "null" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Origin")
	return r
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: wire.MountOf(r.Context()).Base}
}

// redirect sends a browser on after a form, or from the fast path.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}
