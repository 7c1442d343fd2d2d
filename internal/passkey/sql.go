package passkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

const columns = `id, user_id, name, data, created_at, used_at`

func scan(r db.Row) (k Passkey, err error) {
	var id []byte
	var created, used db.Time
	err = r.Scan(&id, &k.UserID, &k.Name, db.JSON(&k.credential), &created, &used)
	k.ID, k.Synced = id, k.credential.Flags.BackupEligible
	k.CreatedAt, k.UsedAt = created.Time, used.Time
	return k, err
}

// Add stores a new passkey. Fails with ErrMany, or ErrTaken if the
// credential is registered already, be it with another user (WebAuthn §7.1 step 26).
func Add(ctx context.Context, tx *db.Tx, k Passkey) error {
	n, err := tx.Exec(ctx, `INSERT INTO passkeys (id, user_id, name, data, sign_count, created_at, used_at)
		SELECT $1, $2, $3, $4, $5, $6, NULL WHERE (SELECT COUNT(*) FROM passkeys WHERE user_id = $2) < $7`,
		[]byte(k.ID), k.UserID, k.Name, db.JSON(k.credential), int64(k.credential.Authenticator.SignCount), db.At(k.CreatedAt), Max)
	switch {
	case errors.Is(err, db.ErrConflict):
		return ErrTaken
	case err == nil && n == 0:
		return ErrMany
	}
	return err
}

// ByID returns a passkey, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id ID) (Passkey, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM passkeys WHERE id = $1`, []byte(id))
}

// OfUser returns the passkeys of a user, oldest first.
func OfUser(ctx context.Context, tx *db.Tx, u identity.UserID) ([]Passkey, error) {
	return db.All(ctx, tx, scan, `SELECT `+columns+` FROM passkeys WHERE user_id = $1 ORDER BY created_at, id`, u)
}

// Any reports whether a user has a passkey.
func Any(ctx context.Context, tx *db.Tx, u identity.UserID) (bool, error) {
	n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM passkeys WHERE user_id = $1`, u)
	return n > 0, err
}

// Used stores a passkey as Answered returned it. Of several answers with one
// counter one is taken, the others fail with ErrRefused; so does a passkey that
// was removed meanwhile.
func Used(ctx context.Context, tx *db.Tx, k Passkey) error {
	count := int64(k.credential.Authenticator.SignCount)
	n, err := tx.Exec(ctx, `UPDATE passkeys SET data = $3, sign_count = $4, used_at = $5
		WHERE id = $1 AND user_id = $2 AND (sign_count < $4 OR sign_count = 0 AND $4 = 0)`,
		[]byte(k.ID), k.UserID, db.JSON(k.credential), count, db.At(k.UsedAt))
	if err != nil {
		return fmt.Errorf("store the use of a passkey: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("%w: removed, or used with this counter before", ErrRefused)
	}
	return nil
}

// Rename changes the name of a user's passkey; db.ErrNotFound if they have no
// such one.
func Rename(ctx context.Context, tx *db.Tx, u identity.UserID, id ID, name string) error {
	return one(tx.Exec(ctx, `UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2`, []byte(id), u, name))
}

// Remove ends a user's passkey; db.ErrNotFound if they have no such one.
func Remove(ctx context.Context, tx *db.Tx, u identity.UserID, id ID) error {
	return one(tx.Exec(ctx, `DELETE FROM passkeys WHERE id = $1 AND user_id = $2`, []byte(id), u))
}

// RemoveAll ends the passkeys of a user, and reports how many there were.
func RemoveAll(ctx context.Context, tx *db.Tx, u identity.UserID) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM passkeys WHERE user_id = $1`, u)
}

// RemoveBefore is RemoveAll for those that were made before a time.
func RemoveBefore(ctx context.Context, tx *db.Tx, u identity.UserID, at time.Time) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM passkeys WHERE user_id = $1 AND created_at < $2`, u, db.At(at))
}

func one(n int64, err error) error {
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// Has reports whether somebody who has an address has a passkey.
func Has(ctx context.Context, tx *db.Tx, address string) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM emails e JOIN passkeys p ON p.user_id = e.user_id WHERE e.address = $1)`, address)
}
