package signin

import (
	"context"
	"errors"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
	"sallyport/internal/upstream"
)

// arrival is somebody whom an upstream vouches for, on the way in. browser is the
// SHA-256 of the binding cookie of the browser that they came by, or nil.
type arrival struct {
	up      upstream.Upstream
	browser []byte
	terms   Terms
	visitor Visitor
}

// relation is how an upstream account and a user came to be one.
type relation int

// The relations.
const (
	stranger  relation = iota // no user: one is to be made
	linked                    // known by issuer and subject
	linkable                  // by a verified address that the upstream vouches for too
	claimable                 // by an address that nobody proved here, which the upstream vouches for
	unproved                  // by an address alone: the owner of it must sign in first
)

// arrive finds or makes the user of an upstream account and admits them. It is
// the second half of every sign-in by an upstream, in one transaction.
func (c *Core) arrive(ctx context.Context, tx *db.Tx, out *Returned, a arrival) (*fault.Error, error) {
	p := out.Profile
	user, rel, err := c.relate(ctx, tx, out.Client, p)
	if err == nil && a.terms.Existing {
		rel, err = within(ctx, tx, out.Client, user, rel)
	}
	if err != nil {
		return nil, err
	}
	if f := a.terms.refuse(rel, user, p); f != nil {
		return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
	}
	if rel == unproved {
		out.Prove, err = c.awaitOwner(ctx, tx, *out, user, a)
		return nil, err
	}
	if shut, f, err := c.shut(ctx, tx, out.Client, user); err != nil {
		return nil, err
	} else if f != nil {
		return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
	} else if shut {
		out.Invite, err = c.awaitInvite(ctx, tx, *out, a)
		return nil, err
	}
	if rel == linked && a.terms.Mailbox {
		f, err := c.readdress(ctx, tx, out.Client, &user, p, a)
		if err != nil {
			return nil, err
		} else if f != nil {
			return f, c.turnedAway(ctx, tx, a.visitor, out.Client, a.up.Key, f)
		}
	}
	if user, err = c.settle(ctx, tx, out.Client, user, rel, p, a); err != nil {
		return nil, err
	}
	var refused *fault.Error
	out.Outcome, refused, err = c.admit(ctx, tx, a.proof(*out, user))
	if refused != nil && refused.Code == fault.EnrolmentPending && rel == stranger {
		out.Outcome, refused = Outcome{Pending: true}, nil
	}
	if err == nil && refused == nil && out.Client.Policy.KeepUpstreamTokens {
		err = upstream.Keep(ctx, tx, c.Key, out.Client.ID, user.ID, p, c.Now())
	}
	if err == nil && refused == nil && a.terms.Alias != "" {
		out.Alias, err = c.alias(ctx, tx, out.Client, user, a.terms.Alias+p.Subject)
	}
	return refused, err
}

// proof is what admit judges of an arrival.
func (a arrival) proof(out Returned, user identity.User) proof {
	p := proof{
		user: user, client: out.Client, amr: []string{session.Federated}, method: a.up.Key, request: out.Request, visitor: a.visitor,
		upstream:   &provenance{Key: a.up.Key, Issuer: out.Profile.Issuer, Session: out.Profile.Session, At: out.Profile.Authenticated, Ends: out.Profile.SessionEnds, Impersonator: out.Profile.Impersonator},
		sessionFor: a.terms.SessionFor,
	}
	if a.terms.Roles != nil {
		email, _ := out.Profile.TrustedEmail()
		p.rules = &ruling{rules: a.terms.Roles, keep: a.terms.KeepRoles, said: client.Assertion{
			Upstream: a.up.Key, Kind: string(a.up.Kind), Email: email, Organization: out.Profile.Organization,
		}}
	}
	return p
}

// relate finds the user of an upstream account: by issuer and subject first, and
// by nothing else if the client's policy says so; then by the address. An address
// finds somebody by itself only if the upstream vouches for it and may, and if no
// other account of that upstream is theirs: a mailbox may have got a new owner.
// Of a stranger it tells the address that they would have. Where accounts are not
// linked, one that somebody has, or that is not vouched for, is left to its owner.
func (c *Core) relate(ctx context.Context, tx *db.Tx, cl client.Client, p upstream.Profile) (identity.User, relation, error) {
	user, _, err := identity.ByLink(ctx, tx, p.Issuer, p.Subject)
	if err == nil {
		return user, linked, nil
	}
	if !errors.Is(err, db.ErrNotFound) {
		return user, stranger, err
	}
	never := cl.Policy.Linking == client.LinkingNever
	if p.Email == "" || never && !p.EmailTrusted {
		return identity.User{}, stranger, nil
	}
	user, verified, err := identity.Owner(ctx, tx, p.Email)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return identity.User{Email: p.Email, EmailVerified: p.EmailTrusted}, stranger, nil
	case err != nil:
		return user, stranger, err
	case never:
		return identity.User{}, stranger, nil
	}
	rel, err := ownerOf(ctx, tx, user, verified, p)
	return user, rel, err
}

// ownerOf is the relation of an upstream account to the user who has its address.
func ownerOf(ctx context.Context, tx *db.Tx, u identity.User, verified bool, p upstream.Profile) (relation, error) {
	links, err := identity.Links(ctx, tx, u.ID)
	if err != nil {
		return unproved, err
	}
	another := false
	for _, l := range links {
		if l.Issuer == p.Issuer && l.Subject == p.Subject {
			return linked, errRaced // made since we looked for it
		}
		another = another || l.Issuer == p.Issuer
	}
	switch {
	case !p.EmailTrusted, verified && another:
		return unproved, nil
	case !verified:
		return claimable, nil
	}
	return linkable, nil
}

// within is the relation of an upstream account to a client's own users: who is
// only other clients' is a stranger to it.
func within(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, r relation) (relation, error) {
	if r == stranger {
		return r, nil
	}
	_, err := client.EnrolmentOf(ctx, tx, u.ID, cl.ID)
	if errors.Is(err, db.ErrNotFound) {
		return stranger, nil
	}
	return r, err
}

// refuse is the fault of an arrival that the terms do not let in.
func (t Terms) refuse(r relation, u identity.User, p upstream.Profile) *fault.Error {
	switch {
	case p.Impersonator != "" && !t.Impersonation:
		return fault.New(fault.Forbidden)
	case r == linked:
		return nil
	case t.Existing && r == stranger && p.Email != "":
		return fault.New(fault.UserUnknown)
	case t.VerifiedOnly && !p.EmailTrusted:
		return fault.New(fault.EmailUnverified)
	case t.VerifiedOnly && r == unproved:
		return fault.New(fault.LinkTaken)
	case t.Existing && r == stranger:
		return fault.New(fault.UserUnknown)
	case t.NeedsEmail && r == stranger && u.Email == "":
		return fault.New(fault.EmailRequired)
	}
	return nil
}

// shut reports whether the user, or somebody new, needs an invitation; a client
// that registered itself invites nobody.
func (c *Core) shut(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User) (bool, *fault.Error, error) {
	if u.ID == "" {
		open, err := takesIn(ctx, tx, cl, u.Email)
		if err != nil || open {
			return false, nil, err
		}
	} else {
		if cl.Policy.Door(u.Email, u.EmailVerified) != "" {
			return false, nil, nil
		}
		_, err := client.EnrolmentOf(ctx, tx, u.ID, cl.ID)
		if !errors.Is(err, db.ErrNotFound) {
			return false, nil, err
		}
	}
	if cl.Source != client.Operator {
		return false, fault.New(fault.NotEnrolled), nil
	}
	return true, nil, nil
}

// errRaced reports that somebody else stored the same address or the same
// upstream account first: what was found no longer holds.
var errRaced = errors.New("signin: another sign-in of the same person was first")

// again runs a transaction once more if another sign-in of the same person came
// first: then there is somebody to be found.
func (c *Core) again(write func() error) error {
	err := errRaced
	for range 3 {
		if err = write(); !errors.Is(err, errRaced) {
			break
		}
	}
	return err
}

// settle makes user and upstream account one as their relation says, and stores
// what the upstream says of them now.
func (c *Core) settle(ctx context.Context, tx *db.Tx, cl client.Client, user identity.User, rel relation, p upstream.Profile, a arrival) (identity.User, error) {
	var err error
	switch rel {
	case linked:
		if user, err = c.known(ctx, tx, user, p, a); err != nil {
			return user, err
		}
	case stranger:
		if user, err = c.newcomer(ctx, tx, cl, user, p, a); err != nil {
			return user, err
		}
	case claimable:
		// Whoever made the account had not proved the address; the owner of the
		// mailbox is here now.
		if user, err = c.prove(ctx, tx, user, p.Email, keep{}, a.visitor); err != nil {
			return user, err
		}
	case linkable, unproved:
	}
	if rel != linked {
		if err := c.addLink(ctx, tx, cl, user, p, a.visitor); err != nil {
			return user, err
		}
		if rel != stranger {
			if err := c.tellOfLink(ctx, tx, cl, user, p.Upstream); err != nil {
				return user, err
			}
		}
	}
	if a.terms.Rename && rel != stranger {
		return c.rename(ctx, tx, user, p)
	}
	return user, nil
}
