package org

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

const columns = `o.id, o.slug, o.name, o.picture, o.parent_id, o.tenant_id, o.status, o.paid_until, o.created_at, o.updated_at, o.sign_in, o.break_glass, o.mfa_from, o.mfa_grace_days`

// row is an organization on its way from the database.
type row struct {
	Org
	times [4]db.Time
}

func (r *row) dest() []any {
	return []any{&r.ID, &r.Slug, &r.Name, &r.Picture, &r.Parent, &r.Tenant, &r.Status, &r.times[0], &r.times[1], &r.times[2], &r.SignIn, &r.BreakGlass, &r.times[3], &r.GraceDays}
}

func (r *row) scanned() Org {
	r.PaidUntil, r.CreatedAt, r.UpdatedAt, r.FactorsFrom = r.times[0].Time, r.times[1].Time, r.times[2].Time, r.times[3].Time
	return r.Org
}

func scan(r db.Row) (Org, error) {
	var o row
	err := r.Scan(o.dest()...)
	return o.scanned(), err
}

// Create stores an organization without members. Of o the caller fills all but
// CreatedAt, UpdatedAt and its policy, which is SetPolicy's; no ID is a new one, no status
// is active. ErrSlugTaken means that another one has the slug, db.ErrReference that there is nothing of the name above it.
func Create(ctx context.Context, tx *db.Tx, o Org, now time.Time) (Org, error) {
	if o.Status == "" {
		o.Status = Active
	}
	if o.ID == "" {
		o.ID = NewID()
	}
	o.SignIn, o.BreakGlass = SignInAny, true
	o.CreatedAt = stored(now)
	o.UpdatedAt = o.CreatedAt
	n, err := tx.Exec(ctx, `INSERT INTO orgs (id, slug, name, picture, parent_id, tenant_id, status, paid_until, created_at, updated_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $9 WHERE `+notFormer(`$1`, `$2`, `$9`)+` ON CONFLICT (slug) DO NOTHING`,
		o.ID, orNull(o.Slug), o.Name, o.Picture, orNull(o.Parent), orNull(o.Tenant), o.Status, db.AtOrNull(o.PaidUntil), db.At(now))
	if err != nil {
		return o, fmt.Errorf("create organization: %w", err)
	}
	if n == 0 {
		return o, ErrSlugTaken
	}
	return o, nil
}

// Found is Create with a first owner.
func Found(ctx context.Context, tx *db.Tx, o Org, owner identity.UserID, now time.Time) (Seat, error) {
	o, err := Create(ctx, tx, o, now)
	if err != nil {
		return Seat{}, err
	}
	m, _, err := Join(ctx, tx, o.ID, owner, Owner, now)
	return Seat{Membership: m, Org: o}, err
}

// ByID returns an organization, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id ID) (Org, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM orgs o WHERE o.id = $1`, id)
}

// BySlug returns the organization with the slug, or db.ErrNotFound.
func BySlug(ctx context.Context, tx *db.Tx, slug string) (Org, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM orgs o WHERE o.slug = $1`, slug)
}

// Filter chooses organizations; empty parts choose all. Limit 0 is no limit.
type Filter struct {
	Parent        ID
	Tenant        client.TenantID
	Search        string // in name and slug
	Limit, Offset int
}

// List returns one page of the organizations that f chooses, oldest first, and how
// many there are.
func List(ctx context.Context, tx *db.Tx, f Filter) ([]Org, int, error) {
	const where = ` FROM orgs o WHERE ($1 = '' OR o.parent_id = $1) AND ($2 = '' OR o.tenant_id = $2)
		AND ($3 = '' OR LOWER(o.name) LIKE $3 ESCAPE '!' OR o.slug LIKE $3 ESCAPE '!')`
	search := f.Search
	if search != "" {
		search = identity.Like(search)
	}
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+where, f.Parent, f.Tenant, search)
	if err != nil {
		return nil, 0, fmt.Errorf("count organizations: %w", err)
	}
	if f.Limit == 0 {
		f.Limit = int(total)
	}
	all, err := db.All(ctx, tx, scan, `SELECT `+columns+where+` ORDER BY o.created_at, o.id LIMIT $4 OFFSET $5`, f.Parent, f.Tenant, search, f.Limit, f.Offset)
	return all, int(total), err
}

// Update stores slug, name, picture, status and PaidUntil of o if nobody has
// changed it since it was read (o.UpdatedAt); db.ErrConflict if somebody has. The slug
// that it had leads to it for FormerSlug.
func Update(ctx context.Context, tx *db.Tx, o Org, now time.Time) error {
	if !now.After(o.UpdatedAt) {
		now = o.UpdatedAt.Add(time.Microsecond) // what decides the race must move
	}
	was, err := db.One(ctx, tx, db.Text, `SELECT slug FROM orgs WHERE id = $1`, o.ID)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE orgs SET slug = $3, name = $4, picture = $5, status = $6, paid_until = $7, updated_at = $8 WHERE id = $1 AND updated_at = $2
		AND NOT EXISTS (SELECT 1 FROM orgs x WHERE x.slug = $3 AND x.id <> $1) AND `+notFormer(`$1`, `$3`, `$8`),
		o.ID, db.At(o.UpdatedAt), orNull(o.Slug), o.Name, o.Picture, o.Status, db.AtOrNull(o.PaidUntil), db.At(now))
	if errors.Is(err, db.ErrConflict) { // another took the slug meanwhile
		return ErrSlugTaken
	}
	if err == nil && n == 1 && was != o.Slug {
		return gaveUp(ctx, tx, o, was, now)
	}
	if err != nil || n == 1 {
		return err
	}
	taken, err := db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM orgs WHERE slug = $2 AND id <> $1)
		OR EXISTS (SELECT 1 FROM former_slugs WHERE slug = $2 AND org_id <> $1 AND until > $3)`, o.ID, o.Slug, db.At(now))
	if err == nil && taken {
		return ErrSlugTaken
	}
	if err != nil {
		return err
	}
	return db.ErrConflict
}

// SetPolicy says how the members of an organization must sign in from now on;
// db.ErrNotFound if there is none.
func SetPolicy(ctx context.Context, tx *db.Tx, id ID, s SignIn, breakGlass bool, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE orgs SET sign_in = $2, break_glass = $3,
		updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END WHERE id = $1`, id, s, breakGlass, db.At(now)))
}

// SetGrace gives the members of an organization days, from now on, before it demands
// two factors of them.
func SetGrace(ctx context.Context, tx *db.Tx, id ID, days int, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE orgs SET mfa_grace_days = $2, mfa_from = $3 WHERE id = $1`, id, days, db.At(now.AddDate(0, 0, days))))
}

// Delete removes an organization with its memberships, invitations and domains.
// ErrHolds means that another organization, a client or a tenant belongs to it;
// db.ErrNotFound that there is none.
func Delete(ctx context.Context, tx *db.Tx, id ID) error {
	err := one(tx.Exec(ctx, `DELETE FROM orgs WHERE id = $1`, id))
	if errors.Is(err, db.ErrReference) {
		return ErrHolds
	}
	return err
}

// Lock makes whoever else changes the owners of an organization wait until this
// transaction ends. db.ErrNotFound if there is none.
func Lock(ctx context.Context, tx *db.Tx, id ID) error {
	return one(tx.Exec(ctx, `UPDATE orgs SET status = status WHERE id = $1`, id))
}

// Within reports whether id is top, or somewhere below it.
func Within(ctx context.Context, tx *db.Tx, id, top ID) (bool, error) {
	return db.One(ctx, tx, db.Bool, `WITH RECURSIVE above (id, parent_id) AS (
			SELECT id, parent_id FROM orgs WHERE id = $1
			UNION SELECT o.id, o.parent_id FROM orgs o JOIN above a ON o.id = a.parent_id)
		SELECT EXISTS (SELECT 1 FROM above WHERE id = $2)`, id, top)
}

func stored(t time.Time) time.Time { return time.UnixMicro(db.At(t)).UTC() }

func orNull[T ~string](id T) any {
	if id == "" {
		return nil
	}
	return string(id)
}

func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}
