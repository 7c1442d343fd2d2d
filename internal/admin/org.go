package admin

import (
	"context"
	"errors"

	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// Orgs returns one page of the organizations, oldest first, and how many there are.
// search is looked for in name and slug.
func (c *Core) Orgs(ctx context.Context, who Caller, search string, p Page) ([]org.Org, int, error) {
	var all []org.Org
	var total int
	search, err := line("search", search, 0, maxSearch)
	if err != nil {
		return nil, 0, err
	}
	err = c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		if err := a.atLeast(platform); err != nil {
			return err
		}
		all, total, err = org.List(ctx, tx, org.Filter{Search: search, Limit: p.Size, Offset: p.offset()})
		return err
	})
	return all, total, err
}

// Org finds an organization by id or slug, for who runs the installation: whoever may
// do anything in any of them.
func (c *Core) Org(ctx context.Context, who Caller, name string) (org.Org, error) {
	var o org.Org
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		if err := a.atLeast(platform); err != nil {
			return err
		}
		if id, ok := identity.ParseID(name); ok {
			o, err = org.ByID(ctx, tx, org.ID(id))
		} else {
			o, err = org.BySlug(ctx, tx, name)
		}
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.OrgUnknown)
		}
		return err
	})
	return o, err
}
