package signin

import (
	"context"
	"errors"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
	"sallyport/internal/token"
)

// ClientRef names a client by what a request has: its id, else the refresh token
// or the mailed secret that it shows. Purposes are what the secret may be; Invites
// that it may be of an invitation to an account.
type ClientRef struct {
	ID       client.ID
	Refresh  string
	Secret   string
	Purposes []onetime.Purpose
	Invites  bool
}

// ClientBy reads the client that a request is for, for a surface that must know its
// policy before the operation. It spends nothing, and judges nothing but that the
// client is there and switched on.
func (c *Core) ClientBy(ctx context.Context, ref ClientRef) (client.Client, error) {
	var cl client.Client
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		id, err := c.clientOf(ctx, tx, ref)
		if err != nil {
			return err
		}
		cl, err = clientFor(ctx, tx, id, "", "")
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		err = fault.New(fault.ClientUnknown)
	}
	return cl, err
}

func (c *Core) clientOf(ctx context.Context, tx *db.Tx, ref ClientRef) (client.ID, error) {
	switch {
	case ref.ID != "":
		return ref.ID, nil
	case ref.Refresh != "":
		id, ok := token.FamilyOf(c.Key, ref.Refresh)
		if !ok {
			return "", db.ErrNotFound
		}
		p, err := presentedBy(ctx, tx, id, c.Now())
		return p.client.ID, err
	}
	for _, p := range ref.Purposes {
		s, err := onetime.Peek(ctx, tx, p, ref.Secret, c.Now())
		if err == nil || !errors.Is(err, db.ErrNotFound) {
			return s.ClientID, err
		}
	}
	if ref.Invites {
		i, err := invite.ByToken(ctx, tx, c.Key, ref.Secret, c.Now())
		return i.ClientID, err
	}
	return "", db.ErrNotFound
}

// ClientOfHost is the application that answers on a host which its organization
// has shown to be its own, "" for none.
func (c *Core) ClientOfHost(ctx context.Context, host string) (client.ID, error) {
	var id client.ID
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		id, err = org.ClientOf(ctx, tx, host)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// CheckEmailIn asks what is known of an address. Limits are the surface's.
type CheckEmailIn struct {
	ClientID client.ID
	Email    string
	Limits   Limits
}

// Checked is what a client may know of an address. Active means that somebody
// has it who can sign in to the client; Password that they have one.
type Checked struct {
	Client   client.Client
	Active   bool
	Password bool
}

// CheckEmail tells whether somebody who has a place in the client has the
// address. It reveals who has an account, as its contract wants it (accountmaker
// §3.4), so every question counts.
func (c *Core) CheckEmail(ctx context.Context, in CheckEmailIn) (Checked, error) {
	email, err := identity.NormalizeEmail(in.Email)
	if err != nil {
		return Checked{}, &fault.Error{Code: fault.EmailInvalid, Field: "email"}
	}
	if err := c.take(ctx, in.Limits.Count...); err != nil {
		return Checked{}, err
	}
	var out Checked
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out = Checked{}
		if out.Client, err = clientFor(ctx, tx, in.ClientID, "", ""); err != nil {
			return err
		}
		u, err := identity.ByEmail(ctx, tx, email)
		if errors.Is(err, db.ErrNotFound) || err == nil && u.Status != identity.Active {
			return nil
		} else if err != nil {
			return err
		}
		e, err := client.EnrolmentOf(ctx, tx, u.ID, in.ClientID)
		if errors.Is(err, db.ErrNotFound) {
			// Of another application of ours: the address is taken all the same.
			out.Active, err = out.Client.Policy.Door(u.Email, u.EmailVerified) == client.Active, nil
		} else {
			out.Active = e.Status == client.Active
		}
		out.Password = out.Active && u.HasPassword()
		return err
	})
	return out, err
}
