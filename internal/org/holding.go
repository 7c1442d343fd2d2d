package org

import (
	"context"

	"sallyport/internal/client"
	"sallyport/internal/db"
)

// HoldClient notes that a client belongs to an organization.
func HoldClient(ctx context.Context, tx *db.Tx, id ID, c client.ID) error {
	_, err := tx.Exec(ctx, `INSERT INTO org_clients (client_id, org_id) VALUES ($1, $2)`, c, id)
	return err
}

// HolderOfClient returns the organization that a client belongs to, or
// db.ErrNotFound: it is the operator's.
func HolderOfClient(ctx context.Context, tx *db.Tx, c client.ID) (ID, error) {
	id, err := db.One(ctx, tx, db.Text, `SELECT org_id FROM org_clients WHERE client_id = $1`, c)
	return ID(id), err
}

// Clients returns the ids of the clients that belong to an organization.
func Clients(ctx context.Context, tx *db.Tx, id ID) ([]client.ID, error) {
	return held[client.ID](ctx, tx, `SELECT client_id FROM org_clients WHERE org_id = $1 ORDER BY client_id`, id)
}

// HoldTenant notes that a tenant belongs to an organization.
func HoldTenant(ctx context.Context, tx *db.Tx, id ID, t client.TenantID) error {
	_, err := tx.Exec(ctx, `INSERT INTO org_tenants (tenant_id, org_id) VALUES ($1, $2)`, t, id)
	return err
}

// HolderOfTenant returns the organization that a tenant belongs to, or
// db.ErrNotFound: it is the operator's.
func HolderOfTenant(ctx context.Context, tx *db.Tx, t client.TenantID) (ID, error) {
	id, err := db.One(ctx, tx, db.Text, `SELECT org_id FROM org_tenants WHERE tenant_id = $1`, t)
	return ID(id), err
}

// Tenants returns the ids of the tenants that belong to an organization.
func Tenants(ctx context.Context, tx *db.Tx, id ID) ([]client.TenantID, error) {
	return held[client.TenantID](ctx, tx, `SELECT tenant_id FROM org_tenants WHERE org_id = $1 ORDER BY tenant_id`, id)
}

func held[T ~string](ctx context.Context, tx *db.Tx, query string, id ID) ([]T, error) {
	return db.All(ctx, tx, func(r db.Row) (T, error) {
		s, err := db.Text(r)
		return T(s), err
	}, query, id)
}
