package self

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/session"
)

// codeMails is the core's own limit on codes that one person is mailed, the same as
// signin's.
var codeMails = limit.Rule{Name: "signin.code", N: 5, Per: 15 * time.Minute}

// EndNamed ends the caller's session that has a name (session.Name), or an id. Which
// of them there are, a stranger's included, is not told: one that is none has ended.
func (c *Core) EndNamed(ctx context.Context, who Caller, name string) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		id, err := session.Named(ctx, tx, u.ID, name)
		if errors.Is(err, db.ErrNotFound) {
			id = session.ID(name)
		} else if err != nil {
			return err
		}
		_, err = c.end(ctx, tx, who, u, id)
		return err
	})
}

// EndSessions ends the caller's browser sessions, but the one they are in if it is to be
// kept.
func (c *Core) EndSessions(ctx context.Context, who Caller, keep bool) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if err := c.endOthers(ctx, tx, who, u); err != nil || keep {
			return err
		}
		ended, err := c.end(ctx, tx, who, u, who.Session.ID)
		if err == nil && !ended {
			err = fault.New(fault.Unauthenticated)
		}
		return err
	})
}
