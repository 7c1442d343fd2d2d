// Package self is the core for a signed-in person: their profile, password,
// second factor, sessions and linked accounts. What could lock the owner out,
// or let a thief in, wants a proof of its own beside the sign-in: a password, a
// code, or a sign-in of the last few minutes.
package self

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/password"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/totp"
)

// Fresh is how young a sign-in must be to stand for a proof.
const Fresh = 5 * time.Minute

// Core holds what the operations need. Issuer is the name that an
// authenticator app shows.
type Core struct {
	DB        *db.DB
	Now       func() time.Time
	Key       *secret.Key
	Passwords *password.Pool
	Issuer    string
}

// Caller is the signed-in person. Session is set for a browser, and empty for
// one who shows an access token; AuthenticatedAt is zero if it is not known. Who
// shows an API key has its Key, Org if it is pinned to one, and in Session how they
// had signed in when they made it, without an ID. Scopes bound what a credential may;
// nil, of a session, is all that its person may.
type Caller struct {
	UserID          identity.UserID
	Session         session.Session
	Key             apikey.ID
	Org             org.ID
	Scopes          []string
	AuthenticatedAt time.Time
	FreshFor        time.Duration
	IP              string
	RequestID       string
}

// Covers reports whether the caller's own credential may do what all the scopes name.
func (who Caller) Covers(scopes ...string) bool {
	return who.Scopes == nil || !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(who.Scopes, s) })
}

// Proof is what a person shows for a sensitive change; both may be empty.
// Limits are the surface's on wrong passwords and on wrong codes; their keys
// are filled in with the user.
type Proof struct {
	Password      string
	Code          string
	PasswordTries limit.Rule
	CodeTries     limit.Rule
}

// Browser is the caller behind a session cookie.
func (c *Core) Browser(ctx context.Context, cookie, ip, requestID string) (Caller, error) {
	var s session.Session
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = session.ByToken(ctx, tx, cookie, c.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return Caller{}, fault.New(fault.Unauthenticated)
	}
	return Caller{UserID: s.UserID, Session: s, AuthenticatedAt: s.AuthenticatedAt, IP: ip, RequestID: requestID}, err
}

// Profile is what a person sees of themselves.
type Profile struct {
	User                 identity.User
	TOTP                 bool
	BackupCodesRemaining int
	Upstreams            []string
}

// Me reads the caller's profile.
func (c *Core) Me(ctx context.Context, who Caller) (Profile, error) {
	var p Profile
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		p, err = c.profile(ctx, tx, who)
		return err
	})
	return p, err
}

func (c *Core) profile(ctx context.Context, tx *db.Tx, who Caller) (Profile, error) {
	u, err := active(ctx, tx, who)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{User: u}
	if p.TOTP, err = totp.Enabled(ctx, tx, u.ID); err != nil {
		return p, err
	}
	if p.TOTP {
		if p.BackupCodesRemaining, err = totp.Remaining(ctx, tx, u.ID); err != nil {
			return p, err
		}
	}
	links, err := identity.Links(ctx, tx, u.ID)
	for _, l := range links {
		p.Upstreams = append(p.Upstreams, l.Upstream)
	}
	return p, err
}

// active reads the caller, who must still be there and not suspended.
func active(ctx context.Context, tx *db.Tx, who Caller) (identity.User, error) {
	u, err := identity.ByID(ctx, tx, who.UserID)
	if errors.Is(err, db.ErrNotFound) {
		return u, fault.New(fault.Unauthenticated)
	}
	if err == nil && u.Status != identity.Active {
		return u, fault.New(fault.EnrolmentSuspended, string(u.Status))
	}
	return u, err
}

// Rename changes the caller's display name, and with it given and family name.
func (c *Core) Rename(ctx context.Context, who Caller, name string) (Profile, error) {
	var p Profile
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		given, family := identity.Names(name)
		if err := identity.SetName(ctx, tx, u.ID, name, given, family, c.Now()); err != nil {
			return err
		}
		if err := c.record(ctx, tx, who, u, audit.UserUpdated, map[string]any{"fields": []string{"display_name"}}); err != nil {
			return err
		}
		p, err = c.profile(ctx, tx, who)
		return err
	})
	return p, err
}

// prove judges the proof for a sensitive change, in this order: a password if
// one is given, else a code, else a sign-in younger than Fresh. Wrong ones
// count against the limits.
func (c *Core) prove(ctx context.Context, who Caller, p Proof) error {
	if err := c.changing(ctx, who); err != nil {
		return err
	}
	switch {
	case p.Password != "":
		return c.provePassword(ctx, who, p, fault.ProofRequired)
	case p.Code != "":
		return c.proveCode(ctx, who, p)
	case c.fresh(who):
		return c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
			u, err := active(ctx, tx, who)
			// A change of the password ends sessions; a token outlives them,
			// but proves no more than they would. Its time is in milliseconds.
			if err == nil && who.Session.ID == "" && u.UpdatedAt.Truncate(time.Millisecond).After(who.AuthenticatedAt) {
				err = fault.New(fault.ProofRequired)
			}
			return err
		})
	}
	return fault.New(fault.ProofRequired)
}

// changing counts a change that costs a hash or sends a mail, right proof or
// wrong: nobody needs many, and the address may be one that nobody proved.
func (c *Core) changing(ctx context.Context, who Caller) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return take(ctx, tx, c.Now(), fault.RateLimited, limit.Rule{Name: "self.change", N: 10, Per: 15 * time.Minute}, who.UserID)
	})
}

func (c *Core) fresh(who Caller) bool {
	age := c.Now().Sub(who.AuthenticatedAt)
	return !who.AuthenticatedAt.IsZero() && age >= 0 && age < cmp.Or(who.FreshFor, Fresh)
}

// provePassword verifies the caller's password; wrong names the fault of a
// wrong one. No transaction is open while the hash is made.
func (c *Core) provePassword(ctx context.Context, who Caller, p Proof, wrong fault.Code) error {
	var u identity.User
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if u, err = active(ctx, tx, who); err != nil {
			return err
		}
		return take(ctx, tx, c.Now(), fault.RateLimited, p.PasswordTries, u.ID)
	})
	if err != nil {
		return err
	}
	ok, _, err := c.Passwords.Verify(ctx, u.PasswordHash, p.Password)
	if err != nil {
		return password.Fault(err)
	}
	if !ok {
		return fault.New(wrong)
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		p.PasswordTries.Key = string(u.ID)
		return limit.Reset(ctx, tx, p.PasswordTries)
	})
}

// proveCode spends a TOTP or backup code of the caller.
func (c *Core) proveCode(ctx context.Context, who Caller, p Proof) error {
	wrong := false
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := active(ctx, tx, who)
		if err != nil {
			return err
		}
		wrong, err = c.useCode(ctx, tx, u, p)
		return err
	})
	if err == nil && wrong {
		return fault.New(fault.CodeInvalid)
	}
	return err
}

// useCode spends a code inside a transaction. A wrong one is a value, so that
// the count of it is committed.
func (c *Core) useCode(ctx context.Context, tx *db.Tx, u identity.User, p Proof) (wrong bool, err error) {
	if err := take(ctx, tx, c.Now(), fault.CodeAttempts, p.CodeTries, u.ID); err != nil {
		return false, err
	}
	switch err := totp.Use(ctx, tx, c.Key, u.ID, p.Code, c.Now()); {
	case errors.Is(err, totp.ErrCode), errors.Is(err, totp.ErrNotStarted):
		return true, nil
	case err != nil:
		return false, err
	}
	p.CodeTries.Key = string(u.ID)
	return false, limit.Reset(ctx, tx, p.CodeTries)
}

func take(ctx context.Context, tx *db.Tx, now time.Time, code fault.Code, r limit.Rule, u identity.UserID) error {
	r.Key = string(u)
	wait, _, err := limit.Take(ctx, tx, now, r)
	if err == nil && wait > 0 {
		return fault.Later(code, wait)
	}
	return err
}

// record writes an audit entry by the caller about themselves.
func (c *Core) record(ctx context.Context, tx *db.Tx, who Caller, u identity.User, a audit.Action, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["email"], detail["name"] = u.Email, u.DisplayName
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: audit.User(u.ID), Action: a, UserID: u.ID, IP: who.IP, RequestID: who.RequestID, Detail: detail,
		Announce: a == audit.UserLogout,
	})
}

// notify mails the caller that their second factor changed.
func (c *Core) notify(ctx context.Context, tx *db.Tx, u identity.User, change mail.Change) error {
	return job.EnqueueMail(ctx, tx, c.Key, mail.FactorChanged, u.Email, mail.Data{Name: u.DisplayName, Change: change}, c.Now())
}

// demanded reports whether an application that the user is in demands a second
// factor.
func demanded(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	must, err := client.DemandsFactor(ctx, tx, u)
	if err == nil && must {
		return fault.New(fault.TOTPDemanded)
	}
	return err
}
