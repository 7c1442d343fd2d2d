package signin

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/session"
)

// RenewIn asks that a sign-in whose tokens are a surface's own goes on: that its
// session, which they name, lives for a time For from now. Within is how long
// after the sign-in that is granted. A token from before there were sessions
// names none, and gets one whose sign-in was at Since. Limit is filled in with
// the user.
type RenewIn struct {
	ClientID    client.ID
	Alias       string
	Session     session.ID
	Since       time.Time
	For, Within time.Duration
	Limit       limit.Rule
	Visitor     Visitor
}

// Renewed is a sign-in that goes on, with what the upstream said last.
type Renewed struct {
	SignedIn
	Known identity.Known
}

// Renew lengthens the session and reads the user's roles anew. It ends no token:
// those of the session are good for as long as each says. Fails with LinkUnknown
// for an alias that nothing is known of, and RefreshInvalid for a session that
// has ended or is too old to be renewed.
func (c *Core) Renew(ctx context.Context, in RenewIn) (Renewed, error) {
	var out Renewed
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		now := c.Now()
		var demand client.Demand
		if out, demand, err = known(ctx, tx, in.ClientID, in.Alias); err != nil {
			return err
		}
		in.Limit.Key = string(out.User.ID)
		if err := takeIn(ctx, tx, now, in.Limit); err != nil {
			return err
		}
		s, err := renewed(ctx, tx, in, out.User.ID, now)
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.RefreshInvalid)
		} else if err != nil {
			return err
		}
		if !demand.Met(s.Upstream, session.TwoFactors(s.AMR), now) {
			return fault.New(fault.RefreshInvalid)
		}
		out.SessionID, out.AMR, out.AuthenticatedAt = s.ID, s.AMR, s.AuthenticatedAt
		return audit.Record(ctx, tx, now, in.Visitor.event(audit.SessionRenewed, out.User, out.Client, nil))
	})
	return out, err
}

// known reads the user of an alias and judges their standing, but for what their
// organization demands.
func known(ctx context.Context, tx *db.Tx, id client.ID, alias string) (Renewed, client.Demand, error) {
	k, err := identity.KnownAs(ctx, tx, string(id), alias)
	if errors.Is(err, db.ErrNotFound) {
		return Renewed{}, client.Demand{}, fault.New(fault.LinkUnknown)
	} else if err != nil {
		return Renewed{}, client.Demand{}, err
	}
	cl, err := clientFor(ctx, tx, id, "", "")
	if err != nil {
		return Renewed{}, client.Demand{}, err
	}
	s, err := client.StandingOf(ctx, tx, k.UserID, id)
	switch {
	case err != nil:
		return Renewed{}, client.Demand{}, err
	case s.Enrolment == "":
		return Renewed{}, client.Demand{}, fault.New(fault.NotEnrolled)
	case s.User.Status != identity.Active, s.Enrolment != client.Active:
		return Renewed{}, client.Demand{}, fault.New(fault.EnrolmentSuspended)
	}
	return Renewed{SignedIn: SignedIn{User: s.User, Client: cl, Roles: s.Roles}, Known: k}, s.Demand, nil
}

// renewed is the session with its new end.
func renewed(ctx context.Context, tx *db.Tx, in RenewIn, u identity.UserID, now time.Time) (session.Session, error) {
	if in.Session != "" {
		return session.Renew(ctx, tx, u, in.Session, now.Add(in.For), now.Add(-in.Within), now)
	}
	if in.Since.Add(in.Within).Before(now) {
		return session.Session{}, db.ErrNotFound
	}
	s, _, err := session.Start(ctx, tx, session.Session{
		UserID: u, AMR: []string{session.Federated}, IP: in.Visitor.IP, UserAgent: in.Visitor.UserAgent,
		AuthenticatedAt: in.Since, CreatedAt: now, ExpiresAt: now.Add(in.For),
	})
	return s, err
}

// ActIn asks for a sign-in as the user of an alias, by somebody whose session is
// given and who holds the role Ruling in the client. Limit is filled in with who
// asks.
type ActIn struct {
	ClientID client.ID
	Alias    string
	Actor    identity.UserID
	Session  session.ID
	Ruling   string
	Limit    limit.Rule
	Visitor  Visitor
}

// Act lets an administrator of a client be one of its users. The sign-in hangs on
// the administrator's own session, which is not lengthened. Whoever holds the
// ruling role themselves is nobody to be: Forbidden.
func (c *Core) Act(ctx context.Context, in ActIn) (Renewed, error) {
	var out Renewed
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		now := c.Now()
		in.Limit.Key = string(in.Actor)
		if err := takeIn(ctx, tx, now, in.Limit); err != nil {
			return err
		}
		by, err := session.ByID(ctx, tx, in.Session, now)
		if errors.Is(err, db.ErrNotFound) || err == nil && by.UserID != in.Actor {
			return fault.New(fault.Unauthenticated)
		} else if err != nil {
			return err
		}
		actor, err := client.EnrolmentOf(ctx, tx, in.Actor, in.ClientID)
		if errors.Is(err, db.ErrNotFound) || err == nil && !actor.Has(in.Ruling) {
			return fault.New(fault.Unauthenticated)
		} else if err != nil {
			return err
		}
		if out, _, err = known(ctx, tx, in.ClientID, in.Alias); err != nil {
			return err
		}
		if slices.Contains(out.Roles, in.Ruling) {
			return fault.New(fault.Forbidden)
		}
		out.SessionID, out.AMR = by.ID, by.AMR
		e := in.Visitor.event(audit.UserImpersonated, out.User, out.Client, map[string]any{"alias": in.Alias})
		e.Actor = audit.User(in.Actor)
		return audit.Record(ctx, tx, now, e)
	})
	return out, err
}
