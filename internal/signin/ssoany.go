package signin

import (
	"context"

	"sallyport/internal/db"
	"sallyport/internal/sso"
)

// AnySSO reports whether any organization signs its own people in: only then is it
// worth asking for an address before anything else.
func (c *Core) AnySSO(ctx context.Context) (some bool, err error) {
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		some, err = sso.Any(ctx, tx)
		return err
	})
	return some, err
}
