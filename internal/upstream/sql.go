package upstream

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

const (
	columns   = `key, kind, settings, sealed, created_at, updated_at`
	sealLabel = "upstream"

	keptColumns = `client_id, user_id, upstream, issuer, subject, sealed, kept_at`
	keptLabel   = "upstream tokens"
	keptRow     = `client_id = $1 AND user_id = $2 AND upstream = $3`
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

func scanKept(k *secret.Key) func(db.Row) (Kept, error) {
	return func(r db.Row) (t Kept, err error) {
		var sealed []byte
		var at db.Time
		if err := r.Scan(&t.ClientID, &t.UserID, &t.Upstream, &t.Issuer, &t.Subject, &sealed, &at); err != nil {
			return t, err
		}
		t.KeptAt = at.Time
		return t, t.open(k, sealed)
	}
}

func putKept(ctx context.Context, tx *db.Tx, k *secret.Key, t Kept) error {
	sealed, err := t.seal(k)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO kept_tokens (`+keptColumns+`, ends_at, busy_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
		ON CONFLICT (client_id, user_id, upstream) DO UPDATE SET issuer = excluded.issuer, subject = excluded.subject, sealed = excluded.sealed,
			kept_at = excluded.kept_at, ends_at = excluded.ends_at, busy_until = 0`,
		t.ClientID, t.UserID, t.Upstream, t.Issuer, t.Subject, sealed, db.At(t.KeptAt), db.AtOrNull(t.Tokens.endsAt()))
	if err != nil {
		return fmt.Errorf("keep upstream tokens: %w", err)
	}
	return nil
}

// KeptOf returns the tokens that are kept of a client's user and an upstream, or
// db.ErrNotFound.
func KeptOf(ctx context.Context, tx *db.Tx, k *secret.Key, id client.ID, user identity.UserID, upstream string) (Kept, error) {
	return db.One(ctx, tx, scanKept(k), `SELECT `+keptColumns+` FROM kept_tokens WHERE `+keptRow, id, user, upstream)
}

// Claim makes the caller the one who renews t, until a time, and reports whether
// it is: nobody else is at it, and nobody has done it since t was read. A
// provider takes a refresh token once.
func (t Kept) Claim(ctx context.Context, tx *db.Tx, now, until time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE kept_tokens SET busy_until = $4 WHERE `+keptRow+` AND busy_until <= $5 AND kept_at = $6`,
		t.ClientID, t.UserID, t.Upstream, db.At(until), db.At(now), db.At(t.KeptAt))
	return n == 1, err
}

// Renewed stores what the holder of a claim till until got, and reports whether
// the claim still held.
func (t Kept) Renewed(ctx context.Context, tx *db.Tx, k *secret.Key, until time.Time) (bool, error) {
	sealed, err := t.seal(k)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE kept_tokens SET sealed = $4, kept_at = $5, ends_at = $6, busy_until = 0 WHERE `+keptRow+` AND busy_until = $7`,
		t.ClientID, t.UserID, t.Upstream, sealed, db.At(t.KeptAt), db.AtOrNull(t.Tokens.endsAt()), db.At(until))
	return n == 1, err
}

// Release gives a claim back.
func (t Kept) Release(ctx context.Context, tx *db.Tx, until time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE kept_tokens SET busy_until = 0 WHERE `+keptRow+` AND busy_until = $4`, t.ClientID, t.UserID, t.Upstream, db.At(until))
	return err
}

// Forget deletes t, unless others have taken its place since.
func (t Kept) Forget(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `DELETE FROM kept_tokens WHERE `+keptRow+` AND kept_at = $4`, t.ClientID, t.UserID, t.Upstream, db.At(t.KeptAt))
	return err
}

// ForgetOf deletes what is kept for a client, which no longer wants it.
func ForgetOf(ctx context.Context, tx *db.Tx, id client.ID) error {
	_, err := tx.Exec(ctx, `DELETE FROM kept_tokens WHERE client_id = $1`, id)
	return err
}

// SweepKept deletes up to n sets of tokens that have ended, and reports how many.
func SweepKept(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM kept_tokens WHERE (client_id, user_id, upstream) IN (
		SELECT client_id, user_id, upstream FROM kept_tokens WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2)`, db.At(now), n)
}

// SpendOnce takes an answer of an upstream, and reports false if it was taken before.
// One that need not be remembered is taken as often as it comes.
func SpendOnce(ctx context.Context, tx *db.Tx, upstream string, o Once) (bool, error) {
	if o.ID == "" {
		return true, nil
	}
	n, err := tx.Exec(ctx, `INSERT INTO spent_answers (upstream, answer, expires_at) VALUES ($1, $2, $3) ON CONFLICT (upstream, answer) DO NOTHING`,
		upstream, secret.Hash(o.ID), db.At(o.Until))
	if err != nil {
		return false, fmt.Errorf("spend answer: %w", err)
	}
	return n == 1, nil
}

// SweepSpent forgets up to n answers that have expired, and reports how many.
func SweepSpent(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM spent_answers WHERE (upstream, answer) IN (
		SELECT upstream, answer FROM spent_answers WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.At(now), n)
}
