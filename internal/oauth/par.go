package oauth

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
)

// PushIn is an authorization request that a client sends ahead (RFC 9126).
type PushIn struct {
	Auth   ClientAuth
	Params Params
	Proof  Proof
}

// Push keeps an authorization request for the browser to bring: it is judged as
// the authorization endpoint would, and the client learns at once what is wrong.
// It returns the request_uri, which is good once and for the time given. Fails
// with an *Error.
func (c *Core) Push(ctx context.Context, in PushIn) (requestURI string, life time.Duration, err error) {
	cl, seen, err := c.authenticate(ctx, in.Auth)
	if err != nil {
		return "", 0, err
	}
	r, refused, err := c.pushed(ctx, cl, in)
	switch {
	case err != nil:
		return "", 0, err
	case refused != nil:
		return "", 0, refused
	}
	more, err := c.pushedKey(&r, in.Proof)
	if err != nil {
		return "", 0, err
	}
	data, err := r.stored()
	if err != nil {
		return "", 0, err
	}
	raw := ""
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		raw = ""
		if err := take(ctx, tx, c.Now(), newPushed(cl, in.Auth.Visitor)); err != nil {
			return err
		}
		if err := spend(ctx, tx, append(seen, more...)); err != nil {
			return err
		}
		raw, err = onetime.Create(ctx, tx, onetime.Secret{
			Purpose: onetime.PushedRequest, ClientID: cl.ID, Data: data, ExpiresAt: c.Now().Add(PushedLifetime),
		}, c.Now())
		return err
	})
	return PushedPrefix + raw, PushedLifetime, err
}

// newPushed limits what one client may push. As a public one anybody may, so
// each network has a count of its own: else one stranger would use up everybody's.
func newPushed(cl client.Client, v Visitor) limit.Rule {
	rule := limit.Rule{Name: "oauth.par", Key: string(cl.ID), N: 6000, Per: 10 * time.Minute}
	if methodOf(cl) == client.AuthNone {
		rule.Key, rule.N = rule.Key+" "+network(v), newWaiting(v).N
	}
	return rule
}

// pushed reads the request. A request_uri has no place in it (RFC 9126 §2.1),
// and another client's request none either.
func (c *Core) pushed(ctx context.Context, cl client.Client, in PushIn) (Request, *Error, error) {
	if in.Params.Has("request_uri") {
		return Request{}, refuse(InvalidRequest, "request_uri cannot be pushed"), nil
	}
	if id := in.Params.Get("client_id"); id != "" && !sameID(id, cl.ID) {
		return Request{}, refuse(InvalidRequest, "client_id is not the client that authenticated"), nil
	}
	return c.parse(ctx, cl, in.Params, in.Auth.Visitor.Base, true)
}

// pushedKey binds the code to the key that was proved (RFC 9449 §10.1).
func (c *Core) pushedKey(r *Request, p Proof) ([]once, error) {
	if p.Header == "" {
		return nil, nil
	}
	jkt, seen, err := c.provenKey(p)
	if err != nil {
		return nil, err
	}
	if r.JKT != "" && r.JKT != jkt {
		return nil, refuse(InvalidDPoPProof, "dpop_jkt is not the key of the proof")
	}
	r.JKT = jkt
	return seen, nil
}
