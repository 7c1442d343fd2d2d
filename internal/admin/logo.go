package admin

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
)

// MaxLogo is the greatest size of an uploaded picture in bytes.
const MaxLogo = 2 << 20

// SetLogo stores a client's picture and shows it as the client's logo; at is
// where the surface serves it. A PNG or JPEG is made as small as it is shown, and
// drawn anew, so that what a browser gets was encoded by us. What a picture is,
// its bytes say, not its sender.
func (c *Core) SetLogo(ctx context.Context, who Caller, id client.ID, raw []byte, at string) error {
	if _, err := c.Client(ctx, who, id); err != nil {
		return err // before the work
	}
	contentType, data, err := c.picture(raw)
	if err != nil {
		return err
	}
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := c.locked(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if err := client.SetLogo(ctx, tx, id, client.Logo{ContentType: contentType, Data: data, UpdatedAt: c.Now()}); err != nil {
			return err
		}
		cl.Policy.Branding.LogoURL = at
		_, err = c.store(ctx, tx, a, cl, audit.ClientLogoChanged, map[string]any{"content_type": contentType})
		return err
	})
}

// Logo returns the picture of an active client, for anybody to see.
func (c *Core) Logo(ctx context.Context, id client.ID) (client.Logo, error) {
	var l client.Logo
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, err := client.ByID(ctx, tx, id)
		if err == nil && !cl.Active {
			err = db.ErrNotFound
		}
		if err != nil {
			return err
		}
		l, err = client.LogoOf(ctx, tx, id)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return l, fault.New(fault.ClientUnknown)
	}
	return l, err
}
