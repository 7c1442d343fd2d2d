package onetime

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

const columns = `purpose, user_id, client_id, email, data, tries, created_at, expires_at`

func scan(r db.Row) (s Secret, err error) {
	var data string
	var created, expires db.Time
	err = r.Scan(&s.Purpose, &s.UserID, &s.ClientID, &s.Email, &data, &s.Tries, &created, &expires)
	if data != "" {
		s.Data = json.RawMessage(data)
	}
	s.CreatedAt, s.ExpiresAt = created.Time, expires.Time
	return s, err
}

// Create stores s and returns its secret, which is not kept and cannot be had
// again. Of s the caller fills everything but Tries and CreatedAt. Fails with
// ErrData, or db.ErrReference for a user or client that does not exist.
func Create(ctx context.Context, tx *db.Tx, s Secret, now time.Time) (raw string, err error) {
	raw = New()
	return raw, Put(ctx, tx, raw, s, now)
}

// New makes a secret for Put, for a caller who has to tell it to somebody before
// there is anything to store.
func New() string { return secret.Hex(rawBytes) }

// Put is Create for a secret that New made.
func Put(ctx context.Context, tx *db.Tx, raw string, s Secret, now time.Time) error {
	if len(s.Data) > MaxData || s.Data != nil && !json.Valid(s.Data) {
		return ErrData
	}
	_, err := tx.Exec(ctx, `INSERT INTO onetime_secrets (hash, purpose, user_id, client_id, email, data, tries, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		secret.Hash(raw), s.Purpose, orNull(s.UserID), orNull(s.ClientID), s.Email, string(s.Data), 0, db.At(now), db.At(s.ExpiresAt))
	if err != nil {
		return fmt.Errorf("create one-time secret: %w", err)
	}
	return nil
}

// Peek returns the live secret raw of purpose p without spending it, or
// db.ErrNotFound. It decides nothing: what relies on the secret calls Spend.
func Peek(ctx context.Context, tx *db.Tx, p Purpose, raw string, now time.Time) (Secret, error) {
	if !wellFormed(raw) {
		return Secret{}, db.ErrNotFound
	}
	return PeekHashed(ctx, tx, p, secret.Hash(raw), now)
}

// PeekHashed is Peek for a caller who kept the SHA-256 of the secret.
func PeekHashed(ctx context.Context, tx *db.Tx, p Purpose, hash []byte, now time.Time) (Secret, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM onetime_secrets WHERE hash = $1 AND purpose = $2 AND expires_at > $3`,
		hash, p, db.At(now))
}

// Spend uses up the live secret raw of purpose p and returns it. Of any number
// of concurrent callers exactly one succeeds, if its transaction commits; the
// others, and everybody later, get db.ErrNotFound.
func Spend(ctx context.Context, tx *db.Tx, p Purpose, raw string, now time.Time) (Secret, error) {
	if !wellFormed(raw) {
		return Secret{}, db.ErrNotFound
	}
	return SpendHashed(ctx, tx, p, secret.Hash(raw), now)
}

// SpendHashed is Spend for a caller who kept the SHA-256 of the secret.
func SpendHashed(ctx context.Context, tx *db.Tx, p Purpose, hash []byte, now time.Time) (Secret, error) {
	return db.One(ctx, tx, scan, `DELETE FROM onetime_secrets WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING `+columns,
		hash, p, db.At(now))
}

// Replace gives the live secret raw of purpose from another purpose, user, data
// and end, those of s: it has come a step further, under the same name. Fails
// with ErrData, or db.ErrNotFound.
func Replace(ctx context.Context, tx *db.Tx, from Purpose, raw string, s Secret, now time.Time) error {
	if len(s.Data) > MaxData || s.Data != nil && !json.Valid(s.Data) {
		return ErrData
	}
	if !wellFormed(raw) {
		return db.ErrNotFound
	}
	n, err := tx.Exec(ctx, `UPDATE onetime_secrets SET purpose = $4, user_id = $5, data = $6, expires_at = $7 WHERE hash = $1 AND purpose = $2 AND expires_at > $3`,
		secret.Hash(raw), from, db.At(now), s.Purpose, orNull(s.UserID), string(s.Data), db.At(s.ExpiresAt))
	if err != nil {
		return fmt.Errorf("replace one-time secret: %w", err)
	}
	if n == 0 {
		return db.ErrNotFound
	}
	return nil
}

// Try counts one wrong answer given with the secret raw and returns the secret
// with the new count; the answer that brings it to most also ends the secret.
// db.ErrNotFound means that it is gone, ended by another wrong answer perhaps.
// The count stands only if the transaction commits, so the failed operation
// commits it. Answers in flight at once were all judged before any was counted:
// a limit.Rule taken before judging is what bounds those.
func Try(ctx context.Context, tx *db.Tx, p Purpose, raw string, most int, now time.Time) (Secret, error) {
	if !wellFormed(raw) {
		return Secret{}, db.ErrNotFound
	}
	hash := secret.Hash(raw)
	s, err := db.One(ctx, tx, scan, `UPDATE onetime_secrets SET tries = tries + 1 WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING `+columns,
		hash, p, db.At(now))
	if err != nil || s.Tries < most {
		return s, err
	}
	// The row is ours since the UPDATE, so no other caller comes in between.
	if _, err := tx.Exec(ctx, `DELETE FROM onetime_secrets WHERE hash = $1`, hash); err != nil {
		return Secret{}, fmt.Errorf("end one-time secret: %w", err)
	}
	return s, nil
}

// Keep ends all but the n newest secrets of purpose p that user u has. It does
// not know which of two made in the same microsecond is the newer: called after
// Create, n has room for a few. Concurrent callers may leave some more than n.
func Keep(ctx context.Context, tx *db.Tx, u identity.UserID, p Purpose, n int) error {
	_, err := tx.Exec(ctx, `DELETE FROM onetime_secrets WHERE user_id = $1 AND purpose = $2 AND hash NOT IN (
		SELECT hash FROM onetime_secrets WHERE user_id = $1 AND purpose = $2 ORDER BY created_at DESC, hash LIMIT $3)`, u, p, n)
	if err != nil {
		return fmt.Errorf("end older one-time secrets: %w", err)
	}
	return nil
}

// EndAll ends the secrets of user u that have one of the purposes, or all of
// them if none is named.
func EndAll(ctx context.Context, tx *db.Tx, u identity.UserID, purposes ...Purpose) error {
	query, args := `DELETE FROM onetime_secrets WHERE user_id = $1`, []any{u}
	if len(purposes) > 0 {
		marks := make([]string, len(purposes))
		for i, p := range purposes {
			args = append(args, p)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		query += ` AND purpose IN (` + strings.Join(marks, ", ") + `)`
	}
	if _, err := tx.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("end one-time secrets of a user: %w", err)
	}
	return nil
}

// Sweep deletes up to n secrets that have expired and reports how many it did.
// Fewer than n means that there are no more.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM onetime_secrets WHERE hash IN (
		SELECT hash FROM onetime_secrets WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.At(now), n)
}

// orNull is id as an argument, NULL if it is empty: NULL refers to nothing.
func orNull[T ~string](id T) any {
	if id == "" {
		return nil
	}
	return id
}
