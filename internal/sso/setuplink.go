package sso

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// SetupLink lets whoever has it set up how an organization signs in, without an
// account here: the administrator of its identity provider. It is good any number of
// times until it ends. MadeBy is who made it, as the audit log writes it; Email is
// where it was mailed to, or "". OpenedAt is when it was used first, or zero.
type SetupLink struct {
	ID        string
	OrgID     org.ID
	MadeBy    string
	Email     string
	OpenedAt  time.Time
	CreatedAt time.Time
	ExpiresAt time.Time
}

const setupColumns = `id, org_id, made_by, email, opened_at, created_at, expires_at`

func scanSetupLink(r db.Row) (l SetupLink, err error) {
	var opened, created, expires db.Time
	err = r.Scan(&l.ID, &l.OrgID, &l.MadeBy, &l.Email, &opened, &created, &expires)
	l.OpenedAt, l.CreatedAt, l.ExpiresAt = opened.Time, created.Time, expires.Time
	return l, err
}

// setupBytes is the size of a link's secret, before hexadecimal.
const setupBytes = 32

// MakeSetupLink stores a link and returns its secret, of which only the SHA-256 is
// kept. The links that the organization had end. Of l the caller fills OrgID, MadeBy,
// Email and ExpiresAt.
func MakeSetupLink(ctx context.Context, tx *db.Tx, l SetupLink, now time.Time) (string, SetupLink, error) {
	if _, err := EndSetupLinks(ctx, tx, l.OrgID); err != nil {
		return "", l, err
	}
	raw := secret.Hex(setupBytes)
	l.ID, l.CreatedAt = identity.NewID(), now
	_, err := tx.Exec(ctx, `INSERT INTO setup_links (id, org_id, token_hash, made_by, email, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		l.ID, l.OrgID, secret.Hash(raw), l.MadeBy, l.Email, db.At(now), db.At(l.ExpiresAt))
	if err != nil {
		return "", l, fmt.Errorf("make set-up link: %w", err)
	}
	return raw, l, nil
}

// SetupLinkBy returns the live link with a secret, or db.ErrNotFound.
func SetupLinkBy(ctx context.Context, tx *db.Tx, raw string, now time.Time) (SetupLink, error) {
	if len(raw) != 2*setupBytes {
		return SetupLink{}, db.ErrNotFound
	}
	return db.One(ctx, tx, scanSetupLink, `SELECT `+setupColumns+` FROM setup_links WHERE token_hash = $1 AND expires_at > $2`, secret.Hash(raw), db.At(now))
}

// OpenSetupLink notes that a link was used; it reports whether this was the first time.
func OpenSetupLink(ctx context.Context, tx *db.Tx, id string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE setup_links SET opened_at = $2 WHERE id = $1 AND opened_at IS NULL`, id, db.At(now))
	return n == 1, err
}

// SetupLinks returns the live links of an organization, the newest first.
func SetupLinks(ctx context.Context, tx *db.Tx, id org.ID, now time.Time) ([]SetupLink, error) {
	return db.All(ctx, tx, scanSetupLink, `SELECT `+setupColumns+` FROM setup_links WHERE org_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id DESC`, id, db.At(now))
}

// EndSetupLink ends a link of an organization; db.ErrNotFound if it has none of that id.
func EndSetupLink(ctx context.Context, tx *db.Tx, id org.ID, link string) error {
	n, err := tx.Exec(ctx, `DELETE FROM setup_links WHERE org_id = $1 AND id = $2`, id, link)
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// EndSetupLinks ends all links of an organization and reports how many there were.
func EndSetupLinks(ctx context.Context, tx *db.Tx, id org.ID) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM setup_links WHERE org_id = $1`, id)
}

// SweepSetupLinks deletes up to n links that have ended, and reports how many it did.
func SweepSetupLinks(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM setup_links WHERE id IN (SELECT id FROM setup_links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.At(now), n)
}
