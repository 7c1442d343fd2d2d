// Package passkey owns the WebAuthn credentials of people: how one is made, how
// one is proved, and the rows. It decides nobody's sign-in, keeps no challenge,
// and draws no page: a ceremony's state is JSON that the caller keeps, once, as a
// one-time secret.
//
//	Party.Register ── options → browser → authenticator → response ── Party.Registered → Passkey
//	Party.Ask      ── options → browser → authenticator → response ── Party.Answered   → Passkey, used
//
// It follows Web Authentication Level 3 (https://www.w3.org/TR/webauthn-3/). Every
// passkey is discoverable and verifies its user by PIN or biometrics, both when it
// is made and when it is used: it is two factors at once, possession and what
// unlocks it. Attestation is not asked for: which make of authenticator somebody
// has is theirs to choose.
package passkey

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/webauthn"

	"sallyport/internal/identity"
)

// The ways a call fails that its caller answers. ErrRefused wraps the cause,
// which is for the log.
var (
	ErrRefused = errors.New("passkey: refused")
	ErrTaken   = errors.New("passkey: registered already")
	ErrUnknown = errors.New("passkey: the user has no such one")
	ErrName    = errors.New("passkey: name is not 1 to 100 characters")
	ErrMany    = errors.New("passkey: the user has as many as there may be")
)

const (
	// Max is how many passkeys a user may have.
	Max = 30
	// MaxName is the greatest length of a name in characters.
	MaxName = 100
)

// ID is a credential id. It is no secret: authenticators show it to every page
// of the relying party.
type ID []byte

// String is the id as WebAuthn's JSON has it, base64url without padding.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil && len(b) > 0 && len(b) <= maxID
}

// maxID is the greatest length of a credential id in bytes (WebAuthn §4).
const maxID = 1023

// Passkey is one credential of a user. Synced tells that it lives in an account
// of the platform and may be on several devices (WebAuthn §6.1.3); UsedAt is zero
// before the first sign-in.
type Passkey struct {
	ID        ID
	UserID    identity.UserID
	Name      string
	Synced    bool
	CreatedAt time.Time
	UsedAt    time.Time

	credential webauthn.Credential
}

// CheckName returns a name without the space around it, or ErrName.
func CheckName(name string) (string, error) {
	name = printable(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxName {
		return "", ErrName
	}
	return name, nil
}

// Party is the relying party of a ceremony: its id is a host name, which its
// passkeys are bound to for ever, its origin where the page is.
type Party struct{ web *webauthn.WebAuthn }

// NewParty returns the relying party whose pages are below base, an absolute
// http or https URL; name is shown by authenticators. A page of another origin,
// a subdomain's too, proves nothing here (WebAuthn §13.4.9).
func NewParty(base, name string) (Party, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return Party{}, fmt.Errorf("passkey: %q is not the address of a page", base)
	}
	return NewPartyOf(u.Hostname(), name, u.Scheme+"://"+u.Host)
}

// NewPartyOf returns the relying party of a domain whose pages are at origins, each
// the domain itself or below it.
func NewPartyOf(domain, name string, origins ...string) (Party, error) {
	w, err := webauthn.New(&webauthn.Config{RPID: domain, RPDisplayName: name, RPOrigins: origins})
	if err != nil {
		return Party{}, fmt.Errorf("passkey: relying party %s: %w", domain, err)
	}
	return Party{w}, nil
}

// person is a user as the library wants one.
type person struct {
	user identity.User
	have []webauthn.Credential
}

func newPerson(u identity.User, have []Passkey) person {
	p := person{user: u}
	for _, k := range have {
		p.have = append(p.have, k.credential)
	}
	return p
}

// WebAuthnID is the user handle: the id of the user, which tells nothing of them
// (WebAuthn §14.6.1).
func (p person) WebAuthnID() []byte { return []byte(p.user.ID) }

func (p person) WebAuthnName() string {
	if p.user.Email == "" {
		return p.WebAuthnDisplayName()
	}
	return p.user.Email
}

func (p person) WebAuthnDisplayName() string {
	if p.user.DisplayName == "" {
		return "you"
	}
	return p.user.DisplayName
}

func (p person) WebAuthnCredentials() []webauthn.Credential { return p.have }

// keep is state as the caller stores it.
func keep(s *webauthn.SessionData) (json.RawMessage, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("keep the state of a ceremony: %w", err)
	}
	return b, nil
}

func kept(state json.RawMessage) (s webauthn.SessionData, err error) {
	if err := json.Unmarshal(state, &s); err != nil {
		return s, fmt.Errorf("read the state of a ceremony: %w", err)
	}
	return s, nil
}
