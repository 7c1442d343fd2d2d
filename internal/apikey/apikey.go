// Package apikey owns personal access tokens: long secrets that a script shows in
// place of a signed-in person, in one client. What a key may do is its scopes; where
// it is pinned to an organization it is good there and nowhere else, and ends with
// its owner's membership. Which scopes there are, who may make a key and whether its
// owner may still act, is decided by the core.
//
// A key is a prefix that people know it by and 256 random bits, of which only the
// SHA-256 of the whole is kept, and its first characters to recognise it by.
package apikey

import (
	"encoding/json"
	"errors"
	"regexp"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// ID is the public id of a key; it is not the key and gives no access.
type ID string

// Key is one personal access token. OrgID is the organization that it is pinned to,
// or "". Start is how its text begins. Metadata is a JSON object of its owner's, which
// means nothing here. AMR and Upstream are how its owner had signed in when they made
// it. ExpiresAt is zero where it lasts, UsedAt where nobody has shown it; else UsedAt
// is up to Touched behind.
type Key struct {
	ID        ID
	UserID    identity.UserID
	ClientID  client.ID
	OrgID     org.ID
	Name      string
	Start     string
	Scopes    []string
	Metadata  json.RawMessage
	AMR       []string
	Upstream  string
	Enabled   bool
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Good reports whether a key may be shown at now.
func (k Key) Good(now time.Time) bool {
	return k.Enabled && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(now))
}

const (
	// Max is how many keys a user may have.
	Max = 100
	// Touched is how old UsedAt becomes before another use is noted.
	Touched = time.Hour

	randomBytes = 32
	startLength = 6 // of the random part: enough to tell one's own keys apart
)

// ErrMany reports a user who has as many keys as there may be.
var ErrMany = errors.New("apikey: the user has as many as there may be")

var (
	shape  = regexp.MustCompile(`^[A-Za-z0-9]{1,15}_[0-9a-f]{64}$`)
	prefix = regexp.MustCompile(`^[A-Za-z0-9]{1,15}_$`)
)

// Prefix reports whether keys may begin with s: a word and an underscore.
func Prefix(s string) bool { return prefix.MatchString(s) }

// Shaped reports whether s can be a key, whatever its prefix.
func Shaped(s string) bool { return shape.MatchString(s) }
