package signin

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
	"sallyport/internal/totp"
)

// Ways are the second factors that somebody can show: a code of their app, or one
// that is mailed to them.
type Ways struct{ App, Mail bool }

// waysOf reads them. A mailed code stands beside an app only where the first factor,
// whose methods amr are, was not the mailbox as well (package factor).
func waysOf(ctx context.Context, tx *db.Tx, u identity.UserID, amr []string) (w Ways, err error) {
	if w.App, err = totp.Enabled(ctx, tx, u); err != nil {
		return w, err
	}
	m, err := factor.MailedOf(ctx, tx, u)
	w.Mail = m.Chosen
	if w.App {
		w.Mail = !m.Barred && !slices.Contains(amr, session.Magic) && !slices.Contains(amr, session.InviteBy)
	}
	return w, err
}

// codeMails is the core's own limit on codes that one person is mailed.
func codeMails(u identity.UserID) limit.Rule {
	return limit.Rule{Name: "signin.code", Key: string(u), N: 5, Per: 15 * time.Minute}
}

// mailCode mails a code that completes a challenge, whose secret is the slot.
func (c *Core) mailCode(ctx context.Context, tx *db.Tx, cl client.Client, u identity.User, challenge string, now time.Time) error {
	code, err := factor.Code(ctx, tx, c.Key, u.ID, challenge, now)
	if err != nil {
		return err
	}
	d := brand(cl, u)
	d.Code, d.Minutes = code, int(factor.CodeLife.Minutes())
	return c.queueMail(ctx, tx, mail.MagicLink, u.Email, d)
}

// SendCodeIn asks for a code for a challenge by mail. Request is the one that the
// sign-in was begun for.
type SendCodeIn struct {
	Secret  string
	Request string
	Visitor Visitor
}

// SendCode mails a code that completes a challenge; the one before is void. It is
// MethodDisabled for who is to show their app.
func (c *Core) SendCode(ctx context.Context, in SendCodeIn) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		now := c.Now()
		at, refused, err := c.challenged(ctx, tx, in.Secret, in.Request, now)
		if refused != nil || err != nil {
			return refused, err
		}
		w, err := waysOf(ctx, tx, at.user.ID, at.first.AMR)
		if err != nil {
			return nil, err
		}
		if !w.Mail || at.user.Email == "" {
			return fault.New(fault.MethodDisabled, client.MethodEmailCode), nil
		}
		if err := takeIn(ctx, tx, now, codeMails(at.user.ID)); err != nil {
			return nil, err
		}
		return nil, c.mailCode(ctx, tx, at.client, at.user, in.Secret, now)
	})
}

// barMailed keeps mailed codes from standing beside the app of somebody whose password
// was set by way of their mailbox, until the app is used.
func (c *Core) barMailed(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	app, err := totp.Enabled(ctx, tx, u)
	if err != nil || !app {
		return err
	}
	return factor.Bar(ctx, tx, u, c.Now())
}

// judgeMailed spends a mailed code of a challenge, or says why not.
func (c *Core) judgeMailed(ctx context.Context, tx *db.Tx, u identity.UserID, challenge, code string, now time.Time) (*fault.Error, error) {
	switch err := factor.Judge(ctx, tx, c.Key, u, challenge, code, now); {
	case errors.Is(err, factor.ErrCode):
		return fault.New(fault.CodeInvalid), nil
	case errors.Is(err, factor.ErrGone):
		return fault.New(fault.CodeInvalid, fault.CodeGone), nil
	case errors.Is(err, factor.ErrTries):
		return fault.New(fault.ChallengeInvalid, fault.TriesSpent), nil
	default:
		return nil, err
	}
}

// endChallenge ends a challenge that was tried too often; another of too many may
// have been first.
func (c *Core) endChallenge(ctx context.Context, tx *db.Tx, raw string, now time.Time) error {
	_, err := onetime.Spend(ctx, tx, onetime.Challenge, raw, now)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	return err
}
