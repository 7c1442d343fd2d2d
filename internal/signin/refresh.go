package signin

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// RefreshIn presents a refresh token; ClientID is empty where a contract has the
// token say whose it is. With EndAll a reused token ends every
// family that the user has in the client, else only its own (RFC 9700 §4.14.2).
type RefreshIn struct {
	ClientID client.ID
	Token    string
	EndAll   bool
	Visitor  Visitor
}

// Refresh rotates a refresh token and reads the user's name, address and roles
// anew. Of any number of callers with one token one rotates it; a token that
// was rotated before ends its family, unless it is inside the client's grace,
// where it is answered with the family's current one. A token of another
// client is refused and left as it is.
//
// The write is one guarded statement. It needs no second look at the
// enrolment: whatever ends a place also ends the families, so that the statement
// finds none. A suspension keeps them, to be told why; one that comes between
// the read and the write is told at the next refresh.
func (c *Core) Refresh(ctx context.Context, in RefreshIn) (SignedIn, error) {
	var out SignedIn
	var found token.Found
	var reused error
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, reused = SignedIn{}, nil
		id, ok := token.FamilyOf(c.Key, in.Token)
		if !ok {
			return fault.New(fault.RefreshInvalid)
		}
		p, err := presentedBy(ctx, tx, id, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.RefreshInvalid)
		} else if err != nil {
			return err
		}
		out.Client = p.client.Client
		found, err = p.family.Judge(c.Key, in.Token, c.Now(), out.Client.Policy.RefreshToken.ReuseGrace.D())
		switch {
		case errors.Is(err, token.ErrUnknown):
			return fault.New(fault.RefreshInvalid)
		case errors.Is(err, token.ErrReused):
			reused = err
		case err != nil:
			return err
		}
		switch {
		case in.ClientID != "" && out.Client.ID != in.ClientID:
			return fault.New(fault.RefreshWrongClient)
		case !out.Client.Active:
			return fault.New(fault.RefreshInvalid)
		case reused != nil:
			return nil
		}
		if out.Membership, err = p.stillActing(); err != nil {
			return err
		}
		out.Family = found.Family.ID
		return mayRefresh(p.standing.Standing, found.Family, &out, c.Now())
	})
	if err != nil {
		return SignedIn{}, err
	}
	if reused != nil {
		return SignedIn{}, c.replayed(ctx, in, found.Family, reused)
	}
	if found.State == token.Repeat {
		out.Refresh = found.Successor
		return out, nil
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		now := c.Now()
		out.Refresh, err = token.Rotate(ctx, tx, c.Key, found, out.Client.Policy.Rotated(found.Family.CreatedAt, now), now)
		return err
	})
	switch {
	case errors.Is(err, token.ErrUnknown):
		return SignedIn{}, fault.New(fault.RefreshInvalid)
	case errors.Is(err, token.ErrReused):
		return SignedIn{}, c.replayed(ctx, in, found.Family, err)
	}
	return out, err
}

// mayRefresh judges whether the family's user still has a place in the client.
func mayRefresh(s client.Standing, f token.Family, out *SignedIn, now time.Time) error {
	switch {
	case s.User.Status != identity.Active, s.Enrolment == client.Suspended:
		return fault.New(fault.EnrolmentSuspended)
	case s.Enrolment == "":
		return fault.New(fault.NotEnrolled)
	case s.Enrolment == client.Pending:
		return fault.New(fault.EnrolmentPending)
	case out.Client.Policy.SecondFactor == client.FactorRequired && !session.TwoFactors(f.AMR):
		// From before the client demanded a second factor: sign in anew.
		return fault.New(fault.RefreshInvalid)
	case !s.Demand.Met(f.Upstream, session.TwoFactors(f.AMR), now): // or the organization did
		return fault.New(fault.RefreshInvalid)
	}
	out.User, out.Roles, out.AMR = s.User, s.Roles, f.AMR
	return nil
}

// replayed ends what a reused token belongs to. Whoever holds the other copy
// is signed out as well: which of the two is the thief cannot be known.
func (c *Core) replayed(ctx context.Context, in RefreshIn, f token.Family, cause error) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		var err error
		if in.EndAll {
			_, err = token.EndByUserClient(ctx, tx, f.UserID, f.ClientID)
		} else {
			_, err = token.End(ctx, tx, f.ID)
		}
		if err != nil {
			return nil, err
		}
		u, err := identity.ByID(ctx, tx, f.UserID)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
		e := in.Visitor.attempt(audit.RefreshReused, u, client.Client{ID: f.ClientID}, map[string]any{"device_id": f.DeviceID})
		return &fault.Error{Code: fault.RefreshReused, Err: cause}, audit.Record(ctx, tx, c.Now(), e)
	})
}

// Revoke ends the family of a refresh token if the token is its current one, or
// inside its client's grace. A token that is unknown, or was rotated earlier,
// changes nothing and is no error (RFC 7009 §2.2).
func (c *Core) Revoke(ctx context.Context, raw string, v Visitor) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		found, err := token.Find(ctx, tx, c.Key, raw, c.Now(), 0)
		if errors.Is(err, token.ErrReused) {
			// A tab that signs out may hold a token that another one rotated a
			// moment ago: the grace of its client is for that as well.
			cl, errClient := client.ByID(ctx, tx, found.Family.ClientID)
			if errClient != nil {
				return errClient
			}
			found, err = token.Find(ctx, tx, c.Key, raw, c.Now(), cl.Policy.RefreshToken.ReuseGrace.D())
		}
		if errors.Is(err, token.ErrUnknown) || errors.Is(err, token.ErrReused) {
			return nil
		} else if err != nil {
			return err
		}
		if found.Family.GrantID != "" {
			return nil // the provider's: its client proves itself there, and the whole grant ends
		}
		if _, err := token.End(ctx, tx, found.Family.ID); err != nil {
			return err
		}
		u, err := identity.ByID(ctx, tx, found.Family.UserID)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, c.Now(), v.event(audit.RefreshRevoked, u, client.Client{ID: found.Family.ClientID}, nil))
	})
}
