// Package identity owns people: users, their e-mail addresses, and the links
// to the accounts they have at upstream identity providers. It knows nothing
// of applications, of how a password is hashed, or of sessions.
package identity

import (
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// UserID is the id of a user: a UUIDv7 in lower-case hyphenated form. It is
// the same in every client.
type UserID string

// Status says whether a user may sign in anywhere.
type Status string

// The statuses of a user. Suspended and disabled users are refused by every
// client; the difference is only what an operator means by it.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
	Disabled  Status = "disabled"
)

// User is a person. Email is their primary address, normalised, or "" for one who
// has none: an upstream account may come without. PasswordHash is an encoded hash
// that package password understands, or "" for none.
type User struct {
	ID            UserID
	Email         string
	EmailVerified bool
	DisplayName   string
	GivenName     string
	FamilyName    string
	Status        Status
	PasswordHash  string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// HasPassword reports whether the user can sign in with a password at all.
// Django marks an unusable one with a leading "!".
func (u User) HasPassword() bool {
	return u.PasswordHash != "" && !strings.HasPrefix(u.PasswordHash, "!")
}

// Called is what to call the user on a page of theirs: the address, or the name of
// one who has none.
func (u User) Called() string {
	switch {
	case u.Email != "":
		return u.Email
	case u.DisplayName != "":
		return u.DisplayName
	}
	return string(u.ID)
}

// MaxEmail is the greatest length of an address in octets (RFC 5321 §4.5.3.1.3
// less the angle brackets).
const MaxEmail = 254

// ErrEmail reports an address that is not of the shape local@domain.
var ErrEmail = errors.New("identity: not an e-mail address")

// ErrEmailTaken reports an address that another user has.
var ErrEmailTaken = errors.New("identity: e-mail address is taken")

// NewUserID mints a user id.
func NewUserID() UserID { return UserID(NewID()) }

// NewID mints a UUIDv7 in lower-case hyphenated form. An id is never a secret.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// ParseID returns s in canonical form if it is a UUID in hyphenated form.
func ParseID(s string) (string, bool) {
	if len(s) != 36 {
		return "", false
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return "", false
	}
	return id.String(), true
}

// NormalizeEmail trims and lower-cases an address and checks its shape: an
// RFC 5321 dot-string, "@", and a domain of at least two labels; at most 254
// octets. Quoted local parts, address literals and non-ASCII addresses are
// refused: an international domain is written in its ASCII form.
func NormalizeEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, notASCII) { // before folding, which makes ASCII of some others
		return "", ErrEmail
	}
	s = strings.ToLower(s)
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > MaxEmail || len(local) > 64 || !dotString(local) || !domainName(domain) {
		return "", ErrEmail
	}
	return s, nil
}

func notASCII(r rune) bool { return r > '~' }

func dotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, c := range []byte(atom) {
			if !alphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

func domainName(s string) bool {
	labels := 0
	for label := range strings.SplitSeq(s, ".") {
		labels++
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !alphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return labels >= 2
}

// alphanumeric knows lower case only: NormalizeEmail has folded the rest.
func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// Names splits a display name into given and family name: the first word is
// the given name, the rest the family name.
func Names(display string) (given, family string) {
	given, family, _ = strings.Cut(strings.TrimSpace(display), " ")
	return given, strings.TrimSpace(family)
}

// IDAt mints a UUIDv7 that tells the time t instead of now's, to the
// millisecond. TimeOf reads it.
func IDAt(t time.Time) string {
	id := uuid.Must(uuid.NewV7())
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id.String()
}

// RandomID mints a UUIDv4, which tells nothing.
func RandomID() string { return uuid.NewString() }

// TimeOf is the time that a UUIDv7 tells; false for any other text.
func TimeOf(id string) (time.Time, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}, false
	}
	var ms int64
	for _, b := range u[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC(), true
}
