package e2e

import (
	"crypto/x509"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/job"
	"sallyport/internal/logout"
	"sallyport/internal/oauth"
	"sallyport/internal/outbound"
	"sallyport/internal/rig"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/surface/pages"
	"sallyport/internal/wire"
)

// op is an OpenID provider under test: a rig with the provider's endpoints and
// its pages, whose clock the test moves. Browsers and clients speak HTTP to its
// handler without a socket between.
type op struct {
	*rig.Rig
	handler http.Handler
	web     *web
	people  int
}

// certHeader is where the proxy before an op puts a client's certificate.
const certHeader = "Client-Cert"

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// eachOP runs f against a provider on each engine. Whoever likes may register.
func eachOP(t *testing.T, f func(t *testing.T, o *op)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { f(t, newOP(t, d)) })
}

func newOP(t testing.TB, d *db.DB) *op {
	t.Helper()
	r := rig.New(t, d)
	r.Settings = oauth.Settings{Registration: oauth.RegistrationOpen, ClientDocuments: true, Resources: []string{"https://api.example.com", "https://files.example.com"}}
	outside := newWeb(t)
	r.OAuth.Documents = outbound.NewDocuments(outside.options(), r.Now)
	t.Cleanup(r.OAuth.Documents.Close)
	log := slog.New(slog.DiscardHandler)
	csrf, err := wire.NewCSRF(r.Key, rig.Base)
	if err != nil {
		t.Fatal(err)
	}
	km := &keymaster.API{
		SignIn: r.SignIn, OAuth: r.OAuth, Self: r.Self, Admin: r.Admin, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: log, Issuers: []string{rig.Base},
	}
	pg := &pages.Pages{SignIn: r.SignIn, Self: r.Self, OAuth: r.OAuth, Flow: flowOf(km), CSRF: csrf, Now: r.Now, Log: log}
	api := &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: log, Issuers: []string{rig.Base},
		Cookie: keymaster.Cookie, ClientCert: certHeader, Message: pg.Message,
	}
	pg.Reply = api.Reply
	r.Mount(api.Routes(), pg.MethodNotAllowed)
	r.Mount(pg.Routes(), pg.MethodNotAllowed)
	proxied := wire.Requests{Trusted: []netip.Prefix{loopback}, ProxyOnly: certHeader, Now: r.Now}.Wrap(r.Handler())
	return &op{Rig: r, handler: proxied, web: outside}
}

// flowOf ends sign-ins that belong to no authorization request as Keymaster does.
func flowOf(km *keymaster.API) pages.Flow {
	return pages.Flow{
		Cookie: keymaster.Cookie, Destination: km.Destination, TOTPSession: km.TOTPSession, Challenge: km.Challenge,
		UpstreamCookie: keymaster.UpstreamCookie, Connect: km.Connect,
		Limits: pages.Limits{
			Login: keymaster.LoginLimits, LoginEmail: keymaster.LoginByEmail, TOTP: keymaster.TOTPTries, SignUp: keymaster.SignUpLimits,
			Invite: keymaster.InviteFailures, ForgotIP: keymaster.ForgotByIP, ForgotEmail: keymaster.ForgotByEmail, Reset: keymaster.ResetLimits,
			Magic: keymaster.MagicLinkLimits, MagicVerify: keymaster.MagicVerifyLimits, Password: keymaster.PasswordTries,
			PasskeyAsk: keymaster.PasskeyAskLimits, Passkey: keymaster.PasskeyLimits,
		},
	}
}

// tellClients does the queued logout notices.
func (o *op) tellClients(t *testing.T) {
	t.Helper()
	options := o.web.options()
	options.Timeout = logout.Timeout
	c := outbound.Client(options)
	defer c.CloseIdleConnections()
	courier := &logout.Courier{DB: o.DB, Keys: o.Keys, Client: c, Now: o.Now}
	run := &job.Runner{DB: o.DB, Now: o.Now, Handlers: courier.Handlers(), Log: slog.New(slog.DiscardHandler)}
	if _, err := run.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// web is what clients publish, and where they are told things: a server by TLS.
type web struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]string
	posts []url.Values
}

func newWeb(t testing.TB) *web {
	w := &web{pages: map[string]string{}}
	w.Server = httptest.NewTLSServer(w)
	t.Cleanup(w.Close)
	return w
}

// ServeHTTP answers a GET with a page and notes what is posted.
func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Method == http.MethodPost && r.ParseForm() == nil {
		w.posts = append(w.posts, r.PostForm)
		return
	}
	body, ok := w.pages[r.URL.Path]
	if !ok {
		http.NotFound(out, r)
		return
	}
	out.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(out, body)
}

// options are of a client that may reach it.
func (w *web) options() outbound.Options {
	roots := x509.NewCertPool()
	roots.AddCert(w.Certificate())
	return outbound.Options{Allow: []netip.Prefix{loopback}, Roots: roots}
}

// told are the forms that were posted since it was last asked.
func (w *web) told() []url.Values {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.posts
	w.posts = nil
	return all
}

// publish puts a page where we can read it, and returns its address.
func (o *op) publish(path, body string) string {
	o.web.mu.Lock()
	defer o.web.mu.Unlock()
	o.web.pages[path] = body
	return o.web.URL + path
}

// unwired brings requests to a handler as a trusted proxy would.
type unwired struct{ http.Handler }

// RoundTrip answers a request.
func (m unwired) RoundTrip(req *http.Request) (*http.Response, error) {
	return bring(m, req, "127.0.0.1:1")
}

// direct brings requests past the proxy.
type direct struct{ http.Handler }

// RoundTrip answers a request.
func (m direct) RoundTrip(req *http.Request) (*http.Response, error) {
	return bring(m, req, "192.0.2.1:1")
}

func bring(m http.Handler, req *http.Request, from string) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI, in.Host, in.RemoteAddr = req.URL.RequestURI(), req.URL.Host, from
	in.URL = &url.URL{Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, in)
	res := rec.Result()
	res.Request = req
	return res, nil
}

// visitor is somebody with a browser of their own.
func (o *op) visitor(t testing.TB) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, base: rig.Base, ip: address(), http: &http.Client{
		Transport: unwired{o.handler}, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// account is somebody's, with their password.
type account struct{ id, email, name, password string }

// person makes one.
func (o *op) person() account {
	o.people++
	p := account{email: fmt.Sprintf("jane%d@example.com", o.people), name: "Jane Doe", password: "jane-has-a-password"}
	p.id = string(o.User(p.email, p.name, p.password).ID)
	return p
}

// form is a form of a page: where it goes, what it holds, and its buttons that
// say something.
type form struct {
	action  string
	values  url.Values
	buttons map[string]string // value → name
}

var (
	formTag   = regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`<(input|button)([^>]*)>`)
	attribute = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

func attributes(tag string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		all[m[1]] = html.UnescapeString(m[2])
	}
	return all
}

// forms are those of a page.
func (a answer) forms() []form {
	var all []form
	for _, m := range formTag.FindAllStringSubmatch(string(a.body), -1) {
		f := form{action: attributes(m[1])["action"], values: url.Values{}, buttons: map[string]string{}}
		for _, in := range inputTag.FindAllStringSubmatch(m[2], -1) {
			at := attributes(in[2])
			switch {
			case at["name"] == "":
			case in[1] == "button":
				f.buttons[at["value"]] = at["name"]
			default:
				f.values.Set(at["name"], at["value"])
			}
		}
		all = append(all, f)
	}
	return all
}

// form is the form of a page that goes to path; ok is false if it has none.
func (a answer) form(path string) (f form, ok bool) {
	for _, f := range a.forms() {
		if u, err := url.Parse(f.action); err == nil && u.Path == path {
			return f, true
		}
	}
	return form{}, false
}

// trip is how far an authorization request got: the pages that the person had
// to deal with, and either the reply that the browser took to the client, with
// where it took it, or the answer that it ended at.
type trip struct {
	pages []string
	to    string // without what the reply added
	reply url.Values
	last  answer
}

// walk takes a browser from an answer on as a person does who signs in and
// agrees, or, if agree is false, does not. The zero account does neither: it
// stops at the first page.
func (v *visitor) walk(a answer, who account, agree bool) trip {
	v.t.Helper()
	var tr trip
	for range 12 {
		tr.last = a
		if a.status == http.StatusFound || a.status == http.StatusSeeOther {
			to := a.location(a.status)
			if strings.HasPrefix(to.String(), v.base+"/") || to.Host == "" {
				a = v.get(v.base + to.RequestURI())
				continue
			}
			tr.leave(to, nil)
			return tr
		}
		next, page, ok := v.fill(a, who, agree)
		switch {
		case page == "form_post":
			to, err := url.Parse(next.action)
			if err != nil {
				v.t.Fatal(err)
			}
			tr.leave(to, next.values)
			return tr
		case page != "":
			tr.pages = append(tr.pages, page)
		}
		if !ok {
			return tr
		}
		a = v.submit(next.action, next.values)
	}
	v.t.Fatalf("the browser goes round in circles: %v", tr.pages)
	return tr
}

// fill fills in the form of a page: which page it is, and whether there is
// anything to send.
func (v *visitor) fill(a answer, who account, agree bool) (f form, page string, ok bool) {
	if a.status != http.StatusOK {
		return form{}, "", false
	}
	if f, ok := a.form("/login"); ok {
		f.values.Set("password", who.password)
		f.values.Set("email", who.email)
		return f, "login", who.email != ""
	}
	if f, ok := a.form("/consent"); ok {
		decision := map[bool]string{true: "allow", false: "deny"}[agree]
		f.values.Set(f.buttons[decision], decision)
		return f, "consent", who.email != ""
	}
	if f, ok := a.form("/logout"); ok && agree {
		f.values.Set(f.buttons["sign-out"], "sign-out")
		return f, "logout", true
	}
	for _, f := range a.forms() {
		if strings.HasPrefix(f.action, "http") && !strings.HasPrefix(f.action, v.base+"/") {
			return f, "form_post", false
		}
	}
	return form{}, "", false
}

// leave notes what the browser takes to the client.
func (tr *trip) leave(to *url.URL, posted url.Values) {
	tr.reply = url.Values{}
	fragment, err := url.ParseQuery(to.Fragment)
	if err == nil {
		maps.Copy(tr.reply, fragment)
	}
	maps.Copy(tr.reply, to.Query())
	maps.Copy(tr.reply, posted)
	to.RawQuery, to.Fragment = "", ""
	tr.to = to.String()
}

// saw demands that the trip showed exactly these pages.
func (tr trip) saw(t *testing.T, pages ...string) {
	t.Helper()
	if strings.Join(tr.pages, " ") != strings.Join(pages, " ") {
		t.Fatalf("the person saw %v, want %v; it ended at %d %s", tr.pages, pages, tr.last.status, tr.last.body)
	}
}

// refused demands that the client was told this error, with the state and our
// issuer (RFC 6749 §4.1.2.1, RFC 9207 §2), and nothing else.
func (tr trip) refused(t *testing.T, codes ...string) {
	t.Helper()
	if tr.to == "" {
		t.Fatalf("nothing went back to the client: %d %s", tr.last.status, tr.last.body)
	}
	for _, code := range codes {
		if tr.reply.Get("error") == code {
			if tr.reply.Has("code") || tr.reply.Get("iss") != rig.Base {
				t.Errorf("got %v, want an error and our issuer", tr.reply)
			}
			return
		}
	}
	t.Fatalf("got %v, want %v", tr.reply, codes)
}

// stopped demands that the browser was shown a page that says what is wrong,
// and was sent nowhere.
func (tr trip) stopped(t *testing.T) {
	t.Helper()
	if tr.to != "" || tr.last.status < 400 || tr.last.status > 499 || !strings.HasPrefix(tr.last.header.Get("Content-Type"), "text/html") {
		t.Fatalf("got %s %v, then %d %s; want an error page", tr.to, tr.reply, tr.last.status, tr.last.body)
	}
}
