package org

import (
	"context"

	"sallyport/internal/client"
	"sallyport/internal/db"
)

// HoldClient notes that a client belongs to an organization, and to no other.
func HoldClient(ctx context.Context, tx *db.Tx, id ID, c client.ID) error {
	_, err := tx.Exec(ctx, `INSERT INTO org_clients (client_id, org_id) VALUES ($1, $2) ON CONFLICT (client_id) DO UPDATE SET org_id = $2`, c, id)
	return err
}

// HolderOfClient returns the organization that a client belongs to, or
// db.ErrNotFound: it is the operator's.
func HolderOfClient(ctx context.Context, tx *db.Tx, c client.ID) (ID, error) {
	id, err := db.One(ctx, tx, db.Text, `SELECT org_id FROM org_clients WHERE client_id = $1`, c)
	return ID(id), err
}

// Clients returns the clients that belong to an organization in one statement,
// oldest first.
func Clients(ctx context.Context, tx *db.Tx, id ID) ([]client.Client, error) {
	return db.All(ctx, tx, func(r db.Row) (client.Client, error) {
		var c client.Row
		err := r.Scan(c.Dest()...)
		c.Scanned()
		return c.Client, err
	}, `SELECT `+client.Columns+` FROM org_clients h JOIN clients c ON c.id = h.client_id LEFT JOIN tenants t ON t.id = c.tenant_id
		WHERE h.org_id = $1 ORDER BY c.created_at, c.id`, id)
}
