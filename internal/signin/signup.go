package signin

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
)

// MaxDisplayName is the greatest length of a display name in characters.
const MaxDisplayName = 100

// SignUpIn is a new account with a password. A name may be left out where
// Nameless says so. VerifyPage is the mount's own page that verifies an address,
// "" for ours.
type SignUpIn struct {
	ClientID    client.ID
	Email       string
	Password    string
	DisplayName string
	Nameless    bool
	VerifyPage  string
	Request     string
	Limits      Limits
	Visitor     Visitor
}

// SignUp makes a user, enrols them as the client's registration policy says,
// mails a link that verifies the address, and signs them in if they may come
// in at once. The policy is judged before the address is looked up, so that an
// invite-only client tells nothing about who exists. Exactly one hash is made,
// after every cheap check.
func (c *Core) SignUp(ctx context.Context, in SignUpIn) (Outcome, error) {
	email, name, err := person(in.Email, in.DisplayName, in.Nameless)
	if err != nil {
		return Outcome{}, err
	}
	if err := c.take(ctx, in.Limits.Count...); err != nil {
		return Outcome{}, err
	}
	var cl client.Client
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if cl, err = clientFor(ctx, tx, in.ClientID, client.MethodPassword, in.Request); err != nil {
			return err
		}
		switch ok, err := takesIn(ctx, tx, cl, email); {
		case err != nil:
			return err
		case !ok && cl.Source != client.Operator: // it invites nobody
			return fault.New(fault.NotEnrolled)
		case !ok:
			return fault.New(fault.InviteRequired)
		}
		return absent(ctx, tx, email)
	})
	if err != nil {
		return Outcome{}, err
	}
	if err := CheckPassword(cl.Password(), in.Password, email, name, cl.Name); err != nil {
		return Outcome{}, err
	}
	hash, err := c.hash(ctx, in.Password)
	if err != nil {
		return Outcome{}, err
	}

	var out Outcome
	err = c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		user, err := c.create(ctx, tx, cl, newUser(email, name, hash, c.Now()), client.MethodPassword, in.VerifyPage, in.Visitor)
		if err != nil {
			return nil, err
		}
		var refused *fault.Error
		out, refused, err = c.admit(ctx, tx, proof{
			user: user, client: cl, amr: []string{session.Password}, method: client.MethodPassword,
			request: in.Request, visitor: in.Visitor,
		})
		if refused != nil && refused.Code == fault.EnrolmentPending {
			out, refused = Outcome{Pending: true}, nil
		}
		return refused, err
	})
	return out, err
}

// person checks and normalises an address and a display name.
func person(email, name string, nameless bool) (string, string, error) {
	email, err := identity.NormalizeEmail(email)
	if err != nil {
		return "", "", &fault.Error{Code: fault.EmailInvalid, Field: "email"}
	}
	name = strings.TrimSpace(name)
	if name == "" && !nameless || utf8.RuneCountInString(name) > MaxDisplayName {
		return "", "", &fault.Error{Code: fault.DisplayNameRequired, Field: "display_name"}
	}
	return email, name, nil
}

// absent refuses an address that somebody has.
func absent(ctx context.Context, tx *db.Tx, email string) error {
	_, err := identity.ByEmail(ctx, tx, email)
	if err == nil {
		return fault.New(fault.AccountExists)
	}
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	return err
}

func newUser(email, name, hash string, now time.Time) identity.User {
	u := identity.User{
		ID: identity.NewUserID(), Email: email, DisplayName: name, Status: identity.Active,
		PasswordHash: hash, CreatedAt: now, UpdatedAt: now,
	}
	u.GivenName, u.FamilyName = identity.Names(name)
	return u
}

// create stores a new user, announces them, and mails the link that verifies
// their address, at page, unless it is proved already or the client has that
// for later.
func (c *Core) create(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, method, page string, v Visitor) (identity.User, error) {
	if err := identity.Create(ctx, tx, u); errors.Is(err, identity.ErrEmailTaken) {
		return u, fault.New(fault.AccountExists)
	} else if err != nil {
		return u, err
	}
	if err := audit.Record(ctx, tx, u.CreatedAt, v.event(audit.UserSignup, u, cl, map[string]any{"method": method})); err != nil {
		return u, err
	}
	if u.EmailVerified || cl.Policy.VerifyLater {
		return u, nil
	}
	return u, c.sendVerification(ctx, tx, cl, u, u.Email, page, v)
}

// sendVerification mails a link that proves an address of the user.
func (c *Core) sendVerification(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, address, page string, v Visitor) error {
	now := c.Now()
	raw, err := onetime.Create(ctx, tx, onetime.Secret{
		Purpose: onetime.VerifyEmail, UserID: u.ID, ClientID: cl.ID, Email: address, ExpiresAt: now.Add(VerifyLifetime),
	}, now)
	if err != nil {
		return err
	}
	d := brand(cl, u)
	d.Link = linkTo(cl.Policy.Links.VerifyEmail, v.Base+cmp.Or(page, "/verify-email"), raw)
	d.Minutes = int(VerifyLifetime.Minutes())
	return c.queueMail(ctx, tx, mail.VerifyEmail, address, d)
}

// VerifyEmail spends a verification link and marks the address verified.
func (c *Core) VerifyEmail(ctx context.Context, raw string, v Visitor) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		s, err := onetime.Spend(ctx, tx, onetime.VerifyEmail, raw, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.VerificationInvalid), nil
		} else if err != nil {
			return nil, err
		}
		first, err := identity.VerifyEmail(ctx, tx, s.UserID, s.Email, c.Now())
		if err != nil || !first {
			return nil, err
		}
		u, err := identity.ByID(ctx, tx, s.UserID)
		if err != nil {
			return nil, err
		}
		if err := audit.Record(ctx, tx, c.Now(), v.event(audit.UserEmailVerified, u, client.Client{ID: s.ClientID}, nil)); err != nil {
			return nil, err
		}
		return nil, c.supersede(ctx, tx, u, s.Data, v)
	})
}
