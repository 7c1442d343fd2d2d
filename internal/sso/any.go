package sso

import (
	"context"
	"errors"

	"sallyport/internal/db"
)

// Any reports whether any organization has a connection that is on: where none has,
// nobody need be asked for their address first.
func Any(ctx context.Context, tx *db.Tx) (bool, error) {
	_, err := db.One(ctx, tx, db.Text, `SELECT org_id FROM sso_connections WHERE enabled LIMIT 1`)
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
