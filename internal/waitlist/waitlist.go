// Package waitlist owns who waits for a feature: one entry for each user, account
// and feature. Features are free texts; there is no list of them. Who waits for a
// place in a client has a pending enrolment, which is package client's: the queue
// that an operator works on is made of both (package admin).
package waitlist

import (
	"regexp"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// Status is what an operator made of an entry.
type Status string

// The statuses. An entry stays what it is to the person who waits, whatever an
// operator makes of it, until they take it back.
const (
	Waiting  Status = "waiting"
	Approved Status = "approved"
	Rejected Status = "rejected"
)

// Entry is somebody who waits for a feature in an account. ClientID is the
// application that they asked in; NotifiedAt is when they were last told that they
// are in, or zero.
type Entry struct {
	ID         string
	OrgID      org.ID
	UserID     identity.UserID
	Feature    string
	ClientID   client.ID
	Status     Status
	NotifiedAt time.Time
	CreatedAt  time.Time
}

var featureShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Feature reports whether s can name a feature (contract accountmaker §3.18).
func Feature(s string) bool { return featureShape.MatchString(s) }
