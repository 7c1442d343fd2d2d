package signin

import (
	"context"
	"errors"

	"sallyport/internal/db"
	"sallyport/internal/org"
)

// FormerSlug is the slug that an organization has now that had this one until lately,
// "" where there is none.
func (c *Core) FormerSlug(ctx context.Context, slug string) (string, error) {
	var o org.Org
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		o, err = org.ByFormerSlug(ctx, tx, slug, c.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return "", nil
	}
	return o.Slug, err
}
