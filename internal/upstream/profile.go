package upstream

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/identity"
	"sallyport/internal/openid"
	"sallyport/internal/secret"
)

// Profile is who the upstream says the person is, checked. Issuer and Subject
// identify the account for ever; nothing else does.
type Profile struct {
	Upstream        string // the upstream's key
	Issuer, Subject string

	// Email is normalised, or "" if there is none that we could mail to.
	// EmailVerified is what the upstream says of it; EmailTrusted adds that the
	// upstream may speak for its domain. Only a trusted address may find a user
	// or make one's address verified.
	Email         string
	EmailVerified bool
	EmailTrusted  bool
	EmailPrivate  bool // a relay of Apple's: mail arrives, but it is nobody's name

	Name, GivenName, FamilyName string
	Username                    string
	Picture                     string // an https URL
	Locale                      string

	// Organization is the tenant or customer that the account belongs to:
	// Google's hd, Microsoft's tid, WorkOS' organization. Roles and Groups are
	// the upstream's words, which nobody here has agreed to.
	Organization  string
	Roles, Groups []string

	// Of an organization's own provider, everything that it said of the person, by
	// the names of its claims or attributes; a claim that is no text or list of
	// texts as JSON has it. AMR is how they proved themselves there: amr (RFC 8176),
	// or of SAML the authentication context class.
	Attributes map[string][]string
	AMR        []string

	Session       string    // the upstream's own session, for LogoutURL
	SessionEnds   time.Time // when that ends, and what came of it should; zero: not said
	Once          Once      // what may be taken one time only
	Authenticated time.Time // when the person proved themselves there; zero: not said
	Impersonator  string    // who really signed in, if the upstream says that it was another
	Tokens        Tokens
}

// Once is an answer that must not be taken again until a time, though it were sent
// again: an assertion's ID. Whoever lets somebody in by it spends it (SpendOnce).
type Once struct {
	ID    string
	Until time.Time
}

// Tokens are the upstream's. They are not stored unless a client asks for them.
type Tokens struct {
	Access, Refresh, ID secret.Value
	Scope               string
	ExpiresAt           time.Time // of Access; zero: not said
}

// TrustedEmail is the address that the upstream vouches for and may; else
// openid.ErrUnverified.
func (p Profile) TrustedEmail() (string, error) {
	if p.Email == "" || !p.EmailTrusted {
		return "", openid.Fail(openid.ErrUnverified, "issuer %s", p.Issuer)
	}
	return p.Email, nil
}

// setEmail takes an address with what was said about it; known tells whether
// anything was. speaks is the kind's own rule of what the upstream may vouch
// for, which the operator's list of domains replaces.
func (p *Profile) setEmail(s Settings, address string, verified, known bool, speaks func(domain string) bool) {
	email, err := identity.NormalizeEmail(address)
	if err != nil {
		return // an account without an address that can be used; many have none
	}
	p.Email = email
	p.EmailVerified = verified || !known && s.TrustEmail
	_, domain, _ := strings.Cut(email, "@")
	if len(s.EmailDomains) > 0 {
		p.EmailTrusted = p.EmailVerified && slices.Contains(s.EmailDomains, domain)
		return
	}
	p.EmailTrusted = p.EmailVerified && speaks(domain)
}

func anyDomain(string) bool { return true }
func noDomain(string) bool  { return false }

// setNames takes names as far as they can be shown, and makes the missing ones
// of the others.
func (p *Profile) setNames(name, given, family string) {
	p.Name, p.GivenName, p.FamilyName = shown(name), shown(given), shown(family)
	if p.Name == "" {
		p.Name = strings.TrimSpace(p.GivenName + " " + p.FamilyName)
	}
	if p.GivenName == "" && p.FamilyName == "" {
		p.GivenName, p.FamilyName = identity.Names(p.Name)
	}
}

// Named makes the names of a profile ones that can be shown, and the missing ones of
// the others.
func (p *Profile) Named() { p.setNames(p.Name, p.GivenName, p.FamilyName) }

// maxShown bounds a name in characters.
const maxShown = 200

// shown is one line of printable text, or what is left of it.
func shown(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }), " ")
	if r := []rune(s); len(r) > maxShown {
		s = strings.TrimSpace(string(r[:maxShown]))
	}
	return s
}

// picture is an https URL to show, or "".
func picture(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > 2048 || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return u.String()
}

func validSubject(s string) bool {
	return s != "" && len(s) <= openid.MaxSubject && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
