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
	"sallyport/internal/password"
	"sallyport/internal/session"
)

// passwordFloor is the core's own limit on guessing one address's password
// over all the surfaces together.
func passwordFloor(email string) limit.Rule {
	return limit.Rule{Name: "password", Key: email, N: 20, Per: 15 * time.Minute}
}

// PasswordIn is a sign-in with e-mail address and password.
type PasswordIn struct {
	ClientID client.ID
	Email    string
	Password string
	DeviceID string // of the caller's choosing; shown in session lists
	Limits   Limits
	Visitor  Visitor
}

// Password signs a user in with a password. An unknown address, a user
// without a password and a wrong password are one fault and the same work:
// each counts against the limits, verifies one hash and is audited.
func (c *Core) Password(ctx context.Context, in PasswordIn) (Outcome, error) {
	email, emailErr := identity.NormalizeEmail(in.Email)
	floor := passwordFloor(email)
	count := append(slices.Clone(in.Limits.Count), floor)

	var cl client.Client
	var user identity.User
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if cl, err = clientFor(ctx, tx, in.ClientID, client.MethodPassword); err != nil {
			if _, expected := fault.From(err); expected {
				// The limit answers before the client does, yet only an
				// attempt that reaches the credentials counts.
				if err := limited(ctx, tx, c.Now(), count...); err != nil {
					return err
				}
			}
			return err
		}
		user = identity.User{}
		if emailErr != nil {
			return nil
		}
		if user, err = identity.ByEmail(ctx, tx, email); errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	if err := c.take(ctx, count...); err != nil {
		return Outcome{}, err
	}

	ok, outdated, err := c.Passwords.Verify(ctx, user.PasswordHash, in.Password)
	if err != nil {
		return Outcome{}, password.Fault(err)
	}
	if !ok {
		return Outcome{}, c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			return fault.New(fault.CredentialsInvalid),
				audit.Record(ctx, tx, c.Now(), in.Visitor.attempt(audit.UserLoginFailed, user, cl, map[string]any{"method": client.MethodPassword, "reason": string(fault.CredentialsInvalid)}))
		})
	}
	verified, rehashed := user.PasswordHash, ""
	if outdated {
		// A hash that came from elsewhere, or older parameters: now that the
		// password is known it is stored as today's are.
		if rehashed, err = c.hash(ctx, in.Password); err != nil {
			return Outcome{}, err
		}
	}

	var out Outcome
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (refused *fault.Error, err error) {
		hash := verified
		if rehashed != "" {
			changed, err := identity.SetPassword(ctx, tx, user.ID, verified, rehashed, c.Now())
			if err != nil {
				return nil, err
			}
			if changed {
				hash = rehashed
			}
		}
		if err := limit.Reset(ctx, tx, append(slices.Clone(in.Limits.Clear), floor)...); err != nil {
			return nil, err
		}
		out, refused, err = c.admit(ctx, tx, proof{
			user: user, client: cl, amr: []string{session.Password}, method: client.MethodPassword,
			device: in.DeviceID, visitor: in.Visitor, hash: &hash,
		})
		return refused, err
	})
	return out, err
}
