package signin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/upstream"
)

// DeferIn is a browser that came back, for an application that redeems a code of
// ours later. Bind is what the surface checks then; it comes back as Returned.Data,
// which is the attempt's own if Bind is nil.
type DeferIn struct {
	UpstreamReturn
	Lifetime time.Duration
	Bind     json.RawMessage
}

// Deferred is what a browser came back with, and the single-use handle of it.
type Deferred struct {
	Returned
	Handle string
}

// DeferUpstream judges what a browser came back with, and keeps who it is behind
// a handle. Nobody is signed in or made yet, and the Terms are not looked at.
func (c *Core) DeferUpstream(ctx context.Context, in DeferIn) (Deferred, error) {
	out, at, err := c.answer(ctx, in.UpstreamReturn)
	if err != nil {
		return Deferred{Returned: out}, err
	}
	handle := ""
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		refused, err := c.spendState(ctx, tx, in.State)
		if refused != nil || err != nil {
			return refused, err
		}
		kept := out
		if in.Bind != nil {
			kept.Data = in.Bind
		}
		handle, err = c.wait(ctx, tx, onetime.Handle, "", kept, at.data.Browser, in.Lifetime)
		return nil, err
	})
	return Deferred{Returned: out, Handle: handle}, err
}

// RedeemIn redeems a handle of the client. Check judges what was bound to it; a
// handle is spent also where that says no. A nil Check takes all.
type RedeemIn struct {
	ClientID client.ID
	Handle   string
	Check    func(bound json.RawMessage) bool
	Terms    Terms
	Limits   []limit.Rule
	Visitor  Visitor
}

// RedeemUpstream signs in whom a handle stands for. An unknown, spent or expired
// one, another client's, and one that Check refuses are fault.UpstreamStateInvalid.
func (c *Core) RedeemUpstream(ctx context.Context, in RedeemIn) (Returned, error) {
	var out Returned
	err := c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			out = Returned{}
			if err := takeIn(ctx, tx, c.Now(), in.Limits...); err != nil {
				return nil, err
			}
			s, err := onetime.Spend(ctx, tx, onetime.Handle, in.Handle, c.Now())
			if errors.Is(err, db.ErrNotFound) {
				return fault.New(fault.UpstreamStateInvalid), nil
			} else if err != nil {
				return nil, err
			}
			w, up, refused, err := c.resume(ctx, tx, &out, s)
			if refused != nil || err != nil {
				return refused, err
			}
			if s.ClientID != in.ClientID || in.Check != nil && !in.Check(w.Data) {
				return fault.New(fault.UpstreamStateInvalid), nil
			}
			return c.arrive(ctx, tx, &out, arrival{up: up, browser: w.Browser, terms: in.Terms, visitor: in.Visitor})
		})
	})
	return out, err
}

// resume reads what waited: the profile, its upstream and the client, which must
// still be there.
func (c *Core) resume(ctx context.Context, tx *db.Tx, out *Returned, s onetime.Secret) (w waiting, up upstream.Upstream, refused *fault.Error, err error) {
	if err := json.Unmarshal(s.Data, &w); err != nil {
		return w, up, nil, err
	}
	out.Profile, out.RedirectURI, out.State, out.Request, out.Data = w.Profile, w.RedirectURI, w.State, w.Request, w.Data
	if out.Client, err = clientFor(ctx, tx, s.ClientID, w.Profile.Upstream, w.Request); err == nil {
		up, err = c.upstreamOf(ctx, tx, w.Profile.Upstream)
	}
	if f, ok := fault.From(err); ok {
		return w, up, f, nil
	}
	return w, up, nil, err
}
