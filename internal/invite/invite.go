// Package invite owns invitations. One to a client is a short code, handed or
// mailed to somebody, that gives a place in the client once. One to an
// organization is a long secret that is mailed and shown to nobody else, and gives
// a membership. Whether a code alone lets an existing user in, and who may invite
// whom to which roles, is decided by the core; enrolling is package client's, and
// joining package org's.
//
// An invitation is pending until it is accepted or revoked. Expired is not a
// stored state: it is what a pending one is called from ExpiresAt on, so that no
// clean-up has to happen for it to be true. A client has at most one pending
// invitation for an e-mail address; a new one takes the place of the earlier. An
// organization has at most one too, but there the new one is refused.
package invite

import (
	"errors"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// Status is what has become of an invitation.
type Status string

// The statuses. Expired is derived, never stored.
const (
	Pending  Status = "pending"
	Accepted Status = "accepted"
	Revoked  Status = "revoked"
	Expired  Status = "expired"
)

// Invite is an invitation. Email is the normalised address that it is bound to,
// or "" if whoever has the code may use it. OrgID is the organization that it is
// to, with OrgRole; then ClientID, or "", is only where the invited person goes,
// and Roles are none; Shown says that somebody else than the mailbox got its
// secret, so that it proves nothing about who has it. InvitedBy names the user or client that invited, for people
// to read; AcceptedBy is "" until it is accepted.
type Invite struct {
	ID         string
	ClientID   client.ID
	OrgID      org.ID
	Email      string
	Roles      []string
	OrgRole    org.Role
	Shown      bool
	Status     Status
	InvitedBy  string
	AcceptedBy identity.UserID
	CreatedAt  time.Time
	ExpiresAt  time.Time
	AcceptedAt time.Time
}

// ErrPending reports an address that is invited to the organization already.
var ErrPending = errors.New("invite: already invited")

// ErrAccepted reports an invitation that can no longer be revoked because
// somebody has accepted it.
var ErrAccepted = errors.New("invite: already accepted")

// Alphabet is what codes are made of: A to Z and 2 to 9 without I and O, which
// are read as 1 and 0. CodeLength characters of it are 40 bits.
const (
	Alphabet   = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	CodeLength = 8
)

// NormalizeCode trims and upper-cases a code as people type it; false means
// that the result cannot be a code.
func NormalizeCode(s string) (string, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) != CodeLength {
		return "", false
	}
	for _, c := range []byte(s) {
		if strings.IndexByte(Alphabet, c) < 0 {
			return "", false
		}
	}
	return s, true
}

// codeHash is what is stored of a code. Forty bits can be searched by whoever
// has the table, so the hash is keyed with what is not in the database.
func codeHash(k *secret.Key, code string) []byte {
	return k.MAC("invite-code", []byte(code))
}
