// Package client owns applications: who they are, the policy they sign people
// in by, the tenants they belong to, and the enrolments that give users a
// place in them. It does not authenticate anybody; it says what is allowed.
package client

import (
	"errors"
	"slices"
	"time"

	"sallyport/internal/identity"
)

// ID is the id of a client: a lower-case hyphenated UUID. It is the OAuth
// client_id and Keymaster's app_id.
type ID string

// NewID mints a client id.
func NewID() ID { return ID(identity.NewID()) }

// TenantID is the id of a tenant.
type TenantID string

// Client is an application that relies on us (RFC 6749). Key is its stable
// name in the operator's resource file, or "". A client with a SecretHash is
// confidential; Console marks a tenant's own administration application.
type Client struct {
	ID          ID
	Key         string
	Tenant      Tenant
	Console     bool
	Name        string
	BundleID    string
	SecretHash  []byte
	Active      bool
	Policy      Policy
	HasWebhooks bool
	// Source is how it came to be here. RegistrationHash is that of the token
	// which manages a client that registered itself, and RefreshedAt when the
	// document of one that has one was last read.
	Source           Source
	RegistrationHash []byte
	RefreshedAt      time.Time

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Tenant owns clients: they share its password policy, and the administrators
// of its console client administer them. The zero Tenant is none.
type Tenant struct {
	ID        TenantID
	Slug      string
	Name      string
	Password  PasswordPolicy
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Confidential reports whether the client has a secret.
func (c Client) Confidential() bool { return len(c.SecretHash) > 0 }

// Password is the policy that new passwords in this client must meet: the
// stricter of the client's own and its tenant's in every part.
func (c Client) Password() PasswordPolicy { return c.Policy.Password.Stricter(c.Tenant.Password) }

// Offers reports whether the client signs people in by method.
func (c Client) Offers(method string) bool { return slices.Contains(c.Policy.Methods, method) }

// RedirectURI returns the URI to send a browser to: given, if it is exactly a
// registered one; the first registered one if given is empty. There is no
// other way to name a redirect (RFC 9700 §2.1).
func (c Client) RedirectURI(given string) (string, bool) {
	if given == "" {
		if len(c.Policy.RedirectURIs) == 0 {
			return "", false
		}
		return c.Policy.RedirectURIs[0], true
	}
	return given, slices.Contains(c.Policy.RedirectURIs, given)
}

// Status is where an enrolment stands.
type Status string

// The statuses of an enrolment.
const (
	Active    Status = "active"
	Pending   Status = "pending"   // waits for approval
	Suspended Status = "suspended" // refused by this client alone
)

// Enrolment is a user's place in a client.
type Enrolment struct {
	UserID    identity.UserID
	ClientID  ID
	Status    Status
	Roles     []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Has reports whether the enrolment is active and carries the role.
func (e Enrolment) Has(role string) bool { return e.Status == Active && slices.Contains(e.Roles, role) }

// Logo is a client's picture.
type Logo struct {
	ContentType string
	Data        []byte
	UpdatedAt   time.Time
}

// ErrSlugTaken reports a tenant slug that is in use.
var ErrSlugTaken = errors.New("client: tenant slug is taken")
