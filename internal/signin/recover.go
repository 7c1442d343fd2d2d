package signin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/eviction"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/wire"
)

// The jobs that look a mailed-for address up. The request itself only queues
// one, so that it does the same work, and takes the same time, whether or not
// anybody has the address.
const (
	JobRecover   job.Kind = "signin.recover"
	JobMagicLink job.Kind = "signin.magic_link"
	JobSignUp    job.Kind = "signin.sign_up"
	JobVerify    job.Kind = "signin.verify"
)

// maxResets is how many reset links of one user are good at a time.
const maxResets = 5

// address is what those jobs carry.
type address struct {
	ClientID    client.ID `json:"client_id"`
	Email       string    `json:"email"`
	Base        string    `json:"base"`
	RedirectURI string    `json:"redirect_uri,omitempty"`
	Request     string    `json:"request,omitempty"`
	Prove       []byte    `json:"prove,omitempty"`
	Page        string    `json:"page,omitempty"`
	Browser     string    `json:"browser,omitempty"`

	Name string        `json:"name,omitempty"`
	Life time.Duration `json:"life,omitempty"`
}

// ForgotIn asks for a reset link. Limits are answered with a fault; Silent
// ones only keep the mail from being sent. Our own page leads back to the
// Request once the password is set. Page is the mount's own page, "" for ours.
type ForgotIn struct {
	ClientID client.ID
	Email    string
	Request  string
	Page     string
	Limits   Limits
	Silent   []limit.Rule
	Visitor  Visitor
}

// ForgotPassword queues a mail with a reset link. It succeeds for any client
// and any address.
func (c *Core) ForgotPassword(ctx context.Context, in ForgotIn) error {
	email, err := identity.NormalizeEmail(in.Email)
	if err != nil {
		return &fault.Error{Code: fault.EmailInvalid, Field: "email"}
	}
	if err := c.take(ctx, in.Limits.Count...); err != nil {
		return err
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := takeIn(ctx, tx, c.Now(), in.Silent...); err != nil {
			return err
		}
		return c.queue(ctx, tx, JobRecover, address{ClientID: in.ClientID, Email: email, Base: in.Visitor.Base, Request: in.Request, Page: in.Page})
	})
	if fault.Is(err, fault.RateLimited) {
		return nil
	}
	return err
}

// Recover is the job behind ForgotPassword: it mails a reset link if the
// client signs people in by password and somebody has the address.
func (c *Core) Recover(ctx context.Context, payload []byte) error {
	var to address
	if err := c.unqueue(JobRecover, payload, &to); err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, u, err := c.addressee(ctx, tx, to, client.MethodPassword)
		if err != nil || u.ID == "" || cl.Policy.ResetVerified && !u.EmailVerified {
			return err
		}
		now := c.Now()
		raw, err := onetime.Create(ctx, tx, onetime.Secret{
			Purpose: onetime.Reset, UserID: u.ID, ClientID: cl.ID, Email: to.Email, ExpiresAt: now.Add(ResetLifetime),
		}, now)
		if err != nil {
			return err
		}
		if err := onetime.Keep(ctx, tx, u.ID, onetime.Reset, maxResets); err != nil {
			return err
		}
		d := brand(cl, u)
		d.Link = linkTo(cl.Policy.Links.ResetPassword, to.Base+cmp.Or(to.Page, "/reset-password"), raw)
		if to.Request != "" && cl.Policy.Links.ResetPassword == "" {
			d.Link = wire.WithQuery(d.Link, "request", to.Request)
		}
		d.Minutes = int(ResetLifetime.Minutes())
		return c.queueMail(ctx, tx, mail.ResetPassword, to.Email, d)
	})
}

// addressee finds the client and the user of a queued address; a user without
// an id means that no mail is due.
func (c *Core) addressee(ctx context.Context, tx *db.Tx, to address, method string) (client.Client, identity.User, error) {
	cl, err := clientFor(ctx, tx, to.ClientID, method, to.Request)
	if _, expected := fault.From(err); expected {
		return cl, identity.User{}, nil
	} else if err != nil {
		return cl, identity.User{}, err
	}
	u, err := identity.ByEmail(ctx, tx, to.Email)
	if errors.Is(err, db.ErrNotFound) {
		return cl, identity.User{}, nil
	}
	return cl, u, err
}

// ResetIn sets a new password with a reset link. Login is the surface's limit
// on sign-ins by address, forgotten on success; its key is filled in.
type ResetIn struct {
	Token    string
	Password string
	Limits   Limits
	Login    limit.Rule
	KeepKeys bool // API keys stay good
	Visitor  Visitor
}

// ResetPassword replaces the password of the user that the link was mailed to,
// and ends everything that might be in other hands: sessions, refresh tokens,
// other reset and magic links, half-done sign-ins, and the ways in that are older
// than the proof of the address. A password that is refused leaves the link usable. It signs nobody in.
func (c *Core) ResetPassword(ctx context.Context, in ResetIn) error {
	if err := c.take(ctx, in.Limits.Count...); err != nil {
		return err
	}
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := onetime.Peek(ctx, tx, onetime.Reset, in.Token, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ResetInvalid)
		} else if err != nil {
			return err
		}
		u, err := identity.ByID(ctx, tx, s.UserID)
		if err != nil {
			return err
		}
		policy, about, err := resetPolicy(ctx, tx, s)
		if err != nil {
			return err
		}
		return CheckPassword(policy, in.Password, u.Email, u.DisplayName, about)
	})
	if err != nil {
		return err
	}
	hash, err := c.hash(ctx, in.Password)
	if err != nil {
		return err
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		return c.reset(ctx, tx, in, hash)
	})
}

// resetPolicy is the policy of the client that the link came from, or the
// strictest of the user's if that is gone.
func resetPolicy(ctx context.Context, tx *db.Tx, s onetime.Secret) (client.PasswordPolicy, string, error) {
	if s.ClientID != "" {
		cl, err := client.ByID(ctx, tx, s.ClientID)
		if err == nil || !errors.Is(err, db.ErrNotFound) {
			return cl.Password(), cl.Name, err
		}
	}
	p, err := client.PasswordOf(ctx, tx, s.UserID)
	return p, "", err
}

func (c *Core) reset(ctx context.Context, tx *db.Tx, in ResetIn, hash string) (*fault.Error, error) {
	now := c.Now()
	s, err := onetime.Spend(ctx, tx, onetime.Reset, in.Token, now)
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.ResetInvalid), nil
	} else if err != nil {
		return nil, err
	}
	u, err := identity.ByID(ctx, tx, s.UserID)
	if err != nil {
		return nil, err
	}
	if err := identity.ReplacePassword(ctx, tx, u.ID, hash, now); err != nil {
		return nil, err
	}
	first, err := identity.VerifyEmail(ctx, tx, u.ID, s.Email, now)
	if err != nil {
		return nil, err
	}
	if err := c.barMailed(ctx, tx, u.ID); err != nil {
		return nil, err
	}
	if first {
		err = c.evictAll(ctx, tx, u, in.Visitor)
	} else {
		err = c.evictOlder(ctx, tx, u, s.Email, in.KeepKeys, in.Visitor)
	}
	if err != nil {
		return nil, err
	}
	rules := []limit.Rule{passwordFloor(u.Email)}
	if in.Login.Name != "" {
		in.Login.Key = u.Email
		rules = append(rules, in.Login)
	}
	if err := limit.Reset(ctx, tx, rules...); err != nil {
		return nil, err
	}
	var cl client.Client
	if s.ClientID != "" {
		if cl, err = client.ByID(ctx, tx, s.ClientID); err != nil && !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
	}
	if err := audit.Record(ctx, tx, now, in.Visitor.event(audit.UserPasswordReset, u, cl, nil)); err != nil {
		return nil, err
	}
	return nil, c.queueMail(ctx, tx, mail.PasswordChanged, u.Email, brand(cl, u))
}

// endEverything ends whatever keeps a user signed in, or could sign them in
// without the password or the second factor.
func (c *Core) endEverything(ctx context.Context, tx *db.Tx, u identity.User, keepKeys bool, v Visitor) error {
	end := eviction.Everything
	if keepKeys {
		end = eviction.SignIns
	}
	ended, err := end(ctx, tx, u.ID, c.Now())
	if err != nil {
		return err
	}
	return c.wereSignedIn(ctx, tx, u, ended, v)
}

// wereSignedIn records that n browser sessions of a user ended, if there were any.
func (c *Core) wereSignedIn(ctx context.Context, tx *db.Tx, u identity.User, n int64, v Visitor) error {
	if n == 0 {
		return nil
	}
	return c.loggedOut(ctx, tx, u, v)
}

// loggedOut records that browser sessions of a user ended. Every application
// that the user is enrolled in hears of it.
func (c *Core) loggedOut(ctx context.Context, tx *db.Tx, u identity.User, v Visitor) error {
	e := v.event(audit.UserLogout, u, client.Client{}, nil)
	e.Announce = true
	return audit.Record(ctx, tx, c.Now(), e)
}
