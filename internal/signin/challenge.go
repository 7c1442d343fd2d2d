package signin

import (
	"context"
	"encoding/json"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
	"sallyport/internal/totp"
)

// ChallengeIn answers a challenge. Request is the one that the sign-in was begun
// for. Tries is the surface's limit on wrong codes; its key is filled in with
// the user.
type ChallengeIn struct {
	Secret  string
	Request string
	Code    string // a TOTP code, or a backup code
	Tries   limit.Rule
	Visitor Visitor
}

// Challenge completes a sign-in that owed a second factor. The challenge is
// spent by the right code only; too many wrong ones end it. Of any number of
// callers with the same code one gets in, because a code is good once.
func (c *Core) Challenge(ctx context.Context, in ChallengeIn) (Outcome, error) {
	var out Outcome
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		now := c.Now()
		ch, err := onetime.Peek(ctx, tx, onetime.Challenge, in.Secret, now)
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ChallengeInvalid), nil
		} else if err != nil {
			return nil, err
		}
		var first challengeData
		if err := json.Unmarshal(ch.Data, &first); err != nil {
			return nil, err
		}
		if first.Request != in.Request {
			return fault.New(fault.ChallengeInvalid), nil
		}
		user, err := identity.ByID(ctx, tx, ch.UserID)
		if err != nil {
			return nil, err
		}
		cl, err := clientFor(ctx, tx, ch.ClientID, "", first.Request)
		if f, ok := fault.From(err); ok {
			return f, nil
		} else if err != nil {
			return nil, err
		}

		tries := in.Tries
		tries.Key = string(user.ID)
		wait, _, err := limit.Take(ctx, tx, now, tries)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			_, err := onetime.Spend(ctx, tx, onetime.Challenge, in.Secret, now)
			if errors.Is(err, db.ErrNotFound) { // another of too many was first
				err = nil
			}
			return fault.Later(fault.CodeAttempts, wait), err
		}
		switch err := totp.Use(ctx, tx, c.Key, user.ID, in.Code, now); {
		case errors.Is(err, totp.ErrCode), errors.Is(err, totp.ErrNotStarted):
			return fault.New(fault.CodeInvalid), audit.Record(ctx, tx, now,
				in.Visitor.attempt(audit.UserLoginFailed, user, cl, map[string]any{"method": session.OTP, "reason": string(fault.CodeInvalid)}))
		case err != nil:
			return nil, err
		}
		if _, err := onetime.Spend(ctx, tx, onetime.Challenge, in.Secret, now); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ChallengeInvalid), nil
		} else if err != nil {
			return nil, err
		}
		if err := limit.Reset(ctx, tx, tries); err != nil {
			return nil, err
		}
		var refused *fault.Error
		out, refused, err = c.admit(ctx, tx, proof{
			user: user, client: cl, amr: append(first.AMR, session.OTP), method: first.Method, device: first.DeviceID,
			request: in.Request, visitor: in.Visitor, second: true, sessionless: first.Sessionless, account: first.Account,
			upstream: first.Upstream, sessionFor: first.SessionFor, prove: first.Prove,
		})
		return refused, err
	})
	return out, err
}

// ChallengeClient returns the client that a live challenge belongs to, for a
// page to show; the challenge is not touched.
func (c *Core) ChallengeClient(ctx context.Context, raw string) (client.Client, error) {
	var cl client.Client
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		ch, err := onetime.Peek(ctx, tx, onetime.Challenge, raw, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ChallengeInvalid)
		} else if err != nil {
			return err
		}
		var first challengeData
		if err := json.Unmarshal(ch.Data, &first); err != nil {
			return err
		}
		cl, err = clientFor(ctx, tx, ch.ClientID, "", first.Request)
		return err
	})
	return cl, err
}
