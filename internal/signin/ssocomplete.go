package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/logout"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/token"
	"sallyport/internal/upstream"
)

// HandleLifetime is how long a handle of a finished sign-in is good (contract
// snooplytics §7).
const HandleLifetime = time.Minute

// completion is what waits behind a handle: the token that the browser never sees.
// Member says that they were one when it was made.
type completion struct {
	waiting
	SSO    ssoAttempt `json:"sso"`
	Member bool       `json:"member,omitempty"`
}

// deferSSO judges who came, as arriveSSO would, and keeps them behind a handle. It
// makes and changes nobody: whoever never comes back for the handle was never here.
func (c *Core) deferSSO(ctx context.Context, tx *db.Tx, out *SSOReturned, at attempt, k connected, in SSOReturn) (*fault.Error, error) {
	user, _, f, err := c.relateSSO(ctx, tx, &out.Profile, k)
	if err != nil {
		return nil, err
	}
	if f != nil {
		return f, c.turnedAwaySSO(ctx, tx, in.Visitor, out.Client, k.org.ID, out.Profile, f)
	}
	now := c.Now()
	w := completion{
		waiting: waiting{Profile: out.Profile, RedirectURI: out.RedirectURI, State: out.State, Request: out.Request, Data: out.Data, Browser: at.Browser},
		SSO:     *at.SSO,
	}
	w.Profile.Tokens = upstream.Tokens{}
	if user.ID != "" {
		_, err := org.MembershipOf(ctx, tx, k.org.ID, user.ID)
		if w.Member = err == nil; err != nil && !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
	}
	data, err := json.Marshal(w)
	if err == nil && len(data) > onetime.MaxData { // somebody in a thousand groups: those that no rule knows are left out
		w.Profile = k.conn.Brief(w.Profile)
		data, err = json.Marshal(w)
	}
	if err != nil {
		return nil, fmt.Errorf("store profile: %w", err)
	}
	out.Handle, err = onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.SSOHandle, ClientID: out.Client.ID, Data: data, ExpiresAt: now.Add(HandleLifetime)}, now)
	return nil, err
}

// SSOComplete trades a handle for a sign-in, in the browser whose Cookie it is bound
// to. Terms are looked at for SessionFor alone.
type SSOComplete struct {
	ClientID client.ID
	Handle   string
	Cookie   string
	DeviceID string
	Terms    Terms
	Limits   []limit.Rule
	Visitor  Visitor
}

// CompleteSSO signs in whom a handle stands for. Unknown, expired, spent, another
// browser's and another client's are one fault, HandleInvalid. One that was spent
// ends the sign-in that came of it: of two who have a handle, one is a thief, and which
// cannot be known. In another browser than its own a handle stays as it is.
func (c *Core) CompleteSSO(ctx context.Context, in SSOComplete) (SSOReturned, error) {
	var out SSOReturned
	err := c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			out = SSOReturned{}
			if err := takeIn(ctx, tx, c.Now(), in.Limits...); err != nil {
				return nil, err
			}
			s, err := onetime.Peek(ctx, tx, onetime.SSOHandle, in.Handle, c.Now())
			if errors.Is(err, db.ErrNotFound) {
				return fault.New(fault.HandleInvalid), c.spentTwice(ctx, tx, in)
			} else if err != nil {
				return nil, err
			}
			var w completion
			if err := json.Unmarshal(s.Data, &w); err != nil {
				return nil, err
			}
			if s.ClientID != in.ClientID || !w.SSO.Unbound && !secret.Equal(w.Browser, secret.Hash(in.Cookie)) {
				return fault.New(fault.HandleInvalid), nil
			}
			if _, err := onetime.Spend(ctx, tx, onetime.SSOHandle, in.Handle, c.Now()); errors.Is(err, db.ErrNotFound) {
				return fault.New(fault.HandleInvalid), c.spentTwice(ctx, tx, in)
			} else if err != nil {
				return nil, err
			}
			return c.completeSSO(ctx, tx, &out, w, in)
		})
	})
	return out, err
}

// completeSSO admits who waited, if all is as it was, and remembers the handle.
func (c *Core) completeSSO(ctx context.Context, tx *db.Tx, out *SSOReturned, w completion, in SSOComplete) (*fault.Error, error) {
	out.Profile, out.RedirectURI, out.State, out.Request, out.Data = w.Profile, w.RedirectURI, w.State, w.Request, w.Data
	var k connected
	cl, err := clientFor(ctx, tx, in.ClientID, "", w.Request)
	if err == nil {
		out.Client = cl
		k, err = c.still(ctx, tx, w.SSO)
		out.Org = k.org
	}
	if f, ok := fault.From(err); ok {
		return f, nil
	} else if err != nil {
		return nil, err
	}
	if gone, err := c.leftSince(ctx, tx, w, k); err != nil {
		return nil, err
	} else if gone {
		return fault.New(fault.ConnectionChanged), nil
	}
	out.Profile.EmailTrusted = out.Profile.EmailVerified && out.Profile.Email != "" // as far as the domain goes, that is judged anew
	refused, err := c.arriveSSO(ctx, tx, &out.Returned, k, arrival{up: k.upstream(), browser: w.Browser, terms: in.Terms, visitor: in.Visitor})
	if refused != nil || err != nil || out.Outcome.SignedIn == nil {
		return refused, err
	}
	data, err := json.Marshal(spentHandle{Session: out.Outcome.SignedIn.SessionID, Org: k.org.ID})
	if err != nil {
		return nil, err
	}
	now := c.Now()
	return nil, onetime.Put(ctx, tx, in.Handle, onetime.Secret{
		Purpose: onetime.SSOSpent, UserID: out.Outcome.SignedIn.User.ID, ClientID: in.ClientID, Data: data, ExpiresAt: now.Add(spentFor),
	}, now)
}

// leftSince reports whether a member was put out after the handle was made: the
// organization does not take them in again by it.
func (c *Core) leftSince(ctx context.Context, tx *db.Tx, w completion, k connected) (bool, error) {
	if !w.Member {
		return false, nil
	}
	user, _, err := identity.ByLink(ctx, tx, w.Profile.Issuer, w.Profile.Subject)
	if errors.Is(err, db.ErrNotFound) {
		user, _, err = identity.Owner(ctx, tx, w.Profile.Email)
	}
	if err == nil {
		_, err = org.MembershipOf(ctx, tx, k.org.ID, user.ID)
	}
	if errors.Is(err, db.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// spentFor is how long a handle that was spent is remembered.
const spentFor = 24 * time.Hour

// spentHandle is what came of a handle.
type spentHandle struct {
	Session session.ID `json:"session"`
	Org     org.ID     `json:"org"`
}

// spentTwice ends the sign-in that came of a handle which comes again.
func (c *Core) spentTwice(ctx context.Context, tx *db.Tx, in SSOComplete) error {
	s, err := onetime.Spend(ctx, tx, onetime.SSOSpent, in.Handle, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	var came spentHandle
	if err := json.Unmarshal(s.Data, &came); err != nil {
		return err
	}
	ended, err := session.End(ctx, tx, s.UserID, came.Session)
	if err != nil || !ended {
		return err
	}
	if err := logout.Session(ctx, tx, came.Session, c.Now()); err != nil {
		return err
	}
	if _, err := token.EndBySession(ctx, tx, came.Session); err != nil {
		return err
	}
	u, err := identity.ByID(ctx, tx, s.UserID)
	if err != nil {
		return err
	}
	e := in.Visitor.attempt(audit.SessionsRevoked, u, client.Client{ID: s.ClientID}, map[string]any{"reason": "handle_reused"})
	e.OrgID = came.Org
	return audit.Record(ctx, tx, c.Now(), e)
}
