package signin

import (
	"context"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
)

// Lock shuts somebody's second factor For a time after N wrong codes in a row, however
// many sign-ins they were given to (NIST SP 800-63B §5.2.2).
type Lock struct {
	Name string
	N    int
	For  time.Duration
}

// memory is how long a row of wrong codes is remembered.
const memory = 24 * time.Hour

func (l Lock) counter(u identity.UserID) limit.Rule {
	return limit.Rule{Name: l.Name, Key: string(u), N: l.N, Per: memory}
}

func (l Lock) shutter(u identity.UserID) limit.Rule {
	return limit.Rule{Name: l.Name + ".shut", Key: string(u), N: 1, Per: l.For}
}

// take counts a code before it is judged; wait is how long the lock is shut still. It
// shuts if this one is wrong, and it is the last of the row.
func (l Lock) take(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) (last bool, wait time.Duration, err error) {
	if wait, _, err = limit.Wait(ctx, tx, now, l.shutter(u)); err != nil || wait > 0 {
		return false, wait, err
	}
	states, wait, _, err := limit.Count(ctx, tx, now, l.counter(u))
	if err != nil || wait > 0 {
		return false, min(wait, l.For), err
	}
	return states[0].Left == 0, 0, nil
}

// shut shuts the lock, and a new row begins when it opens.
func (l Lock) shut(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) error {
	if _, _, err := limit.Take(ctx, tx, now, l.shutter(u)); err != nil {
		return err
	}
	return limit.Reset(ctx, tx, l.counter(u))
}
