package signin

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// arriveSSO finds or makes the user whom an organization's provider vouches for, makes
// them a member, and admits them: arrive under the rules of the organization instead
// of the client's (contract snooplytics §8).
//
//	known by issuer and subject, in this organization ── still a member? ──────────▶ that user
//	else by an address, in a domain that this organization has proved, or not at all
//	  somebody has it ── the provider says it is not verified ─▶ refused
//	                  ── another account of this provider is theirs ─▶ refused
//	                  ── else ─▶ that user, from now on
//	  nobody has it ── the organization takes people in ─▶ a new user
//
// The provider's word is its administrator's, and he is a stranger: it opens the
// accounts of the organization's own people, and no others, whatever it says.
func (c *Core) arriveSSO(ctx context.Context, tx *db.Tx, out *Returned, k connected, a arrival) (*fault.Error, error) {
	user, rel, f, err := c.relateSSO(ctx, tx, &out.Profile, k)
	if err != nil {
		return nil, err
	}
	if f == nil && out.Profile.Impersonator != "" {
		f = fault.New(fault.Forbidden)
	}
	if f != nil {
		return f, c.turnedAwaySSO(ctx, tx, a.visitor, out.Client, k.org.ID, out.Profile, f)
	}
	if err := c.forget(ctx, tx, user, rel, k); err != nil {
		return nil, err
	}
	if user, err = c.settle(ctx, tx, out.Client, user, rel, out.Profile, a); err != nil {
		return nil, err
	}
	if err := c.join(ctx, tx, out.Client, user, k, a.visitor); err != nil {
		return nil, err
	}
	p := a.proof(*out, user)
	p.rules, p.account, p.connection, p.said = nil, k.org.ID, &k.conn, out.Profile
	if p.second, err = c.twoFactors(ctx, tx, k, user, out.Profile); err != nil {
		return nil, err
	} else if p.second {
		p.amr = append(p.amr, session.Several)
	}
	names, err := directory.NamesOf(ctx, tx, k.org.ID, user.ID)
	if err != nil {
		return nil, err
	}
	p.said.Groups = append(slices.Clone(p.said.Groups), names...)
	var refused *fault.Error
	out.Outcome, refused, err = c.admit(ctx, tx, p)
	if refused != nil && refused.Code == fault.EnrolmentPending && rel == stranger {
		out.Outcome, refused = Outcome{Pending: true}, nil
	}
	return refused, err
}

// twoFactors reports whether the provider's word stands for a second factor of ours. It
// is its organization's word: where another one demands two of the same person, who may
// have an organization of their own to say so, they are asked here.
func (c *Core) twoFactors(ctx context.Context, tx *db.Tx, k connected, u identity.User, p upstream.Profile) (bool, error) {
	if !k.conn.TwoFactors(p) {
		return false, nil
	}
	elsewhere, err := org.DemandsFactors(ctx, tx, u.ID, k.org.ID)
	return !elsewhere, err
}

// relateSSO finds the user of an account at an organization's provider, and refuses
// those whom it may not speak for. The profile's address is trusted after it only if
// it is in a domain of the organization's.
func (c *Core) relateSSO(ctx context.Context, tx *db.Tx, p *upstream.Profile, k connected) (identity.User, relation, *fault.Error, error) {
	ours, err := c.speaksFor(ctx, tx, *p, k)
	if err != nil {
		return identity.User{}, stranger, nil, err
	}
	p.EmailTrusted = p.EmailTrusted && ours
	user, _, err := identity.ByLink(ctx, tx, p.Issuer, p.Subject)
	rel := linked
	var f *fault.Error
	switch {
	case err == nil:
		f, err = c.stillTheirs(ctx, tx, user, *p, k)
	case errors.Is(err, db.ErrNotFound):
		user, rel, f, err = c.byAddress(ctx, tx, *p, k, ours)
	}
	if err != nil || f != nil || user.ID == "" {
		return user, rel, f, err
	}
	barred, err := directory.Barred(ctx, tx, k.org.ID, user.ID)
	if err == nil && (barred || user.Status != identity.Active) {
		f = fault.New(fault.EnrolmentSuspended, string(user.Status))
	}
	return user, rel, f, err
}

// speaksFor reports whether the organization has proved the domain of the address. An
// account of Google's must belong to it as well: anybody may have one there by an
// address that is not Google's (contract §8 rule 6).
func (c *Core) speaksFor(ctx context.Context, tx *db.Tx, p upstream.Profile, k connected) (bool, error) {
	for _, domain := range []string{domainOf(p.Email), p.Organization} {
		if k.conn.Provider != sso.Google && domain != domainOf(p.Email) {
			continue
		}
		d, err := org.DomainOf(ctx, tx, k.org.ID, domain)
		if errors.Is(err, db.ErrNotFound) || err == nil && d.VerifiedAt.IsZero() {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// stillTheirs judges an account that is somebody's already. It opens theirs as long as
// they are a member, whatever their address has become at the provider; one whom the
// organization let go it opens only if it would take them in anew. And never for
// somebody whose own address another organization has proved since.
func (c *Core) stillTheirs(ctx context.Context, tx *db.Tx, u identity.User, p upstream.Profile, k connected) (*fault.Error, error) {
	if u.Email != "" {
		o, err := org.ByDomain(ctx, tx, domainOf(u.Email))
		if err == nil && o.ID != k.org.ID {
			return fault.New(fault.EmailDomainForbidden), nil
		} else if err != nil && !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
	}
	_, err := org.MembershipOf(ctx, tx, k.org.ID, u.ID)
	if !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	owner, _, err := identity.Owner(ctx, tx, p.Email)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	if !p.EmailTrusted || !k.conn.JIT || owner.ID != u.ID {
		return fault.New(fault.AccountNotLinked), nil
	}
	return nil, nil
}

// byAddress finds whose address an unknown account has, or the somebody new that it
// makes.
func (c *Core) byAddress(ctx context.Context, tx *db.Tx, p upstream.Profile, k connected, ours bool) (identity.User, relation, *fault.Error, error) {
	no := func(code fault.Code) (identity.User, relation, *fault.Error, error) {
		return identity.User{}, stranger, fault.New(code), nil
	}
	switch {
	case p.Email == "":
		return no(fault.EmailRequired)
	case !ours:
		return no(fault.EmailDomainForbidden)
	case !p.EmailTrusted: // the provider itself says that nobody proved it
		return no(fault.AccountNotLinked)
	}
	user, verified, err := identity.Owner(ctx, tx, p.Email)
	if errors.Is(err, db.ErrNotFound) {
		if !k.conn.JIT {
			return no(fault.AccountNotLinked)
		}
		return identity.User{Email: p.Email, EmailVerified: true}, stranger, nil, nil
	} else if err != nil {
		return user, stranger, nil, err
	}
	_, err = org.MembershipOf(ctx, tx, k.org.ID, user.ID)
	member := err == nil
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return user, stranger, nil, err
	}
	if !member && !k.conn.JIT {
		return no(fault.AccountNotLinked)
	}
	rel, err := ownerOf(ctx, tx, user, verified, p)
	if rel == unproved && err == nil {
		// Somebody else at this provider has been this user. What it says of addresses
		// many providers let people write themselves: it does not move an account, until
		// the organization has put its owner out.
		if member {
			return no(fault.AccountNotLinked)
		}
		rel = linkable
	}
	return user, rel, nil, err
}

// forget drops the accounts at the organization's provider that somebody had who comes
// back by another one.
func (c *Core) forget(ctx context.Context, tx *db.Tx, u identity.User, rel relation, k connected) error {
	if rel == linked || rel == stranger {
		return nil
	}
	_, err := identity.Unlink(ctx, tx, u.ID, sso.Key(k.org.ID))
	return err
}

// join makes somebody whom their organization's provider vouches for a member.
func (c *Core) join(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, k connected, v Visitor) error {
	now := c.Now()
	_, err := org.MembershipOf(ctx, tx, k.org.ID, u.ID)
	if !errors.Is(err, db.ErrNotFound) {
		return err
	}
	_, made, err := org.Join(ctx, tx, k.org.ID, u.ID, org.Member, now)
	if err != nil || !made {
		return err
	}
	e := v.event(audit.MemberAdded, u, cl, map[string]any{"org": string(k.org.ID), "role": string(org.Member), "by": methodSSO})
	e.Actor = audit.System()
	return audit.Record(ctx, tx, now, e)
}

// turnedAwaySSO is the audit entry of somebody whom an organization's provider vouched
// for in vain. The organization's own people read it: it has what their provider said
// and nothing else.
func (c *Core) turnedAwaySSO(ctx context.Context, tx *db.Tx, v Visitor, cl client.Client, id org.ID, p upstream.Profile, f *fault.Error) error {
	e := v.attempt(audit.UserLoginFailed, identity.User{}, cl, map[string]any{
		"method": sso.Key(id), "reason": string(f.Code), "asserted_email": p.Email, "subject": p.Subject,
	})
	e.OrgID = id
	return audit.Record(ctx, tx, c.Now(), e)
}
