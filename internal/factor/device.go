package factor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

// Trust has a browser not be asked for somebody's second factor any more, for
// TrustLife, and returns the cookie that says so. Of more than a few browsers the
// oldest are forgotten.
func Trust(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) (string, error) {
	raw := secret.Hex(32)
	_, err := tx.Exec(ctx, `INSERT INTO trusted_devices (id, user_id, hash, created_at, used_at, expires_at) VALUES ($1, $2, $3, $4, $4, $5)`,
		identity.NewID(), u, secret.Hash(raw), db.At(now), db.At(now.Add(TrustLife)))
	if err != nil {
		return "", fmt.Errorf("trust a browser: %w", err)
	}
	_, err = tx.Exec(ctx, `DELETE FROM trusted_devices WHERE user_id = $1 AND id NOT IN (
		SELECT id FROM trusted_devices WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)`, u, maxDevices)
	return raw, err
}

// Recognize reports whether a browser is trusted with somebody's second factor, and
// returns the cookie that it is to have from now on and for how long: each is good
// once. One that was replaced before has been copied, and of the two browsers the
// thief's cannot be told: neither is trusted any more.
func Recognize(ctx context.Context, tx *db.Tx, u identity.UserID, raw string, now time.Time) (next string, life time.Duration, ok bool, err error) {
	if len(raw) != 64 {
		return "", 0, false, nil
	}
	next = secret.Hex(32)
	until, err := db.One(ctx, tx, db.Int, `UPDATE trusted_devices SET hash = $3, previous = $2, used_at = $4
		WHERE hash = $2 AND user_id = $1 AND expires_at > $4 RETURNING expires_at`, u, secret.Hash(raw), secret.Hash(next), db.At(now))
	if err == nil {
		return next, time.UnixMicro(until).Sub(now), true, nil
	}
	if !errors.Is(err, db.ErrNotFound) {
		return "", 0, false, fmt.Errorf("recognize a browser: %w", err)
	}
	_, err = tx.Exec(ctx, `DELETE FROM trusted_devices WHERE previous = $2 AND user_id = $1`, u, secret.Hash(raw))
	return "", 0, false, err
}

// Distrust ends the trust in all browsers of somebody.
func Distrust(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM trusted_devices WHERE user_id = $1`, u); err != nil {
		return fmt.Errorf("distrust browsers: %w", err)
	}
	return nil
}

// Sweep deletes up to n browsers whose trust has ended, and reports how many it did.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM trusted_devices WHERE id IN (SELECT id FROM trusted_devices WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.At(now), n)
}
