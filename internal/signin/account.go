package signin

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/token"
)

// ownAccount gives a person who has just got a place in a client an organization
// of their own, if the client's people have accounts and they are in none.
func (c *Core) ownAccount(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, v Visitor) error {
	if !cl.Policy.Accounts {
		return nil
	}
	s, made, err := org.Own(ctx, tx, u.ID, cl.Tenant.ID, c.Now())
	if err != nil || !made {
		return err
	}
	if v.Manner.OwnOrg != "" {
		s.Org.Name = strings.Replace(v.Manner.OwnOrg, "{name}", cmp.Or(u.DisplayName, u.Email), 1)
		if err := org.Update(ctx, tx, s.Org, c.Now()); err != nil {
			return err
		}
	}
	return audit.Record(ctx, tx, c.Now(), v.event(audit.OrgCreated, u, cl, map[string]any{"org": string(s.OrgID), "own": true}))
}

// acting is the membership that a completed sign-in acts in: the one that it is
// for, else the preferred, else the oldest, of those in which anybody may act; the
// zero value for none.
func (p proof) acting(ctx context.Context, tx *db.Tx) (org.Membership, error) {
	if !p.client.Policy.Accounts {
		return org.Membership{}, nil
	}
	if p.account != "" {
		s, err := org.SeatOf(ctx, tx, p.account, p.user.ID)
		if err == nil && s.Org.Open() {
			return s.Membership, nil
		} else if err != nil && !errors.Is(err, db.ErrNotFound) {
			return org.Membership{}, err
		}
	}
	s, err := org.Chosen(ctx, tx, p.user.ID)
	if errors.Is(err, db.ErrNotFound) {
		return org.Membership{}, nil
	}
	return s.Membership, err
}

// stillActing is the membership of a family at a refresh: with the role as it was
// at the sign-in, because a refresh changes neither (contract accountmaker §2.4).
// It is no longer good once the role was lowered or the organization is shut; one
// that has ended has ended the family.
func (p presented) stillActing() (org.Membership, error) {
	f := p.family.Family
	if f.Membership == "" {
		return org.Membership{}, nil
	}
	if p.role.Below(f.OrgRole) || !p.org.Open() {
		return org.Membership{}, fault.New(fault.RefreshInvalid)
	}
	return org.Membership{ID: f.Membership, OrgID: p.org.ID, UserID: f.UserID, Role: f.OrgRole}, nil
}

// SwitchIn asks for tokens that act in another account. Family is that of the
// tokens in hand, SignedIn.Family.
type SwitchIn struct {
	UserID   identity.UserID
	ClientID client.ID
	Family   int64
	Account  org.ID
	Limits   []limit.Rule
	Visitor  Visitor
}

// SwitchAccount ends the refresh tokens of a sign-in and begins others of it that
// act in another account, which the person prefers from now on. Of any number of
// callers with tokens of one family one succeeds; to the others they are of a
// sign-in that has ended. An account in which the person may not act is Forbidden.
func (c *Core) SwitchAccount(ctx context.Context, in SwitchIn) (SignedIn, error) {
	var out SignedIn
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := c.Now()
		out = SignedIn{}
		if err := takeIn(ctx, tx, now, in.Limits...); err != nil {
			return err
		}
		p, err := presentedBy(ctx, tx, in.Family, now)
		if errors.Is(err, db.ErrNotFound) || err == nil && (p.family.UserID != in.UserID || p.family.ClientID != in.ClientID || !p.client.Active) {
			return fault.New(fault.Unauthenticated)
		} else if err != nil {
			return err
		}
		out.Client = p.client.Client
		if err := mayRefresh(p.standing.Standing, p.family.Family, &out, now); err != nil {
			return err
		}
		s, err := org.SeatOf(ctx, tx, in.Account, in.UserID)
		if errors.Is(err, db.ErrNotFound) || err == nil && !s.Org.Open() {
			return fault.New(fault.Forbidden)
		} else if err != nil {
			return err
		}
		if n, err := token.End(ctx, tx, in.Family); err != nil {
			return err
		} else if n == 0 {
			return fault.New(fault.Unauthenticated)
		}
		f := p.family.Family
		f.Membership, f.OrgRole, f.ExpiresAt = s.ID, s.Role, out.Client.Policy.RefreshExpiry(now)
		if out.Refresh, err = token.Issue(ctx, tx, c.Key, f, now); err != nil {
			return err
		}
		out.Membership, out.SessionID = s.Membership, f.SessionID
		out.Family, _ = token.FamilyOf(c.Key, out.Refresh)
		if err := org.Prefer(ctx, tx, s.Membership); err != nil {
			return err
		}
		return audit.Record(ctx, tx, now, in.Visitor.event(audit.OrgSwitched, out.User, out.Client, map[string]any{"org": string(s.OrgID), "role": string(s.Role)}))
	})
	return out, err
}
