// Package upstreamtest is an identity provider that is none: it signs in whom it
// is told to, and misbehaves on demand. One Fake plays one kind of provider at
// that provider's own paths, with what is peculiar to it, so that the code under
// test needs nothing but another base URL. It shares no code with what it tests:
// its tokens are written by hand.
package upstreamtest

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/upstream"
)

// Person is who may sign in.
type Person struct {
	ID            string // a decimal number, for GitHub's sake
	Email         string
	EmailVerified any // true, false, "true", "false", or nil for nothing said
	GivenName     string
	FamilyName    string
	Username      string
	HostedDomain  string // Google
	TenantID      string // Microsoft
	Roles         []string
	Impersonator  string    // WorkOS: who really signs in
	AuthTime      time.Time // OpenID Connect: when they proved themselves; zero says nothing
	Session       string    // OpenID Connect: sid

	Claims map[string]any // and whatever else it is to say, or to say otherwise
}

// Jane is somebody to sign in with where nobody in particular is needed.
var Jane = Person{ID: "6892396", Email: "jane@gmail.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", Username: "jane",
	TenantID: "72f988bf-86f1-41af-91ab-2d7cd011db47"}

// The application that every fake knows.
const (
	ClientID     = "sallyport-at-fake"
	ClientSecret = "sk_fake_secret_of_sallyport"
)

// Fake is one provider. Its methods may be called while it serves.
type Fake struct {
	// Ask, if it is set before the fake serves, is the page that a person sees at
	// the authorization endpoint. It leads back to where it is, with one parameter
	// more: person, who signs in, or deny. Without it the first of the people signs
	// in unasked.
	Ask func(w http.ResponseWriter, r *http.Request, people []Person)

	kind upstream.Kind
	base string
	now  func() time.Time

	mu       sync.Mutex
	people   []Person
	trouble  Trouble
	places   []Place
	keys     []key
	codes    map[string]visit
	access   map[string]visit
	refresh  map[string]visit
	named    map[string]bool // whom Apple has named already
	requests []string
}

// visit is one authorization request that was answered, and what for.
type visit struct {
	person    Person
	nonce     string
	challenge string
	redirect  string
	scope     string
	offline   bool // a refresh token was asked for, too
}

// New makes a fake of a kind that is to be served at base, the URL that is the
// upstream's base URL. The first of people is who signs in where nobody chooses.
func New(kind upstream.Kind, base string, now func() time.Time, people ...Person) *Fake {
	if len(people) == 0 {
		people = []Person{Jane}
	}
	return &Fake{kind: kind, base: strings.TrimSuffix(base, "/"), now: now, people: people,
		codes: map[string]visit{}, access: map[string]visit{}, refresh: map[string]visit{}, named: map[string]bool{}, keys: []key{first()}}
}

// Upstream is the configuration that leads to the fake.
func (f *Fake) Upstream(name string) upstream.Upstream {
	u := upstream.Upstream{Key: name, Kind: f.kind, Secret: ClientSecret, Settings: upstream.Settings{ClientID: ClientID, BaseURL: f.base}}
	switch f.kind {
	case upstream.Apple:
		u.Settings.TeamID, u.Settings.KeyID = "TEAM123456", "KEY1234567"
		u.Secret = appleKey
	case upstream.OAuth2:
		u.Settings.AuthorizationEndpoint, u.Settings.TokenEndpoint, u.Settings.UserinfoEndpoint = f.base+"/authorize", f.base+"/token", f.base+"/me"
		u.Settings.Members = upstream.Names{Subject: "account.number", Email: "mail", EmailVerified: "mail_confirmed"}
	}
	return u
}

// SetPeople replaces who may sign in.
func (f *Fake) SetPeople(people ...Person) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.people = people
}

// Rotate signs with a new key from now on, and publishes no other.
func (f *Fake) Rotate() {
	k := newKey()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = []key{k}
}

// Forget has the fake take no refresh token any more that it gave: the people
// withdrew their consent.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.refresh)
}

// Requests are the method and path of every request so far.
func (f *Fake) Requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// Choose answers an authorization request as a person would on the fake's page:
// the address that the browser is sent back to, with the form that Apple's page
// would post there. deny refuses; else the person with the id signs in, the
// first one if it is "".
func (f *Fake) Choose(location, id string, deny bool) (back string, form url.Values, err error) {
	at, err := url.Parse(location)
	if err != nil {
		return "", nil, err
	}
	back, form, problem := f.answer(at.Query(), id, deny)
	if problem != "" {
		return "", nil, &url.Error{Op: "authorize", URL: at.Path, Err: http.ErrNotSupported}
	}
	return back, form, nil
}

// ServeHTTP serves the provider's paths.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if base, err := url.Parse(f.base); err == nil {
		path = strings.TrimPrefix(path, strings.TrimSuffix(base.Path, "/"))
	}
	at := f.place(path)
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	trouble := f.trouble
	if !slices.Contains(f.places, at) {
		trouble = None
	}
	f.mu.Unlock()
	if spoilt(w, r, trouble) {
		return
	}
	switch at {
	case AtPage:
		f.page(w, r)
	case AtMetadata:
		f.metadata(w)
	case AtKeys:
		f.jwks(w)
	case AtToken:
		f.token(w, r, path)
	case AtPerson:
		f.person(w, r, path)
	default:
		http.NotFound(w, r)
	}
}

// post is how Apple answers: a form that the browser posts.
var post = template.Must(template.New("post").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Fake</title>
<form method="post" action="{{.To}}">{{range .Fields}}<input type="hidden" name="{{index . 0}}" value="{{index . 1}}">{{end}}<button>Continue</button></form>
<script>document.forms[0].submit()</script></html>
`))

// page is what a browser sees at the authorization endpoint.
func (f *Fake) page(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if f.Ask != nil && !q.Has("person") && !q.Has("deny") {
		f.mu.Lock()
		people := slices.Clone(f.people)
		f.mu.Unlock()
		f.Ask(w, r, people)
		return
	}
	back, form, problem := f.answer(q, q.Get("person"), q.Has("deny"))
	switch {
	case problem != "":
		http.Error(w, problem, http.StatusBadRequest)
	case form == nil:
		http.Redirect(w, r, back, http.StatusFound)
	default:
		var fields [][2]string
		for name := range form {
			fields = append(fields, [2]string{name, form.Get(name)})
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := post.Execute(w, map[string]any{"To": back, "Fields": fields}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}
