package signin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/session"
	"sallyport/internal/totp"
)

// CodeKind is which codes a challenge takes.
type CodeKind int

// The kinds. AnyCode is one of the app or a backup code, and for who has no app the
// mailed one.
const (
	AnyCode CodeKind = iota
	AppCode
	BackupCode
	MailedCode
)

// ChallengeIn answers a challenge. Request is the one that the sign-in was begun
// for. Wrong codes are limited by Tries, the surface's rule, whose key is filled in
// with the user; or by Most of them for one challenge and by Lock for the user. Trust
// has the browser not be asked again.
type ChallengeIn struct {
	Secret  string
	Request string
	Kind    CodeKind
	Code    string
	Tries   limit.Rule
	Most    int
	Lock    Lock
	Trust   bool
	Visitor Visitor
}

// challenged is a challenge that somebody answers.
type challenged struct {
	first  challengeData
	user   identity.User
	client client.Client
}

// challenged reads a live challenge that was begun for a request.
func (c *Core) challenged(ctx context.Context, tx *db.Tx, raw, request string, now time.Time) (at challenged, refused *fault.Error, err error) {
	ch, err := onetime.Peek(ctx, tx, onetime.Challenge, raw, now)
	if errors.Is(err, db.ErrNotFound) {
		return at, fault.New(fault.ChallengeInvalid), nil
	} else if err != nil {
		return at, nil, err
	}
	if err := json.Unmarshal(ch.Data, &at.first); err != nil {
		return at, nil, err
	}
	if at.first.Request != request {
		return at, fault.New(fault.ChallengeInvalid), nil
	}
	if at.user, err = identity.ByID(ctx, tx, ch.UserID); err != nil {
		return at, nil, err
	}
	at.client, err = clientFor(ctx, tx, ch.ClientID, "", at.first.Request)
	if f, ok := fault.From(err); ok {
		return at, f, nil
	}
	return at, nil, err
}

// Challenge completes a sign-in that owed a second factor. The challenge is
// spent by the right code only; too many wrong ones end it. Of any number of
// callers with the same code one gets in, because a code is good once.
func (c *Core) Challenge(ctx context.Context, in ChallengeIn) (Outcome, error) {
	var out Outcome
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		out = Outcome{}
		now := c.Now()
		at, refused, err := c.challenged(ctx, tx, in.Secret, in.Request, now)
		if refused != nil || err != nil {
			return refused, err
		}
		last, refused, err := c.mayAnswer(ctx, tx, &in, at.user.ID, now)
		if refused != nil || err != nil {
			return refused, err
		}
		if refused, err = c.judgeCode(ctx, tx, in, at.user.ID, now); err != nil {
			return nil, err
		} else if refused != nil {
			if last {
				err = in.Lock.shut(ctx, tx, at.user.ID, now)
			}
			return refused, errors.Join(err, audit.Record(ctx, tx, now, in.Visitor.attempt(audit.UserLoginFailed, at.user, at.client,
				map[string]any{"method": session.OTP, "reason": string(refused.Code)})))
		}
		if _, err := onetime.Spend(ctx, tx, onetime.Challenge, in.Secret, now); errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ChallengeInvalid), nil
		} else if err != nil {
			return nil, err
		}
		if err := limit.Reset(ctx, tx, in.failures(at.user.ID)...); err != nil {
			return nil, err
		}
		out, refused, err = c.admit(ctx, tx, at.first.proof(at, in))
		if err == nil && in.Trust && out.SignedIn != nil {
			err = c.trust(ctx, tx, out.SignedIn, now)
		}
		return refused, err
	})
	return out, err
}

// proof is the first factor of a challenge with the second, which has just been proved.
func (first challengeData) proof(at challenged, in ChallengeIn) proof {
	return proof{
		user: at.user, client: at.client, amr: append(slices.Clone(first.AMR), session.OTP), method: first.Method, device: first.DeviceID,
		request: in.Request, visitor: in.Visitor, second: true, sessionless: first.Sessionless, account: first.Account,
		upstream: first.Upstream, sessionFor: first.SessionFor, prove: first.Prove,
	}
}

// mayAnswer counts an answer before it is judged. last tells that the lock shuts if it
// is wrong.
func (c *Core) mayAnswer(ctx context.Context, tx *db.Tx, in *ChallengeIn, u identity.UserID, now time.Time) (last bool, refused *fault.Error, err error) {
	if in.Tries.Name != "" {
		in.Tries.Key = string(u)
		wait, _, err := limit.Take(ctx, tx, now, in.Tries)
		if err != nil || wait == 0 {
			return false, nil, err
		}
		return false, fault.Later(fault.CodeAttempts, wait), c.endChallenge(ctx, tx, in.Secret, now)
	}
	last, wait, err := in.Lock.take(ctx, tx, u, now)
	if err != nil {
		return false, nil, err
	}
	if wait > 0 {
		return false, fault.Later(fault.CodeAttempts, wait), nil
	}
	s, err := onetime.Try(ctx, tx, onetime.Challenge, in.Secret, in.Most+1, now)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return false, fault.New(fault.ChallengeInvalid), nil
	case err == nil && s.Tries > in.Most:
		return false, fault.New(fault.ChallengeInvalid, fault.TriesSpent), nil
	}
	return last, nil, err
}

// failures are the counters that a right code clears.
func (in ChallengeIn) failures(u identity.UserID) []limit.Rule {
	if in.Tries.Name != "" {
		return []limit.Rule{in.Tries}
	}
	return []limit.Rule{in.Lock.counter(u)}
}

// judgeCode spends the code that answers a challenge, or says what is wrong with it.
func (c *Core) judgeCode(ctx context.Context, tx *db.Tx, in ChallengeIn, u identity.UserID, now time.Time) (*fault.Error, error) {
	var err error
	switch in.Kind {
	case MailedCode:
		return c.judgeMailed(ctx, tx, u, in.Secret, in.Code, now)
	case AppCode:
		err = totp.UseCode(ctx, tx, c.Key, u, in.Code, now)
	case BackupCode:
		err = totp.UseBackup(ctx, tx, c.Key, u, in.Code, now)
	case AnyCode:
		err = totp.Use(ctx, tx, c.Key, u, in.Code, now)
	}
	switch {
	case errors.Is(err, totp.ErrNotStarted) && in.Kind != AnyCode:
		return fault.New(fault.TOTPNotStarted), nil
	case errors.Is(err, totp.ErrNotStarted):
		f, err := c.judgeMailed(ctx, tx, u, in.Secret, in.Code, now)
		if f != nil {
			f = fault.New(fault.CodeInvalid) // such a surface knows no other reason
		}
		return f, err
	case errors.Is(err, totp.ErrCode):
		return fault.New(fault.CodeInvalid), nil
	case err != nil:
		return nil, err
	}
	return nil, factor.Unbar(ctx, tx, u)
}

// ChallengeClient returns the client that a live challenge belongs to, for a
// page to show; the challenge is not touched.
func (c *Core) ChallengeClient(ctx context.Context, raw string) (client.Client, error) {
	var cl client.Client
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		ch, err := onetime.Peek(ctx, tx, onetime.Challenge, raw, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.ChallengeInvalid)
		} else if err != nil {
			return err
		}
		var first challengeData
		if err := json.Unmarshal(ch.Data, &first); err != nil {
			return err
		}
		cl, err = clientFor(ctx, tx, ch.ClientID, "", first.Request)
		return err
	})
	return cl, err
}
