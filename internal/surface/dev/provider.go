package dev

import (
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
	"sallyport/internal/wire"
)

// ProviderPath is where the fake providers are, each below its key.
const ProviderPath = "/dev/provider"

// Provider is one fake: an upstream as a playground configures it.
type Provider struct {
	Key   string
	Kind  upstream.Kind
	Title string
}

// Playable are the fakes that there are, one of each kind.
var Playable = []Provider{
	{"google", upstream.Google, "Google"},
	{"github", upstream.GitHub, "GitHub"},
	{"microsoft", upstream.Microsoft, "Microsoft"},
	{"apple", upstream.Apple, "Apple"},
	{"linkedin", upstream.LinkedIn, "LinkedIn"},
	{"okta", upstream.Okta, "Okta"},
	{"workos", upstream.WorkOS, "WorkOS"},
	{"corp", upstream.OIDC, "Example Corp"},
	{"forge", upstream.OAuth2, "Example Forge"},
}

// Corporate is the provider that an organization of the playground has of its own,
// and that the other one can be connected to.
var Corporate = Provider{"acme", upstream.OIDC, "Acme Corporation"}

// colleagues are who can be picked there: two people of the one organization, and one
// of the other, whom the first lets not in.
var colleagues = []upstreamtest.Person{
	{ID: "5501", Email: "ann@acme.example", EmailVerified: true, GivenName: "Ann", FamilyName: "Acme", Username: "ann", Claims: inGroups("Everyone", "IT")},
	{ID: "5502", Email: "bob@acme.example", EmailVerified: true, GivenName: "Bob", FamilyName: "Builder", Username: "bob", Claims: inGroups("Everyone")},
	{ID: "5503", Email: "gina@globex.example", EmailVerified: true, GivenName: "Gina", FamilyName: "Globex", Username: "gina", Claims: inGroups("Everyone")},
}

func inGroups(names ...string) map[string]any { return map[string]any{"groups": names} }

// people are who can be picked at every other fake. Jane has an account here, Tom has
// none, and nobody vouches for the address of Una.
var people = []upstreamtest.Person{
	{ID: "6892396", Email: "jane@example.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", Username: "jane", HostedDomain: "example.com", TenantID: tenant},
	{ID: "1290381", Email: "tom@gmail.com", EmailVerified: true, GivenName: "Tom", FamilyName: "Newcomer", Username: "tom", TenantID: tenant},
	{ID: "7700123", Email: "una@example.net", EmailVerified: false, GivenName: "Una", FamilyName: "Unproved", Username: "una", TenantID: tenant},
}

const tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"

// conduct is how a fake answers once a person was picked.
type conduct struct {
	Name, About string
	trouble     upstreamtest.Trouble
	signed      bool // only of providers that sign what they say
}

// conducts are the choices on the page, the first of them the usual one.
var conducts = []conduct{
	{"", "answers", upstreamtest.None, false},
	{"late", "answers after two seconds", upstreamtest.Late, false},
	{"slow", "never answers", upstreamtest.Slow, false},
	{"html", "answers with a web page", upstreamtest.HTML, false},
	{"down", "answers with a server error", upstreamtest.Down, false},
	{"throttled", "answers that there were too many", upstreamtest.Throttled, false},
	{"signature", "answers with a wrong signature", upstreamtest.WrongSignature, true},
	{"rotated", "answers, signed with a new key", upstreamtest.None, true},
}

// unsigned are the kinds of which no signature is looked at.
var unsigned = []upstream.Kind{upstream.GitHub, upstream.OAuth2, upstream.WorkOS}

// Providers are fake upstreams, the ones that tests have, in front of a server
// whose upstreams they are. Whoever asks may be anybody there.
type Providers struct {
	fakes map[string]*upstreamtest.Fake // by key
}

// NewProviders makes the fakes for a server at base.
func NewProviders(base string, now func() time.Time) *Providers {
	p := &Providers{fakes: map[string]*upstreamtest.Fake{}}
	for _, one := range append(slices.Clone(Playable), Corporate) {
		known := people
		if one == Corporate {
			known = colleagues
		}
		f := upstreamtest.New(one.Kind, base+ProviderPath+"/"+one.Key, now, known...)
		f.Ask = func(w http.ResponseWriter, r *http.Request, known []upstreamtest.Person) { ask(w, r, one, f, known) }
		p.fakes[one.Key] = f
	}
	return p
}

// Upstream is the configuration that leads to a fake.
func (p *Providers) Upstream(key string) upstream.Upstream { return p.fakes[key].Upstream(key) }

// Wrap puts the fakes in front of a handler.
func (p *Providers) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ours := strings.CutPrefix(r.URL.Path, ProviderPath+"/")
		key, _, _ := strings.Cut(rest, "/")
		if f := p.fakes[key]; ours && f != nil {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "no-store")
			f.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxForm bounds what the page posts.
const maxForm = 16 << 10

// ask is the authorization endpoint of a fake. A browser gets a page to pick a
// person on; what asks for no page, as curl does, is the first person at once.
func ask(w http.ResponseWriter, r *http.Request, one Provider, f *upstreamtest.Fake, known []upstreamtest.Person) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case err != nil || !back.IsAbs() || q.Get("client_id") != upstreamtest.ClientID:
		fail(w, http.StatusBadRequest, "this provider knows one application, and wants client_id and redirect_uri of it")
	case r.Method == http.MethodPost:
		picked(w, r, one, f, known)
	case !wantsPage(r):
		f.Behave(upstreamtest.None)
		leave(w, r, one, f, known[0].ID, false)
	default:
		pick(w, r, one, known, "")
	}
}

// pick shows the page; problem is what is wrong with what was typed there.
func pick(w http.ResponseWriter, r *http.Request, one Provider, known []upstreamtest.Person, problem string) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		return // ask has read it
	}
	hint := q.Get("login_hint")
	if slices.ContainsFunc(known, func(p upstreamtest.Person) bool { return p.Email == hint }) {
		hint = ""
	}
	show(w, "pick", action(back), map[string]any{
		"Title": one.Title, "People": known, "Here": "?" + r.URL.RawQuery, "Back": back.Scheme + "://" + back.Host,
		"Name": or(r.PostForm.Get("name"), "New Person"), "Email": or(r.PostForm.Get("email"), or(hint, "new.person@gmail.com")),
		"Open": hint != "" || problem != "", "Problem": problem,
		"Conducts": slices.DeleteFunc(slices.Clone(conducts), func(c conduct) bool { return c.signed && slices.Contains(unsigned, one.Kind) }),
	})
}

func or(v, instead string) string {
	if v == "" {
		return instead
	}
	return v
}

// wantsPage reports whether a browser asks.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// picked does what was chosen on the page.
func picked(w http.ResponseWriter, r *http.Request, one Provider, f *upstreamtest.Fake, known []upstreamtest.Person) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		fail(w, http.StatusForbidden, "another site's page cannot sign in here")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, "the form cannot be read")
		return
	}
	id := r.PostForm.Get("person")
	if id == "new" {
		somebody, ok := newcomer(r.PostForm)
		if !ok {
			pick(w, r, one, known, "Somebody new needs a name and an e-mail address.")
			return
		}
		f.SetPeople(append(slices.Clone(known), somebody)...)
		id = somebody.ID
	}
	for _, c := range conducts {
		if c.Name == r.PostForm.Get("conduct") {
			f.Behave(c.trouble, upstreamtest.AtToken)
		}
	}
	if r.PostForm.Get("conduct") == "rotated" {
		f.Rotate()
	}
	leave(w, r, one, f, id, r.PostForm.Has("deny"))
}

// newcomer is somebody whom the provider did not know until now.
func newcomer(form url.Values) (upstreamtest.Person, bool) {
	name := strings.Join(strings.Fields(form.Get("name")), " ")
	email, err := identity.NormalizeEmail(form.Get("email"))
	given, family := identity.Names(name)
	if err != nil || name == "" || len(name) > 200 {
		return upstreamtest.Person{}, false
	}
	user, _, _ := strings.Cut(email, "@")
	// A number in the range of GitHub's, of which nobody above is one.
	number := 9_000_000_000 + uint64(binary.BigEndian.Uint32(secret.Bytes(4)))
	return upstreamtest.Person{ID: strconv.FormatUint(number, 10), Email: email, EmailVerified: form.Get("verified") != "", GivenName: given, FamilyName: family, Username: user, TenantID: tenant}, true
}

// leave sends the browser back to the application, by a form where that is the
// provider's way.
func leave(w http.ResponseWriter, r *http.Request, one Provider, f *upstreamtest.Fake, id string, deny bool) {
	to, form, err := f.Choose(r.URL.String(), id, deny)
	if err != nil {
		fail(w, http.StatusBadRequest, "the provider does not know that person")
		return
	}
	if form == nil {
		w.Header().Set("Referrer-Policy", "no-referrer")
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // a provider of a playground knows no application's addresses
		return
	}
	nonce := secret.Hex(16)
	var fields [][2]string
	for name := range form {
		fields = append(fields, [2]string{name, form.Get(name)})
	}
	back, err := url.Parse(to)
	if err != nil {
		fail(w, http.StatusBadRequest, "that is no address to go back to")
		return
	}
	show(w, "post", action(back)+"; script-src 'nonce-"+nonce+"'", map[string]any{"Title": one.Title, "To": to, "Fields": fields, "Nonce": nonce})
}

// action is the policy of a page whose form ends at an application: a browser
// follows the redirect that answers a form to no other place (CSP3 §6.4.2).
func action(back *url.URL) string {
	source := back.Scheme + ":"
	if origin := client.Origin(back.String()); origin != "" {
		source = origin
	}
	return "style-src 'unsafe-inline'; form-action 'self' " + source
}

// show writes a page.
func show(w http.ResponseWriter, name, policy string, data map[string]any) {
	page, err := render(name, data)
	if err != nil {
		fail(w, http.StatusInternalServerError, "the page does not render")
		return
	}
	wire.PageHeaders(w, policy)
	wire.Write(w, http.StatusOK, "text/html; charset=utf-8", page)
}
