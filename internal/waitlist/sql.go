package waitlist

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

const columns = `id, org_id, user_id, feature, client_id, status, notified_at, created_at`

func scan(r db.Row) (e Entry, err error) {
	var notified, created db.Time
	err = r.Scan(&e.ID, &e.OrgID, &e.UserID, &e.Feature, &e.ClientID, &e.Status, &notified, &created)
	e.NotifiedAt, e.CreatedAt = notified.Time, created.Time
	return e, err
}

// Join puts a user on the list for a feature, of which they are in the account
// e.OrgID, and returns the entry: the one from before if there is one. It reports
// whether this call made it; of any number of callers one does.
func Join(ctx context.Context, tx *db.Tx, e Entry, now time.Time) (Entry, bool, error) {
	e.ID, e.Status = identity.NewID(), Waiting
	n, err := tx.Exec(ctx, `INSERT INTO waitlist (id, org_id, user_id, feature, client_id, status, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (org_id, user_id, feature) DO NOTHING`, e.ID, e.OrgID, e.UserID, e.Feature, e.ClientID, e.Status, db.At(now))
	if err != nil {
		return e, false, fmt.Errorf("join waitlist: %w", err)
	}
	e, err = Of(ctx, tx, e.OrgID, e.UserID, e.Feature)
	return e, n == 1, err
}

// Of returns a user's entry for a feature in an account, or db.ErrNotFound.
func Of(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, feature string) (Entry, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM waitlist WHERE org_id = $1 AND user_id = $2 AND feature = $3`, id, u, feature)
}

// ByID returns an entry, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, id string) (Entry, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM waitlist WHERE id = $1`, id)
}

// List returns a user's entries in an account, newest first.
func List(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID) ([]Entry, error) {
	return db.All(ctx, tx, scan, `SELECT `+columns+` FROM waitlist WHERE org_id = $1 AND user_id = $2 ORDER BY created_at DESC, id DESC`, id, u)
}

// Leave takes a user off the list; false if they were not on it.
func Leave(ctx context.Context, tx *db.Tx, id org.ID, u identity.UserID, feature string) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM waitlist WHERE org_id = $1 AND user_id = $2 AND feature = $3`, id, u, feature)
	return n == 1, err
}

// Decide makes something of an entry that waits. Of any number of callers one
// does; false for the others, and for an entry that is gone.
func Decide(ctx context.Context, tx *db.Tx, id string, becomes Status) (Entry, bool, error) {
	e, err := db.One(ctx, tx, scan, `UPDATE waitlist SET status = $2 WHERE id = $1 AND status = 'waiting' RETURNING `+columns, id, becomes)
	if errors.Is(err, db.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

// Notified notes that somebody who waits is told so now, unless they were since
// before; it reports whether they are to be told. Of any number of callers one is.
func Notified(ctx context.Context, tx *db.Tx, id string, before, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE waitlist SET notified_at = $3 WHERE id = $1 AND status = 'waiting' AND (notified_at IS NULL OR notified_at <= $2)`,
		id, db.At(before), db.At(now))
	return n == 1, err
}
