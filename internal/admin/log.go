package admin

import (
	"context"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// LogIn chooses audit entries: of one client, about one user, if they are set.
type LogIn struct {
	ClientID client.ID
	UserID   identity.UserID
	Page     Page
}

// Log returns one page of the audit entries that the caller may see, newest
// first, and how many there are: those of the clients they administer. Entries
// outlive their clients, and the platform sees them still.
func (c *Core) Log(ctx context.Context, who Caller, in LogIn) ([]audit.Entry, int, error) {
	var out []audit.Entry
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		f := audit.Filter{ClientID: in.ClientID, UserID: in.UserID, Limit: in.Page.Size, Offset: in.Page.offset()}
		if a.tier != platform {
			if f.ClientID, f.Tenant, err = a.within(ctx, tx, in.ClientID, clientAdmin); err != nil {
				return err
			}
		}
		out, total, err = audit.List(ctx, tx, f)
		return err
	})
	return out, total, err
}
