package signin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/upstream"
)

// How long an attempt at an upstream may take, and how long what came of it waits
// for an invitation or for the owner of the address.
const (
	UpstreamLifetime = 10 * time.Minute
	PendingLifetime  = 15 * time.Minute
)

// freshEnough is how young a sign-in must be to connect an upstream account with
// no other proof: it is one more way in.
const freshEnough = 5 * time.Minute

// UpstreamStart is a browser that is to be sent to an upstream.
type UpstreamStart struct {
	ClientID    client.ID
	Upstream    string // its key; one of the client's methods
	RedirectURI string // of the application; "" is its first. Empty for a Request and a Link
	// Allows judges RedirectURI where a contract compares otherwise than exactly.
	Allows func(cl client.Client, uri string) bool
	// Nowhere takes a client without any redirect URI, whose people end on a page
	// of ours.
	Nowhere bool
	State   string // the application's own; the surface echoes it
	// Request is the one that the sign-in is for, of the client ClientID.
	Request string
	// Link is the cookie of the signed-in session that wants to connect an account;
	// then there is no client. Proved says that the person has shown a proof
	// beside it: without, the sign-in must be fresh.
	Link     string
	Proved   bool
	Callback string // the absolute URL that the upstream is to send the browser back to
	// Cookie is the binding cookie that the browser has, or "": one for all of its
	// attempts, so that two windows do not end each other's.
	Cookie    string
	Data      json.RawMessage // the surface's own, to come back in Returned
	LoginHint string
	Again     bool // have the person choose or prove an account anew; set it where a request asks for a fresh sign-in
	Legacy    bool // LinkedIn before OpenID Connect
	Limits    []limit.Rule
	Visitor   Visitor
}

// UpstreamStarted says where to send the browser. Client and RedirectURI are set
// as far as they are known beside a fault too: without a RedirectURI nobody is to
// be sent anywhere. Cookie is the binding cookie to set, for UpstreamLifetime;
// CrossSite says that the upstream will post back from its own page, so that the
// cookie must be SameSite=None.
type UpstreamStarted struct {
	Client      client.Client
	RedirectURI string
	Location    string
	Cookie      string
	CrossSite   bool
}

// attempt is what waits behind the state of a sign-in at an upstream.
type attempt struct {
	Attempt     upstream.Attempt `json:"attempt"`
	RedirectURI string           `json:"redirect_uri,omitempty"`
	State       string           `json:"state,omitempty"`
	Request     string           `json:"request,omitempty"`
	Link        session.ID       `json:"link,omitempty"`
	Data        json.RawMessage  `json:"data,omitempty"`
	Browser     []byte           `json:"browser"` // SHA-256 of the binding cookie
}

// StartUpstream begins a sign-in at an upstream: it keeps what has to be known
// when the answer comes behind a single-use state, bound to the browser.
func (c *Core) StartUpstream(ctx context.Context, in UpstreamStart) (UpstreamStarted, error) {
	var out UpstreamStarted
	var up upstream.Upstream
	var s session.Session
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out = UpstreamStarted{}
		if in.Link != "" {
			s, err = c.connecting(ctx, tx, in)
		} else {
			err = out.application(ctx, tx, in)
		}
		if err != nil {
			return err
		}
		up, err = c.upstreamOf(ctx, tx, in.Upstream)
		return err
	})
	if err != nil {
		return out, err
	}
	state, at := onetime.New(), attempt{RedirectURI: out.RedirectURI, State: in.State, Request: in.Request, Link: s.ID, Data: in.Data}
	out.Location, at.Attempt, err = c.Broker.Begin(ctx, up, upstream.Start{
		RedirectURI: in.Callback, State: state, LoginHint: in.LoginHint, Again: in.Again, Legacy: in.Legacy,
		Offline: out.Client.Policy.KeepUpstreamTokens,
	})
	if err != nil {
		return out, failed(err)
	}
	if out.Cookie = in.Cookie; !cookieFormed(out.Cookie) {
		out.Cookie = secret.Hex(32)
	}
	out.CrossSite = up.PostsBack()
	at.Browser = secret.Hash(out.Cookie)
	data, err := json.Marshal(at)
	if err != nil {
		return out, err
	}
	return out, c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := c.Now()
		if err := takeIn(ctx, tx, now, in.Limits...); err != nil {
			return err
		}
		return onetime.Put(ctx, tx, state, onetime.Secret{
			Purpose: onetime.UpstreamState, UserID: s.UserID, ClientID: out.Client.ID, Data: data, ExpiresAt: now.Add(UpstreamLifetime),
		}, now)
	})
}

// application reads the client that a sign-in is for and where it leads.
func (out *UpstreamStarted) application(ctx context.Context, tx *db.Tx, in UpstreamStart) error {
	cl, err := clientFor(ctx, tx, in.ClientID, "", in.Request)
	if err != nil {
		return err
	}
	out.Client = cl
	if in.Request == "" {
		uri, ok := cl.RedirectURI(in.RedirectURI)
		if in.Allows != nil && uri != "" {
			ok = in.Allows(cl, uri)
		}
		nowhere := in.Nowhere && in.RedirectURI == "" && len(cl.Policy.RedirectURIs) == 0
		if !ok && !nowhere {
			return fault.New(fault.RedirectURIInvalid)
		}
		out.RedirectURI = uri
	}
	if !cl.Offers(in.Upstream) {
		return fault.New(fault.MethodDisabled, in.Upstream)
	}
	return nil
}

// connecting reads the session of somebody who wants to connect an account.
func (c *Core) connecting(ctx context.Context, tx *db.Tx, in UpstreamStart) (session.Session, error) {
	s, err := session.ByToken(ctx, tx, in.Link, c.Now())
	switch {
	case errors.Is(err, db.ErrNotFound), err == nil && s.Partial:
		return s, fault.New(fault.Unauthenticated)
	case err == nil && !in.Proved && c.Now().Sub(s.AuthenticatedAt) >= freshEnough:
		return s, fault.New(fault.ProofRequired)
	}
	return s, err
}

// upstreamOf reads a configured upstream. One that is named like a method of our
// own is none.
func (c *Core) upstreamOf(ctx context.Context, tx *db.Tx, key string) (upstream.Upstream, error) {
	up, err := upstream.ByKey(ctx, tx, c.Key, key)
	if errors.Is(err, db.ErrNotFound) {
		return up, fault.New(fault.UpstreamUnknown, key)
	}
	return up, err
}

// cookieFormed reports whether a binding cookie can be one of ours.
func cookieFormed(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// failed is the fault that a failure of the broker's is.
func failed(err error) error {
	var f *upstream.Failure
	if !errors.As(err, &f) {
		return err
	}
	code := fault.UpstreamFailed
	switch {
	case errors.Is(f, upstream.ErrDenied):
		code = fault.UpstreamDenied
	case errors.Is(f, upstream.ErrUnreachable):
		code = fault.UpstreamUnreachable
	case errors.Is(f, upstream.ErrThrottled):
		code = fault.UpstreamThrottled
	case errors.Is(f, upstream.ErrUnverified):
		code = fault.EmailUnverified
	}
	return &fault.Error{Code: code, RetryAfter: f.RetryAfter, Err: f}
}

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
	Existing     bool // make no user: somebody nobody knows is fault.UserUnknown
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
	Roles      []client.RoleRule
	KeepRoles  bool // do not take back a role that a rule gave once it no longer holds
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
		if at.data.Attempt.Upstream != in.Upstream || !secret.Equal(at.data.Browser, secret.Hash(in.Cookie)) {
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
		return out, at, c.refused(ctx, in, out.Client, failed(err))
	}
	return out, at, nil
}

// refused ends an attempt whose answer was no, and tells the audit log.
func (c *Core) refused(ctx context.Context, in UpstreamReturn, cl client.Client, err error) error {
	f, ok := fault.From(err)
	if !ok || f.Code == fault.UpstreamUnreachable || f.Code == fault.UpstreamThrottled ||
		errors.Is(err, upstream.ErrInvalidGrant) || errors.Is(err, upstream.ErrClient) {
		return err
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if refused, err := c.spendState(ctx, tx, in.State); refused != nil || err != nil {
			return refused, err
		}
		return f, c.turnedAway(ctx, tx, in.Visitor, cl, in.Upstream, f)
	})
}

func (c *Core) spendState(ctx context.Context, tx *db.Tx, state string) (*fault.Error, error) {
	_, err := onetime.Spend(ctx, tx, onetime.UpstreamState, state, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.UpstreamStateInvalid), nil
	}
	return nil, err
}
