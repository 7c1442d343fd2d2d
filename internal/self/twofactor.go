package self

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
	"sallyport/internal/totp"
)

// These operations are for a surface whose people set their second factor up with
// their password, and whose session gets a new cookie whenever it is worth more.

// Raised is a session with a new cookie; without a Cookie it is what it was.
type Raised struct {
	Session session.Session
	Cookie  string
}

// TwoFactorSetup is a secret for an app with the backup codes that go with it. Neither
// counts until a code of the app has been shown (StepUp).
type TwoFactorSetup struct {
	URI         string
	BackupCodes []string
}

// owner reads the caller and judges that the proof is the account owner's.
func (c *Core) owner(ctx context.Context, who Caller, proof Proof) (identity.User, error) {
	var u identity.User
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = active(ctx, tx, who)
		return err
	})
	if err == nil {
		err = c.proveOwner(ctx, who, u, proof, fault.CurrentPasswordWrong)
	}
	return u, err
}

// BeginTwoFactor makes a new secret for the caller's app; issuer is what the app shows,
// "" for ours.
func (c *Core) BeginTwoFactor(ctx context.Context, who Caller, proof Proof, issuer string) (TwoFactorSetup, error) {
	u, err := c.owner(ctx, who, proof)
	if err != nil {
		return TwoFactorSetup{}, err
	}
	var out TwoFactorSetup
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		shared, codes, err := totp.BeginWithCodes(ctx, tx, c.Key, u.ID, c.Now())
		if errors.Is(err, totp.ErrEnabled) {
			return fault.New(fault.TOTPEnabled)
		}
		out = TwoFactorSetup{URI: totp.URI(c.issuer(issuer), u.Email, shared), BackupCodes: codes}
		return err
	})
	return out, err
}

func (c *Core) issuer(given string) string {
	if given != "" {
		return given
	}
	return c.Issuer
}

// TwoFactorURI is the secret of the caller's app once more.
func (c *Core) TwoFactorURI(ctx context.Context, who Caller, proof Proof) (string, error) {
	u, err := c.owner(ctx, who, proof)
	if err != nil {
		return "", err
	}
	uri := ""
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		shared, err := totp.Shared(ctx, tx, c.Key, u.ID, c.Now())
		if errors.Is(err, totp.ErrNotStarted) {
			return fault.New(fault.TOTPNotStarted)
		}
		uri = totp.URI(c.Issuer, u.Email, shared)
		return err
	})
	return uri, err
}

// RenewBackupCodes replaces the caller's backup codes by their password.
func (c *Core) RenewBackupCodes(ctx context.Context, who Caller, proof Proof) ([]string, error) {
	u, err := c.owner(ctx, who, proof)
	if err != nil {
		return nil, err
	}
	var codes []string
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if codes, err = totp.NewBackupCodes(ctx, tx, c.Key, u.ID); errors.Is(err, totp.ErrNotStarted) {
			return fault.New(fault.TOTPNotStarted)
		} else if err != nil {
			return err
		}
		return c.factorChanged(ctx, tx, who, u, audit.UserBackupCodesMade, mail.BackupCodesMade)
	})
	return codes, err
}

// ChooseMailedCodes makes codes by mail a second factor of the caller's. A session that
// owes a second factor owes it still: nobody has shown one.
func (c *Core) ChooseMailedCodes(ctx context.Context, who Caller, proof Proof) (Raised, error) {
	u, err := c.owner(ctx, who, proof)
	if err != nil {
		return Raised{}, err
	}
	if u.Email == "" || !u.EmailVerified {
		return Raised{}, fault.New(fault.EmailUnverified)
	}
	var out Raised
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = Raised{Session: who.Session}
		if err := factor.Choose(ctx, tx, u.ID, c.Now()); err != nil {
			return err
		}
		if err := c.endOthers(ctx, tx, who, u); err != nil {
			return err
		}
		if err := c.factorChanged(ctx, tx, who, u, audit.UserTOTPEnabled, mail.TOTPEnabled); err != nil || who.Session.Partial {
			return err
		}
		return c.raise(ctx, tx, who, &out, "")
	})
	return out, err
}

// DisableTwoFactor takes the caller's app, backup codes and mailed codes away, unless an
// application that they are in demands a factor.
func (c *Core) DisableTwoFactor(ctx context.Context, who Caller, proof Proof) (Raised, error) {
	u, err := c.owner(ctx, who, proof)
	if err != nil {
		return Raised{}, err
	}
	var out Raised
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := demanded(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := totp.Disable(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := factor.Forget(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := onetime.EndAll(ctx, tx, u.ID, onetime.Challenge, onetime.MailedCode); err != nil {
			return err
		}
		if err := c.factorChanged(ctx, tx, who, u, audit.UserTOTPDisabled, mail.TOTPDisabled); err != nil {
			return err
		}
		return c.raise(ctx, tx, who, &out, "")
	})
	return out, err
}

// raise gives the caller's session a new cookie, and a method that was proved.
func (c *Core) raise(ctx context.Context, tx *db.Tx, who Caller, out *Raised, method string) (err error) {
	amr := who.Session.AMR
	if method != "" && !slices.Contains(amr, method) {
		amr = append(slices.Clone(amr), method)
	}
	out.Session, out.Cookie, err = session.Rekey(ctx, tx, who.UserID, who.Session.ID, amr, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.Unauthenticated)
	}
	return err
}

// Rekey gives the caller's session a new cookie.
func (c *Core) Rekey(ctx context.Context, who Caller) (Raised, error) {
	var out Raised
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return c.raise(ctx, tx, who, &out, "") })
	return out, err
}

// StepUpIn is a second factor that somebody who is signed in shows: a code of the app,
// which also puts one in force that is waiting for it, a backup code, or one that
// SendCode mailed. Tries limits wrong ones; its key is filled in.
type StepUpIn struct {
	Backup, Mailed bool
	Code           string
	Tries          limit.Rule
}

// StepUp judges a code of the caller's and has their session carry the second factor
// from now on.
func (c *Core) StepUp(ctx context.Context, who Caller, in StepUpIn) (Raised, error) {
	var out Raised
	var refused *fault.Error
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		out, refused = Raised{}, nil
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		if err := take(ctx, tx, c.Now(), fault.CodeAttempts, in.Tries, u.ID); err != nil {
			return err
		}
		if refused, err = c.shown(ctx, tx, who, u, in); err != nil || refused != nil {
			return err
		}
		in.Tries.Key = string(u.ID)
		if err := limit.Reset(ctx, tx, in.Tries); err != nil {
			return err
		}
		return c.raise(ctx, tx, who, &out, session.OTP)
	})
	if err == nil && refused != nil {
		err = refused
	}
	return out, err
}

// shown spends a code that the caller shows. What is wrong with it is a value, so that
// the count of it is committed.
func (c *Core) shown(ctx context.Context, tx *db.Tx, who Caller, u identity.User, in StepUpIn) (*fault.Error, error) {
	var err error
	switch {
	case in.Mailed:
		err = factor.Judge(ctx, tx, c.Key, u.ID, string(who.Session.ID), in.Code, c.Now())
	case in.Backup:
		err = totp.UseBackup(ctx, tx, c.Key, u.ID, in.Code, c.Now())
	default:
		if err = totp.ConfirmOnly(ctx, tx, c.Key, u.ID, in.Code, c.Now()); errors.Is(err, totp.ErrNotStarted) {
			err = totp.UseCode(ctx, tx, c.Key, u.ID, in.Code, c.Now())
		} else if err == nil {
			if err := c.endOthers(ctx, tx, who, u); err != nil {
				return nil, err
			}
			err = c.factorChanged(ctx, tx, who, u, audit.UserTOTPEnabled, mail.TOTPEnabled)
		}
	}
	switch {
	case errors.Is(err, totp.ErrCode), errors.Is(err, factor.ErrCode):
		return fault.New(fault.CodeInvalid), nil
	case errors.Is(err, factor.ErrGone):
		return fault.New(fault.CodeInvalid, fault.CodeGone), nil
	case errors.Is(err, factor.ErrTries):
		return fault.New(fault.ChallengeInvalid, fault.TriesSpent), nil
	case errors.Is(err, totp.ErrNotStarted):
		return fault.New(fault.TOTPNotStarted), nil
	}
	return nil, err
}

// SendCode mails the caller a code for StepUp; the one before is void.
func (c *Core) SendCode(ctx context.Context, who Caller) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		m, err := factor.MailedOf(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		app, err := totp.Enabled(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if u.Email == "" || !m.Chosen && !app || app && m.Barred {
			return fault.New(fault.MethodDisabled)
		}
		if err := take(ctx, tx, c.Now(), fault.RateLimited, codeMails, u.ID); err != nil {
			return err
		}
		code, err := factor.Code(ctx, tx, c.Key, u.ID, string(who.Session.ID), c.Now())
		if err != nil {
			return err
		}
		d := mail.Data{Name: u.DisplayName, Code: code, Minutes: int(factor.CodeLife.Minutes())}
		return job.EnqueueMail(ctx, tx, c.Key, mail.MagicLink, u.Email, d, c.Now())
	})
}
