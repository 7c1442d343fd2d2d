package signin

import (
	"cmp"
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
	"sallyport/internal/password"
	"sallyport/internal/session"
)

// passwordFloor is the core's own limit on guessing one address's password
// over all the surfaces together.
func passwordFloor(address string) limit.Rule {
	email, _ := identity.NormalizeEmail(address) // what is no address is one bucket
	return limit.Rule{Name: "password", Key: email, N: 20, Per: 15 * time.Minute}
}

// PasswordIn is a sign-in with e-mail address and password.
type PasswordIn struct {
	ClientID client.ID
	Email    string
	Password string
	DeviceID string // of the caller's choosing; shown in session lists
	Request  string
	Prove    Prove
	// SessionFor makes the sign-in a session of that life and nothing else, as
	// Terms.SessionFor does.
	SessionFor time.Duration
	// OneFactor lets somebody in who has a second factor and is not asked for it:
	// the operator's decision, for a surface that has no place to ask.
	OneFactor bool
	// Existing lets only those in who have a place in the client already, as
	// Terms.Existing does: for others it is fault.NotEnrolled.
	Existing bool
	Limits   Limits
	Visitor  Visitor
}

// Password signs a user in with a password. An unknown address, a user
// without a password and a wrong password are one fault and the same work:
// each counts against the limits, verifies one hash and is audited.
func (c *Core) Password(ctx context.Context, in PasswordIn) (Outcome, error) {
	cl, user, err := c.credentials(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	hash := user.PasswordHash
	ok, outdated, err := c.Passwords.Verify(ctx, hash, in.Password)
	if errors.Is(err, password.ErrBusy) {
		return Outcome{}, errors.Join(password.Fault(err), c.giveBack(ctx, in))
	} else if err != nil {
		return Outcome{}, err
	}
	if !ok {
		return Outcome{}, c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			return fault.New(fault.CredentialsInvalid), audit.Record(ctx, tx, c.Now(), in.Visitor.attempt(audit.UserLoginFailed, user, cl,
				map[string]any{"method": client.MethodPassword, "reason": string(fault.CredentialsInvalid)}))
		})
	}
	rehashed := ""
	if outdated {
		// A hash that came from elsewhere, or older parameters: now that the
		// password is known it is stored as today's are.
		if rehashed, err = c.hash(ctx, in.Password); err != nil {
			return Outcome{}, err
		}
	}

	var out Outcome
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (refused *fault.Error, err error) {
		current, err := upgrade(ctx, tx, user.ID, hash, rehashed, c.Now())
		if err != nil {
			return nil, err
		}
		if err := limit.Reset(ctx, tx, append(slices.Clone(in.Limits.Clear), passwordFloor(in.Email))...); err != nil {
			return nil, err
		}
		if err := limit.Give(ctx, tx, in.Limits.Failures...); err != nil {
			return nil, err
		}
		prove, err := c.proves(ctx, tx, in.Prove, user.ID)
		if err != nil {
			return nil, err
		}
		out, refused, err = c.admit(ctx, tx, proof{
			user: user, client: cl, amr: []string{session.Password}, method: client.MethodPassword,
			device: in.DeviceID, request: in.Request, visitor: in.Visitor, hash: &current, sessionFor: in.SessionFor, prove: prove,
			second: in.OneFactor, placed: in.Existing,
		})
		return refused, err
	})
	return out, err
}

// credentials reads the client and who has the address (a user without an id:
// nobody), and counts the attempt. The limit answers before the client does, yet
// only an attempt that reaches the credentials counts.
func (c *Core) credentials(ctx context.Context, in PasswordIn) (cl client.Client, user identity.User, err error) {
	email, errEmail := identity.NormalizeEmail(in.Email)
	if c.Passwords.Full() {
		// Turned away before anything is written: in a burst that is most of them.
		return cl, user, password.Fault(password.ErrBusy)
	}
	count := in.counted()
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		user = identity.User{}
		if cl, err = clientFor(ctx, tx, in.ClientID, client.MethodPassword, in.Request); err != nil {
			if _, expected := fault.From(err); expected {
				err = cmp.Or(limited(ctx, tx, c.Now(), count...), err)
			}
			return err
		}
		if errEmail != nil {
			return nil
		}
		if user, err = identity.ByEmail(ctx, tx, email); errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	if err == nil {
		err = c.take(ctx, count...)
	}
	return cl, user, err
}

// counted are the limits that an attempt counts against.
func (in PasswordIn) counted() []limit.Rule {
	return append(slices.Concat(in.Limits.Count, in.Limits.Failures), passwordFloor(in.Email))
}

// giveBack takes an attempt that never reached the credentials back from the
// limits: whoever is told to come again may do so.
func (c *Core) giveBack(ctx context.Context, in PasswordIn) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return limit.Give(ctx, tx, in.counted()...)
	})
}

// upgrade stores a rehashed password ("" is none) unless it was changed
// meanwhile, and returns the hash that the user must still have. A change of the
// password waits until the sign-in is complete, and then ends it; or it came
// first, and the sign-in sees that.
func upgrade(ctx context.Context, tx *db.Tx, u identity.UserID, old, rehashed string, now time.Time) (string, error) {
	if rehashed == "" {
		return old, identity.Hold(ctx, tx, u)
	}
	changed, err := identity.SetPassword(ctx, tx, u, old, rehashed, now)
	if changed {
		return rehashed, err
	}
	return old, err
}
