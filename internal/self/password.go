package self

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/logout"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/password"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// ChangePassword replaces the caller's password. Who has one shows it in
// proof.Password; who has none, another proof. All other browser sessions, all
// refresh tokens, the trust in browsers and what was granted to applications end.
func (c *Core) ChangePassword(ctx context.Context, who Caller, proof Proof, fresh string) error {
	var u identity.User
	var policy client.PasswordPolicy
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if u, err = active(ctx, tx, who); err != nil {
			return err
		}
		policy, err = client.PasswordOf(ctx, tx, u.ID)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.proveOwner(ctx, who, u, proof, fault.CurrentPasswordWrong); err != nil {
		return err
	}
	if err := password.Fault(password.Policy(policy).Check(fresh, u.Email, u.DisplayName)); err != nil {
		return err
	}
	hash, err := c.Passwords.Hash(ctx, fresh)
	if err != nil {
		return password.Fault(err)
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		changed, err := identity.SetPassword(ctx, tx, u.ID, u.PasswordHash, hash, c.Now())
		if err != nil {
			return err
		}
		if !changed { // changed by somebody else since it was proved
			return fault.New(fault.CurrentPasswordWrong)
		}
		if err := logout.Everything(ctx, tx, u.ID, who.Session.ID, c.Now()); err != nil {
			return err
		}
		if err := c.endOthers(ctx, tx, who, u); err != nil {
			return err
		}
		if _, err := token.EndByUser(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := factor.Distrust(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := onetime.EndAll(ctx, tx, u.ID, onetime.Challenge, onetime.Reset, onetime.MagicLink); err != nil {
			return err
		}
		if err := c.record(ctx, tx, who, u, audit.UserPasswordChanged, nil); err != nil {
			return err
		}
		return job.EnqueueMail(ctx, tx, c.Key, mail.PasswordChanged, u.Email, mail.Data{Name: u.DisplayName}, c.Now())
	})
}

// proveOwner judges the proof for what only the owner of the password may do: who has
// one shows it, who has none another proof. wrong names the fault of a wrong one.
func (c *Core) proveOwner(ctx context.Context, who Caller, u identity.User, proof Proof, wrong fault.Code) error {
	if u.HasPassword() {
		if err := c.changing(ctx, who); err != nil {
			return err
		}
		return c.provePassword(ctx, who, proof, wrong)
	}
	proof.Password = ""
	if who.Session.ID == "" {
		// An access token is in the hands of the application it was made
		// for, which must not make itself a way in to all the others.
		who.AuthenticatedAt = time.Time{}
	}
	return c.prove(ctx, who, proof)
}

// endOthers ends every browser session of the caller but the one they are in.
func (c *Core) endOthers(ctx context.Context, tx *db.Tx, who Caller, u identity.User) error {
	n, err := session.EndAll(ctx, tx, u.ID, who.Session.ID)
	if err != nil || n == 0 {
		return err
	}
	if err := logout.Sessions(ctx, tx, u.ID, who.Session.ID, c.Now()); err != nil {
		return err
	}
	return c.record(ctx, tx, who, u, audit.UserLogout, nil)
}

// Sessions lists the caller's browser sessions, newest first.
func (c *Core) Sessions(ctx context.Context, who Caller) ([]session.Session, error) {
	var all []session.Session
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := active(ctx, tx, who); err != nil {
			return err
		}
		var err error
		all, err = session.ByUser(ctx, tx, who.UserID, c.Now())
		return err
	})
	return all, err
}

// EndSession ends one of the caller's browser sessions.
func (c *Core) EndSession(ctx context.Context, who Caller, id session.ID) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		ended, err := c.end(ctx, tx, who, u, id)
		if err == nil && !ended {
			err = fault.New(fault.SessionUnknown)
		}
		return err
	})
}

// end ends a session of the caller with what hangs on it; false if there is none.
func (c *Core) end(ctx context.Context, tx *db.Tx, who Caller, u identity.User, id session.ID) (bool, error) {
	ended, err := session.End(ctx, tx, u.ID, id)
	if err != nil || !ended {
		return ended, err
	}
	if _, err := token.EndBySession(ctx, tx, id); err != nil {
		return true, err
	}
	if err := logout.Session(ctx, tx, id, c.Now()); err != nil {
		return true, err
	}
	return true, c.record(ctx, tx, who, u, audit.UserLogout, map[string]any{"session_id": string(id)})
}
