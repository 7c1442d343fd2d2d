package signin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
)

// RequestSignUp takes a sign-up for a surface that may not tell whether somebody has
// the address: whoever asks, one hash is made and one job is queued, and who would be
// the new user is returned, signed in to nothing. The job does the rest.
func (c *Core) RequestSignUp(ctx context.Context, in SignUpIn) (identity.User, error) {
	email, name, err := person(in.Email, in.DisplayName, in.Nameless)
	if err != nil {
		return identity.User{}, err
	}
	if err := c.take(ctx, in.Limits.Count...); err != nil {
		return identity.User{}, err
	}
	var cl client.Client
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if cl, err = clientFor(ctx, tx, in.ClientID, client.MethodPassword, ""); err != nil {
			return err
		}
		ok, err := takesIn(ctx, tx, cl, email)
		if err == nil && !ok {
			err = fault.New(fault.InviteRequired)
		}
		return err
	})
	if err != nil {
		return identity.User{}, err
	}
	if err := CheckPassword(cl.Password(), in.Password, email, name, cl.Name); err != nil {
		return identity.User{}, err
	}
	hash, err := c.hash(ctx, in.Password)
	if err != nil {
		return identity.User{}, err
	}
	u := newUser(email, name, hash, c.Now())
	return u, c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return c.queue(ctx, tx, JobSignUp, signUp{User: u, ClientID: cl.ID, Page: in.VerifyPage, Visitor: in.Visitor})
	})
}

// signUp is a sign-up on its way to its job.
type signUp struct {
	User     identity.User `json:"user"`
	ClientID client.ID     `json:"client_id"`
	Page     string        `json:"page"`
	Visitor  Visitor       `json:"visitor"`
}

// confirmed is what a verification link says beside the address: the password that it
// is to have, of the sign-up that the link was mailed for.
type confirmed struct {
	PasswordHash string `json:"password_hash,omitempty"`
	Name         string `json:"name,omitempty"`
}

// SignUpLater is the job behind RequestSignUp. Who has the address already is told, and
// nothing changes. As long as nobody has proved it, there may be several who signed up
// with it, of whom one can read its mail: each link makes the password of its own
// sign-up the one that counts.
func (c *Core) SignUpLater(ctx context.Context, payload []byte) error {
	var in signUp
	if err := c.unqueue(JobSignUp, payload, &in); err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, err := clientFor(ctx, tx, in.ClientID, client.MethodPassword, "")
		if _, expected := fault.From(err); expected {
			return nil
		} else if err != nil {
			return err
		}
		has, err := identity.ByEmail(ctx, tx, in.User.Email)
		switch {
		case errors.Is(err, db.ErrNotFound):
			return c.signUpNow(ctx, tx, cl, in)
		case err != nil:
			return err
		}
		wait, _, err := limit.Take(ctx, tx, c.Now(), limit.Rule{Name: "signin.signup.again", Key: in.User.Email, N: 3, Per: time.Hour})
		switch {
		case err != nil || wait > 0:
			return err
		case has.EmailVerified:
			return c.queueMail(ctx, tx, mail.AccountExists, has.Email, brand(cl, has))
		}
		return c.sendConfirmation(ctx, tx, cl, has, confirmed{PasswordHash: in.User.PasswordHash, Name: in.User.DisplayName}, in.Page, in.Visitor)
	})
}

// signUpNow makes the user, with the place that the client has for them, and mails the
// link that verifies their address.
func (c *Core) signUpNow(ctx context.Context, tx *db.Tx, cl client.Client, in signUp) error {
	u := in.User
	if err := identity.Create(ctx, tx, u); err != nil {
		return err
	}
	if err := audit.Record(ctx, tx, u.CreatedAt, in.Visitor.event(audit.UserSignup, u, cl, map[string]any{"method": client.MethodPassword})); err != nil {
		return err
	}
	s := client.Standing{User: u}
	refused, err := c.enrol(ctx, tx, proof{user: u, client: cl, method: client.MethodPassword, visitor: in.Visitor}, &s, c.Now())
	if err != nil || refused != nil { // the client's door was shut since
		return err
	}
	return c.sendConfirmation(ctx, tx, cl, u, confirmed{}, in.Page, in.Visitor)
}

// sendConfirmation mails a link that proves the address of a user and says what the
// sign-up was that it is for.
func (c *Core) sendConfirmation(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, what confirmed, page string, v Visitor) error {
	now := c.Now()
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	raw, err := onetime.Create(ctx, tx, onetime.Secret{
		Purpose: onetime.VerifyEmail, UserID: u.ID, ClientID: cl.ID, Email: u.Email, Data: data, ExpiresAt: now.Add(ConfirmLifetime),
	}, now)
	if err != nil {
		return err
	}
	d := brand(cl, u)
	d.Link, d.Minutes = linkTo(cl.Policy.Links.VerifyEmail, v.Base+page, raw), int(ConfirmLifetime.Minutes())
	return c.queueMail(ctx, tx, mail.VerifyEmail, u.Email, d)
}

// RequestVerificationIn asks for another link that verifies an address, whoever asks.
type RequestVerificationIn struct {
	ClientID client.ID
	Email    string
	Page     string
	Limits   []limit.Rule
	Visitor  Visitor
}

// RequestVerification queues a link that verifies an address. The answer and the work
// are the same whether or not anybody has it.
func (c *Core) RequestVerification(ctx context.Context, in RequestVerificationIn) error {
	email, err := identity.NormalizeEmail(in.Email)
	if err != nil {
		return &fault.Error{Code: fault.EmailInvalid, Field: "email"}
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := takeIn(ctx, tx, c.Now(), in.Limits...); err != nil {
			return err
		}
		return c.queue(ctx, tx, JobVerify, address{ClientID: in.ClientID, Email: email, Base: in.Visitor.Base, Page: in.Page})
	})
}

// Verify is the job behind RequestVerification: it mails the link if somebody has the
// address and has not proved it.
func (c *Core) Verify(ctx context.Context, payload []byte) error {
	var to address
	if err := c.unqueue(JobVerify, payload, &to); err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, u, err := c.addressee(ctx, tx, to, "")
		if err != nil || u.ID == "" || u.EmailVerified || u.Status != identity.Active {
			return err
		}
		return c.sendConfirmation(ctx, tx, cl, u, confirmed{}, to.Page, Visitor{Base: to.Base})
	})
}

// Confirm verifies the address of a link that sendConfirmation mailed, and leaves the
// link alive: a second click changes nothing and fails nobody. If the link is of a
// later sign-up than the account, its password is the one that counts, and whoever made
// the account is put out. An expired link is VerificationInvalid with CodeGone.
func (c *Core) Confirm(ctx context.Context, raw string, v Visitor) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		now := c.Now()
		s, err := onetime.Peek(ctx, tx, onetime.VerifyEmail, raw, time.Time{})
		switch {
		case errors.Is(err, db.ErrNotFound):
			return fault.New(fault.VerificationInvalid), nil
		case err != nil:
			return nil, err
		case !s.ExpiresAt.After(now):
			return fault.New(fault.VerificationInvalid, fault.CodeGone), nil
		}
		u, err := identity.ByID(ctx, tx, s.UserID)
		if err != nil {
			return nil, err
		}
		if u.Email != s.Email { // the address is no longer theirs
			return fault.New(fault.VerificationInvalid), nil
		}
		first, err := identity.VerifyEmail(ctx, tx, u.ID, s.Email, now)
		if err != nil || !first {
			return nil, err
		}
		u.EmailVerified = true
		if err := audit.Record(ctx, tx, now, v.event(audit.UserEmailVerified, u, client.Client{ID: s.ClientID}, nil)); err != nil {
			return nil, err
		}
		return nil, c.supersede(ctx, tx, u, s.Data, v)
	})
}

// supersede puts the sign-up that a link was mailed for in the place of the one that
// made the account.
func (c *Core) supersede(ctx context.Context, tx *db.Tx, u identity.User, data json.RawMessage, v Visitor) error {
	var what confirmed
	if len(data) > 0 {
		if err := json.Unmarshal(data, &what); err != nil {
			return err
		}
	}
	if what.PasswordHash == "" {
		return nil
	}
	if err := identity.ReplacePassword(ctx, tx, u.ID, what.PasswordHash, c.Now()); err != nil {
		return err
	}
	if what.Name != "" {
		given, family := identity.Names(what.Name)
		if err := identity.SetName(ctx, tx, u.ID, what.Name, given, family, c.Now()); err != nil {
			return err
		}
	}
	return c.evict(ctx, tx, u, keep{}, v)
}
