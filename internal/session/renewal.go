package session

import (
	"context"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// Where a surface's refresh tokens are JWTs, none is stored: what they name is a
// session, and a session's Renewal says which of them is good. "" is any that
// names it, which is all there is as long as tokens do not rotate; Closed is none;
// else it is the id of the one that is.

// Closed is the Renewal of a session that was signed out. Its row stays until
// the last access token that names it has expired, so that a sign-out may come
// twice and be answered alike.
const Closed = "-"

// Renews reports whether the refresh token of an id is good.
func (s Session) Renews(token string) bool { return s.Renewal == "" || s.Renewal == token }

// Rotate replaces the refresh token was of a live session by next, which is good
// until the session ends at until. Of any number of callers with one token one
// gets true.
func Rotate(ctx context.Context, tx *db.Tx, u identity.UserID, id ID, was, next string, until, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE sessions SET renewal = $4, expires_at = $5
		WHERE id = $1 AND user_id = $2 AND (renewal = '' OR renewal = $3) AND expires_at > $6`,
		id, u, was, next, db.At(until), db.At(now))
	return n == 1, err
}

// Close ends what a session's refresh tokens are good for, and lets it end at
// until or earlier; false if it was closed already, or is not there.
func Close(ctx context.Context, tx *db.Tx, u identity.UserID, id ID, until, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE sessions SET renewal = $3, expires_at = CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END
		WHERE id = $1 AND user_id = $2 AND renewal <> $3 AND expires_at > $5`, id, u, Closed, db.At(until), db.At(now))
	return n == 1, err
}
