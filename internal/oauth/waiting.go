package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/wire"
)

// How long a request may wait: for a person, and for the browser after it was
// pushed.
const (
	WaitLifetime   = time.Hour
	PushedLifetime = 90 * time.Second
)

// handle is a request that waits, by the name the browser has for it: pushed
// until the browser brought it, then for a person. Its secret names the one who
// is asked for consent, once somebody is.
type handle struct {
	raw     string
	purpose onetime.Purpose
	secret  onetime.Secret
}

// errGone is a handle that is nobody's.
func errGone() *Error {
	return refuse(InvalidRequest, "this sign-in has expired, or was finished already")
}

// waiting reads a request that waits, and what it is judged by now.
func (c *Core) waiting(ctx context.Context, raw, cookie string, purposes ...onetime.Purpose) (r Request, h handle, s sight, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		for _, p := range purposes {
			h = handle{raw: raw, purpose: p}
			if h.secret, err = onetime.Peek(ctx, tx, p, raw, c.Now()); !errors.Is(err, db.ErrNotFound) {
				break
			}
		}
		if err != nil {
			return err
		}
		s, err = sightOf(ctx, tx, h.secret.ClientID, cookie, c.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return r, h, s, errGone()
	}
	if err == nil {
		err = known(s, nil)
	}
	if err == nil {
		r = Request{}
		err = json.Unmarshal(h.secret.Data, &r)
	}
	if err == nil && r.UserCode == "" {
		// The client may have been changed since.
		if _, refused := redirectURI(s.client, r.RedirectURI, true); refused != nil {
			return r, h, s, refused
		}
	}
	return r, h, s, err
}

// newWaiting limits requests that wait, each of which is a row that a stranger
// makes us keep.
func newWaiting(who Visitor) limit.Rule {
	return limit.Rule{Name: "oauth.authorize", Key: wire.Origin{IP: who.IP}.Network(), N: 600, Per: 10 * time.Minute}
}

// wait keeps a request for a person, under the handle it has or a new one; user
// is the one whose consent is asked, or empty. Nothing is written for a handle
// that would stay as it is.
func (c *Core) wait(ctx context.Context, r Request, h handle, user identity.UserID, who Visitor) (string, error) {
	if h.purpose == onetime.Authorization && h.secret.UserID == user {
		return h.raw, nil
	}
	data, err := r.stored()
	if err != nil {
		return "", err
	}
	s := onetime.Secret{Purpose: onetime.Authorization, UserID: user, ClientID: r.ClientID, Data: data, ExpiresAt: c.Now().Add(WaitLifetime)}
	if h.purpose == onetime.Authorization {
		s.ExpiresAt = h.secret.ExpiresAt
	}
	raw := h.raw
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if raw != "" {
			return onetime.Replace(ctx, tx, h.purpose, raw, s, c.Now())
		}
		if err := take(ctx, tx, c.Now(), newWaiting(who)); err != nil {
			return err
		}
		h.raw, err = onetime.Create(ctx, tx, s, c.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return "", errGone()
	}
	return h.raw, err
}

// finish gives the code, in one transaction with all it rests on: the request is
// judged there once more, and its handle spent. consent, if not nil, is what the
// person has just agreed to.
func (c *Core) finish(ctx context.Context, r Request, h handle, cookie string, consent *grant.Consent, who Visitor) (Decision, error) {
	var out Decision
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = Decision{}
		s, err := sightOf(ctx, tx, r.ClientID, cookie, c.Now())
		if err := known(s, err); err != nil {
			return err
		}
		v := c.judge(r, s, consent != nil)
		switch {
		case v.step == giveError:
			out.Reply = reply(r, s.client, v.refused)
			return nil
		case v.step != giveCode:
			return errMoved
		case consent != nil && consent.UserID != s.session.UserID:
			return errMoved
		}
		if h.raw != "" {
			if _, err := onetime.Spend(ctx, tx, h.purpose, h.raw, c.Now()); err != nil {
				return err
			}
		}
		if consent != nil {
			if err := c.keepConsent(ctx, tx, *consent, s, who); err != nil {
				return err
			}
		}
		code, err := c.giveCodeIn(ctx, tx, r, s, v, who)
		out.Reply = reply(r, s.client, nil, code)
		return err
	})
	var refused *Error
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, db.ErrNotFound), errors.Is(err, errMoved):
		return Decision{}, errGone()
	case errors.As(err, &refused) && refused.Code == InvalidRequestObject:
		return Decision{Reply: reply(r, out.Reply.Client, refused)}, nil
	}
	return Decision{}, err
}

// errMoved says that what was read a moment ago is no longer so.
var errMoved = errors.New("oauth: the session or the consent has changed meanwhile")

func (c *Core) keepConsent(ctx context.Context, tx *db.Tx, k grant.Consent, s sight, who Visitor) error {
	if err := grant.PutConsent(ctx, tx, k, c.Now()); err != nil {
		return err
	}
	return audit.Record(ctx, tx, c.Now(), happened(audit.ConsentGiven, s, who, map[string]any{"scope": k.Scope, "resources": k.Resources}))
}

// deny ends a request and tells the client so (RFC 6749 §4.1.2.1).
func (c *Core) deny(ctx context.Context, r Request, h handle, s sight) (Decision, error) {
	return c.end(ctx, r, h, s, refuse(AccessDenied, "the person refused"))
}

// Refuse ends a request that waits for a sign-in which came to nothing, and tells
// the client why.
func (c *Core) Refuse(ctx context.Context, raw string, why *Error) (Decision, error) {
	r, h, s, err := c.waiting(ctx, raw, "", onetime.Authorization)
	if err != nil {
		return Decision{}, err
	}
	return c.end(ctx, r, h, s, why)
}

func (c *Core) end(ctx context.Context, r Request, h handle, s sight, why *Error) (Decision, error) {
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := onetime.Spend(ctx, tx, h.purpose, h.raw, c.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return Decision{}, errGone()
	}
	return Decision{Reply: reply(r, s.client, why)}, err
}
