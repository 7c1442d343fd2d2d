package oauth

import (
	"context"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// TokenIn is a request at the token endpoint (RFC 6749 §3.2). Open reads a token
// of the surface's own making, for an exchange.
type TokenIn struct {
	Auth    ClientAuth
	Proof   Proof
	Params  Params
	Visitor Visitor
	Open    func(raw string) (AccessToken, error)
}

// Token grants what a client asks for at the token endpoint, by its grant_type.
// Every grant goes the same way: *read* the client and what it presents,
// *think* about who it is and what it may have, *write* what may come once
// together with what comes of it. Fails with *Error, or fault.RateLimited.
func (c *Core) Token(ctx context.Context, in TokenIn) (Issued, error) {
	switch in.Params.Get("grant_type") {
	case "":
		return Issued{}, refuse(InvalidRequest, "grant_type is missing")
	case client.GrantCode:
		return c.redeem(ctx, in)
	case client.GrantRefresh:
		return c.refresh(ctx, in)
	case client.GrantClientCredentials:
		return c.service(ctx, in)
	case client.GrantDevice:
		return c.device(ctx, in)
	case client.GrantTokenExchange:
		return c.exchange(ctx, in)
	}
	return Issued{}, refuse(UnsupportedGrantType, "grant_type is none of ours")
}

// asking is a client that proved who it is and may use the grant, with the key
// that its tokens will be bound to and what may come once.
type asking struct {
	client  client.Client
	binding grant.Binding
	seen    []once
}

// presents is ask for a request that presents something in the parameter name:
// held reads it, and whose it is, in the transaction that reads the client.
func (c *Core) presents(ctx context.Context, in TokenIn, name string, held func(ctx context.Context, tx *db.Tx, raw string) (client.Client, error)) (asking, error) {
	id, err := in.Auth.claimed()
	if err != nil {
		return asking{}, err
	}
	raw := in.Params.Get(name)
	if raw == "" {
		return asking{}, refuse(InvalidRequest, name+" is missing")
	}
	var cl client.Client
	var t tries
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if t, err = c.tries(ctx, tx, in.Auth, id); err != nil {
			return err
		}
		owner, err := held(ctx, tx, raw)
		if err != nil {
			return err
		}
		cl, err = claimant(ctx, tx, owner, id)
		return err
	})
	if err != nil {
		return asking{}, err
	}
	cl, seen, err := c.authenticateAs(ctx, cl, in.Auth, t)
	if err != nil {
		return asking{}, err
	}
	return c.mayAsk(cl, seen, in)
}

// mayAsk judges whether a proved client may use the grant, and binds its tokens.
func (c *Core) mayAsk(cl client.Client, seen []once, in TokenIn) (asking, error) {
	if kind := in.Params.Get("grant_type"); !cl.Policy.MayUse(kind) {
		return asking{}, refuse(UnauthorizedClient, "the client may not use "+kind)
	}
	b, more, err := c.bind(cl, in.Proof, in.Auth.Certificate)
	return asking{cl, b, append(seen, more...)}, err
}

// ask judges the credentials of a token request that presents nothing to be
// read along.
func (c *Core) ask(ctx context.Context, in TokenIn) (asking, error) {
	cl, seen, err := c.authenticate(ctx, in.Auth)
	if err != nil {
		return asking{}, err
	}
	return c.mayAsk(cl, seen, in)
}

// act runs the write of a token request: what may come once is spent first. fn
// may refuse and still have what it wrote kept, so that a replay can end a grant.
func (c *Core) act(ctx context.Context, a asking, fn func(context.Context, *db.Tx, time.Time) (refused, err error)) error {
	var refused error
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if err := spend(ctx, tx, a.seen); err != nil {
			return err
		}
		refused, err = fn(ctx, tx, c.Now())
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

// stands judges whether the person of a grant still has a place in its client.
func stands(cl client.Client, g grant.Grant, s client.Standing, now time.Time) error {
	detail := ""
	switch {
	case s.User.Status != identity.Active:
		detail = "the user is " + string(s.User.Status)
	case s.Enrolment != client.Active:
		detail = "the enrolment is " + string(s.Enrolment)
	case cl.Policy.SecondFactor == client.FactorRequired && !session.TwoFactors(g.AMR):
		detail = "the client demands a second factor" // from before it did
	case !s.Demand.Met(g.Upstream, session.TwoFactors(g.AMR), now):
		detail = "the person's organization demands another sign-in"
	default:
		return nil
	}
	return &Error{Code: InvalidGrant, Description: "the person may not use this client", Detail: detail}
}

// narrowed is what of the grant a token request wants: the scope it names, all
// of it if none, and the resources (RFC 6749 §6, RFC 8707 §2.2).
func (c *Core) narrowed(g grant.Grant, p Params) (scope, resources []string, err error) {
	scope = g.Scope
	if asked := strings.Fields(p.Get("scope")); len(asked) > 0 {
		scope = nil
		for _, s := range asked {
			if !slices.Contains(g.Scope, s) {
				return nil, nil, &Error{Code: InvalidScope, Description: "scope goes beyond what was granted", Detail: short(s)}
			}
			if !slices.Contains(scope, s) {
				scope = append(scope, s)
			}
		}
	}
	if !p.Has("resource") {
		return scope, g.Resources, nil
	}
	resources, refused := c.targets(g.Issuer, p.All("resource"))
	if refused != nil {
		return nil, nil, refused
	}
	for _, r := range resources {
		if !slices.Contains(g.Resources, r) && (len(g.Resources) > 0 || r != g.Issuer) {
			return nil, nil, &Error{Code: InvalidTarget, Description: "resource was not granted", Detail: short(r)}
		}
	}
	return scope, resources, nil
}

// getsRefresh reports whether a grant comes with a refresh token: the client
// uses them, and asked for it where OpenID Connect is spoken (Core §11).
func getsRefresh(cl client.Client, scope []string) bool {
	return cl.Policy.MayUse(client.GrantRefresh) && (slices.Contains(scope, ScopeOffline) || !slices.Contains(scope, ScopeOpenID))
}

// sweepSlack is how much longer than its tokens a grant is kept, so that it need
// not be prolonged with each of them.
const sweepSlack = 24 * time.Hour

// until is how long a grant is kept: as long as what came of it is good.
func until(cl client.Client, refresh bool, now time.Time) time.Time {
	end := now.Add(cl.Policy.AccessToken.Lifetime.D())
	if e := cl.Policy.RefreshExpiry(now); refresh && e.After(end) {
		end = e
	}
	return end.Add(sweepSlack)
}

// startFamily gives a grant its refresh token, "" if it gets none.
func (c *Core) startFamily(ctx context.Context, tx *db.Tx, cl client.Client, g grant.Grant, now time.Time) (string, error) {
	if !getsRefresh(cl, g.Scope) {
		return "", nil
	}
	return token.Issue(ctx, tx, c.Key, token.Family{
		UserID: g.UserID, ClientID: g.ClientID, SessionID: g.SessionID, AMR: g.AMR, Upstream: g.Upstream, GrantID: string(g.ID),
		ExpiresAt: cl.Policy.RefreshExpiry(now),
	}, now)
}

// claimant is the client that a request names, when what it presents is
// another's or nobody's: who cannot prove a client learns nothing about it.
func claimant(ctx context.Context, tx *db.Tx, found client.Client, id client.ID) (client.Client, error) {
	if found.ID == id {
		return found, nil
	}
	cl, err := client.ByID(ctx, tx, id)
	return cl, notFoundIsZero(err)
}
