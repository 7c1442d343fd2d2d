package enterprise

import (
	"context"
	"errors"
	"net/url"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/sso"
)

// How long a set-up link is good for.
const (
	SetupLifetime = 7 * 24 * time.Hour
	maxSetup      = 30 * 24 * time.Hour
	minSetup      = 10 * time.Minute
)

// SetupPath is where a set-up link leads, below the base of a mount.
const SetupPath = "/setup"

// SetupIn says what link is wanted: For how long, 0 for SetupLifetime, and whom to mail
// it to, if anybody.
type SetupIn struct {
	For   time.Duration
	Email string
}

// SetupLink is a link as it is made. Secret and URL are shown this once.
type SetupLink struct {
	sso.SetupLink
	Secret string
	URL    string
}

// MakeSetupLink makes a link by which a customer's administrator sets the
// organization's sign-in up. The one before ends.
func (c *Core) MakeSetupLink(ctx context.Context, who Actor, id org.ID, in SetupIn) (SetupLink, error) {
	var out SetupLink
	if in.For == 0 {
		in.For = SetupLifetime
	}
	if in.For < minSetup || in.For > maxSetup {
		return out, invalid("for")
	}
	if in.Email != "" {
		email, err := identity.NormalizeEmail(in.Email)
		if err != nil {
			return out, fault.New(fault.EmailInvalid)
		}
		in.Email = email
	}
	err := c.write(ctx, who, id, govern, func(ctx context.Context, tx *db.Tx, s standing) error {
		now := c.Now()
		if err := limited(ctx, tx, now, limit.Rule{Name: "enterprise.setup", Key: string(s.org.ID), N: 20, Per: time.Hour}); err != nil {
			return err
		}
		raw, l, err := sso.MakeSetupLink(ctx, tx, sso.SetupLink{OrgID: s.org.ID, MadeBy: s.actor().String(), Email: in.Email, ExpiresAt: now.Add(in.For)}, now)
		if err != nil {
			return err
		}
		out = SetupLink{SetupLink: l, Secret: raw, URL: who.Base + SetupPath + "?token=" + url.QueryEscape(raw)}
		if err := c.record(ctx, tx, s, audit.SetupLinkCreated, map[string]any{"setup_link": l.ID, "email": l.Email, "expires_at": l.ExpiresAt}); err != nil {
			return err
		}
		return job.EnqueueMail(ctx, tx, c.Key, mail.SetupLink, in.Email, mail.Data{
			Link: out.URL, Org: s.org.Name, Inviter: s.user.Email, Minutes: int(in.For / time.Minute),
		}, now)
	})
	return out, err
}

func limited(ctx context.Context, tx *db.Tx, now time.Time, rules ...limit.Rule) error {
	wait, _, err := limit.Take(ctx, tx, now, rules...)
	if err == nil && wait > 0 {
		return fault.Later(fault.RateLimited, wait)
	}
	return err
}

// SetupLinks lists the links that are good.
func (c *Core) SetupLinks(ctx context.Context, who Actor, id org.ID) ([]sso.SetupLink, error) {
	var all []sso.SetupLink
	err := c.read(ctx, who, id, govern, func(ctx context.Context, tx *db.Tx, s standing) (err error) {
		all, err = sso.SetupLinks(ctx, tx, s.org.ID, c.Now())
		return err
	})
	return all, err
}

// EndSetupLink ends a link: whoever has its page open, too, is refused from now on.
func (c *Core) EndSetupLink(ctx context.Context, who Actor, id org.ID, link string) error {
	return c.write(ctx, who, id, govern, func(ctx context.Context, tx *db.Tx, s standing) error {
		if err := sso.EndSetupLink(ctx, tx, s.org.ID, link); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.SetupLinkInvalid)
		} else if err != nil {
			return err
		}
		return c.record(ctx, tx, s, audit.SetupLinkEnded, map[string]any{"setup_link": link})
	})
}

// OpenSetup is View for whoever has just come by a link: the first time is written
// down.
func (c *Core) OpenSetup(ctx context.Context, who Actor) (View, error) {
	var v View
	err := c.write(ctx, who, "", look, func(ctx context.Context, tx *db.Tx, s standing) error {
		if s.link.ID == "" {
			return fault.New(fault.SetupLinkInvalid)
		}
		first, err := sso.OpenSetupLink(ctx, tx, s.link.ID, c.Now())
		if err == nil && first {
			err = c.record(ctx, tx, s, audit.SetupLinkOpened, nil)
		}
		if err != nil {
			return err
		}
		v, err = c.view(ctx, tx, s)
		return err
	})
	return v, err
}

// SetDirectory switches the organization's directory (SCIM) on, which makes a token for
// it that is shown this once, another one beside those that there are; or off, which
// ends all of them.
func (c *Core) SetDirectory(ctx context.Context, who Actor, id org.ID, on bool) (string, View, error) {
	var v View
	var token string
	err := c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		var err error
		var made directory.Token
		detail, action := map[string]any{}, audit.DirectoryDisabled
		if on {
			token, made, err = directory.MakeToken(ctx, tx, s.org.ID, c.Now())
			detail["token"], action = made.ID, audit.DirectoryEnabled
		} else {
			err = directory.Disable(ctx, tx, s.org.ID)
		}
		if errors.Is(err, directory.ErrMany) {
			return fault.New(fault.OrgHolds)
		} else if err != nil {
			return err
		}
		if err := c.record(ctx, tx, s, action, detail); err != nil {
			return err
		}
		v, err = c.view(ctx, tx, s)
		return err
	})
	return token, v, err
}

// EndDirectoryToken ends one token of the directory.
func (c *Core) EndDirectoryToken(ctx context.Context, who Actor, id org.ID, token string) error {
	return c.write(ctx, who, id, set, func(ctx context.Context, tx *db.Tx, s standing) error {
		err := directory.EndToken(ctx, tx, s.org.ID, token)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		return c.record(ctx, tx, s, audit.DirectoryTokenEnded, map[string]any{"token": token})
	})
}
