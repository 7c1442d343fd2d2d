package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

const (
	columns   = `k.org_id, k.kind, k.provider, k.enabled, k.revision, k.issuer, k.settings, k.sealed, k.created_at, k.updated_at`
	sealLabel = "sso connection"
)

// settings are what a connection has beside what it is found and judged by.
type settings struct {
	JIT           bool       `json:"jit"`
	TrustMFA      bool       `json:"trust_mfa,omitempty"`
	ClientID      string     `json:"client_id,omitempty"`
	Scopes        []string   `json:"scopes,omitempty"`
	SignOnURL     string     `json:"sign_on_url,omitempty"`
	SignOnBinding string     `json:"sign_on_binding,omitempty"`
	LogoutURL     string     `json:"logout_url,omitempty"`
	LogoutBinding string     `json:"logout_binding,omitempty"`
	MetadataURL   string     `json:"metadata_url,omitempty"`
	Certificates  [][]byte   `json:"certificates,omitempty"`
	IdPInitiated  bool       `json:"idp_initiated,omitempty"`
	SignRequests  bool       `json:"sign_requests,omitempty"`
	WantEncrypted bool       `json:"want_encrypted,omitempty"`
	NameIDFormat  string     `json:"name_id_format,omitempty"`
	Keys          []KeyPair  `json:"keys,omitempty"`
	Attributes    Attributes `json:"attributes,omitzero"`
	Roles         []RoleRule `json:"roles,omitempty"`
}

// sealed is what nobody may read: our secret, and the keys in the order of
// settings.Keys.
type sealed struct {
	Secret string   `json:"secret,omitempty"`
	Keys   [][]byte `json:"keys,omitempty"`
}

func (c Connection) settings() settings {
	return settings{
		JIT: c.JIT, TrustMFA: c.TrustMFA, ClientID: c.ClientID, Scopes: c.Scopes, SignOnURL: c.SignOnURL, SignOnBinding: c.SignOnBinding,
		LogoutURL: c.LogoutURL, LogoutBinding: c.LogoutBinding, MetadataURL: c.MetadataURL, Certificates: c.Certificates, IdPInitiated: c.IdPInitiated,
		SignRequests: c.SignRequests, WantEncrypted: c.WantEncrypted, NameIDFormat: c.NameIDFormat, Keys: c.Keys, Attributes: c.Attributes, Roles: c.Roles,
	}
}

func (s settings) into(c *Connection) {
	c.JIT, c.TrustMFA, c.ClientID, c.Scopes, c.SignOnURL, c.SignOnBinding = s.JIT, s.TrustMFA, s.ClientID, s.Scopes, s.SignOnURL, s.SignOnBinding
	c.LogoutURL, c.LogoutBinding, c.MetadataURL, c.Certificates, c.IdPInitiated = s.LogoutURL, s.LogoutBinding, s.MetadataURL, s.Certificates, s.IdPInitiated
	c.SignRequests, c.WantEncrypted, c.NameIDFormat, c.Keys, c.Attributes, c.Roles = s.SignRequests, s.WantEncrypted, s.NameIDFormat, s.Keys, s.Attributes, s.Roles
}

// row is a connection on its way from the database.
type row struct {
	Connection
	settings settings
	sealed   []byte
	times    [2]db.Time
}

func (r *row) dest() []any {
	return []any{&r.OrgID, &r.Kind, &r.Provider, &r.Enabled, &r.Revision, &r.Issuer, db.JSON(&r.settings), &r.sealed, &r.times[0], &r.times[1]}
}

// opened completes a connection that was scanned. What is sealed is bound to its
// organization and its issuer: it proves us to that provider and to no other.
func (r *row) opened(k *secret.Key) (Connection, error) {
	r.settings.into(&r.Connection)
	r.CreatedAt, r.UpdatedAt = r.times[0].Time, r.times[1].Time
	plain, err := k.Open(sealLabel, r.sealed, string(r.OrgID), r.Issuer)
	if err != nil {
		return Connection{}, fmt.Errorf("secret of the connection of %s: %w", r.OrgID, err)
	}
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		return Connection{}, fmt.Errorf("secret of the connection of %s: %w", r.OrgID, err)
	}
	r.Secret = secret.Value(s.Secret)
	if len(s.Keys) != len(r.Keys) {
		return Connection{}, fmt.Errorf("connection of %s: %d keys for %d certificates", r.OrgID, len(s.Keys), len(r.Keys))
	}
	for i := range s.Keys {
		r.Keys[i].Key = secret.Value(s.Keys[i])
	}
	return r.Connection, nil
}

func scan(k *secret.Key) func(db.Row) (Connection, error) {
	return func(from db.Row) (Connection, error) {
		var r row
		if err := from.Scan(r.dest()...); err != nil {
			return Connection{}, err
		}
		return r.opened(k)
	}
}

// Set stores the connection of an organization, in place of the one that it has, and
// returns it as it stands now: its Revision is one more if it is another one by Changed. db.ErrReference means that there is no such organization.
func Set(ctx context.Context, tx *db.Tx, k *secret.Key, c Connection, now time.Time) (Connection, error) {
	if err := org.Lock(ctx, tx, c.OrgID); errors.Is(err, db.ErrNotFound) {
		return c, db.ErrReference
	} else if err != nil {
		return c, err
	}
	was, err := ByOrg(ctx, tx, k, c.OrgID)
	switch {
	case errors.Is(err, db.ErrNotFound):
		c.Revision = 1
	case err != nil:
		return c, err
	case c.Changed(was):
		c.Revision = was.Revision + 1
	default:
		c.Revision = was.Revision
	}
	hidden := sealed{Secret: c.Secret.Reveal()}
	for _, pair := range c.Keys {
		hidden.Keys = append(hidden.Keys, []byte(pair.Key.Reveal()))
	}
	plain, err := json.Marshal(hidden) //nolint:gosec // to be sealed
	if err != nil {
		return c, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO sso_connections (org_id, kind, provider, enabled, revision, issuer, settings, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
		ON CONFLICT (org_id) DO UPDATE SET kind = excluded.kind, provider = excluded.provider, enabled = excluded.enabled, revision = excluded.revision,
			issuer = excluded.issuer, settings = excluded.settings, sealed = excluded.sealed, updated_at = excluded.updated_at`,
		c.OrgID, c.Kind, c.Provider, c.Enabled, c.Revision, c.Issuer, db.JSON(c.settings()),
		k.Seal(sealLabel, plain, string(c.OrgID), c.Issuer), db.At(now))
	if err != nil {
		return c, fmt.Errorf("set connection: %w", err)
	}
	return ByOrg(ctx, tx, k, c.OrgID)
}

// ByOrg returns the connection of an organization, or db.ErrNotFound.
func ByOrg(ctx context.Context, tx *db.Tx, k *secret.Key, id org.ID) (Connection, error) {
	return db.One(ctx, tx, scan(k), `SELECT `+columns+` FROM sso_connections k WHERE k.org_id = $1`, id)
}

// BySlug returns an organization and its connection, whatever the state of either,
// or db.ErrNotFound.
func BySlug(ctx context.Context, tx *db.Tx, k *secret.Key, slug string) (org.Org, Connection, error) {
	o, err := org.BySlug(ctx, tx, slug)
	if err != nil {
		return o, Connection{}, err
	}
	c, err := ByOrg(ctx, tx, k, o.ID)
	return o, c, err
}

// List returns up to n connections after an organization, in the order of their
// organizations' ids: for jobs that look at all of them.
func List(ctx context.Context, tx *db.Tx, k *secret.Key, after org.ID, n int) ([]Connection, error) {
	return db.All(ctx, tx, scan(k), `SELECT `+columns+` FROM sso_connections k WHERE k.org_id > $1 ORDER BY k.org_id LIMIT $2`, after, n)
}

// Remove ends the connection of an organization; db.ErrNotFound if there was none.
func Remove(ctx context.Context, tx *db.Tx, id org.ID) error {
	n, err := tx.Exec(ctx, `DELETE FROM sso_connections WHERE org_id = $1`, id)
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// Routed is where the people of a domain sign in.
type Routed struct {
	OrgID    org.ID
	Slug     string
	Name     string
	SignIn   org.SignIn
	Kind     Kind
	Provider string
}

// RouteColumns and RouteJoin read a Routed beside other columns, for the domain that
// is the argument of the statement; Found tells whether there is one.
const RouteColumns = `ro.id, ro.slug, ro.name, ro.sign_in, rk.kind, rk.provider`

// RouteJoin joins verified domain, organization that is open and has a name in
// addresses, and connection that is on.
func RouteJoin(domain string) string {
	return ` LEFT JOIN org_domains rd ON rd.name = ` + domain + ` AND rd.verified_at IS NOT NULL
		LEFT JOIN orgs ro ON ro.id = rd.org_id AND ro.slug IS NOT NULL AND ro.status NOT IN ('suspended', 'closed')
		LEFT JOIN sso_connections rk ON rk.org_id = ro.id AND rk.enabled`
}

// Found reports whether people of the domain have somewhere to sign in.
func (r Routed) Found() bool { return r.Kind != "" }

// Dest is where RouteColumns are scanned to.
func (r *Routed) Dest() []any {
	return []any{&r.OrgID, &r.Slug, &r.Name, &r.SignIn, &r.Kind, &r.Provider}
}

// Route returns where the people of a domain sign in, or db.ErrNotFound: nobody has
// proved the domain, the organization is shut, or it has no connection that is on.
func Route(ctx context.Context, tx *db.Tx, domain string) (Routed, error) {
	r, err := db.One(ctx, tx, func(from db.Row) (r Routed, err error) { err = from.Scan(r.Dest()...); return r, err },
		`SELECT `+RouteColumns+` FROM (SELECT 1) AS always`+RouteJoin(`$1`), domain)
	if err == nil && !r.Found() {
		return Routed{}, db.ErrNotFound
	}
	return r, err
}

// DemandOf returns what one organization demands of a sign-in of a user, who may be
// a member of others too: for who acts in that one.
func DemandOf(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID) (client.Demand, error) {
	packed, err := db.One(ctx, tx, db.Text, `SELECT COALESCE(`+client.DemandOfColumn(`$2`)+`, '') FROM users u
		LEFT JOIN emails m ON m.user_id = u.id AND m.is_primary WHERE u.id = $1`, u, id)
	return client.DemandIn(packed), err
}
