// Package grant owns what people and clients agree on (RFC 6749 §1.3): grants,
// the codes and device codes that carry them, and the consents that people
// gave. It does not decide whether anything may be granted, and it makes no
// tokens: refresh-token families are package token's, and hang on a grant.
//
//	Create ──► a grant with a code        (at the authorization endpoint)
//	   │          │
//	   │          ├─ Redeem   one winner; the grant lives on without its code
//	   │          └─ Redeem again ──► ErrReplayed: the caller ends the grant, and
//	   │                              everything that came of it (RFC 9700 §4.5)
//	   └─ or without a code               (device flow, token exchange)
//
// A grant ends by End, with its user, its client or its session, or by Sweep.
// With it go its refresh-token families, and access tokens that name it are no
// longer active.
package grant

import (
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// ID is the id of a grant: a UUIDv7. Access tokens name it.
type ID string

// NewID mints an id.
func NewID() ID { return ID(identity.NewID()) }

// Binding is the key that tokens are bound to, by its thumbprint; both empty is
// a bearer token. JKT is of a DPoP key (RFC 9449 §6.1), X5T the SHA-256 of a
// certificate (RFC 8705 §3.1). It is the cnf claim.
type Binding struct {
	JKT string `json:"jkt,omitempty"`
	X5T string `json:"x5t#S256,omitempty"`
}

// Grant is what one person gave one client at one time. Issuer is who we are to
// the client, the iss of the tokens that come of it, and Subject the sub that the
// client knows the person by. Claims is the claims parameter (OpenID
// Connect Core §5.5), or nil; Actor the act claim (RFC 8693 §4.1), or nil.
// AuthenticatedAt is when the person last proved themselves, by AMR, and by the
// provider Upstream if one vouched for them. Of a grant with a
// code, Code is what the code is bound to, and CodeExpiresAt its end.
type Grant struct {
	ID              ID
	ClientID        client.ID
	UserID          identity.UserID
	SessionID       session.ID
	Issuer          string
	Subject         string
	Scope           []string
	Resources       []string
	Claims          json.RawMessage
	AMR             []string
	ACR             string
	Upstream        string
	Binding         Binding
	Actor           json.RawMessage
	AuthenticatedAt time.Time
	Code            Code
	CodeExpiresAt   time.Time
	RedeemedAt      time.Time
	CreatedAt       time.Time
	ExpiresAt       time.Time
}

// Code is what an authorization code is bound to (RFC 6749 §4.1.3, RFC 7636,
// RFC 9449 §10), and what the tokens that it becomes must say.
type Code struct {
	RedirectURI      string `json:"redirect_uri,omitempty"`
	RedirectURIGiven bool   `json:"redirect_uri_given,omitempty"` // then the token request must name it too
	Challenge        string `json:"challenge,omitempty"`
	ChallengeMethod  string `json:"challenge_method,omitempty"` // S256 or plain
	Nonce            string `json:"nonce,omitempty"`
	JKT              string `json:"jkt,omitempty"` // dpop_jkt
}

// Consent is what a person lets a client have without being asked again.
type Consent struct {
	UserID    identity.UserID
	ClientID  client.ID
	Scope     []string
	Resources []string
	Claims    []string // names of single claims that were asked for
	CreatedAt time.Time
	UpdatedAt time.Time
}

// DeviceStatus is where a device code stands.
type DeviceStatus string

// The statuses of a device code.
const (
	DevicePending  DeviceStatus = "pending"
	DeviceApproved DeviceStatus = "approved"
	DeviceDenied   DeviceStatus = "denied"
)

// Device is a device that waits for a person to let it in (RFC 8628). Request
// is the core's own: what was asked for. UserCode is stored without its dash.
// GrantID is set once it was approved.
type Device struct {
	ClientID  client.ID
	UserCode  string
	Request   json.RawMessage
	Status    DeviceStatus
	GrantID   ID
	PollEvery time.Duration
	PolledAt  time.Time
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ErrReplayed reports a code that was redeemed before: the caller ends its grant.
var ErrReplayed = errors.New("grant: code was redeemed before")
