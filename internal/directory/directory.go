// Package directory owns what an organization's own directory, such as Okta or Entra,
// says of its people: who they are, whether they are active, and in which groups. It
// also owns the tokens by which the directory speaks. What
// follows from what it says, for accounts and roles, is decided by the core; the wire
// that it speaks (SCIM 2.0, RFC 7643 and 7644) is a surface's.
//
//	org ── directory (tokens) ─┬─ people ── users
//	                           └─ groups ── members: people of the same directory
//
// A person is in a directory because it made them, or because they were a member
// whose address is of a domain that the organization has shown to be its own. One who
// is not active has no membership: what acts in an organization never has to ask here.
// What the directory deleted is gone for it, and remembered by us, because their account
// may have been disabled with them.
package directory

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// Path is where a directory speaks, below the base of a mount.
const Path = "/scim/v2"

// Token is one that a directory speaks by, without the token itself. Start is how it
// begins. UsedAt is when it was shown last, up to Touched behind, or zero, and Agent by
// what program.
type Token struct {
	ID        string
	OrgID     org.ID
	Start     string
	Agent     string
	CreatedAt time.Time
	UsedAt    time.Time
}

// Status is how a directory stands: its tokens, none while it is switched off, and how
// many it has told us of.
type Status struct {
	Tokens         []Token
	People, Active int
	Groups         int
}

// On reports whether the directory may speak.
func (s Status) On() bool { return len(s.Tokens) > 0 }

// UsedAt is when the directory spoke last, or zero.
func (s Status) UsedAt() (at time.Time) {
	for _, t := range s.Tokens {
		if t.UsedAt.After(at) {
			at = t.UsedAt
		}
	}
	return at
}

const (
	// Touched is how old UsedAt becomes before another use is noted.
	Touched = time.Minute
	// MaxTokens is how many tokens a directory may have: one for each program that
	// speaks for it, and another one while they change.
	MaxTokens = 5
)

// User is a person as the directory has them. Name is what it calls them, in its own
// spelling; ExternalID its own id for them, or "". Role is that of their membership, to
// come back to. Disabled says that their account was disabled with them. Attributes is
// what it said, as a JSON object in the words of its wire, or nil where it said nothing:
// then the account speaks. Email, Verified and the names below it are the account's.
type User struct {
	OrgID      org.ID
	ID         identity.UserID
	Name       string
	ExternalID string
	Active     bool
	Disabled   bool
	Role       org.Role
	Attributes json.RawMessage
	Version    int64
	CreatedAt  time.Time
	UpdatedAt  time.Time

	Email       string
	Verified    bool
	DisplayName string
	GivenName   string
	FamilyName  string
}

// GroupID is the id of a group, a UUIDv7.
type GroupID string

// Group is a group of a directory.
type Group struct {
	OrgID      org.ID
	ID         GroupID
	Name       string
	ExternalID string
	Version    int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Member is a person in a group.
type Member struct {
	ID   identity.UserID
	Name string
}

var (
	// ErrMany reports a directory that has as many tokens as there may be.
	ErrMany = errors.New("directory: as many tokens as there may be")
	// ErrTaken reports a person who is in the directory, or a name that somebody, or
	// another group, has.
	ErrTaken = errors.New("directory: taken")
	// ErrChanged reports something that was changed since it was read.
	ErrChanged = errors.New("directory: changed since it was read")
	// ErrStranger reports a member who is not in the directory.
	ErrStranger = errors.New("directory: nobody of this directory")
)

// Key is a name as it is compared: without regard to case (RFC 7643 §4.1.1, §4.2).
func Key(name string) string { return strings.ToLower(name) }
