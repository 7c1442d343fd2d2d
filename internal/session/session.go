// Package session owns the signed-in browser: a server-side row that an opaque
// cookie names, with the factors that were proved for it. A row exists exactly
// as long as the session lives. Refresh tokens are package token's.
package session

import (
	"encoding/hex"
	"slices"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

// ID is the public id of a session; it is not the cookie and gives no access.
type ID string

// Session is one signed-in browser. AMR are the methods proved (RFC 8176).
// Partial marks one that proved a first factor only, where a second was owed:
// it opens the account pages so that the person can set that factor up, and
// nothing else. Upstream is the key of the provider that was the first factor, if
// one was, and UpstreamSession its own session, to sign out of that too. Renewal
// is of sessions that a surface's own tokens name; see Rotate.
type Session struct {
	ID              ID
	UserID          identity.UserID
	AMR             []string
	Partial         bool
	IP              string
	UserAgent       string
	Upstream        string
	UpstreamSession string
	Renewal         string
	AuthenticatedAt time.Time
	CreatedAt       time.Time
	ExpiresAt       time.Time
}

// The methods of authentication (RFC 8176 §2; "magic" and "invite" are ours: a
// secret that was sent to the person's own address; and so is "fed": an upstream
// said who it is, by whatever methods of its own).
const (
	Password    = "pwd"
	OTP         = "otp"
	HardwareKey = "hwk" // a passkey that is on one device
	SoftwareKey = "swk" // a passkey that is on all devices of an account
	Magic       = "magic"
	InviteBy    = "invite"
	Federated   = "fed"
	Several     = "mfa" // by more than one, as the person's organization says
)

// TwoFactors reports whether the methods of a sign-in are of two kinds. A key of
// ours is by itself: something one has, and the PIN or the finger that unlocks it.
func TwoFactors(amr []string) bool {
	return slices.ContainsFunc(amr, func(m string) bool { return m == OTP || m == HardwareKey || m == SoftwareKey || m == Several })
}

// Name is what a cookie's session may be called by somebody who is not to have the
// cookie: it tells sessions apart and opens nothing.
func Name(cookie string) string { return hex.EncodeToString(secret.Hash(cookie)) }

// Has reports whether the method was proved.
func (s Session) Has(method string) bool { return slices.Contains(s.AMR, method) }
