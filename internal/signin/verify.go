package signin

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
)

// ConfirmEmail marks the address of a verification link verified and leaves the
// link alive: a second click, or a scanner's before the first, changes nothing
// and fails nobody. It returns the client that the link was mailed for, with the
// zero Client for one that is gone.
func (c *Core) ConfirmEmail(ctx context.Context, raw string, v Visitor) (client.Client, error) {
	var cl client.Client
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		cl = client.Client{}
		s, err := onetime.Peek(ctx, tx, onetime.VerifyEmail, raw, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.VerificationInvalid), nil
		} else if err != nil {
			return nil, err
		}
		if s.ClientID != "" {
			if cl, err = client.ByID(ctx, tx, s.ClientID); err != nil {
				return nil, err
			}
		}
		emails, err := identity.Emails(ctx, tx, s.UserID)
		if err != nil {
			return nil, err
		}
		switch at := identity.AddressIn(emails, s.Email); {
		case at == nil: // the address is somebody else's by now
			return fault.New(fault.VerificationInvalid), nil
		case !at.VerifiedAt.IsZero():
			return nil, nil
		}
		first, err := identity.VerifyEmail(ctx, tx, s.UserID, s.Email, c.Now())
		if err != nil || !first {
			return nil, err
		}
		u, err := identity.ByID(ctx, tx, s.UserID)
		if err != nil {
			return nil, err
		}
		if err := audit.Record(ctx, tx, c.Now(), v.event(audit.UserEmailVerified, u, cl, nil)); err != nil {
			return nil, err
		}
		return nil, c.supersede(ctx, tx, u, s.Data, v)
	})
	return cl, err
}

// SendVerificationIn asks for another verification mail. Email is one of the
// user's addresses, "" for the first that is unproved. Page is the mount's own
// page, "" for ours.
type SendVerificationIn struct {
	UserID   identity.UserID
	ClientID client.ID
	Email    string
	Page     string
	Limits   []limit.Rule
	Visitor  Visitor
}

// SendVerification mails a link that proves an address of a signed-in user. For
// one that is proved already no mail is due.
func (c *Core) SendVerification(ctx context.Context, in SendVerificationIn) error {
	email := ""
	if in.Email != "" {
		var err error
		if email, err = identity.NormalizeEmail(in.Email); err != nil {
			return &fault.Error{Code: fault.EmailInvalid, Field: "email"}
		}
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		u, err := identity.ByID(ctx, tx, in.UserID)
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.Unauthenticated), nil
		} else if err != nil {
			return nil, err
		}
		if u.Status != identity.Active {
			return fault.New(fault.EnrolmentSuspended), nil
		}
		emails, err := identity.Emails(ctx, tx, u.ID)
		if err != nil {
			return nil, err
		}
		at := identity.AddressIn(emails, email)
		switch {
		case at == nil && email != "":
			return fault.New(fault.UserUnknown), nil
		case at == nil || !at.VerifiedAt.IsZero():
			return nil, nil
		}
		cl, err := clientFor(ctx, tx, in.ClientID, "", "")
		if f, ok := fault.From(err); ok {
			return f, nil
		} else if err != nil {
			return nil, err
		}
		if err := takeIn(ctx, tx, c.Now(), in.Limits...); err != nil {
			return nil, err
		}
		return nil, c.sendVerification(ctx, tx, cl, u, at.Address, in.Page, in.Visitor)
	})
}
