// Package onetime owns single-use, short-lived secrets: what a mailed link, a
// pending sign-in or a set-up link carries. It does not know what a secret is
// good for: that is its purpose, and a secret is found only under the purpose
// it was made for. Six-digit codes, invitations and refresh tokens are not
// here: they are guessed, sent and rotated under rules of their own.
//
// The life of a secret:
//
//	Create ──► Peek (as often as wanted: shows a page, checks a form)
//	   │         │
//	   │         ├──► Replace  it came a step further, under the same name
//	   │         ├──► Try   a wrong answer was given; the last one allowed ends it
//	   │         └──► Spend the one winner gets the row, everybody else ErrNotFound
//	   └──► Keep, EndAll, Sweep, or the end of its user or client
//
// A secret is 256 random bits shown as 64 lower-case hexadecimal digits. The
// row holds its SHA-256 only, which is enough for a secret that cannot be
// guessed. Spending deletes the row, so that spent, expired, ended and unknown
// are the same thing: db.ErrNotFound.
package onetime

import (
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
)

// Purpose says what a secret may be used for. It is part of every look-up.
type Purpose string

// The purposes. Their texts are stored, so they never change.
const (
	Reset         Purpose = "reset"          // choose a new password; mailed
	MagicLink     Purpose = "magic_link"     // sign in; mailed
	VerifyEmail   Purpose = "verify_email"   // prove an address; mailed
	Challenge     Purpose = "challenge"      // a sign-in that still owes a factor
	UpstreamState Purpose = "upstream_state" // a sign-in that went to an upstream and has not come back
	Pending       Purpose = "pending"        // a sign-in proved by an upstream that still owes an invitation
	Linking       Purpose = "linking"        // an upstream account that waits for the owner of an address to sign in
	Handle        Purpose = "handle"         // carries a finished sign-in across a redirect
	SSOHandle     Purpose = "sso_handle"     // a finished sign-in by an organization's provider
	SSOSpent      Purpose = "sso_spent"      // a handle of one that was spent: coming again, it ends what came of it
	SSOLogout     Purpose = "sso_logout"     // a sign-out that went to an organization's provider and has not come back
	Passkey       Purpose = "passkey"        // the challenge of a sign-in with a passkey
	NewPasskey    Purpose = "new_passkey"    // the challenge of a registration of one
	MailedCode    Purpose = "mailed_code"    // the code of a mail, which proves the mailbox; found by a keyed name
	OperatorSetup Purpose = "operator_setup" // make the first operator
	Authorization Purpose = "authorization"  // an authorization request that waits for a person
	PushedRequest Purpose = "pushed_request" // one that a client pushed (RFC 9126)
)

// MaxData is the greatest size of Secret.Data in bytes.
const MaxData = 16 << 10

// ErrData reports Data that is not one JSON value or is larger than MaxData.
var ErrData = errors.New("onetime: data is too large or not JSON")

// Secret is a stored secret without the secret itself. UserID, ClientID and
// Email may be empty; a user or client that is named must exist, and its end
// is the end of the secret. Data is the purpose's own business: any JSON value,
// or nil. Tries counts the wrong answers so far.
type Secret struct {
	Purpose   Purpose
	UserID    identity.UserID
	ClientID  client.ID
	Email     string
	Data      json.RawMessage
	Tries     int
	CreatedAt time.Time
	ExpiresAt time.Time
}

// rawBytes is the size of a secret before it is written in hexadecimal.
const rawBytes = 32

// wellFormed reports whether raw can be a secret of ours, so that other input
// is refused without a query.
func wellFormed(raw string) bool {
	if len(raw) != 2*rawBytes {
		return false
	}
	for _, c := range []byte(raw) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
