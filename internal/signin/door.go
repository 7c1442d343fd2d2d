package signin

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
)

// letIn makes a pending place active whose owner the client's allowed domains let
// in, now that their address is verified or the domain is allowed. An operator who
// approves at the same time may be first: either way they are in.
func (c *Core) letIn(ctx context.Context, tx *db.Tx, p proof, s *client.Standing, now time.Time) error {
	if s.Enrolment != client.Pending || !p.client.Policy.LetsIn(s.User.Email, s.User.EmailVerified) {
		return nil
	}
	moved, err := client.Move(ctx, tx, s.User.ID, p.client.ID, client.Pending, client.Active, now)
	if err != nil {
		return err
	}
	if !moved {
		again, err := client.StandingOf(ctx, tx, s.User.ID, p.client.ID)
		*s = again
		return err
	}
	s.Enrolment = client.Active
	e := p.visitor.event(audit.UserApproved, p.user, p.client, map[string]any{"by": "allowed_domains"})
	e.Actor = audit.System()
	return audit.Record(ctx, tx, now, e)
}
