package pages

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/secret"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

//go:embed templates assets
var files embed.FS

// The stylesheet and the scripts stand in the page itself, the scripts allowed by
// their hash, so that a page is one answer and nothing else can run in it.
var (
	style      = mustRead("assets/style.css")
	setupStyle = style + mustRead("assets/setup.css")

	fragment     = newScript("assets/fragment.js")
	askPasskey   = newScript("assets/passkey.js")
	loginPasskey = newScript("assets/fragment.js", "assets/passkey.js")
	copyValue    = newScript("assets/copy.js")
)

func mustRead(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("pages: " + err.Error())
	}
	return string(b)
}

// script is what a page runs, and the source expression of a policy that allows
// it. It may fetch, from us, if connects.
type script struct {
	text     template.JS
	source   string
	connects bool
}

func newScript(names ...string) script {
	var all []string
	for _, name := range names {
		all = append(all, mustRead(name))
	}
	s := strings.Join(all, "")
	return script{template.JS(s), hashSource(s), strings.Contains(s, "fetch(")} //nolint:gosec // our own files
}

// scriptOf is the script of a page; most have none.
func scriptOf(name string, v view) (s script, ok bool) {
	account, _ := v.Data.(accountData)
	switch {
	case name == pageLogin && v.client.Offers(client.MethodPasskey):
		return loginPasskey, true
	case name == pageLogin:
		return fragment, true
	case account.Keys.Shown():
		return askPasskey, true
	case strings.HasPrefix(name, setupPages):
		return copyValue, true
	}
	return s, false
}

// hashSource is a hash-source of CSP 3 §2.3.1.
func hashSource(s string) string {
	h := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
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

	// Upstreams are the client's, on the pages that one may come in by. Again
	// says that an account is to be chosen anew there.
	Upstreams []signin.Offer
	Again     bool

	// client is whose page it is, for its look; zero means ours.
	client client.Client
	// bind ties the form's token to more than the browser (wire.CSRF).
	bind []string
}

// show renders a page. Only the message page has no form, and needs no cookie.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	t, err := p.template(name)
	if err != nil {
		p.crash(w, r, err)
		return
	}
	v.Path = wire.MountOf(r.Context()).Path
	v.Look = lookOf(v.client, v.Path)
	v.Nonce = secret.Hex(16)
	v.Style = template.CSS(style) //nolint:gosec // our own file
	if strings.HasPrefix(name, setupPages) {
		v.Style = template.CSS(setupStyle) //nolint:gosec // our own files
	}
	policy := "style-src 'nonce-" + v.Nonce + "'; img-src 'self' https: data:"
	if name != pageMessage {
		v.CSRF = p.CSRF.Token(w, r, v.bind...)
	}
	if name == pageLogin || name == pageSignUp {
		if v.Upstreams, err = p.SignIn.Offers(r.Context(), v.client); err != nil {
			p.crash(w, r, err)
			return
		}
		for i, o := range v.Upstreams {
			v.Upstreams[i].Title = called(o)
		}
	}
	if s, ok := scriptOf(name, v); ok {
		v.Script = s.text
		policy += "; script-src " + s.source
		if s.connects {
			policy += "; connect-src 'self'"
		}
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		p.crash(w, r, err)
		return
	}
	wire.PageHeaders(w, policy)
	wire.Write(w, status, "text/html; charset=utf-8", []byte(b.String()))
}

// called is what a button says after "Continue with". An upstream that has no name
// of its own is called by what it does.
func called(o signin.Offer) string {
	if o.Kind == upstream.OIDC && o.Title == "Single sign-on" || o.Kind == upstream.OAuth2 && o.Title == "Sign in" {
		return "single sign-on"
	}
	return o.Title
}

// The pages by the names of their templates.
const (
	pageAccount = "account"
	pageConfirm = "confirm"
	pageConsent = "consent"
	pageForgot  = "forgot"
	pageInvite  = "invite"
	pageJoin    = "join"
	pageLogin   = "login"
	pageMessage = "message"
	pageReset   = "reset"
	pageSignUp  = "signup"
	pageTOTP    = "totp"

	setupPages         = "setup-" // what the names of those have in common
	pageSetupProvider  = "setup-provider"
	pageSetupOurs      = "setup-ours"
	pageSetupTheirs    = "setup-theirs"
	pageSetupDomain    = "setup-domain"
	pageSetupTest      = "setup-test"
	pageSetupOn        = "setup-on"
	pageSetupDirectory = "setup-directory"
)

// titles are the headings of the pages that always have the same.
var titles = map[string]string{
	pageAccount: "Your account",
	pageConsent: "Allow access?",
	pageForgot:  "Forgot your password?",
	pageInvite:  "Accept your invitation",
	pageJoin:    "Accept your invitation",
	pageLogin:   "Sign in",
	pageReset:   "Choose a new password",
	pageSignUp:  "Create your account",
	pageTOTP:    "Two-factor authentication",
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
	parts := []string{"layout.html", "upstreams.html", name + ".html"}
	if strings.HasPrefix(name, setupPages) {
		parts = append(parts, "setup.html")
	}
	t, err := template.New("layout.html").ParseFS(sub, parts...)
	if err != nil {
		return nil, err
	}
	p.views.Store(name, t)
	return t, nil
}

// again shows a form once more with what went wrong, in the words of the view if it
// has any. Passwords are typed anew.
func (p *Pages) again(w http.ResponseWriter, r *http.Request, name string, v view, err error) {
	f, ok := wire.Fault(err)
	if !ok {
		p.crash(w, r, err)
		return
	}
	retryAfter(w, f)
	if d, ok := v.Data.(loginData); ok {
		d.SSO = ssoRequired(f)
		v.Data = d
	}
	v.Title, v.Error = titles[name], cmp.Or(v.Error, words(f))
	p.show(w, r, statusOf(f), name, v)
}

// failed is the heading over a message that something did not work.
const failed = "This did not work"

// message shows a page that only says something.
func (p *Pages) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	p.show(w, r, status, pageMessage, view{Title: title, Data: messageData{Text: text}})
}

// messageData fills a page that only says something, and perhaps leads on.
type messageData struct{ Text, Href, Link string }

// Message shows a page that only says something, for a surface whose browser
// may not be sent on.
func (p *Pages) Message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	p.message(w, r, status, title, text)
}

// fail shows what went wrong where there is no form to show it on. What the
// provider refused is said in its own words: it wrote them for a page like this.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		if e.Detail != "" { // for the operator: what exactly does not fit
			p.Log.InfoContext(r.Context(), "page refused", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
		}
		p.message(w, r, http.StatusBadRequest, failed, "Please go back to the application and start again: "+e.Description+".")
		return
	}
	f, ok := wire.Fault(err)
	if !ok {
		p.crash(w, r, err)
		return
	}
	retryAfter(w, f)
	title := failed
	if f.Code == fault.Unauthenticated {
		title = titles[pageAccount]
	}
	p.message(w, r, statusOf(f), title, words(f))
}

// NotFound answers a path that no page has.
func (p *Pages) NotFound(w http.ResponseWriter, r *http.Request) {
	p.message(w, r, http.StatusNotFound, "Not found", "There is no such page.")
}

// MethodNotAllowed answers a method that a page does not have.
func (p *Pages) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	p.message(w, r, http.StatusMethodNotAllowed, "Not allowed", "This page cannot be used that way.")
}

// crash logs what nobody expected, once, and says sorry. That a browser went
// away is nothing unexpected, and nobody reads the answer.
func (p *Pages) crash(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		p.Crash(w, r)
		return
	}
	p.Log.ErrorContext(r.Context(), "page failed", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
	p.Crash(w, r)
}

// Crash answers what nobody expected. It renders nothing, since that may be
// what failed.
func (p *Pages) Crash(w http.ResponseWriter, _ *http.Request) {
	wire.Write(w, http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("Something went wrong on our side. Please try again later.\n"))
}
