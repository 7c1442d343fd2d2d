// Package admin is the core for an operator: whoever administers clients, the
// people enrolled in them, tenants, invitations and webhooks, or reads the audit
// log. It decides how far a caller's rights reach; it does not authenticate
// anybody (the surface has verified a token) and signs nobody in (signin).
//
// A caller's tier is read from the database by every operation, in its own
// transaction, so that a demotion or suspension acts at once, whatever the token
// in hand says (contract keymaster §8):
//
//	role, in which client                         tier       reaches
//	admin in the installation's console client    platform   everything
//	admin in a tenant's own console client        tenant     the tenant and its clients
//	admin in any other client                     client     that client
//	manager in any client                         manager    that client's invitations and approvals
//	a client itself, with a scope                 service    what the scope names, in itself
//
// The installation's console client belongs to the platform alone, in whichever
// tenant it is. Who is out of reach of something that exists is refused; ids of
// clients and tenants are no secrets. Below a client (webhooks, invitations) what
// is out of reach is not found.
package admin

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/password"
	"sallyport/internal/secret"
)

// Core holds what the operations need. Outbound are the networks that webhooks
// may reach although they are not public.
type Core struct {
	DB        *db.DB
	Now       func() time.Time
	Key       *secret.Key
	Passwords *password.Pool
	Outbound  []netip.Prefix

	drawing sync.Mutex // held while a picture is worked on
}

// Caller is who asks: a user who holds a token of a client, or with Service the
// client itself, within Scopes. Base is the absolute URL of the mount the request
// came by: links in mails stay on it. Reason is why they ask, in their own words, for
// the audit log; they need not say.
type Caller struct {
	UserID    identity.UserID
	ClientID  client.ID
	Service   bool
	Scopes    []string
	IP        string
	RequestID string
	Base      string
	Reason    string
}

// maxReason is how long a reason may be, in characters.
const maxReason = 500

// The scopes of services (contract keymaster §5.4).
const (
	ScopeInvite      = "invites:create"
	ScopeReadUsers   = "users:read"
	ScopeCreateUsers = "users:create"
)

// Page is a part of a list: the Number-th, from 1, of Size.
type Page struct{ Number, Size int }

func (p Page) offset() int { return (p.Number - 1) * p.Size }

// read runs fn in a read transaction with the caller's rights as they are in it.
func (c *Core) read(ctx context.Context, who Caller, fn func(context.Context, *db.Tx, authority) error) error {
	return c.DB.Read(ctx, asking(who, fn))
}

// write is read with a write transaction.
func (c *Core) write(ctx context.Context, who Caller, fn func(context.Context, *db.Tx, authority) error) error {
	return c.DB.Write(ctx, asking(who, fn))
}

func asking(who Caller, fn func(context.Context, *db.Tx, authority) error) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		a, err := authorize(ctx, tx, who)
		if err != nil {
			return err
		}
		return fn(ctx, tx, a)
	}
}

// Issuer is the issuer that a client's tokens name instead of ours, "" where
// they name ours or there is no such client.
func (c *Core) Issuer(ctx context.Context, id client.ID) (string, error) {
	var cl client.Client
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if cl, err = client.ByID(ctx, tx, id); errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	return cl.Policy.Issuer, err
}

// record writes an audit entry of what the caller did in a client, or in none,
// to a user, or to nobody. Entries about a user go to the client's webhooks.
func (c *Core) record(ctx context.Context, tx *db.Tx, a authority, action audit.Action, cl client.Client, u identity.User, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	actor := audit.User(a.who.UserID)
	if a.who.Service {
		actor = audit.Service(a.who.ClientID)
		detail["source"] = "service_token"
	}
	if a.who.Reason != "" {
		detail["reason"] = a.who.Reason
	}
	if u.ID != "" {
		detail["email"], detail["name"] = u.Email, u.DisplayName
	}
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: actor, Action: action, ClientID: cl.ID, UserID: u.ID, IP: a.who.IP, RequestID: a.who.RequestID,
		Detail: detail, Announce: u.ID != "" && cl.HasWebhooks,
	})
}

// link is a page's address with query parameters, given as name, value, name,
// value, added to its own.
func link(page string, pairs ...string) string {
	u, err := url.Parse(page)
	if err != nil {
		return "" // a mail without a button is better than none
	}
	q := u.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}
