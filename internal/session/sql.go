package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

const columns = `id, user_id, amr, partial, ip, user_agent, upstream, upstream_session, renewal, authenticated_at, created_at, expires_at`

func scan(r db.Row) (s Session, err error) {
	var authenticated, created, expires db.Time
	err = r.Scan(&s.ID, &s.UserID, db.JSON(&s.AMR), &s.Partial, &s.IP, &s.UserAgent, &s.Upstream, &s.UpstreamSession, &s.Renewal, &authenticated, &created, &expires)
	s.AuthenticatedAt, s.CreatedAt, s.ExpiresAt = authenticated.Time, created.Time, expires.Time
	return s, err
}

// Start stores s under a new id and returns it with the cookie's value: 64
// hexadecimal digits, of which only the SHA-256 is kept.
func Start(ctx context.Context, tx *db.Tx, s Session) (Session, string, error) {
	raw := secret.Hex(32)
	s.ID = ID(identity.NewID())
	_, err := tx.Exec(ctx, `INSERT INTO sessions (id, token_hash, user_id, amr, partial, ip, user_agent, upstream, upstream_session, authenticated_at, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		s.ID, secret.Hash(raw), s.UserID, db.JSON(s.AMR), s.Partial, s.IP, s.UserAgent, s.Upstream, s.UpstreamSession, db.At(s.AuthenticatedAt), db.At(s.CreatedAt), db.At(s.ExpiresAt))
	if err != nil {
		return Session{}, "", fmt.Errorf("start session: %w", err)
	}
	return s, raw, nil
}

// ByToken returns the live session that a cookie names, or db.ErrNotFound.
func ByToken(ctx context.Context, tx *db.Tx, raw string, now time.Time) (Session, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM sessions WHERE token_hash = $1 AND expires_at > $2`, secret.Hash(raw), db.At(now))
}

// ByID returns a live session by its public id, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id ID, now time.Time) (Session, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM sessions WHERE id = $1 AND expires_at > $2`, id, db.At(now))
}

// ByUser returns the live sessions of a user, newest first; not the closed ones.
func ByUser(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) ([]Session, error) {
	return db.All(ctx, tx, scan, `SELECT `+columns+` FROM sessions WHERE user_id = $1 AND expires_at > $2 AND renewal <> $3 ORDER BY created_at DESC, id DESC`, u, db.At(now), Closed)
}

// EndByToken ends the session that a cookie names and returns it, or
// db.ErrNotFound if there was none.
func EndByToken(ctx context.Context, tx *db.Tx, raw string) (Session, error) {
	return db.One(ctx, tx, scan, `DELETE FROM sessions WHERE token_hash = $1 RETURNING `+columns, secret.Hash(raw))
}

// Renew lets a live session of a user last until at least until, if its sign-in
// was after since, and returns it; else db.ErrNotFound. None is made shorter.
func Renew(ctx context.Context, tx *db.Tx, u identity.UserID, id ID, until, since, now time.Time) (Session, error) {
	return db.One(ctx, tx, scan, `UPDATE sessions SET expires_at = CASE WHEN expires_at < $4 THEN $4 ELSE expires_at END
		WHERE id = $1 AND user_id = $2 AND expires_at > $3 AND authenticated_at > $5 AND NOT partial RETURNING `+columns,
		id, u, db.At(now), db.At(until), db.At(since))
}

// Rekey gives a live session of a user a new cookie, and makes it a whole one in
// which methods were proved: whoever had the cookie before has nothing any more.
// db.ErrNotFound means that it has ended.
func Rekey(ctx context.Context, tx *db.Tx, u identity.UserID, id ID, amr []string, now time.Time) (Session, string, error) {
	raw := secret.Hex(32)
	s, err := db.One(ctx, tx, scan, `UPDATE sessions SET token_hash = $4, amr = $5, partial = $6 WHERE id = $1 AND user_id = $2 AND expires_at > $3 RETURNING `+columns,
		id, u, db.At(now), secret.Hash(raw), db.JSON(amr), false)
	return s, raw, err
}

// Named is the session of a user that has a name, which Name makes of its cookie, or
// db.ErrNotFound.
func Named(ctx context.Context, tx *db.Tx, u identity.UserID, name string) (ID, error) {
	hash, err := hex.DecodeString(name)
	if err != nil {
		return "", db.ErrNotFound
	}
	id, err := db.One(ctx, tx, db.Text, `SELECT id FROM sessions WHERE token_hash = $1 AND user_id = $2`, hash, u)
	return ID(id), err
}

// End ends one session of a user; false if there was none with this id.
func End(ctx context.Context, tx *db.Tx, u identity.UserID, id ID) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM sessions WHERE id = $1 AND user_id = $2`, id, u)
	return n == 1, err
}

// EndAll ends every session of a user but keep ("" keeps none) and returns how
// many ended.
func EndAll(ctx context.Context, tx *db.Tx, u identity.UserID, keep ID) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, u, keep)
}

// EndByUpstream ends every session that an upstream was the first factor of, and
// returns their ids.
func EndByUpstream(ctx context.Context, tx *db.Tx, upstream string) ([]ID, error) {
	return db.All(ctx, tx, func(r db.Row) (id ID, err error) { err = r.Scan(&id); return id, err },
		`DELETE FROM sessions WHERE upstream = $1 AND upstream <> '' RETURNING id`, upstream)
}

// Sweep deletes up to n expired sessions and returns how many it did.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.At(now), n)
}
