package signin

import (
	"context"
	"errors"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/passkey"
	"sallyport/internal/sso"
)

// MethodSSO is the method of somebody whose organization signs them in.
const MethodSSO = methodSSO

// IdentifyIn asks by which method an address signs in. Passkeys tells whether its
// owner has one, which is to tell whether there is one.
type IdentifyIn struct {
	ClientID client.ID
	Email    string
	Passkeys bool
	Limits   []limit.Rule
}

// Identified is how an address signs in: MethodSSO, and where, or one of the client's
// own.
type Identified struct {
	Method    string
	Routed    sso.Routed
	Passkey   bool
	MagicLink bool
}

// Identify tells by which method an address signs in to a client. What it says depends
// on the domain alone, and it is the same work for every address: who has an account
// does not show. It is one read, and changes nothing.
func (c *Core) Identify(ctx context.Context, in IdentifyIn) (Identified, error) {
	email, err := identity.NormalizeEmail(in.Email)
	if err != nil {
		return Identified{}, &fault.Error{Code: fault.EmailInvalid, Field: "email"}
	}
	if err := c.take(ctx, in.Limits...); err != nil {
		return Identified{}, err
	}
	var out Identified
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, to, err := doorFor(ctx, tx, in.ClientID, domainOf(email))
		if errors.Is(err, db.ErrNotFound) || err == nil && !cl.Active {
			return fault.New(fault.ClientUnknown)
		} else if err != nil {
			return err
		}
		out = methodFor(cl, to)
		if in.Passkeys && (!to.Found() || to.SignIn != org.SignInSSO) {
			out.Passkey, err = passkey.Has(ctx, tx, email)
		}
		return err
	})
	return out, err
}

// methodFor decides for a client and where people of the domain are sent (contract
// snooplytics §3).
func methodFor(cl client.Client, to sso.Routed) Identified {
	if to.Found() {
		return Identified{Method: MethodSSO, Routed: to, MagicLink: to.SignIn != org.SignInSSO && cl.Offers(client.MethodMagicLink)}
	}
	out := Identified{Method: client.MethodPassword, MagicLink: cl.Offers(client.MethodMagicLink)}
	if !cl.Offers(client.MethodPassword) && out.MagicLink {
		out.Method = client.MethodMagicLink
	}
	return out
}

// Discover finds where the people of a domain sign in; SSODisabled if nowhere. A
// domain that is claimed and not proved is like one that nobody knows.
func (c *Core) Discover(ctx context.Context, domain string, limits ...limit.Rule) (sso.Routed, error) {
	if err := c.take(ctx, limits...); err != nil {
		return sso.Routed{}, err
	}
	var to sso.Routed
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		to, err = sso.Route(ctx, tx, domain)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		err = fault.New(fault.SSODisabled)
	}
	return to, err
}
