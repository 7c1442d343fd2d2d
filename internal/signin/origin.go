package signin

import (
	"context"

	"sallyport/internal/client"
	"sallyport/internal/db"
)

// AllowsOrigin reports whether pages of a web origin may call us for any
// active client.
func (c *Core) AllowsOrigin(ctx context.Context, origin string) (bool, error) {
	var allowed bool
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		allowed, err = client.AllowsOrigin(ctx, tx, origin)
		return err
	})
	return allowed, err
}
