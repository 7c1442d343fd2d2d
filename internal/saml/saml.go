// Package saml speaks SAML 2.0 as a service provider, for organizations whose
// identity provider has nothing newer: it asks, reads what comes back, and says
// goodbye. It knows no person: what an assertion says is believed or not by
// package upstream.
//
//	Begin ── AuthnRequest, by redirect or form ─▶ browser ─▶ identity provider
//	Read  ◀─ Response, by form ◀──────────────────────────────────┘
//
//	bytes ─▶ document    no DTD, comment, CDATA; bounded; one meaning only      (document.go)
//	      ─▶ outline     every element that counts stands where it may, once    (outline.go)
//	      ─▶ signed      verified by a key of the connection, canonical bytes   (signature.go)
//	      ─▶ document    those bytes, read anew: nothing else is ever looked at
//	      ─▶ Assertion   who said it, to whom, about whom, when, once           (judge.go)
//
// All known ways of signing in as somebody else by SAML make one part of a
// program verify one element and another part read a second one. Here the second
// part has nothing but the bytes that the first one hashed. Everything before that
// is strict because it can be: identity providers write plain XML.
//
// It follows SAML Core, Bindings, Profiles §4.1 and §4.4 and Metadata (OASIS 2005,
// with errata), XML Signature and XML Encryption 1.1. Each refusal is of a closed
// list, in words that the customer's administrator can do something with.
package saml

import (
	"time"

	"sallyport/internal/secret"
)

// The bindings by which messages travel.
const (
	Redirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	Post     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// The formats of a name identifier that mean something here.
const (
	FormatEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	FormatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	FormatPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	FormatTransient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// Party is who we are to the identity provider of one organization.
type Party struct {
	EntityID string `json:"entity_id"` // also where our metadata are
	ACS      string `json:"acs"`       // where it posts its answers
	SLO      string `json:"slo"`       // where it says goodbye
}

// PartyAt is who we are on the mount at base to an organization with this id. It
// is the id and not the slug, which can change while the customer's
// administrator has long typed the address in. The answers of all organizations
// come to one address: what they belong to is behind their RelayState.
func PartyAt(base, org string) Party {
	return Party{EntityID: base + "/sso/saml/metadata/" + org, ACS: base + "/sso/saml/acs", SLO: base + "/sso/saml/slo/" + org}
}

// Peer is the identity provider of one organization, and how we deal with it.
type Peer struct {
	EntityID      string
	SignOnURL     string
	SignOnBinding string // Redirect or Post; "" is Redirect
	LogoutURL     string // "" if it has none
	LogoutBinding string
	Certificates  [][]byte // DER; any of them may have signed

	Keys          []KeyPair // ours, newest first
	SignRequests  bool
	WantEncrypted bool // refuse an assertion that came in the clear
	Unsolicited   bool // take answers that nobody asked for
	NameIDFormat  string
}

// KeyPair is one of ours: it signs what we ask, and opens what was encrypted for
// us. The certificate is only the form in which SAML hands out a public key.
type KeyPair struct {
	Key         secret.Value `json:"-"`           // PKCS #8 in DER
	Certificate []byte       `json:"certificate"` // DER
	CreatedAt   time.Time    `json:"created_at"`
}

// NameID is whom an assertion is about.
type NameID struct {
	Value           string `json:"v"`
	Format          string `json:"f,omitempty"`
	NameQualifier   string `json:"q,omitempty"`
	SPNameQualifier string `json:"s,omitempty"`
}

// Assertion is what the identity provider says, verified and meant for us.
type Assertion struct {
	ID         string
	Issuer     string
	Subject    NameID
	Session    string // SessionIndex, for the goodbye
	SessionEnd time.Time
	Instant    time.Time // when the person proved themselves
	Context    string    // how: AuthnContextClassRef
	Attributes map[string][]string
	// Until is when the assertion ends: so long it must be known, to be taken once.
	Until     time.Time
	Encrypted bool
}
