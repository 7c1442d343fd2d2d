package client

import (
	"context"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// Notified notes that somebody whose place waits for approval is told so now, unless
// they were since before; it reports whether they are to be told. Of any number of
// callers one is.
func Notified(ctx context.Context, tx *db.Tx, u identity.UserID, c ID, before, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE enrolments SET notified_at = $4 WHERE user_id = $1 AND client_id = $2 AND status = 'pending'
		AND (notified_at IS NULL OR notified_at <= $3)`, u, c, db.At(before), db.At(now))
	return n == 1, err
}
