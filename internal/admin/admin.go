// Package admin is the core for an operator.
package admin

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/secret"
)

// Core holds what the operations need.
type Core struct {
	DB  *db.DB
	Now func() time.Time
	Key *secret.Key
}

// Issuer is the issuer that a client's tokens name instead of ours, "" where
// they name ours or there is no such client.
func (c *Core) Issuer(ctx context.Context, id client.ID) (string, error) {
	var cl client.Client
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if cl, err = client.ByID(ctx, tx, id); errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	return cl.Policy.Issuer, err
}
