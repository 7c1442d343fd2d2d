package self

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/totp"
)

// TOTPSetup is a secret to be put into an authenticator app.
type TOTPSetup struct{ Secret, URI string }

// BeginTOTP makes a new secret for the caller. It counts for nothing until
// EnableTOTP; another call replaces it.
func (c *Core) BeginTOTP(ctx context.Context, who Caller, proof Proof) (TOTPSetup, error) {
	if err := c.prove(ctx, who, proof); err != nil {
		return TOTPSetup{}, err
	}
	var s TOTPSetup
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if s.Secret, err = totp.Begin(ctx, tx, c.Key, u.ID, c.Now()); errors.Is(err, totp.ErrEnabled) {
			return fault.New(fault.TOTPEnabled)
		} else if err != nil {
			return err
		}
		s.URI = totp.URI(c.Issuer, u.Email, s.Secret)
		return nil
	})
	return s, err
}

// EnableTOTP switches the second factor on by the first code from the app, and
// returns the backup codes, which are shown this once. All other browser
// sessions end: they were started without it.
func (c *Core) EnableTOTP(ctx context.Context, who Caller, proof Proof) ([]string, error) {
	var codes []string
	var wrong bool
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		codes, wrong = nil, false
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if err := take(ctx, tx, c.Now(), fault.CodeAttempts, proof.CodeTries, u.ID); err != nil {
			return err
		}
		codes, err = totp.Confirm(ctx, tx, c.Key, u.ID, proof.Code, c.Now())
		switch {
		case errors.Is(err, totp.ErrNotStarted): // rolls the count back: no code was judged
			return fault.New(fault.TOTPNotStarted)
		case errors.Is(err, totp.ErrCode):
			wrong = true
			return nil
		case errors.Is(err, totp.ErrEnabled):
			return fault.New(fault.TOTPEnabled)
		case err != nil:
			return err
		}
		proof.CodeTries.Key = string(u.ID)
		if err := limit.Reset(ctx, tx, proof.CodeTries); err != nil {
			return err
		}
		if err := c.endOthers(ctx, tx, who, u); err != nil {
			return err
		}
		return c.factorChanged(ctx, tx, who, u, audit.UserTOTPEnabled, mail.TOTPEnabled)
	})
	if err == nil && wrong {
		return nil, fault.New(fault.CodeInvalid)
	}
	return codes, err
}

// DisableTOTP switches the second factor off by one of its codes, unless an
// application that the caller is in demands it.
func (c *Core) DisableTOTP(ctx context.Context, who Caller, proof Proof) error {
	wrong := false
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		on, err := totp.Enabled(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if !on {
			return fault.New(fault.TOTPNotStarted)
		}
		if err := demanded(ctx, tx, u.ID); err != nil {
			return err
		}
		if wrong, err = c.useCode(ctx, tx, u, proof); wrong || err != nil {
			return err
		}
		if err := totp.Disable(ctx, tx, u.ID); err != nil {
			return err
		}
		// A browser that was trusted with it is not trusted with the next one.
		if err := factor.Distrust(ctx, tx, u.ID); err != nil {
			return err
		}
		return c.factorChanged(ctx, tx, who, u, audit.UserTOTPDisabled, mail.TOTPDisabled)
	})
	if err == nil && wrong {
		return fault.New(fault.CodeInvalid)
	}
	return err
}

// NewBackupCodes replaces the caller's backup codes; the old ones are void.
func (c *Core) NewBackupCodes(ctx context.Context, who Caller, proof Proof) ([]string, error) {
	if who.Session.ID == "" {
		// Codes are a factor: the application that holds an access token is not
		// to make itself any.
		who.AuthenticatedAt = time.Time{}
	}
	if err := c.prove(ctx, who, proof); err != nil {
		return nil, err
	}
	var codes []string
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		on, err := totp.Enabled(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if !on {
			return fault.New(fault.TOTPNotStarted)
		}
		if codes, err = totp.NewBackupCodes(ctx, tx, c.Key, u.ID); err != nil {
			return err
		}
		return c.factorChanged(ctx, tx, who, u, audit.UserBackupCodesMade, mail.BackupCodesMade)
	})
	return codes, err
}

// factorChanged records a change of the second factor and mails the caller.
func (c *Core) factorChanged(ctx context.Context, tx *db.Tx, who Caller, u identity.User, a audit.Action, change mail.Change) error {
	if err := c.record(ctx, tx, who, u, a, nil); err != nil {
		return err
	}
	return c.notify(ctx, tx, u, change)
}
