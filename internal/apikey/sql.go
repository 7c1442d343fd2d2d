package apikey

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

const columns = `id, user_id, client_id, org_id, name, start, scopes, metadata, amr, upstream, enabled, created_at, updated_at, expires_at, used_at`

func scan(r db.Row) (k Key, err error) {
	var created, updated, expires, used db.Time
	err = r.Scan(&k.ID, &k.UserID, &k.ClientID, &k.OrgID, &k.Name, &k.Start, db.JSON(&k.Scopes), db.JSON(&k.Metadata), db.JSON(&k.AMR), &k.Upstream, &k.Enabled,
		&created, &updated, &expires, &used)
	k.CreatedAt, k.UpdatedAt, k.ExpiresAt, k.UsedAt = created.Time, updated.Time, expires.Time, used.Time
	return k, err
}

// Create stores a new key and returns it with its text, which is not kept. The caller
// fills all of k but ID, Start, Enabled and the times other than ExpiresAt. ErrMany,
// or db.ErrReference: the user, the client or the membership is gone.
func Create(ctx context.Context, tx *db.Tx, prefix string, k Key, now time.Time) (Key, string, error) {
	random := secret.Hex(randomBytes)
	raw := prefix + random
	k.ID, k.Start, k.Enabled = ID(identity.NewID()), prefix+random[:startLength], true
	k.CreatedAt = time.UnixMicro(db.At(now)).UTC()
	k.UpdatedAt, k.UsedAt = k.CreatedAt, time.Time{}
	var pinned any
	if k.OrgID != "" {
		pinned = k.OrgID
	}
	n, err := tx.Exec(ctx, `INSERT INTO api_keys (id, hash, start, user_id, client_id, org_id, name, scopes, metadata, amr, upstream, enabled, created_at, updated_at, expires_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, TRUE, $12, $12, $13 WHERE (SELECT COUNT(*) FROM api_keys WHERE user_id = $4) < $14`,
		k.ID, secret.Hash(raw), k.Start, k.UserID, k.ClientID, pinned, k.Name, db.JSON(k.Scopes), string(k.Metadata), db.JSON(k.AMR), k.Upstream,
		db.At(now), db.AtOrNull(k.ExpiresAt), Max)
	if err != nil {
		return Key{}, "", fmt.Errorf("create API key: %w", err)
	}
	if n == 0 {
		return Key{}, "", ErrMany
	}
	return k, raw, nil
}

// ByText returns the key that somebody showed, be it good or not, or db.ErrNotFound.
func ByText(ctx context.Context, tx *db.Tx, raw string) (Key, error) {
	if !Shaped(raw) {
		return Key{}, db.ErrNotFound
	}
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM api_keys WHERE hash = $1`, secret.Hash(raw))
}

// ByID returns a key of a user, or db.ErrNotFound: also for somebody else's.
func ByID(ctx context.Context, tx *db.Tx, u identity.UserID, id ID) (Key, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM api_keys WHERE id = $1 AND user_id = $2`, id, u)
}

// List returns one page of the keys of a user, newest first, and how many there are;
// with an organization only those that are pinned to it.
func List(ctx context.Context, tx *db.Tx, u identity.UserID, pinned org.ID, limit, offset int) ([]Key, int, error) {
	const where = ` FROM api_keys WHERE user_id = $1 AND ($2 = '' OR org_id = $2)`
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*)`+where, u, pinned)
	if err != nil {
		return nil, 0, fmt.Errorf("count API keys: %w", err)
	}
	all, err := db.All(ctx, tx, scan, `SELECT `+columns+where+` ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4`, u, pinned, limit, offset)
	return all, int(total), err
}

// Update stores name, metadata and whether a key is enabled: what it may do and where
// never changes. db.ErrNotFound if it is gone.
func Update(ctx context.Context, tx *db.Tx, k Key, now time.Time) error {
	return one(tx.Exec(ctx, `UPDATE api_keys SET name = $3, metadata = $4, enabled = $5, updated_at = $6 WHERE id = $1 AND user_id = $2`,
		k.ID, k.UserID, k.Name, string(k.Metadata), k.Enabled, db.At(now)))
}

// Touch notes that a key was shown, if that was not noted within Touched.
func Touch(ctx context.Context, tx *db.Tx, id ID, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE api_keys SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at <= $3)`, id, db.At(now), db.At(now.Add(-Touched)))
	return err
}

// Delete ends a key of a user; db.ErrNotFound if they have no such one.
func Delete(ctx context.Context, tx *db.Tx, u identity.UserID, id ID) error {
	return one(tx.Exec(ctx, `DELETE FROM api_keys WHERE id = $1 AND user_id = $2`, id, u))
}

// EndByUser ends the keys of a user, with an organization only those that are pinned
// to it, and reports how many there were.
func EndByUser(ctx context.Context, tx *db.Tx, u identity.UserID, pinned org.ID) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM api_keys WHERE user_id = $1 AND ($2 = '' OR org_id = $2)`, u, pinned)
}

// EndByPlace ends the keys of a user in one client.
func EndByPlace(ctx context.Context, tx *db.Tx, u identity.UserID, id client.ID) error {
	_, err := tx.Exec(ctx, `DELETE FROM api_keys WHERE user_id = $1 AND client_id = $2`, u, id)
	return err
}

// Sweep deletes up to n keys that expired before a time and returns how many it did.
func Sweep(ctx context.Context, tx *db.Tx, before time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM api_keys WHERE id IN (SELECT id FROM api_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.At(before), n)
}

func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}
