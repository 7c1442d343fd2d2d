package signin

import (
	"context"
	"encoding/json"
	"errors"

	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/onetime"
	"sallyport/internal/upstream"
)

// Proving is an upstream account that waits for its owner to sign in here
// (Returned.Prove), as a page shows it: Email is the address of both.
type Proving struct {
	Offer
	Email string
}

// Proving returns what waits behind a secret in the browser that it was given to;
// fault.UpstreamStateInvalid if nothing does.
func (c *Core) Proving(ctx context.Context, p Prove) (Proving, error) {
	var out Proving
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := onetime.Peek(ctx, tx, onetime.Linking, p.Secret, c.Now())
		if err != nil {
			return err
		}
		hash, err := c.proves(ctx, tx, p, s.UserID)
		if err == nil && hash == nil {
			err = db.ErrNotFound // another browser's
		}
		if err != nil {
			return err
		}
		var w waiting
		if err := json.Unmarshal(s.Data, &w); err != nil {
			return err
		}
		up, err := upstream.ByKey(ctx, tx, c.Key, w.Profile.Upstream)
		out = Proving{Offer{w.Profile.Upstream, up.Title(), up.Kind}, w.Profile.Email}
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		err = fault.New(fault.UpstreamStateInvalid)
	}
	return out, err
}
