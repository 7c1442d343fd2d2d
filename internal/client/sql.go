package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// Columns are those of a Row, of clients named c and their tenants named t.
const (
	Columns = `c.id, c.key, c.is_console, c.name, c.bundle_id, c.secret_hash, c.active, c.policy, c.has_webhooks, c.source, c.registration_hash, c.refreshed_at, c.created_at, c.updated_at,
	c.tenant_id, t.slug, t.name, t.password_policy, t.created_at, t.updated_at`
	from = ` FROM clients c LEFT JOIN tenants t ON t.id = c.tenant_id`
)

// Row is a client on its way from the database, alone or beside other columns.
type Row struct {
	Client
	times [5]db.Time
}

// Dest is where Columns are scanned to; Scanned completes the client after that.
func (c *Row) Dest() []any {
	return []any{&c.ID, &c.Key, &c.Console, &c.Name, &c.BundleID, &c.SecretHash, &c.Active, db.JSON(&c.Policy), &c.HasWebhooks, &c.Source, &c.RegistrationHash, &c.times[4], &c.times[0], &c.times[1],
		&c.Tenant.ID, &c.Tenant.Slug, &c.Tenant.Name, db.JSON(&c.Tenant.Password), &c.times[2], &c.times[3]}
}

// Scanned completes a client whose columns were scanned.
func (c *Row) Scanned() {
	c.Policy = c.Policy.WithDefaults()
	c.CreatedAt, c.UpdatedAt, c.RefreshedAt = c.times[0].Time, c.times[1].Time, c.times[4].Time
	c.Tenant.CreatedAt, c.Tenant.UpdatedAt = c.times[2].Time, c.times[3].Time
}

func scan(r db.Row) (Client, error) {
	var c Row
	err := r.Scan(c.Dest()...)
	c.Scanned()
	return c.Client, err
}

// ByID returns a client, switched off or not, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id ID) (Client, error) {
	return db.One(ctx, tx, scan, `SELECT `+Columns+from+` WHERE c.id = $1`, id)
}

// ByKey returns the client that the resource file calls key, or db.ErrNotFound.
func ByKey(ctx context.Context, tx *db.Tx, key string) (Client, error) {
	return db.One(ctx, tx, scan, `SELECT `+Columns+from+` WHERE c.key = $1`, key)
}

// Filter chooses clients in List; empty parts choose all.
type Filter struct {
	Tenant        TenantID
	ID            ID
	Limit, Offset int // Limit 0: all
}

// List returns one page of clients, oldest first, and how many match in all.
func List(ctx context.Context, tx *db.Tx, f Filter) ([]Client, int, error) {
	const where = ` WHERE ($1 = '' OR c.tenant_id = $1) AND ($2 = '' OR c.id = $2)`
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+from+where, f.Tenant, f.ID)
	if err != nil {
		return nil, 0, fmt.Errorf("count clients: %w", err)
	}
	if f.Limit == 0 {
		f.Limit = int(total)
	}
	all, err := db.All(ctx, tx, scan, `SELECT `+Columns+from+where+` ORDER BY c.created_at, c.id LIMIT $3 OFFSET $4`, f.Tenant, f.ID, f.Limit, f.Offset)
	return all, int(total), err
}

// Create stores a new client; db.ErrConflict if its id or key is in use.
func Create(ctx context.Context, tx *db.Tx, c Client) error {
	_, err := tx.Exec(ctx, `INSERT INTO clients (id, key, tenant_id, is_console, name, bundle_id, secret_hash, active, policy, has_webhooks,
		source, registration_hash, refreshed_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)`,
		c.ID, orNull(c.Key), orNull(string(c.Tenant.ID)), c.Console, c.Name, c.BundleID, bytesOrNull(c.SecretHash), c.Active, db.JSON(c.Policy), c.HasWebhooks,
		c.Source, bytesOrNull(c.RegistrationHash), db.AtOrNull(c.RefreshedAt), db.At(c.CreatedAt))
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	return putOrigins(ctx, tx, c)
}

// Update stores name, bundle id, key, activity and policy of c, if nobody has
// changed the client since it was read (c.UpdatedAt); db.ErrConflict if so.
func Update(ctx context.Context, tx *db.Tx, c Client, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE clients SET key = $3, name = $4, bundle_id = $5, active = $6, policy = $7, updated_at = $8 WHERE id = $1 AND updated_at = $2`,
		c.ID, db.At(c.UpdatedAt), orNull(c.Key), c.Name, c.BundleID, c.Active, db.JSON(c.Policy), db.At(later(now, c.UpdatedAt)))
	if err != nil {
		return fmt.Errorf("update client: %w", err)
	}
	if n == 0 {
		return db.ErrConflict
	}
	return putOrigins(ctx, tx, c)
}

// later makes sure that an update moves updated_at, which decides races, even
// within one tick of the clock.
func later(now, before time.Time) time.Time {
	if !now.After(before) {
		return before.Add(time.Microsecond)
	}
	return now
}

func putOrigins(ctx context.Context, tx *db.Tx, c Client) error {
	if _, err := tx.Exec(ctx, `DELETE FROM client_origins WHERE client_id = $1`, c.ID); err != nil {
		return fmt.Errorf("clear origins: %w", err)
	}
	if !c.Active {
		return nil
	}
	for _, o := range c.Policy.Origins() {
		if _, err := tx.Exec(ctx, `INSERT INTO client_origins (origin, client_id) VALUES ($1, $2)`, o, c.ID); err != nil {
			return fmt.Errorf("store origin: %w", err)
		}
	}
	return nil
}

// AllowsOrigin reports whether any active client names the web origin.
func AllowsOrigin(ctx context.Context, tx *db.Tx, origin string) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM client_origins WHERE origin = $1)`, origin)
}

// SetSecret replaces the hash of a client's secret; nil makes it public.
func SetSecret(ctx context.Context, tx *db.Tx, id ID, hash []byte, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE clients SET secret_hash = $2, updated_at = $3 WHERE id = $1`, id, bytesOrNull(hash), db.At(now)))
}

// Delete removes a client and everything that hangs on it.
func Delete(ctx context.Context, tx *db.Tx, id ID) error {
	return one(tx.Exec(ctx, `DELETE FROM clients WHERE id = $1`, id))
}

// SetLogo stores a client's picture.
func SetLogo(ctx context.Context, tx *db.Tx, id ID, l Logo) error {
	_, err := tx.Exec(ctx, `INSERT INTO client_logos (client_id, content_type, data, updated_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (client_id) DO UPDATE SET content_type = $2, data = $3, updated_at = $4`, id, l.ContentType, l.Data, db.At(l.UpdatedAt))
	return err
}

// LogoOf returns a client's picture, or db.ErrNotFound.
func LogoOf(ctx context.Context, tx *db.Tx, id ID) (Logo, error) {
	return db.One(ctx, tx, func(r db.Row) (l Logo, err error) {
		var at db.Time
		err = r.Scan(&l.ContentType, &l.Data, &at)
		l.UpdatedAt = at.Time
		return l, err
	}, `SELECT content_type, data, updated_at FROM client_logos WHERE client_id = $1`, id)
}

const tenantColumns = `id, slug, name, password_policy, created_at, updated_at`

func scanTenant(r db.Row) (t Tenant, err error) {
	var created, updated db.Time
	err = r.Scan(&t.ID, &t.Slug, &t.Name, db.JSON(&t.Password), &created, &updated)
	t.CreatedAt, t.UpdatedAt = created.Time, updated.Time
	return t, err
}

// TenantByID returns a tenant, or db.ErrNotFound.
func TenantByID(ctx context.Context, tx *db.Tx, id TenantID) (Tenant, error) {
	return db.One(ctx, tx, scanTenant, `SELECT `+tenantColumns+` FROM tenants WHERE id = $1`, id)
}

// Tenants returns one page of tenants, oldest first, and how many there are.
// A tenant id narrows it to that one.
func Tenants(ctx context.Context, tx *db.Tx, id TenantID, limit, offset int) ([]Tenant, int, error) {
	const where = ` FROM tenants WHERE ($1 = '' OR id = $1)`
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+where, id)
	if err != nil {
		return nil, 0, fmt.Errorf("count tenants: %w", err)
	}
	all, err := db.All(ctx, tx, scanTenant, `SELECT `+tenantColumns+where+` ORDER BY created_at, id LIMIT $2 OFFSET $3`, id, limit, offset)
	return all, int(total), err
}

// CreateTenant stores a tenant; ErrSlugTaken if the slug is in use.
func CreateTenant(ctx context.Context, tx *db.Tx, t Tenant) error {
	n, err := tx.Exec(ctx, `INSERT INTO tenants (`+tenantColumns+`) VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (slug) DO NOTHING`,
		t.ID, t.Slug, t.Name, db.JSON(t.Password), db.At(t.CreatedAt))
	if err == nil && n == 0 {
		return ErrSlugTaken
	}
	return err
}

// UpdateTenant stores name, slug and password policy of t.
func UpdateTenant(ctx context.Context, tx *db.Tx, t Tenant, now time.Time) error {
	err := one(tx.Exec(ctx, `UPDATE tenants SET slug = $2, name = $3, password_policy = $4, updated_at = $5 WHERE id = $1`,
		t.ID, t.Slug, t.Name, db.JSON(t.Password), db.At(now)))
	if errors.Is(err, db.ErrConflict) {
		return ErrSlugTaken
	}
	return err
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func bytesOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

const enrolmentColumns = `e.user_id, e.client_id, e.status, e.roles, e.created_at, e.updated_at`

func scanEnrolment(r db.Row) (e Enrolment, err error) {
	var created, updated db.Time
	err = r.Scan(&e.UserID, &e.ClientID, &e.Status, db.JSON(&e.Roles), &created, &updated)
	e.CreatedAt, e.UpdatedAt = created.Time, updated.Time
	return e, err
}

// EnrolmentOf returns a user's place in a client, or db.ErrNotFound.
func EnrolmentOf(ctx context.Context, tx *db.Tx, u identity.UserID, c ID) (Enrolment, error) {
	return db.One(ctx, tx, scanEnrolment, `SELECT `+enrolmentColumns+` FROM enrolments e WHERE e.user_id = $1 AND e.client_id = $2`, u, c)
}
