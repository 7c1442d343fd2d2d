package signin

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/openid"
	"sallyport/internal/upstream"
)

// ExchangeIn is a code of an upstream, or an ID token, that the application got by
// itself. No binding cookie stands behind it, so that nothing can wait for a proof.
type ExchangeIn struct {
	ClientID client.ID
	Upstream string
	upstream.Exchange
	Terms   Terms
	Limits  []limit.Rule
	Visitor Visitor
}

// seenFor is how long a code is remembered: longer than any is good.
const seenFor = 10 * time.Minute

// ExchangeUpstream redeems a code at the upstream, and signs in. A code is good
// once: one that comes again is refused here and not sent on, as
// fault.UpstreamFailed by openid.ErrInvalidGrant; but one that the upstream could
// not be asked about may come again. So is an ID token, which only an upstream of
// OpenID Connect has: of others it is fault.GrantUnsupported.
func (c *Core) ExchangeUpstream(ctx context.Context, in ExchangeIn) (Returned, error) {
	var out Returned
	var up upstream.Upstream
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out = Returned{}
		if out.Client, err = clientFor(ctx, tx, in.ClientID, in.Upstream, ""); err != nil {
			return err
		}
		up, err = c.upstreamOf(ctx, tx, in.Upstream)
		if err == nil && in.IDToken != "" && !up.GivesIDTokens() {
			err = fault.New(fault.GrantUnsupported)
		}
		return err
	})
	if err != nil {
		return out, err
	}
	var seen []limit.Rule // an ID token is spent when it has been judged
	if in.IDToken == "" {
		seen = []limit.Rule{{Name: "upstream.code", Key: in.Upstream + " " + in.Code, N: 1, Per: seenFor}}
	}
	if err := c.firstSight(ctx, seen, in.Limits); err != nil {
		return out, err
	}
	in.Exchange.Visitor = upstream.Visitor{IP: in.Visitor.IP, UserAgent: in.Visitor.UserAgent}
	out.Profile, err = c.Broker.Exchange(ctx, up, in.Exchange)
	if err != nil {
		return out, c.unredeemed(ctx, in, out.Client, seen, failed(err))
	}
	err = c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			out.Outcome, out.Invite, out.Prove, out.Alias = Outcome{}, "", "", ""
			if first, err := upstream.SpendOnce(ctx, tx, out.Profile.Issuer, out.Profile.Once); err != nil {
				return nil, err
			} else if !first {
				f := cameBefore()
				return f, c.turnedAway(ctx, tx, in.Visitor, out.Client, up.Key, f)
			}
			return c.arrive(ctx, tx, &out, arrival{up: up, terms: in.Terms, visitor: in.Visitor})
		})
	})
	return out, err
}

// firstSight counts the attempt, and refuses a code that was seen: that counts, too.
func (c *Core) firstSight(ctx context.Context, seen, count []limit.Rule) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if err := takeIn(ctx, tx, c.Now(), count...); err != nil {
			return nil, err
		}
		err := takeIn(ctx, tx, c.Now(), seen...)
		if fault.Is(err, fault.RateLimited) {
			return cameBefore(), nil
		}
		return nil, err
	})
}

func cameBefore() *fault.Error {
	return &fault.Error{Code: fault.UpstreamFailed, Err: &openid.Failure{Reason: openid.ErrInvalidGrant, Detail: "it came before"}}
}

// unredeemed tells the audit log that a code was refused. One that the upstream
// could not be asked about may come again.
func (c *Core) unredeemed(ctx context.Context, in ExchangeIn, cl client.Client, seen []limit.Rule, err error) error {
	f, ok := fault.From(err)
	if !ok {
		return err
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if f.Code == fault.UpstreamUnreachable || errors.Is(f, openid.ErrThrottled) {
			return f, limit.Give(ctx, tx, seen...)
		}
		return f, c.turnedAway(ctx, tx, in.Visitor, cl, in.Upstream, f)
	})
}
