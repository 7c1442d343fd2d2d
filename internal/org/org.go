// Package org owns organizations: groups of people that a customer is, or that
// a person gets for themselves (AccountMaker calls both accounts). It owns who is
// a member with which role, the membership a person prefers, the domains that an
// organization has shown to be its own, and the clients that belong to one. Who may
// do what in one is decided by the core; invitations are package invite's.
//
//	tenant (application) or nothing
//	  └── org ── memberships ── users
//	        ├── org …
//	        └── clients, domains
//
// An organization that has owners keeps one: taking the last one's role is
// refused under any race. One that was made without is the operator's.
package org

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
)

// ID is the id of an organization, a UUIDv7.
type ID string

// NewID mints the id of an organization.
func NewID() ID { return ID(identity.NewID()) }

// MembershipID is the id of a membership, a UUIDv7.
type MembershipID string

// Status says how an organization stands.
type Status string

// The statuses. In a suspended or closed one nobody acts; past due is the
// application's own affair.
const (
	Active    Status = "active"
	Trial     Status = "trial"
	PastDue   Status = "past_due"
	Suspended Status = "suspended"
	Closed    Status = "closed"
)

// Statuses is every status there is.
var Statuses = []Status{Active, Trial, PastDue, Suspended, Closed}

// Role is what a member may do.
type Role string

// The roles, the least first. An owner may do everything, an admin all but what
// could cost an owner the organization, a viewer read.
const (
	Viewer Role = "viewer"
	Member Role = "member"
	Admin  Role = "admin"
	Owner  Role = "owner"
)

// Roles is every role there is, the least first.
var Roles = []Role{Viewer, Member, Admin, Owner}

// Below reports whether r may less than other. What is no role may nothing.
func (r Role) Below(other Role) bool { return slices.Index(Roles, r) < slices.Index(Roles, other) }

// Valid reports whether r is a role.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// Org is an organization. Slug is its name in addresses, or "" for none; Name may
// be empty too. Above it is Parent, or Tenant, or neither. Picture is the URL of
// one. PaidUntil is zero where nobody keeps it. SignIn is what it demands of its
// members; BreakGlass lets an owner with a second factor in without its provider.
type Org struct {
	ID        ID
	Slug      string
	Name      string
	Picture   string
	Parent    ID
	Tenant    client.TenantID
	Status    Status
	PaidUntil time.Time
	CreatedAt time.Time
	UpdatedAt time.Time

	SignIn     SignIn
	BreakGlass bool
	// Two factors are demanded from FactorsFrom on, GraceDays after it was said so.
	FactorsFrom time.Time
	GraceDays   int
}

// Open reports whether people may act in the organization.
func (o Org) Open() bool { return o.Status != Suspended && o.Status != Closed }

// Membership is a user's place in an organization.
type Membership struct {
	ID        MembershipID
	OrgID     ID
	UserID    identity.UserID
	Role      Role
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Seat is a membership beside its organization. Preferred marks the one that the
// user prefers.
type Seat struct {
	Membership
	Org       Org
	Preferred bool
}

// Domain is a domain that an organization claims. Token is what proves it in the
// domain's own records, until ExpiresAt. Client is the application that answers on it,
// or "". A proof is looked for again at CheckAt, which is zero where whoever runs the
// installation vouches for it; CheckedAt is when that was last done, and Failures how
// often in a row it was not found.
type Domain struct {
	ID         string
	OrgID      ID
	Name       string
	Token      string
	Client     client.ID
	VerifiedAt time.Time
	CreatedAt  time.Time
	ExpiresAt  time.Time
	CheckedAt  time.Time
	CheckAt    time.Time
	Failures   int
}

var (
	// ErrSlugTaken reports a slug that another organization has.
	ErrSlugTaken = errors.New("org: slug is taken")
	// ErrLastOwner reports a change that would leave an organization without one.
	ErrLastOwner = errors.New("org: nobody else owns it")
	// ErrDomainTaken reports a domain that another organization has verified.
	ErrDomainTaken = errors.New("org: domain is verified by another organization")
	// ErrHolds reports an organization that others or clients belong to.
	ErrHolds = errors.New("org: something belongs to it")
)

var slugShape = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Slug reports whether s can be a slug: 2 to 63 lower-case letters, digits and
// single hyphens between them.
func Slug(s string) bool { return len(s) >= 2 && len(s) <= 63 && slugShape.MatchString(s) }

// SignIn is how the members of an organization must sign in.
type SignIn string

// The demands, the least first.
const (
	SignInAny SignIn = "any"
	SignInMFA SignIn = "mfa" // by two factors
	SignInSSO SignIn = "sso" // by the organization's own provider, whoever has an address of its domains
)

// SignIns is every demand there is.
var SignIns = []SignIn{SignInAny, SignInMFA, SignInSSO}
