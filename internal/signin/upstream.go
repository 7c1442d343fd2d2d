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
	"sallyport/internal/openid"
	"sallyport/internal/saml"
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
// be sent anywhere. Form, if not nil, is what the browser is to post instead of going to
// Location. Cookie is the binding cookie to set, for UpstreamLifetime;
// CrossSite says that the upstream will post back from its own page, so that the
// cookie must be SameSite=None.
type UpstreamStarted struct {
	Client      client.Client
	RedirectURI string
	Location    string
	Form        *saml.Form
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
	SSO         *ssoAttempt      `json:"sso,omitempty"`
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
			if err == nil && !out.Client.Offers(in.Upstream) {
				err = fault.New(fault.MethodDisabled, in.Upstream)
			}
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
	out.Cookie = in.Cookie
	start := upstream.Start{
		RedirectURI: in.Callback, State: onetime.New(), LoginHint: in.LoginHint, Again: in.Again, Legacy: in.Legacy,
		Offline: out.Client.Policy.KeepUpstreamTokens,
	}
	at := attempt{RedirectURI: out.RedirectURI, State: in.State, Request: in.Request, Link: s.ID, Data: in.Data}
	return out, c.begin(ctx, &out, up, start, at, s.UserID, in.Limits)
}

// begin asks the broker where to send the browser, and keeps the attempt. The user is
// who wants to connect an account, or "".
func (c *Core) begin(ctx context.Context, out *UpstreamStarted, up upstream.Upstream, start upstream.Start, at attempt, u identity.UserID, limits []limit.Rule) (err error) {
	out.Location, at.Attempt, err = c.Broker.Begin(ctx, up, start)
	if err != nil {
		return failed(err)
	}
	out.Form = at.Attempt.Form
	if !cookieFormed(out.Cookie) {
		out.Cookie = secret.Hex(32)
	}
	out.CrossSite = up.PostsBack()
	at.Browser = secret.Hash(out.Cookie)
	data, err := json.Marshal(at)
	if err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := c.Now()
		if err := takeIn(ctx, tx, now, limits...); err != nil {
			return err
		}
		return onetime.Put(ctx, tx, start.State, onetime.Secret{
			Purpose: onetime.UpstreamState, UserID: u, ClientID: out.Client.ID, Data: data, ExpiresAt: now.Add(UpstreamLifetime),
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
	var f *openid.Failure
	if !errors.As(err, &f) {
		return err
	}
	code := fault.UpstreamFailed
	switch {
	case errors.Is(f, openid.ErrDenied):
		code = fault.UpstreamDenied
	case errors.Is(f, openid.ErrUnreachable):
		code = fault.UpstreamUnreachable
	case errors.Is(f, openid.ErrThrottled):
		code = fault.UpstreamThrottled
	case errors.Is(f, openid.ErrUnverified):
		code = fault.EmailUnverified
	}
	return &fault.Error{Code: code, RetryAfter: f.RetryAfter, Err: f}
}
