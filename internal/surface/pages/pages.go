// Package pages serves what a person sees: sign-in, sign-up, invitation,
// recovery and account pages, rendered here and working without JavaScript.
// The one script there is reads a second-factor challenge that a redirect put
// behind the "#", where only a script can see it.
//
// A page does what the API beside it does, by the same operations and under the
// same limits; it has its own words for what goes wrong. Every form carries a
// token that binds it to the browser it was shown in.
package pages

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/secret"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// Flow is the API whose applications send people here: how a sign-in ends on
// its wire, the name of its session cookie, and the limits it counts.
type Flow struct {
	Cookie      string
	Destination func(r *http.Request, out signin.Outcome, cl client.Client, redirectURI string) (string, error)
	TOTPSession func(ctx context.Context, ch signin.Challenge) (string, error)
	Challenge   func(totpSession string) (string, error)
	Limits      Limits
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
}

// Pages is the surface.
type Pages struct {
	SignIn *signin.Core
	Self   *self.Core
	Flow   Flow
	CSRF   *wire.CSRF
	Now    func() time.Time
	Log    *slog.Logger

	views sync.Map // name → *template.Template, parsed when first shown
}

// Routes lists every route of the surface; there are no others.
func (p *Pages) Routes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/login", Handler: p.login},
		{Method: "POST", Pattern: "/login", Handler: p.form(p.postLogin)},
		{Method: "POST", Pattern: "/login/magic-link", Handler: p.form(p.postMagicLink)},
		{Method: "POST", Pattern: "/login/totp", Handler: p.form(p.postTOTP)},
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
		{Method: "GET", Pattern: "/account", Handler: p.account},
		{Method: "POST", Pattern: "/account", Handler: p.form(p.postAccount)},
	}
}

//go:embed templates assets
var files embed.FS

// The stylesheet and the script stand in the page itself, allowed by their
// hashes, so that a page is one answer and nothing else can run in it.
var (
	style  = mustRead("assets/style.css")
	script = mustRead("assets/fragment.js")

	scriptHash = hashSource(script)
)

func mustRead(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("pages: " + err.Error())
	}
	return string(b)
}

func hashSource(s string) string {
	h := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}

// look is how a page looks: the client's name and colours, or ours.
type look struct {
	Name, Logo string
	LogoHeight int
	Color, Ink template.CSS // of buttons, and of the words on them
}

func lookOf(cl client.Client) look {
	l := look{Name: cl.Name, Logo: cl.Policy.Branding.LogoURL, LogoHeight: cl.Policy.Branding.LogoHeight, Color: client.DefaultColor}
	if l.Name == "" {
		l.Name = "Sallyport"
	}
	if client.Color(cl.Policy.Branding.Color) {
		l.Color = template.CSS(cl.Policy.Branding.Color)
	}
	l.Ink = ink(string(l.Color))
	if l.LogoHeight < 16 || l.LogoHeight > 200 {
		l.LogoHeight = client.DefaultLogoHeight
	}
	return l
}

// ink is black or white, whichever reads better on a colour (the luminance of
// WCAG 2.2 without its gamma, which does not change the choice often).
func ink(color string) template.CSS {
	rgb, err := strconv.ParseUint(color[1:], 16, 32)
	if err == nil && (rgb>>16)*299+(rgb>>8&255)*587+(rgb&255)*114 > 150*1000 {
		return "#16181d"
	}
	return "#fff"
}

// view is what every template gets. Path is the mount's, before every link.
type view struct {
	Title  string
	Path   string
	CSRF   string
	Nonce  string
	Style  template.CSS
	Script template.JS
	Look   look
	Error  string
	Notice string
	Data   any
}

// show renders a page.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	t, err := p.template(name)
	if err != nil {
		p.crash(w, r, err)
		return
	}
	v.Path = wire.MountOf(r.Context()).Path
	v.CSRF = p.CSRF.Token(w, r)
	v.Nonce = secret.Hex(16)
	v.Style, v.Script = template.CSS(style), template.JS(script)
	if v.Look.Name == "" {
		v.Look = lookOf(client.Client{})
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		p.crash(w, r, err)
		return
	}
	wire.PageHeaders(w, "style-src 'nonce-"+v.Nonce+"'; script-src "+scriptHash+"; img-src 'self' https: data:")
	wire.Write(w, status, "text/html; charset=utf-8", []byte(b.String()))
}

// template returns the parsed page, parsing it once.
func (p *Pages) template(name string) (*template.Template, error) {
	if t, ok := p.views.Load(name); ok {
		return t.(*template.Template), nil
	}
	sub, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	t, err := template.New("layout.html").ParseFS(sub, "layout.html", name+".html")
	if err != nil {
		return nil, err
	}
	p.views.Store(name, t)
	return t, nil
}

// crash logs what nobody expected, once, and says sorry.
func (p *Pages) crash(w http.ResponseWriter, r *http.Request, err error) {
	p.Log.ErrorContext(r.Context(), "page failed", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
	p.Crash(w, r)
}

// message shows a page that only says something.
func (p *Pages) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	p.show(w, r, status, "message", view{Title: title, Data: text})
}

// fail shows what went wrong where there is no form to show it on.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := wire.Fault(err)
	if !ok {
		p.crash(w, r, err)
		return
	}
	retryAfter(w, f)
	p.message(w, r, statusOf(f), "This did not work", words(f))
}

// form reads a posted form and checks that it came from a page of ours.
func (p *Pages) form(next func(http.ResponseWriter, *http.Request, *wire.Params)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := wire.ReadForm(w, r, wire.MaxBody)
		if err != nil {
			p.message(w, r, http.StatusBadRequest, "This did not work", "The form could not be read. Please go back and try again.")
			return
		}
		if err := p.CSRF.Check(r, in.String("csrf")); err != nil {
			p.message(w, r, http.StatusForbidden, "This page is too old", "Please go back, reload the page and try again. Your browser must accept cookies.")
			return
		}
		next(w, r, in)
	}
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: wire.MountOf(r.Context()).Base}
}

// NotFound answers a path that no page has.
func (p *Pages) NotFound(w http.ResponseWriter, r *http.Request) {
	p.message(w, r, http.StatusNotFound, "Not found", "There is no such page.")
}

// MethodNotAllowed answers a method that a page does not have.
func (p *Pages) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	p.message(w, r, http.StatusMethodNotAllowed, "Not allowed", "This page cannot be used that way.")
}

// Crash answers what nobody expected. It renders nothing, since that may be
// what failed.
func (p *Pages) Crash(w http.ResponseWriter, _ *http.Request) {
	wire.Write(w, http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("Something went wrong on our side. Please try again later.\n"))
}

// redirect sends a browser on after a form, or from the fast path.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

// asFault is the fault in err, logged and turned into a 500 if there is none.
func (p *Pages) asFault(w http.ResponseWriter, r *http.Request, err error) (*fault.Error, bool) {
	f, ok := wire.Fault(err)
	if !ok {
		p.crash(w, r, err)
	}
	return f, ok
}
