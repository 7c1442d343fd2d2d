package oauth

import (
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
)

// Visitor is what is known of the one who asks. Base is the issuer: the
// absolute URL of the mount the request came by, without a trailing slash.
type Visitor struct {
	IP        string
	UserAgent string
	RequestID string
	Base      string
}

// The scopes of OpenID Connect that we know (Core §5.4, §11), and roles, ours:
// the person's roles in the client.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeOffline = "offline_access"
	ScopeRoles   = "roles"
)

// Scopes are those that every client may ask for.
var Scopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline, ScopeRoles}

// Issued is what a token request was granted: the surface makes the tokens of
// it, since their claims are part of its wire. Grant.ID is empty when no person
// is behind the token (client credentials), and so are User and Roles. Scope and
// Resources are those of this access token, Grant's at most. Refresh is the
// refresh token, or "". Nonce is that of the authorization request, for an ID
// token; there is one if Scope holds openid and a person is behind it.
type Issued struct {
	Client    client.Client
	Grant     grant.Grant
	User      identity.User
	Roles     []string
	Scope     []string
	Resources []string
	Binding   grant.Binding
	Refresh   string
	Nonce     string
	// NotAfter is when the access token ends at the latest; zero: when the
	// client's policy says.
	NotAfter time.Time
	// TokenType is issued_token_type of a token exchange (RFC 8693 §2.2.1), else "".
	TokenType string
}

// OpenID reports whether an ID token belongs to the answer.
func (i Issued) OpenID() bool { return i.Grant.UserID != "" && slices.Contains(i.Scope, ScopeOpenID) }
