// Package oauth is the core for applications (RFC 6749, OpenID Connect Core):
// which of them may be told about whom, how each proves who it is, what it may
// turn into tokens, and which tokens are still good. It makes no tokens but
// refresh tokens: claims belong to the surface, which gets an Issued to make
// them of. Rows are package grant's.
//
//	Authorize ─▶ (sign-in, consent) ─▶ Continue ─▶ a grant with a code
//	StartDevice ─▶ (DecideDevice) ─▶ a grant                  │
//	                                                        Token ─▶ Issued
//	         client credentials, refresh tokens, exchange ─────┘       │
//	Use, Introspect: what stands behind a token at this moment ◀───────┤
//	Revoke, a replay, the end of the session or consent: the grant ends ┘
package oauth

import (
	"context"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/jwks"
	"sallyport/internal/limit"
	"sallyport/internal/outbound"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

// Core holds what the operations need. Keys verifies what we signed ourselves
// (ID token hints) and what clients sign with a secret they share with us;
// Documents reads what clients publish: their keys and their metadata. Broker
// renews the tokens of upstreams that clients had kept.
type Core struct {
	DB        *db.DB
	Now       func() time.Time
	Key       *secret.Key
	Keys      *jwks.Ring
	Documents *outbound.Documents
	Broker    *upstream.Broker
	Settings  func() Settings // nil: the zero Settings
}

// Settings are the operator's choices, which may change while a node serves.
// Registration is "open", "token" or "off", empty is "off": who may register
// clients (RFC 7591). ClientDocuments lets a client be one by its metadata
// document alone. Scopes are those that such clients, and those that register
// themselves, may have besides OpenID Connect's. Resources are what tokens may
// be asked for besides the issuer itself (RFC 8707).
type Settings struct {
	Registration    string
	ClientDocuments bool
	Scopes          []string
	Resources       []string
}

func (c *Core) settings() Settings {
	if c.Settings == nil {
		return Settings{}
	}
	return c.Settings()
}

// Resources are those that the operator named, beside the issuer itself.
func (c *Core) Resources() []string { return c.settings().Resources }

// GrantClientCredentials is the grant type of RFC 6749 §4.4.
const GrantClientCredentials = client.GrantClientCredentials

// ClientCredentialsIn is a client that asks for a token of its own by another
// API than the provider's. Scope is
// as it was sent, names parted by single spaces; Known are the scopes there
// are. Failures is the surface's limit on wrong secrets, by client.
type ClientCredentialsIn struct {
	ClientID  client.ID
	Secret    string
	Scope     string
	Known     []string
	Failures  limit.Rule
	IP        string
	RequestID string
}

// ServiceToken is what was granted: the surface signs it.
type ServiceToken struct {
	Client client.Client
	Scope  string
}

// ClientCredentials proves a client by its secret and grants it the scopes it
// asked for. An unknown or inactive client, a public one, one that registered
// itself (nobody gave it these scopes) and a wrong secret are one fault. Wrong
// secrets are limited; a right one reads and writes nothing but the client, since
// it is 256 random bits that nobody guesses between two looks at the counter.
func (c *Core) ClientCredentials(ctx context.Context, in ClientCredentialsIn) (ServiceToken, error) {
	var cl client.Client
	var t tries
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if t, err = c.look(ctx, tx, in.Failures); err != nil {
			return err
		}
		cl, err = client.ByID(ctx, tx, in.ClientID)
		return notFoundIsZero(err)
	})
	if err != nil {
		return ServiceToken{}, err
	}
	if !cl.VerifySecret(c.Key, in.Secret) || !cl.Active || cl.Source != client.Operator {
		return ServiceToken{}, c.wrongSecret(ctx, cl, in.Failures, Visitor{IP: in.IP, RequestID: in.RequestID})
	}
	if t.counted {
		if err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return limit.Reset(ctx, tx, in.Failures) }); err != nil {
			return ServiceToken{}, err
		}
	}
	scope, err := granted(in.Scope, in.Known)
	return ServiceToken{Client: cl, Scope: scope}, err
}

// granted checks the scopes asked for: at least one, each known (RFC 6749
// §3.3). The fault names the first that is not.
func granted(asked string, known []string) (string, error) {
	names := strings.Fields(asked)
	if len(names) == 0 {
		return "", fault.New(fault.ScopeInvalid, "")
	}
	var out []string
	for _, s := range names {
		if !slices.Contains(known, s) {
			return "", fault.New(fault.ScopeInvalid, s)
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, " "), nil
}
