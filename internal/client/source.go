package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
)

// SetRefreshed notes that a client's document was read at a time.
func SetRefreshed(ctx context.Context, tx *db.Tx, id ID, at time.Time) error {
	return one(tx.Exec(ctx, `UPDATE clients SET refreshed_at = $2 WHERE id = $1`, id, db.At(at)))
}

// SweepDocuments deletes up to n clients whose documents nobody has asked for
// since before, and in which nobody has a place or gave anything: strangers can
// bring in any number of them. It reports how many; one that is asked for again
// comes back by its document. What the operator switched off stays, or it would
// come back switched on.
func SweepDocuments(ctx context.Context, tx *db.Tx, before time.Time, n int) (int64, error) {
	gone, err := tx.Exec(ctx, `DELETE FROM clients WHERE source = 'document' AND refreshed_at < $1 AND id IN (
		SELECT c.id FROM clients c WHERE c.source = 'document' AND c.active AND c.refreshed_at < $1
			AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.client_id = c.id)
			AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = c.id)
			AND NOT EXISTS (SELECT 1 FROM consents o WHERE o.client_id = c.id)
		ORDER BY c.refreshed_at LIMIT $2)`, db.At(before), n)
	if err != nil {
		return 0, fmt.Errorf("sweep client documents: %w", err)
	}
	return gone, nil
}

// AnyOpen reports whether one of the operator's own clients takes in whoever
// comes. A policy is stored as compact JSON, in which a quotation mark inside a
// text is escaped.
func AnyOpen(ctx context.Context, tx *db.Tx) (bool, error) {
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM clients WHERE source = '' AND active AND policy LIKE '%"registration":"open"%')`)
}

// AudienceTaken reports whether a client other than id has the audience.
func AudienceTaken(ctx context.Context, tx *db.Tx, id ID, audience string) (bool, error) {
	holds, err := holding(`"audience":`, audience)
	if err != nil {
		return false, err
	}
	return db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM clients WHERE id <> $1 AND (id = $2 OR policy LIKE $3 ESCAPE '!'))`,
		id, audience, holds)
}

// holding is the LIKE pattern, with the escape character "!", of stored JSON that
// holds a text after a member's name ("" for an element of a list).
func holding(member, text string) (string, error) {
	stored, err := json.Marshal(text)
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(member+string(stored)) + "%", err
}
