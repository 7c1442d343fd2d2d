package signin

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/logout"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// methodSSO is how the audit log names a sign-in by a live browser session.
const methodSSO = "sso"

// SignOut ends the browser session that a cookie names; none is no error. What
// was granted in it ends, and its clients are told. The refresh tokens of a
// sign-in by our own API stay unless endTokens is set.
func (c *Core) SignOut(ctx context.Context, cookie string, endTokens bool, v Visitor) error {
	if cookie == "" {
		return nil
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := session.EndByToken(ctx, tx, cookie)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if err := logout.Session(ctx, tx, s.ID, c.Now()); err != nil {
			return err
		}
		if endTokens {
			if _, err := token.EndBySession(ctx, tx, s.ID); err != nil {
				return err
			}
		}
		u, err := identity.ByID(ctx, tx, s.UserID)
		if err != nil {
			return err
		}
		return c.loggedOut(ctx, tx, u, v)
	})
}

// ResumeIn asks for tokens by a live browser session.
type ResumeIn struct {
	Cookie      string
	ClientID    client.ID
	RedirectURI string
	Visitor     Visitor
}

// LoginPage is what a sign-in page needs to know before it is shown: the
// client, and where the browser goes when done. In is set when a live session
// makes the page needless: a sign-in without a form.
type LoginPage struct {
	Client      client.Client
	RedirectURI string
	In          *SignedIn
}

// Login checks the client and the redirect URI of a sign-in page, and resumes
// by the session cookie if there is one: if the user has an active place in
// the client already and the session proved every factor that is owed. In all
// other cases the form decides (contract keymaster §4.1). It enrols nobody.
func (c *Core) Login(ctx context.Context, in ResumeIn) (LoginPage, error) {
	var page LoginPage
	ready := false
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		page, ready = LoginPage{}, false
		if page.Client, err = clientFor(ctx, tx, in.ClientID, "", ""); err != nil {
			return err
		}
		var ok bool
		if page.RedirectURI, ok = page.Client.RedirectURI(in.RedirectURI); !ok {
			page.RedirectURI = "" // nobody is to be sent there by mistake
			return fault.New(fault.RedirectURIInvalid)
		}
		_, ready, err = c.resumable(ctx, tx, in.Cookie, page.Client)
		return err
	})
	if err != nil || !ready {
		return page, err
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		page.In = nil
		// The session may have ended since: judge it again where it counts.
		s, ready, err := c.resumable(ctx, tx, in.Cookie, page.Client)
		if err != nil || !ready {
			return err
		}
		// Each leaves a family and an audit entry: past this the form decides.
		wait, _, err := limit.Take(ctx, tx, c.Now(), limit.Rule{Name: "signin.resume", Key: string(s.UserID), N: 60, Per: 15 * time.Minute})
		if err != nil || wait > 0 {
			return err
		}
		u, err := identity.ByID(ctx, tx, s.UserID)
		if err != nil {
			return err
		}
		out, refused, err := c.admit(ctx, tx, proof{
			user: u, client: page.Client, amr: s.AMR, method: methodSSO, visitor: in.Visitor,
			second: session.TwoFactors(s.AMR), existing: &s,
		})
		if refused == nil {
			page.In = out.SignedIn
		}
		return err
	})
	return page, err
}

// resumable finds the session of a cookie and reports whether it may sign in
// to the client by itself.
func (c *Core) resumable(ctx context.Context, tx *db.Tx, cookie string, cl client.Client) (session.Session, bool, error) {
	if cookie == "" {
		return session.Session{}, false, nil
	}
	s, err := session.ByToken(ctx, tx, cookie, c.Now())
	if errors.Is(err, db.ErrNotFound) || err == nil && s.Partial {
		return s, false, nil
	} else if err != nil {
		return s, false, err
	}
	st, err := client.StandingOf(ctx, tx, s.UserID, cl.ID)
	if err != nil {
		return s, false, err
	}
	owed := st.Factor || cl.Policy.SecondFactor == client.FactorRequired
	return s, st.User.Status == identity.Active && st.Enrolment == client.Active && (!owed || session.TwoFactors(s.AMR)) &&
		st.Demand.Met(s.Upstream, session.TwoFactors(s.AMR), c.Now()), nil
}
