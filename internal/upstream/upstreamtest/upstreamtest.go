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
	Impersonator  string // WorkOS: who really signs in
}

// Jane is somebody to sign in with where nobody in particular is needed.
var Jane = Person{ID: "6892396", Email: "jane@gmail.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", Username: "jane",
	TenantID: "72f988bf-86f1-41af-91ab-2d7cd011db47"}

// The application that every fake knows.
const (
	ClientID     = "sallyport-at-fake"
	ClientSecret = "sk_fake_secret_of_sallyport"
)

// Trouble is one thing that goes wrong.
type Trouble string

// The troubles. Those of the token endpoint and of user information are for the
// next answers until Behave is called again.
const (
	None           Trouble = ""
	Down           Trouble = "down"            // 503 everywhere
	Throttled      Trouble = "throttled"       // 429 at the token endpoint
	Slow           Trouble = "slow"            // no answer until the asker leaves
	HTML           Trouble = "html"            // a page in place of JSON, status 200
	ErrorPage      Trouble = "error_page"      // a page, status 400
	Large          Trouble = "large"           // 10 MB
	Cut            Trouble = "cut"             // half an answer
	Redirect       Trouble = "redirect"        // sends the asker elsewhere
	WrongIssuer    Trouble = "wrong_issuer"    // in the ID token
	WrongAudience  Trouble = "wrong_audience"  //
	WrongParty     Trouble = "wrong_party"     // azp
	WrongNonce     Trouble = "wrong_nonce"     //
	NoNonce        Trouble = "no_nonce"        //
	WrongSignature Trouble = "wrong_signature" //
	Unsigned       Trouble = "unsigned"        // alg none
	Shared         Trouble = "shared"          // HS256 by the client secret
	Expired        Trouble = "expired"         //
	Future         Trouble = "future"          // issued in an hour
	WrongHash      Trouble = "wrong_hash"      // at_hash
	Somebody       Trouble = "somebody"        // user information about another person
	NoSubject      Trouble = "no_subject"      // an account of nobody
	BadSecret      Trouble = "bad_secret"      // refuses our credentials
	OtherMetadata  Trouble = "other_metadata"  // metadata of another issuer
	WrongIss       Trouble = "wrong_iss"       // RFC 9207: names another issuer in the answer
	NoIss          Trouble = "no_iss"          // RFC 9207: announces iss, and leaves it out
	Unfinished     Trouble = "unfinished"      // WorkOS wants a second factor
)

// Fake is one provider. Its methods may be called while it serves.
type Fake struct {
	kind upstream.Kind
	base string
	now  func() time.Time

	mu       sync.Mutex
	people   []Person
	trouble  Trouble
	keys     []key
	codes    map[string]visit
	access   map[string]visit
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
}

// New makes a fake of a kind that is to be served at base, the URL that is the
// upstream's base URL. The first of people is who signs in where nobody chooses.
func New(kind upstream.Kind, base string, now func() time.Time, people ...Person) *Fake {
	if len(people) == 0 {
		people = []Person{Jane}
	}
	return &Fake{kind: kind, base: strings.TrimSuffix(base, "/"), now: now, people: people,
		codes: map[string]visit{}, access: map[string]visit{}, named: map[string]bool{}, keys: []key{first()}}
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

// Behave has the fake misbehave from now on.
func (f *Fake) Behave(t Trouble) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = t
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

// Requests are the method and path of every request so far.
func (f *Fake) Requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

func (f *Fake) is(t Trouble) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble == t
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

// ServeHTTP serves the provider's paths. The authorization endpoint shows the
// people to pick from, or answers at once with the parameters person or deny.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	trouble := f.trouble
	f.mu.Unlock()
	path := r.URL.Path
	if base, err := url.Parse(f.base); err == nil {
		path = strings.TrimPrefix(path, strings.TrimSuffix(base.Path, "/"))
	}
	if trouble == Down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	e := f.endpoints()
	switch {
	case path == e.authorize:
		f.page(w, r)
	case path == e.metadata && e.metadata != "":
		f.metadata(w)
	case path == e.keys && e.keys != "":
		f.jwks(w)
	case path == e.token:
		if !spoilt(w, r, trouble) {
			f.token(w, r)
		}
	case slices.Contains(e.people, path):
		if trouble != Redirect && spoilt(w, r, trouble) {
			return
		}
		f.person(w, r, path)
	default:
		http.NotFound(w, r)
	}
}

// spoilt answers in place of an endpoint that is in trouble.
func spoilt(w http.ResponseWriter, r *http.Request, t Trouble) bool {
	switch t {
	case Throttled:
		w.Header().Set("Retry-After", "42")
		w.WriteHeader(http.StatusTooManyRequests)
	case Slow:
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case HTML:
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><title>Sign in</title>"))
	case ErrorPage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte("<!doctype html><title>Error</title>"))
	case Large:
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"access_token":"`))
		for range 10 << 10 {
			if _, err := w.Write([]byte(strings.Repeat("x", 1<<10))); err != nil {
				return true
			}
		}
		w.Write([]byte(`"}`))
	case Cut:
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(`{"access_token":`))
	case Redirect:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	default:
		return false
	}
	return true
}

var pick = template.Must(template.New("pick").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Fake {{.Title}}</title>
<h1>Fake {{.Title}}</h1><p>Sign in to {{.Client}} as</p>
{{range .People}}<p><a href="{{$.Here}}&amp;person={{.ID}}">{{.GivenName}} {{.FamilyName}} {{.Email}}</a></p>
{{end}}<p><a href="{{.Here}}&amp;deny=1">Cancel</a></p></html>
`))

var post = template.Must(template.New("post").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Fake</title>
<form method="post" action="{{.To}}">{{range .Fields}}<input type="hidden" name="{{index . 0}}" value="{{index . 1}}">{{end}}<button>Continue</button></form>
<script>document.forms[0].submit()</script></html>
`))

// page is what a browser sees at the authorization endpoint.
func (f *Fake) page(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if !q.Has("person") && !q.Has("deny") {
		f.mu.Lock()
		people := slices.Clone(f.people)
		f.mu.Unlock()
		show(w, pick, map[string]any{"Title": string(f.kind), "Client": q.Get("client_id"), "People": people, "Here": "?" + r.URL.RawQuery})
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
		show(w, post, map[string]any{"To": back, "Fields": fields})
	}
}

func show(w http.ResponseWriter, t *template.Template, data any) {
	if err := t.Execute(w, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}
