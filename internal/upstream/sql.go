package upstream

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/secret"
)

const (
	columns   = `key, kind, settings, sealed, created_at, updated_at`
	sealLabel = "upstream"
)

// scan reads an upstream and opens its secret, which is bound to its key and
// kind: it is sent to that provider and to no other.
func scan(k *secret.Key) func(db.Row) (Upstream, error) {
	return func(r db.Row) (u Upstream, err error) {
		var sealed []byte
		var created, updated db.Time
		if err := r.Scan(&u.Key, &u.Kind, db.JSON(&u.Settings), &sealed, &created, &updated); err != nil {
			return u, err
		}
		plain, err := k.Open(sealLabel, sealed, u.Key, string(u.Kind))
		if err != nil {
			return u, fmt.Errorf("secret of upstream %s: %w", u.Key, err)
		}
		u.Secret, u.CreatedAt, u.UpdatedAt = secret.Value(plain), created.Time, updated.Time
		return u, nil
	}
}

// Put stores an upstream, in place of the one with its key if there is one.
func Put(ctx context.Context, tx *db.Tx, k *secret.Key, u Upstream, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO upstreams (`+columns+`) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, settings = excluded.settings, sealed = excluded.sealed, updated_at = excluded.updated_at`,
		u.Key, u.Kind, db.JSON(u.Settings), k.Seal(sealLabel, []byte(u.Secret.Reveal()), u.Key, string(u.Kind)), db.At(now))
	if err != nil {
		return fmt.Errorf("put upstream: %w", err)
	}
	return nil
}

// ByKey returns the upstream with a key, or db.ErrNotFound.
func ByKey(ctx context.Context, tx *db.Tx, k *secret.Key, key string) (Upstream, error) {
	return db.One(ctx, tx, scan(k), `SELECT `+columns+` FROM upstreams WHERE key = $1`, key)
}

// List returns all upstreams in the order of their keys.
func List(ctx context.Context, tx *db.Tx, k *secret.Key) ([]Upstream, error) {
	return db.All(ctx, tx, scan(k), `SELECT `+columns+` FROM upstreams ORDER BY key`)
}

// Delete removes an upstream; the links to its accounts stay, for its return.
// It reports whether there was one.
func Delete(ctx context.Context, tx *db.Tx, key string) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM upstreams WHERE key = $1`, key)
	return n == 1, err
}
