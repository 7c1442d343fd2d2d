package oauth

import (
	"context"
	"errors"
	"maps"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/openid"
	"sallyport/internal/upstream"
)

// UpstreamTokenIn asks for the tokens of an upstream that are kept of the person
// of an access token, which Use has judged for client.ScopeUpstream.
type UpstreamTokenIn struct {
	Token    AccessToken
	Live     Live
	Upstream string
	Visitor  Visitor
}

// While somebody else renews a token, those who want it look again.
const (
	renewWithin = 2 * upstream.DefaultTimeout // how long whoever renews has for it
	lookAgain   = 200 * time.Millisecond
	looks       = int(upstream.DefaultTimeout / lookAgain)
)

// UpstreamToken is the access token that an upstream gave at the person's last
// sign-in to the client, renewed if it is about to expire. It is for the client
// that the person signed in to: not for one that got its access token by an
// exchange. LoginRequired says that there is none, whatever the reason: the
// person must sign in by that upstream. TemporarilyUnavailable is for another try.
func (c *Core) UpstreamToken(ctx context.Context, in UpstreamTokenIn) (upstream.Tokens, error) {
	if in.Live.Client.ID != in.Token.ClientID || !in.Live.Client.Policy.KeepUpstreamTokens {
		return upstream.Tokens{}, noUpstreamToken()
	}
	for n := range looks {
		s, err := c.shelf(ctx, in, n == 0)
		switch {
		case err != nil:
			return upstream.Tokens{}, err
		case s.fresh:
			return s.kept.Tokens, nil
		case s.claimed:
			// Whoever asked may go away; the refresh token is spent all the same.
			return c.renewKept(context.WithoutCancel(ctx), in, s)
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return upstream.Tokens{}, ctx.Err()
		}
	}
	return upstream.Tokens{}, &Error{Code: TemporarilyUnavailable, Description: "the token is being renewed", RetryAfter: time.Second}
}

func noUpstreamToken() *Error {
	return refuse(LoginRequired, "no token of that upstream: the person must sign in by it")
}

// shelved is what was found: tokens that are fresh, or such as only we renew
// until a time, or else somebody renews already.
type shelved struct {
	kept    upstream.Kept
	from    upstream.Upstream
	fresh   bool
	claimed bool
	until   time.Time
}

// shelf looks for the tokens: fresh ones are given, which the audit log is told;
// others are claimed for renewal.
func (c *Core) shelf(ctx context.Context, in UpstreamTokenIn, first bool) (s shelved, err error) {
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		now := c.Now()
		s = shelved{until: now.Add(renewWithin)}
		if first {
			if err := c.limitFetching(ctx, tx, in, now); err != nil {
				return err
			}
		}
		s.kept, err = upstream.KeptOf(ctx, tx, c.Key, in.Live.Client.ID, in.Live.User.ID, in.Upstream)
		if errors.Is(err, db.ErrNotFound) {
			return noUpstreamToken()
		}
		if err != nil {
			return err
		}
		if s.fresh = s.kept.Fresh(now); s.fresh {
			return audit.Record(ctx, tx, now, in.event(audit.UpstreamTokenGiven, map[string]any{"renewed": false}))
		}
		if s.from, err = upstream.ByKey(ctx, tx, c.Key, in.Upstream); err != nil {
			return err
		}
		s.claimed, err = s.kept.Claim(ctx, tx, now, s.until)
		return err
	})
	return s, err
}

// limitFetching keeps a client from filling the audit log: a token is good for
// longer than this.
func (c *Core) limitFetching(ctx context.Context, tx *db.Tx, in UpstreamTokenIn, now time.Time) error {
	wait, _, err := limit.Take(ctx, tx, now, limit.Rule{
		Name: "oauth.upstream_token", Key: string(in.Live.Client.ID) + " " + string(in.Live.User.ID), N: 30, Per: 5 * time.Minute,
	})
	if err == nil && wait > 0 {
		return fault.Later(fault.RateLimited, wait)
	}
	return err
}

func (in UpstreamTokenIn) event(action audit.Action, detail map[string]any) audit.Event {
	detail["upstream"] = in.Upstream
	e := grantEvent(action, in.Live.Grant, in.Visitor)
	maps.Copy(e.Detail, detail)
	return e
}

// renewKept has the upstream renew what was claimed.
func (c *Core) renewKept(ctx context.Context, in UpstreamTokenIn, s shelved) (upstream.Tokens, error) {
	got, err := c.Broker.Renew(ctx, s.from, s.kept.Tokens.Refresh)
	if err != nil {
		return upstream.Tokens{}, c.notRenewed(ctx, in, s, err)
	}
	next := s.kept
	next.Tokens, next.KeptAt = got, c.Now()
	if got.Scope == "" {
		next.Tokens.Scope = s.kept.Tokens.Scope // RFC 6749 §5.1: the same
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		// If the claim is lost, a sign-in has brought newer ones; these are good, too.
		if _, err := next.Renewed(ctx, tx, c.Key, s.until); err != nil {
			return err
		}
		return audit.Record(ctx, tx, c.Now(), in.event(audit.UpstreamTokenGiven, map[string]any{"renewed": true}))
	})
	return next.Tokens, err
}

// notRenewed words a failure of the upstream's: tokens that it will not renew are
// forgotten, others wait for another try.
func (c *Core) notRenewed(ctx context.Context, in UpstreamTokenIn, s shelved, err error) error {
	var f *openid.Failure
	if !errors.As(err, &f) {
		return err
	}
	gone := errors.Is(err, openid.ErrInvalidGrant)
	failed := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if !gone {
			return s.kept.Release(ctx, tx, s.until)
		}
		if err := s.kept.Forget(ctx, tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, c.Now(), in.event(audit.UpstreamTokenEnded, map[string]any{}))
	})
	switch {
	case failed != nil:
		return failed
	case gone:
		return noUpstreamToken()
	}
	return &Error{
		Code: TemporarilyUnavailable, Description: "the upstream did not renew the token", RetryAfter: max(f.RetryAfter, 5*time.Second), Err: err,
	}
}
