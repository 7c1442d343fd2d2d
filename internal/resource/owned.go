package resource

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// owned is the settings row "resources": what the file made, and how it spoke
// of secrets. It holds no secret and no hash of one that could be guessed by
// it. Version changes with every apply that changes anything.
type owned struct {
	Version  int64                         `json:"version"`
	Tenants  map[client.TenantID]bool      `json:"tenants,omitempty"`
	Clients  map[client.ID]ownedClient     `json:"clients,omitempty"`
	Users    map[identity.UserID]ownedUser `json:"users,omitempty"`
	Orgs     map[org.ID]ownedOrg           `json:"orgs,omitempty"`
	Invites  map[string]string             `json:"invites,omitempty"` // inviteKey or orgInviteKey → id
	Surfaces map[string]bool               `json:"surfaces,omitempty"`
	// Upstreams are how the secrets of upstreams were called; all upstreams are the file's.
	Upstreams map[string]*remembered `json:"upstreams,omitempty"`
}

// ownedClient is what a client's secrets were called.
type ownedClient struct {
	Secret   *remembered `json:"secret,omitempty"`
	Shared   *remembered `json:"shared,omitempty"`   // of HS256
	Previous *remembered `json:"previous,omitempty"` // the one before
}

// ownedUser is a user that the file names. Made says that the file made them,
// and Enrolments which places it gave them; one that was there is not its to
// delete.
type ownedUser struct {
	Made         bool               `json:"made,omitempty"`
	Password     *remembered        `json:"password,omitempty"`
	PasswordHash *remembered        `json:"password_hash,omitempty"`
	TOTP         *remembered        `json:"totp,omitempty"`
	Enrolments   map[client.ID]bool `json:"enrolments,omitempty"`
	Memberships  map[org.ID]bool    `json:"memberships,omitempty"`
}

// remembered is a secret of the file: how it was referred to ("" for a literal)
// and a fingerprint of what was stored for it, by which a later change by
// somebody else is noticed.
type remembered struct {
	Ref string `json:"ref,omitempty"`
	As  string `json:"as"`
}

func remember(s Secret, as string) *remembered { return &remembered{s.Reference(), as} }

// is reports whether what was remembered is what is stored now.
func (r *remembered) is(as string) bool { return r != nil && r.As == as }

// ref is the reference for what is stored now, or "" if none is known.
func (r *remembered) ref(as string) string {
	if !r.is(as) {
		return ""
	}
	return r.Ref
}

// fingerprint of a stored hash or id, which are no secrets by themselves.
func fingerprint(s string) string { return hex.EncodeToString(secret.Hash(s)[:12]) }

// mark is the fingerprint of a secret that is stored sealed. It is keyed, because
// such a secret might be guessed, and differs from owner to owner.
func mark(k *secret.Key, owner string, plain []byte) string {
	return hex.EncodeToString(k.MAC("resource-mark", []byte(owner), plain)[:12])
}

func inviteKey(c client.ID, email string) string { return string(c) + " " + email }

func readsOwned(text string) (owned, error) {
	o := owned{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return o, fmt.Errorf("setting %q: %w", ownedRow, err)
		}
	}
	return o.clone(), nil
}

// clone copies o with all maps made.
func (o owned) clone() owned {
	c := owned{Version: o.Version, Tenants: map[client.TenantID]bool{}, Clients: map[client.ID]ownedClient{},
		Users: map[identity.UserID]ownedUser{}, Orgs: map[org.ID]ownedOrg{}, Invites: map[string]string{}, Surfaces: map[string]bool{}, Upstreams: map[string]*remembered{}}
	maps.Copy(c.Tenants, o.Tenants)
	maps.Copy(c.Clients, o.Clients)
	maps.Copy(c.Invites, o.Invites)
	maps.Copy(c.Surfaces, o.Surfaces)
	maps.Copy(c.Upstreams, o.Upstreams)
	for id, u := range o.Users {
		u.Enrolments, u.Memberships = maps.Clone(u.Enrolments), maps.Clone(u.Memberships)
		c.Users[id] = u
	}
	for id, o := range o.Orgs {
		o.Domains = maps.Clone(o.Domains)
		c.Orgs[id] = o
	}
	return c
}
