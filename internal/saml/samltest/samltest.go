// Package samltest is an identity provider that is none: it signs in whom it is
// told to, and misbehaves on demand. What it writes is made by crewjam/saml, which
// shares no line with what it tests but the XML below: etree and goxmldsig.
package samltest

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	crewjam "github.com/crewjam/saml"

	"sallyport/internal/saml"
)

// Person is who may sign in.
type Person struct {
	NameID     string
	Format     string // of the NameID; "" is persistent
	Email      string
	GivenName  string
	FamilyName string
	Groups     []string            // as the attribute "groups"
	Attributes map[string][]string // beside those
	Session    string              // SessionIndex; "" is "_session"
}

// Jane is somebody to sign in with where nobody in particular is needed.
var Jane = Person{NameID: "jane-at-acme", Email: "jane@acme.com", GivenName: "Jane", FamilyName: "Doe", Groups: []string{"staff", "engineers"}}

// Behaviour is how the provider is, and misbehaves. The zero value is a good one.
type Behaviour struct {
	Deny         bool   // it says no
	ResponseOnly bool   // sign the response and not the assertion
	Assertion    bool   // sign the assertion and not the response
	Unsigned     bool   // sign nothing
	Method       string // the signature method; "" is RSA with SHA-256
	Encrypt      []byte // the certificate (DER) to encrypt the assertion for, with AES-GCM and RSA-OAEP
	Weakly       bool   // encrypt with CBC
	// Change is applied to the assertion before it is signed, so that what is wrong
	// with it is signed, too.
	Change func(*crewjam.Assertion)
}

// IdP is one provider. Its methods may be called while it serves.
type IdP struct {
	// Ask, if it is set before it serves, is the page that a person sees at the
	// sign-on address. It leads back to where it is, with one parameter more:
	// person, the NameID of who signs in, or deny. Without it the first of the
	// people signs in unasked.
	Ask func(w http.ResponseWriter, r *http.Request, people []Person)

	base string
	now  func() time.Time

	mu        sync.Mutex
	people    []Person
	behaviour Behaviour
	keys      []pair // the first signs; all are published
	made      int    // keys so far
	forms     bool
	goodbyes  []string // names that were signed out by a LogoutRequest
}

type pair struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// pairs are the keys of all providers here, because to make one takes a tenth of a
// second: each has the same ones in the same order.
var pairs struct {
	mu   sync.Mutex
	list []pair
}

func pairOf(n int) pair {
	pairs.mu.Lock()
	defer pairs.mu.Unlock()
	for len(pairs.list) <= n {
		pairs.list = append(pairs.list, newPair())
	}
	return pairs.list[n]
}

// newPair makes a key whose certificate is good from 2022 to 2032.
func newPair() pair {
	k, err := saml.NewKeyPair("samltest", time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	key, err := x509.ParsePKCS8PrivateKey([]byte(k.Key.Reveal()))
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		panic(err)
	}
	return pair{key.(crypto.Signer), cert}
}

// New makes a provider that is to be served at base. The first of people is who
// signs in where nobody chooses.
func New(base string, now func() time.Time, people ...Person) *IdP {
	if len(people) == 0 {
		people = []Person{Jane}
	}
	return &IdP{base: strings.TrimSuffix(base, "/"), now: now, people: people, keys: []pair{pairOf(0)}}
}

// Serve makes a provider and serves it until stop is called.
func Serve(now func() time.Time, people ...Person) (idp *IdP, stop func()) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { idp.ServeHTTP(w, r) }))
	idp = New(s.URL, now, people...)
	return idp, s.Close
}

// EntityID is what the provider calls itself; its metadata are there.
func (i *IdP) EntityID() string { return i.base + "/metadata" }

// SetPeople replaces who may sign in.
func (i *IdP) SetPeople(people ...Person) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.people = people
}

// Behave changes how the provider is from now on.
func (i *IdP) Behave(b Behaviour) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.behaviour = b
}

// Post has its metadata offer the POST binding alone.
func (i *IdP) Post() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forms = true
}

// Rotate signs with a new key from now on. The old one is published beside it
// until Forget.
func (i *IdP) Rotate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.keys = append([]pair{pairOf(i.made)}, i.keys...)
}

// Use signs with a key of the test's from now on, and publishes no other.
func (i *IdP) Use(key crypto.Signer, certificate []byte) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		panic(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []pair{{key, cert}}
}

// Forget publishes the newest key alone.
func (i *IdP) Forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[:1]
}

// Goodbyes are the names that LogoutRequests of ours were about.
func (i *IdP) Goodbyes() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.goodbyes...)
}

// Peer is the provider as a connection has it.
func (i *IdP) Peer() saml.Peer {
	d, err := saml.ParseMetadata(i.Metadata(), "", i.now())
	if err != nil {
		panic(err)
	}
	return saml.Peer{EntityID: d.EntityID, SignOnURL: d.SignOnURL, SignOnBinding: d.SignOnBinding,
		LogoutURL: d.LogoutURL, LogoutBinding: d.LogoutBinding, Certificates: d.Certificates}
}

// provider is the double as crewjam has it.
func (i *IdP) provider() *crewjam.IdentityProvider {
	i.mu.Lock()
	defer i.mu.Unlock()
	return &crewjam.IdentityProvider{
		Signer: halver{i.keys[0].key}, Certificate: i.keys[0].cert, Logger: log.Default(), SignatureMethod: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
		MetadataURL: address(i.base + "/metadata"), SSOURL: address(i.base + "/sso"), LogoutURL: address(i.base + "/slo"),
	}
}

func address(s string) url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return *u
}

// Metadata are the provider's.
func (i *IdP) Metadata() []byte {
	m := i.provider().Metadata()
	m.ValidUntil = i.now().Add(48 * time.Hour)
	role := &m.IDPSSODescriptors[0]
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range i.keys[1:] {
		d := crewjam.KeyDescriptor{Use: "signing"}
		d.KeyInfo.X509Data.X509Certificates = []crewjam.X509Certificate{{Data: base64.StdEncoding.EncodeToString(k.cert.Raw)}}
		role.KeyDescriptors = append(role.KeyDescriptors, d)
	}
	if i.forms {
		post := crewjam.Endpoint{Binding: crewjam.HTTPPostBinding, Location: i.base + "/sso"}
		role.SingleSignOnServices = []crewjam.Endpoint{post}
		post.Location = i.base + "/slo"
		role.SingleLogoutServices = []crewjam.Endpoint{post}
	}
	body, err := xml.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err)
	}
	return body
}

// ServeHTTP answers at /metadata, /sso and /slo below the base.
func (i *IdP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/metadata"):
		w.Header().Set("Content-Type", "application/samlmetadata+xml")
		w.Write(i.Metadata())
	case strings.HasSuffix(path, "/sso"):
		i.sso(w, r)
	case strings.HasSuffix(path, "/slo"):
		i.slo(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *IdP) sso(w http.ResponseWriter, r *http.Request) {
	req, err := crewjam.NewIdpAuthnRequest(i.provider(), r)
	if err == nil {
		err = xml.Unmarshal(req.RequestBuffer, &req.Request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	people := i.people
	i.mu.Unlock()
	who := people[0]
	chosen := r.FormValue("person")
	if i.Ask != nil && chosen == "" && r.FormValue("deny") == "" {
		i.Ask(w, r, people)
		return
	}
	for _, p := range people {
		if p.NameID == chosen {
			who = p
		}
	}
	if r.FormValue("deny") != "" {
		who = Person{}
	}
	form, err := i.response(req, who)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, form); err != nil {
		panic(err) // the server tells of it
	}
}

var page = template.Must(template.New("").Parse(`<!doctype html><title>Back</title>
<form method="post" action="{{.Action}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}<button>Continue</button></form>
<script>document.forms[0].submit()</script>`))
