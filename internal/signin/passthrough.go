package signin

import (
	"context"

	"sallyport/internal/db"
	"sallyport/internal/upstream"
)

// PassUpstream says where to send a browser whose answer an upstream gives to the
// application itself, which brings its code to ExchangeUpstream. Nothing is kept
// of it here: neither state nor code challenge binds that answer to the browser,
// so this is for applications that know no other way. Of in it looks at the
// client, upstream, redirect URI, Legacy and Limits.
func (c *Core) PassUpstream(ctx context.Context, in UpstreamStart) (location string, err error) {
	var out UpstreamStarted
	var up upstream.Upstream
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out = UpstreamStarted{}
		if err := out.application(ctx, tx, in); err != nil {
			return err
		}
		up, err = c.upstreamOf(ctx, tx, in.Upstream)
		return err
	})
	if err != nil {
		return "", err
	}
	if err := c.take(ctx, in.Limits...); err != nil {
		return "", err
	}
	location, err = c.Broker.AuthorizationURL(ctx, up, out.RedirectURI, in.Legacy)
	if err != nil {
		return "", failed(err)
	}
	return location, nil
}
