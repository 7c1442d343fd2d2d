package signin

import (
	"context"

	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
)

// CountRequest counts one request against rules, for a surface whose contract has limits
// on its routes and tells how they stand with every answer. It is RateLimited, and
// counts nothing, if one of them refuses; the states come with that, too.
func (c *Core) CountRequest(ctx context.Context, rules ...limit.Rule) ([]limit.State, error) {
	var states []limit.State
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		all, wait, _, err := limit.Count(ctx, tx, c.Now(), rules...)
		states = all
		if err == nil && wait > 0 {
			err = fault.Later(fault.RateLimited, wait)
		}
		return err
	})
	return states, err
}
