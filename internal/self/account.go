package self

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// AccountView is what a person sees of themselves where people have accounts.
// Seats are their memberships, the oldest first.
type AccountView struct {
	User   identity.User
	Emails []identity.Email
	Seats  []org.Seat
}

// Account reads the caller with their addresses and memberships, in one statement
// each, however many there are.
func (c *Core) Account(ctx context.Context, who Caller) (AccountView, error) {
	var v AccountView
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		v = AccountView{}
		if v.User, err = active(ctx, tx, who); err != nil {
			return err
		}
		if v.Emails, err = identity.Emails(ctx, tx, who.UserID); err != nil {
			return err
		}
		v.Seats, err = org.Seats(ctx, tx, who.UserID)
		return err
	})
	return v, err
}

// ChosenAccount is the membership that a sign-in of the caller acts in now, zero if
// there is none.
func (c *Core) ChosenAccount(ctx context.Context, who Caller) (org.Seat, error) {
	var s org.Seat
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = org.Chosen(ctx, tx, who.UserID)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return org.Seat{}, nil
	}
	return s, err
}

// Colleague reads another user, who is a member of an organization that the caller
// is a member of, or the caller; with the membership that they prefer, if any.
func (c *Core) Colleague(ctx context.Context, who Caller, other identity.UserID) (identity.User, org.MembershipID, error) {
	var u identity.User
	var preferred org.MembershipID
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		me, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if me.ID != other {
			shared, err := org.Share(ctx, tx, me.ID, other)
			if err == nil && !shared {
				err = fault.New(fault.UserUnknown)
			}
			if err != nil {
				return err
			}
		}
		if u, err = identity.ByID(ctx, tx, other); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.UserUnknown)
		} else if err != nil {
			return err
		}
		preferred, err = org.Preferred(ctx, tx, other)
		return err
	})
	return u, preferred, err
}

// seat reads the caller's place in an organization. One that they are no member of
// is not known to them, and an API key that is pinned to another one is not good in it.
func seat(ctx context.Context, tx *db.Tx, who Caller, id org.ID) (identity.User, org.Seat, error) {
	u, err := active(ctx, tx, who)
	if err == nil && who.Org != "" && who.Org != id {
		err = fault.New(fault.KeyPinned)
	}
	if err != nil {
		return u, org.Seat{}, err
	}
	s, err := org.SeatOf(ctx, tx, id, u.ID)
	if errors.Is(err, db.ErrNotFound) {
		return u, s, fault.New(fault.OrgUnknown)
	}
	return u, s, err
}

// seatAs is seat for what only members of at least a role may do, in an
// organization in which anybody may act.
func seatAs(ctx context.Context, tx *db.Tx, who Caller, id org.ID, least org.Role) (identity.User, org.Seat, error) {
	u, s, err := seat(ctx, tx, who, id)
	if err == nil && (s.Role.Below(least) || !s.Org.Open()) {
		err = fault.New(fault.Forbidden)
	}
	return u, s, err
}

// mayGive refuses a role that the caller may not give, or take from somebody: an
// owner is an owner's affair.
func mayGive(s org.Seat, r org.Role) error {
	switch {
	case !r.Valid():
		return fault.New(fault.RoleInvalid, string(r))
	case s.Role != org.Owner && r == org.Owner:
		return fault.New(fault.Forbidden)
	}
	return nil
}

// in writes an audit entry of what the caller did in an organization, by way of a
// client or of none, to a user: themselves, somebody else, or nobody.
func (c *Core) in(ctx context.Context, tx *db.Tx, who Caller, a audit.Action, id org.ID, cl client.Client, u identity.User, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["org"] = string(id)
	if u.ID != "" {
		detail["email"], detail["name"] = u.Email, u.DisplayName
	}
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: audit.User(who.UserID), Action: a, ClientID: cl.ID, UserID: u.ID, IP: who.IP, RequestID: who.RequestID, Detail: detail,
	})
}
