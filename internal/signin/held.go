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
	"sallyport/internal/upstream"
)

// These operations are for a surface whose access and refresh tokens are JWTs of
// its own. It has verified them; what is asked here is who holds one, and whether
// it is still good for a new one.

// HeldIn is what such a token says: the user by the alias that the client knows
// them by, and the session, "" if it names none.
type HeldIn struct {
	ClientID client.ID
	Alias    string
	Session  session.ID
}

// Held is who holds a token. Active tells whether they may be in the client;
// Session has no id if the token names none, or one that has ended.
type Held struct {
	User    identity.User
	Client  client.Client
	Active  bool
	Session session.Session
}

// Held reads who holds a token. An alias that nobody has is UserUnknown.
func (c *Core) Held(ctx context.Context, in HeldIn) (Held, error) {
	var out Held
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = c.held(ctx, tx, in)
		return err
	})
	return out, err
}

func (c *Core) held(ctx context.Context, tx *db.Tx, in HeldIn) (out Held, err error) {
	if out.Client, err = clientFor(ctx, tx, in.ClientID, "", ""); err != nil {
		return out, err
	}
	out.User, err = identity.ByAlias(ctx, tx, string(in.ClientID), in.Alias)
	if errors.Is(err, db.ErrNotFound) {
		return out, fault.New(fault.UserUnknown)
	} else if err != nil {
		return out, err
	}
	st, err := client.StandingOf(ctx, tx, out.User.ID, in.ClientID)
	if err != nil {
		return out, err
	}
	out.Active = st.User.Status == identity.Active && st.Enrolment == client.Active
	if in.Session == "" {
		out.Active = out.Active && st.Demand.Met("", false, c.Now())
		return out, nil
	}
	s, err := session.ByID(ctx, tx, in.Session, c.Now())
	switch {
	case errors.Is(err, db.ErrNotFound):
		return out, nil
	case err == nil && s.UserID == out.User.ID:
		out.Session = s
		out.Active = out.Active && st.Demand.Met(s.Upstream, session.TwoFactors(s.AMR), c.Now())
	}
	return out, err
}

// RefreshHeldIn presents a refresh token of the id Token. Next is the id of the
// one that replaces it, for a time For, or "" if it can be used again.
type RefreshHeldIn struct {
	HeldIn
	Token   string
	Next    string
	For     time.Duration
	Visitor Visitor
}

// RefreshHeld tells whether a refresh token is good for new tokens, and rotates it
// if it is to be replaced: then of any number of callers with one token one gets
// through, and the others end the session (RFC 9700 §4.14.2), with RefreshReused.
// RefreshInvalid is one of a session that has ended, or one without a session
// where tokens are replaced, because nothing could tell that it comes twice.
func (c *Core) RefreshHeld(ctx context.Context, in RefreshHeldIn) error {
	var held Held
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		held, err = c.held(ctx, tx, in.HeldIn)
		return err
	})
	s := held.Session
	switch {
	case err != nil:
		return err
	case in.Session != "" && (s.ID == "" || s.Renewal == session.Closed), in.Session == "" && in.Next != "":
		return fault.New(fault.RefreshInvalid)
	case s.ID != "" && !s.Renews(in.Token):
		return c.closeReplayed(ctx, held, in.Visitor)
	case !held.Active:
		return fault.New(fault.EnrolmentSuspended)
	case in.Next == "":
		return nil
	}
	rotated := false
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		now := c.Now()
		rotated, err = session.Rotate(ctx, tx, s.UserID, s.ID, in.Token, in.Next, now.Add(in.For), now)
		return err
	})
	if err == nil && !rotated {
		return c.closeReplayed(ctx, held, in.Visitor)
	}
	return err
}

// closeReplayed closes a session whose refresh token came twice: which of the two
// is the thief cannot be known. One that was signed out meanwhile is no replay to
// tell of.
func (c *Core) closeReplayed(ctx context.Context, held Held, v Visitor) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		now := c.Now()
		closed, err := held.close(ctx, tx, now)
		if err != nil || !closed {
			return fault.New(fault.RefreshReused), err
		}
		return fault.New(fault.RefreshReused), audit.Record(ctx, tx, now, v.attempt(audit.RefreshReused, held.User, held.Client, nil))
	})
}

// Renewable reports whether a refresh token would be taken, without using it.
func (c *Core) Renewable(ctx context.Context, id session.ID, token string) (good bool, err error) {
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := session.ByID(ctx, tx, id, c.Now())
		good = err == nil && s.Renews(token)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	return good, err
}

// close ends what the refresh tokens of a session are good for; false if somebody
// did. Its row stays as long as access tokens do, so that a sign-out still knows
// where they signed in.
func (h Held) close(ctx context.Context, tx *db.Tx, now time.Time) (bool, error) {
	return session.Close(ctx, tx, h.Session.UserID, h.Session.ID, now.Add(h.Client.Policy.AccessToken.Lifetime.D()), now)
}

// ReleaseIn signs somebody out by their access token. Close ends what their
// refresh tokens are good for. Upstream is the key of the provider to sign out of, too.
type ReleaseIn struct {
	Held     Held
	Close    bool
	Upstream string
	ReturnTo string
	Visitor  Visitor
}

// Released is a sign-out. ByUpstream tells that the session was proved by the
// upstream, and URL is where a browser is signed out there, "" where nothing can
// be said: that never keeps anybody from signing out here.
type Released struct {
	ByUpstream bool
	URL        string
}

// Release signs somebody out. It may come again, and is answered alike as long as
// the session's row is there.
func (c *Core) Release(ctx context.Context, in ReleaseIn) (Released, error) {
	var out Released
	s := in.Held.Session
	if s.ID == "" {
		return out, nil
	}
	if s.Renewal != session.Closed {
		if err := c.release(ctx, in); err != nil {
			return out, err
		}
	}
	out.ByUpstream = in.Upstream != "" && s.Upstream == in.Upstream
	if !out.ByUpstream {
		return out, nil
	}
	var up upstream.Upstream
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		up, err = c.upstreamOf(ctx, tx, in.Upstream)
		return err
	})
	if err == nil {
		out.URL, err = c.Broker.LogoutURL(ctx, up, upstream.Goodbye{Session: s.UpstreamSession, ReturnTo: in.ReturnTo})
	}
	if err != nil {
		return Released{ByUpstream: true}, nil //nolint:nilerror // see Released
	}
	return out, nil
}

func (c *Core) release(ctx context.Context, in ReleaseIn) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if in.Close {
			if closed, err := in.Held.close(ctx, tx, c.Now()); err != nil || !closed {
				return err
			}
		}
		return c.loggedOut(ctx, tx, in.Held.User, in.Visitor)
	})
}
