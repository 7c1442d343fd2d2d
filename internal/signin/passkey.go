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
	"sallyport/internal/passkey"
	"sallyport/internal/session"
)

// AskPasskeyIn begins a sign-in with a passkey: of whom, the answer tells. Party is
// the relying party of the page that asks.
type AskPasskeyIn struct {
	ClientID client.ID
	Request  string
	Party    passkey.Party
	Limits   []limit.Rule
	Visitor  Visitor
}

// PasskeyAsked is for the browser: Options for navigator.credentials.get, and the
// Handle to bring back with what that returns, within passkey.Life.
type PasskeyAsked struct {
	Options json.RawMessage
	Handle  string
}

// ceremony is what a handle remembers.
type ceremony struct {
	State   json.RawMessage `json:"state"`
	Request string          `json:"request,omitempty"`
}

// AskPasskey returns a challenge for any passkey of anybody.
func (c *Core) AskPasskey(ctx context.Context, in AskPasskeyIn) (PasskeyAsked, error) {
	options, state, err := in.Party.Ask()
	if err != nil {
		return PasskeyAsked{}, err
	}
	data, err := json.Marshal(ceremony{State: state, Request: in.Request})
	if err != nil {
		return PasskeyAsked{}, err
	}
	out := PasskeyAsked{Options: options}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := c.Now()
		if err := takeIn(ctx, tx, now, in.Limits...); err != nil {
			return err
		}
		cl, err := clientFor(ctx, tx, in.ClientID, client.MethodPasskey, in.Request)
		if err != nil {
			return err
		}
		out.Handle, err = onetime.Create(ctx, tx, onetime.Secret{
			Purpose: onetime.Passkey, ClientID: cl.ID, Data: data, ExpiresAt: now.Add(passkey.Life),
		}, now)
		return err
	})
	return out, err
}

// PasskeyIn answers a challenge. Response is what navigator.credentials.get
// returned, as its toJSON writes it.
type PasskeyIn struct {
	ClientID client.ID
	Request  string
	Party    passkey.Party
	Handle   string
	Response json.RawMessage
	DeviceID string
	Prove    Prove
	Limits   Limits
	Visitor  Visitor
}

// Passkey signs in who holds the passkey. A handle is good for one answer, right
// or wrong. It is two factors: the authenticator, and what unlocks it.
func (c *Core) Passkey(ctx context.Context, in PasskeyIn) (Outcome, error) {
	cl, key, user, err := c.presentedPasskey(ctx, in)
	if err != nil {
		return Outcome{}, err
	}
	if key.Passkey.ID == nil {
		return Outcome{}, c.passkeyRefused(ctx, in, cl, user, key.err)
	}
	var out Outcome
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if _, err := onetime.Spend(ctx, tx, onetime.Passkey, in.Handle, c.Now()); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ChallengeInvalid), nil
		} else if err != nil {
			return nil, err
		}
		if err := passkey.Used(ctx, tx, key.Passkey); errors.Is(err, passkey.ErrRefused) {
			return &fault.Error{Code: fault.CredentialsInvalid, Err: err}, nil
		} else if err != nil {
			return nil, err
		}
		if err := limit.Reset(ctx, tx, in.Limits.Clear...); err != nil {
			return nil, err
		}
		if err := limit.Give(ctx, tx, in.Limits.Failures...); err != nil {
			return nil, err
		}
		prove, err := c.proves(ctx, tx, in.Prove, user.ID)
		if err != nil {
			return nil, err
		}
		var refused *fault.Error
		out, refused, err = c.admit(ctx, tx, proof{
			user: user, client: cl, amr: []string{key.method()}, method: client.MethodPasskey, device: in.DeviceID,
			request: in.Request, visitor: in.Visitor, second: true, prove: prove,
		})
		return refused, err
	})
	return out, err
}

// judged is the passkey of a response: as it is after this use, or why not.
type judged struct {
	passkey.Passkey
	err error
}

// method is how a passkey proves somebody (RFC 8176): a key that is on several
// devices is none of the hardware's.
func (j judged) method() string {
	if j.Synced {
		return session.SoftwareKey
	}
	return session.HardwareKey
}

// presentedPasskey counts the attempt, reads the challenge and the passkey that the
// response claims to be of, and verifies the one by the other, with no transaction
// open.
func (c *Core) presentedPasskey(ctx context.Context, in PasskeyIn) (cl client.Client, j judged, user identity.User, err error) {
	if err := c.take(ctx, append(in.Limits.Count, in.Limits.Failures...)...); err != nil {
		return cl, j, user, err
	}
	id, claimed := passkey.Claimed(in.Response)
	var asked ceremony
	var key passkey.Passkey
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		key, user = passkey.Passkey{}, identity.User{}
		s, err := onetime.Peek(ctx, tx, onetime.Passkey, in.Handle, c.Now())
		if errors.Is(err, db.ErrNotFound) || err == nil && s.ClientID != in.ClientID {
			return fault.New(fault.ChallengeInvalid)
		} else if err != nil {
			return err
		}
		if err := json.Unmarshal(s.Data, &asked); err != nil {
			return err
		}
		if asked.Request != in.Request {
			return fault.New(fault.ChallengeInvalid)
		}
		if cl, err = clientFor(ctx, tx, in.ClientID, client.MethodPasskey, in.Request); err != nil || claimed != nil {
			return err
		}
		if key, err = passkey.ByID(ctx, tx, id); errors.Is(err, db.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		user, err = identity.ByID(ctx, tx, key.UserID)
		return err
	})
	switch {
	case err != nil:
	case claimed != nil:
		j.err = claimed
	case user.ID == "":
		j.err = passkey.ErrUnknown
	default:
		if j.Passkey, j.err = in.Party.Answered(key, asked.State, in.Response, c.Now()); !errors.Is(j.err, passkey.ErrRefused) {
			err = j.err
		}
	}
	return cl, j, user, err
}

// passkeyRefused spends the handle of a wrong answer and records it; user is whose
// passkey it claimed to be, if anybody's.
func (c *Core) passkeyRefused(ctx context.Context, in PasskeyIn, cl client.Client, user identity.User, cause error) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if _, err := onetime.Spend(ctx, tx, onetime.Passkey, in.Handle, c.Now()); err != nil && !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
		return &fault.Error{Code: fault.CredentialsInvalid, Err: cause}, audit.Record(ctx, tx, c.Now(), in.Visitor.attempt(audit.UserLoginFailed, user, cl,
			map[string]any{"method": client.MethodPasskey, "reason": string(fault.CredentialsInvalid)}))
	})
}
