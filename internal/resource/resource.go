// Package resource owns the operator's resource file: a YAML description of
// clients, tenants, upstreams, organizations, users, invitations and the surfaces' own settings, and what
// it takes to make the database say the same. It adds no rule about what a
// client or a user may be: the records have those.
//
//	Parse ── every mistake of the file at once, with its line
//	Plan  ── what Apply would change, without a secret in it
//	Apply ── read ─ diff ─ verify and hash passwords ─ write: diff again, change all or nothing
//	Pull  ── the file that would change nothing
//
// Who says what. A client is described completely: a key that is left out means
// its default. Of a person the file says only what it names: names, status,
// roles and credentials that it leaves out stay as they have become, because
// people change them, and credentials that they changed stay changed as far as
// the file can tell. A password is the exception that needs no memory: it is
// set whenever the stored one is another.
//
// What the file owns. The settings row "resources" remembers what Apply made,
// and how secrets were referred to. Pruning deletes from that and from the
// clients that have a key, and never anything else.
package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/password"
	"sallyport/internal/secret"
)

// InviteLifetime is how long an invitation that the file makes is good.
const InviteLifetime = 7 * 24 * time.Hour

// Core holds what the operations need.
type Core struct {
	DB        *db.DB
	Now       func() time.Time
	Key       *secret.Key
	Passwords *password.Pool
}

// Action is what is done to a resource.
type Action string

// The actions of a change.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	None   Action = "none"
)

// Change is what happens to one resource of the file, or to one that the file
// no longer has. Kind is tenant, upstream, client, org, user, invite or surface; Name
// is what the file calls it: a slug, key, e-mail address, "client address", surface.
type Change struct {
	Action Action  `json:"action"`
	Kind   string  `json:"kind"`
	Name   string  `json:"name"`
	Fields []Field `json:"fields,omitempty"`

	do func(ctx context.Context, tx *db.Tx) error
}

// Field is one difference, as text to show. A secret is shown as whether there
// is one.
type Field struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Any reports whether changes hold anything but None.
func Any(changes []Change) bool {
	for _, c := range changes {
		if c.Action != None {
			return true
		}
	}
	return false
}

// Listed is a client as `sallyport clients` lists it. Key is "" for one that
// the resource file did not make.
type Listed struct {
	Key  string    `json:"key"`
	ID   client.ID `json:"id"`
	Name string    `json:"name"`
}

// ListClients returns all clients, oldest first.
func (c *Core) ListClients(ctx context.Context) ([]Listed, error) {
	var list []Listed
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		all, _, err := client.List(ctx, tx, client.Filter{})
		list = make([]Listed, len(all))
		for i, cl := range all {
			list[i] = Listed{Key: cl.Key, ID: cl.ID, Name: cl.Name}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	return list, nil
}

// errMoved reports that the database is no longer what was planned for.
var errMoved = errors.New("resource: the database changed meanwhile")
