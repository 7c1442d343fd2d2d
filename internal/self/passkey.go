package self

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/passkey"
)

// Keyring is the caller's passkeys, the oldest first. Offered tells that one of
// their applications takes passkeys, Last that there is one, and without it they
// could not sign in any more.
type Keyring struct {
	Passkeys      []passkey.Passkey
	Offered, Last bool
}

// Passkeys returns the caller's passkeys.
func (c *Core) Passkeys(ctx context.Context, who Caller) (Keyring, error) {
	var ring Keyring
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		all, err := passkey.OfUser(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		w, err := c.waysOf(ctx, tx, u)
		if err != nil {
			return err
		}
		w.passkey = false
		ring = Keyring{Passkeys: all, Offered: slices.Contains(w.methods, client.MethodPasskey), Last: len(all) == 1 && !w.remain("")}
		return nil
	})
	return ring, err
}

// PasskeySetup is for the browser: Options for navigator.credentials.create, and
// the Handle to bring back with what that returns, within passkey.Life.
type PasskeySetup struct {
	Options json.RawMessage
	Handle  string
}

// BeginPasskey lets the caller make a passkey on a page of the relying party. It
// is a way in that needs nothing else: who makes one proves themselves first, and
// an application's access token proves nothing of the kind.
func (c *Core) BeginPasskey(ctx context.Context, who Caller, proof Proof, party passkey.Party) (PasskeySetup, error) {
	if who.Session.ID == "" {
		who.AuthenticatedAt = time.Time{}
	}
	if err := c.prove(ctx, who, proof); err != nil {
		return PasskeySetup{}, err
	}
	var out PasskeySetup
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := c.holding(ctx, tx, who)
		if err != nil {
			return err
		}
		have, err := passkey.OfUser(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if len(have) >= passkey.Max {
			return noPasskey(passkey.ErrMany)
		}
		options, state, err := party.Register(u, have)
		if err != nil {
			return err
		}
		now := c.Now()
		out.Options = options
		out.Handle, err = onetime.Create(ctx, tx, onetime.Secret{
			Purpose: onetime.NewPasskey, UserID: u.ID, Data: state, ExpiresAt: now.Add(passkey.Life),
		}, now)
		return err
	})
	return out, err
}

// NewPasskey is what came of a setup: Response as navigator.credentials.create
// returned it and its toJSON writes it. Name is what the person calls it.
type NewPasskey struct {
	Party    passkey.Party
	Handle   string
	Name     string
	Response json.RawMessage
}

// AddPasskey stores the passkey that the caller made, and tells them by mail. A
// handle is good for one response, and for the user that it was given to.
func (c *Core) AddPasskey(ctx context.Context, who Caller, in NewPasskey) (passkey.Passkey, error) {
	name, err := passkey.CheckName(in.Name)
	if err != nil {
		return passkey.Passkey{}, &fault.Error{Code: fault.FieldInvalid, Field: "name", Err: err}
	}
	var made passkey.Passkey
	var refused error
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, refused = passkey.Passkey{}, nil
		u, err := c.holding(ctx, tx, who)
		if err != nil {
			return err
		}
		s, err := onetime.Spend(ctx, tx, onetime.NewPasskey, in.Handle, c.Now())
		if errors.Is(err, db.ErrNotFound) || err == nil && s.UserID != u.ID {
			return fault.New(fault.ChallengeInvalid) // rolls back: another's handle stays theirs
		} else if err != nil {
			return err
		}
		if made, err = in.Party.Registered(u, name, s.Data, in.Response, c.Now()); errors.Is(err, passkey.ErrRefused) {
			refused = noPasskey(err)
			return nil
		} else if err != nil {
			return err
		}
		if err := passkey.Add(ctx, tx, made); errors.Is(err, passkey.ErrMany) || errors.Is(err, passkey.ErrTaken) {
			return noPasskey(err)
		} else if err != nil {
			return err
		}
		return c.passkeyChanged(ctx, tx, who, u, audit.UserPasskeyAdded, mail.PasskeyAdded, made)
	})
	if err == nil {
		err = refused
	}
	return made, err
}

// noPasskey is the fault of a registration that came to nothing.
func noPasskey(cause error) error {
	return &fault.Error{Code: fault.FieldInvalid, Field: "passkey", Err: cause}
}

// RenamePasskey changes what the caller calls a passkey.
func (c *Core) RenamePasskey(ctx context.Context, who Caller, id passkey.ID, name string) error {
	name, err := passkey.CheckName(name)
	if err != nil {
		return &fault.Error{Code: fault.FieldInvalid, Field: "name", Err: err}
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		return known(passkey.Rename(ctx, tx, u.ID, id, name))
	})
}

// RemovePasskey ends a passkey of the caller's, unless it is their last way in
// (ways.remain).
func (c *Core) RemovePasskey(ctx context.Context, who Caller, proof Proof, id passkey.ID) error {
	if err := c.prove(ctx, who, proof); err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := c.holding(ctx, tx, who)
		if err != nil {
			return err
		}
		key, err := passkey.ByID(ctx, tx, id)
		if err == nil && key.UserID != u.ID {
			err = db.ErrNotFound
		}
		if err == nil {
			err = passkey.Remove(ctx, tx, u.ID, id)
		}
		if err := known(err); err != nil {
			return err
		}
		w, err := c.waysOf(ctx, tx, u)
		if err != nil {
			return err
		}
		if !w.remain("") {
			return fault.New(fault.LastSignInMethod) // rolls the removal back
		}
		return c.passkeyChanged(ctx, tx, who, u, audit.UserPasskeyRemoved, mail.PasskeyRemoved, key)
	})
}

func known(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return noPasskey(passkey.ErrUnknown)
	}
	return err
}

// passkeyChanged records a change of the passkeys and mails the caller.
func (c *Core) passkeyChanged(ctx context.Context, tx *db.Tx, who Caller, u identity.User, a audit.Action, change mail.Change, k passkey.Passkey) error {
	if err := c.record(ctx, tx, who, u, a, map[string]any{"passkey": k.ID.String(), "title": k.Name}); err != nil || u.Email == "" {
		return err
	}
	return c.notify(ctx, tx, u, change)
}
