package self

import (
	"context"
	"errors"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// maxSitting is how long after the sign-in a session may be renewed at most.
const maxSitting = 90 * 24 * time.Hour

// SittingIn is a browser's session cookie, of a client whose people are signed in
// by it alone. A session that was not renewed for RenewAfter lives for Life from now.
type SittingIn struct {
	ClientID      client.ID
	Cookie        string
	Life          time.Duration
	RenewAfter    time.Duration
	IP, RequestID string
}

// Sitting is who has the cookie. Renewed tells that the session lives longer now.
type Sitting struct {
	Caller
	Standing client.Standing
	Renewed  bool
}

// Sitting reads the session of a cookie and judges that its owner may still be in
// the client: Unauthenticated is a cookie that opens nothing, EnrolmentSuspended
// somebody who is barred.
func (c *Core) Sitting(ctx context.Context, in SittingIn) (Sitting, error) {
	var out Sitting
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := session.ByToken(ctx, tx, in.Cookie, c.Now())
		if err != nil {
			return err
		}
		out = Sitting{Caller: Caller{UserID: s.UserID, Session: s, AuthenticatedAt: s.AuthenticatedAt, IP: in.IP, RequestID: in.RequestID}}
		out.Standing, err = client.StandingOf(ctx, tx, s.UserID, in.ClientID)
		return err
	})
	switch {
	case errors.Is(err, db.ErrNotFound):
		return Sitting{}, fault.New(fault.Unauthenticated)
	case err != nil:
		return Sitting{}, err
	case out.Standing.User.Status != identity.Active || out.Standing.Enrolment != client.Active:
		return out, fault.New(fault.EnrolmentSuspended, string(out.Standing.User.Status))
	}
	now := c.Now()
	if out.Session.Partial || out.Session.ExpiresAt.Sub(now) > in.Life-in.RenewAfter || !out.renewable(in.Life, now) {
		return out, nil
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := session.Renew(ctx, tx, out.UserID, out.Session.ID, now.Add(in.Life), now.Add(-maxSitting), now)
		if out.Renewed = err == nil; out.Renewed {
			out.Session = s
		}
		if errors.Is(err, db.ErrNotFound) { // too old, or ended since: it is as good as it was
			return nil
		}
		return err
	})
	return out, err
}

// renewable reports whether the session may live longer than it was to. One by the
// provider of the person's organization that began shorter than Life may end with the one
// there; and one that they could not begin now, because their organization demands
// another sign-in, goes on as long as it has and no longer.
func (s Sitting) renewable(life time.Duration, now time.Time) bool {
	ends := strings.HasPrefix(s.Session.Upstream, client.ConnectionPrefix) && s.Session.ExpiresAt.Before(s.Session.CreatedAt.Add(life))
	return !ends && s.Standing.Demand.Met(s.Session.Upstream, session.TwoFactors(s.Session.AMR), now)
}
