package signin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/openid"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

// UpstreamReturn is what a browser came back with. Upstream is the key in the
// path of the callback: it must be that of the attempt, or one upstream's answer
// could be taken for another's (RFC 9700 §4.4).
type UpstreamReturn struct {
	Upstream string
	State    string
	Cookie   string
	Answer   upstream.Answer
	Terms    Terms
	Visitor  Visitor
}

// Terms are what differs between surfaces in a sign-in by an upstream, beside the
// client's policy.
type Terms struct {
	Existing     bool // make no user and no place in the client: who has none is fault.UserUnknown
	VerifiedOnly bool // without a link, only an address that the upstream vouches for lets in: else fault.EmailUnverified, or fault.LinkTaken
	NeedsEmail   bool // make no user without an address: fault.EmailRequired
	Rename       bool // take the names over at every sign-in, not at the first alone
	Mailbox      bool // and the address, if the upstream vouches for it: one that another user has is fault.LinkTaken
	// Impersonation lets somebody in whom the upstream signed in as another person;
	// without it that is fault.Forbidden.
	Impersonation bool
	// SessionFor makes the sign-in a session of that life and nothing else: no
	// cookie and no refresh token, SignedIn.SessionID is what the surface's own
	// tokens name.
	SessionFor time.Duration
	// Roles are given by these rules. Where there are none left, an empty list takes
	// back what they gave; nil is a surface that knows no rules.
	Roles     []client.RoleRule
	KeepRoles bool // do not take back a role that a rule gave once it no longer holds
	// Alias is the prefix of the alias that the user gets in the client, before the
	// subject at the upstream; "" gives none.
	Alias string
}

// Returned is how a sign-in at an upstream ended. The attempt's own (Client to
// Data) is set beside a fault too, as soon as the state was a good one. Beyond
// that at most one of the others is set.
type Returned struct {
	Client      client.Client
	RedirectURI string
	State       string
	Request     string
	Data        json.RawMessage
	Profile     upstream.Profile
	Alias       string // the user's in the client, if Terms asked for one

	// Linked: the account is connected to who was signed in.
	Linked  bool
	Outcome Outcome
	// Invite: the client lets nobody in without an invitation; a secret for
	// AcceptUpstreamInvite.
	Invite string
	// Prove: somebody has the address and must sign in themselves to connect the
	// account; a secret for Prove.Secret, good in this browser alone.
	Prove string
}

// FinishUpstream judges what a browser came back with, and signs in.
func (c *Core) FinishUpstream(ctx context.Context, in UpstreamReturn) (Returned, error) {
	out, at, err := c.answer(ctx, in)
	if err != nil {
		return out, err
	}
	err = c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			if refused, err := c.spendState(ctx, tx, in.State); refused != nil || err != nil {
				return refused, err
			}
			out.Linked, out.Outcome, out.Invite, out.Prove, out.Alias = false, Outcome{}, "", "", ""
			if at.data.Link != "" {
				return c.connect(ctx, tx, &out, at, in.Visitor)
			}
			return c.arrive(ctx, tx, &out, arrival{up: at.upstream, browser: at.data.Browser, terms: in.Terms, visitor: in.Visitor})
		})
	})
	return out, err
}

// pursued is an attempt whose answer has come.
type pursued struct {
	data     attempt
	user     identity.UserID // who wants to connect an account
	upstream upstream.Upstream
}

// answer is the first half: the state is one that this browser got for this
// upstream, and the upstream says who it is. Nothing is spent but where an answer
// was refused for good; an upstream that cannot be reached, and a code that
// somebody else redeemed, leave the attempt as it is, so that of many callbacks
// with one state the one whose code was good is not robbed of it.
func (c *Core) answer(ctx context.Context, in UpstreamReturn) (Returned, pursued, error) {
	var out Returned
	var at pursued
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, at = Returned{}, pursued{}
		s, err := onetime.Peek(ctx, tx, onetime.UpstreamState, in.State, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.UpstreamStateInvalid)
		} else if err != nil {
			return err
		}
		if err := json.Unmarshal(s.Data, &at.data); err != nil {
			return err
		}
		if at.data.SSO != nil || at.data.Attempt.Upstream != in.Upstream || !secret.Equal(at.data.Browser, secret.Hash(in.Cookie)) {
			return fault.New(fault.UpstreamStateInvalid)
		}
		at.user = s.UserID
		out.RedirectURI, out.State, out.Request, out.Data = at.data.RedirectURI, at.data.State, at.data.Request, at.data.Data
		if s.ClientID != "" {
			if out.Client, err = clientFor(ctx, tx, s.ClientID, in.Upstream, at.data.Request); err != nil {
				return err
			}
		}
		at.upstream, err = c.upstreamOf(ctx, tx, in.Upstream)
		return err
	})
	if err != nil {
		return out, at, err
	}
	out.Profile, err = c.Broker.Finish(ctx, at.upstream, at.data.Attempt, in.Answer, upstream.Visitor{IP: in.Visitor.IP, UserAgent: in.Visitor.UserAgent})
	if err != nil {
		return out, at, c.refused(ctx, in, out.Client, "", failed(err))
	}
	return out, at, nil
}

// refused ends an attempt whose answer was no, and tells the audit log: of the
// provider of an organization also why, and the organization.
func (c *Core) refused(ctx context.Context, in UpstreamReturn, cl client.Client, id org.ID, err error) error {
	f, ok := fault.From(err)
	if !ok || f.Code == fault.UpstreamUnreachable || f.Code == fault.UpstreamThrottled ||
		errors.Is(err, openid.ErrInvalidGrant) || errors.Is(err, openid.ErrClient) {
		return err
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if refused, err := c.spendState(ctx, tx, in.State); refused != nil || err != nil {
			return refused, err
		}
		e := in.Visitor.attempt(audit.UserLoginFailed, identity.User{}, cl, map[string]any{"method": in.Upstream, "reason": string(f.Code)})
		if id != "" {
			e.OrgID, e.Detail["cause"] = id, f.Err.Error()
		}
		return f, audit.Record(ctx, tx, c.Now(), e)
	})
}

func (c *Core) spendState(ctx context.Context, tx *db.Tx, state string) (*fault.Error, error) {
	_, err := onetime.Spend(ctx, tx, onetime.UpstreamState, state, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.UpstreamStateInvalid), nil
	}
	return nil, err
}
