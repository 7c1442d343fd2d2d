package signin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/openid"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// SSOStart is a browser that is to be sent to the provider of an organization, found
// by its slug. RedirectURI to State are of the application, as UpstreamStart has them.
type SSOStart struct {
	Slug        string
	ClientID    client.ID
	RedirectURI string
	Allows      func(cl client.Client, uri string) bool
	Nowhere     bool
	State       string
	Request     string // the one that the sign-in is for, of the client ClientID
	// Callback is the absolute URL that an OpenID provider is to send the browser back
	// to. Where a SAML provider does is the mount's to say (saml.PartyAt).
	Callback  string
	Cookie    string // the binding cookie that the browser has, or ""
	Data      json.RawMessage
	LoginHint string
	Again     bool
	// Deferred has FinishSSO keep who it is behind a handle, for CompleteSSO. Unbound
	// is for applications that have no cookies: the handle is all there is to tell
	// one browser from another.
	Deferred bool
	Unbound  bool
	// Test is a sign-in that shows whether it works, and lets nobody in: the connection
	// need not be on. Whoever asks for it has been judged.
	Test    bool
	Limits  []limit.Rule
	Visitor Visitor
}

// SSOStarted says where to send the browser; see UpstreamStarted.
type SSOStarted struct {
	UpstreamStarted
	Org org.Org
}

// ssoAttempt is what an attempt has that is one at an organization's provider.
type ssoAttempt struct {
	Org      org.ID `json:"org"`
	Revision int64  `json:"revision"`
	Deferred bool   `json:"deferred,omitempty"`
	Unbound  bool   `json:"unbound,omitempty"`
	Test     bool   `json:"test,omitempty"`
}

// connected is an organization with its connection.
type connected struct {
	org  org.Org
	conn sso.Connection
}

func (k connected) upstream() upstream.Upstream { return k.conn.Upstream() }

// StartSSO begins a sign-in at the provider of an organization. That there is none,
// that it is off, that the organization is shut or has no domain of its own are one
// fault, SSODisabled: a slug tells nothing.
func (c *Core) StartSSO(ctx context.Context, in SSOStart) (SSOStarted, error) {
	var out SSOStarted
	var k connected
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out = SSOStarted{}
		if !in.Test { // which is for no application
			err = out.application(ctx, tx, UpstreamStart{
				ClientID: in.ClientID, RedirectURI: in.RedirectURI, Allows: in.Allows, Nowhere: in.Nowhere, Request: in.Request,
			})
		}
		if err != nil {
			return err
		}
		k, err = c.connection(ctx, tx, in)
		out.Org = k.org
		return err
	})
	if err != nil {
		return out, err
	}
	start := upstream.Start{RedirectURI: in.Callback, State: onetime.New(), LoginHint: in.LoginHint, Again: in.Again}
	if k.conn.Kind == sso.SAML {
		start.Party = saml.PartyAt(in.Visitor.Base, string(k.org.ID))
	}
	at := attempt{RedirectURI: out.RedirectURI, State: in.State, Request: in.Request, Data: in.Data,
		SSO: &ssoAttempt{Org: k.org.ID, Revision: k.conn.Revision, Deferred: in.Deferred, Unbound: in.Unbound, Test: in.Test}}
	out.Cookie = in.Cookie
	return out, c.begin(ctx, &out.UpstreamStarted, k.upstream(), start, at, "", in.Limits)
}

// connection finds what a start is for.
func (c *Core) connection(ctx context.Context, tx *db.Tx, in SSOStart) (k connected, err error) {
	k.org, k.conn, err = sso.BySlug(ctx, tx, c.Key, in.Slug)
	if errors.Is(err, db.ErrNotFound) {
		return connected{}, fault.New(fault.SSODisabled)
	} else if err != nil {
		return k, err
	}
	if in.Test && k.org.Open() {
		return k, nil
	}
	domains, err := provedBy(ctx, tx, k.org.ID)
	if err == nil && (!k.org.Open() || !k.conn.Enabled || len(domains) == 0) {
		return connected{}, fault.New(fault.SSODisabled)
	}
	return k, err
}

// SSOReturn is what a browser came back with from an organization's provider: which
// one that is, the state says, for there is one address to come back to for all.
type SSOReturn struct {
	State   string
	Cookie  string
	Answer  upstream.Answer
	Terms   Terms // SessionFor alone
	Visitor Visitor
}

// SSOReturned is how a sign-in at an organization's provider ended. What is the
// attempt's (Client to Data, Org, Deferred, Test) is set beside a fault too, as soon as
// the state was a good one. Handle is for CompleteSSO, of an attempt that is Deferred;
// of a Test nothing is set but the Profile as the provider gave it.
type SSOReturned struct {
	Returned
	Org      org.Org
	Deferred bool
	Test     bool
	Handle   string
}

// FinishSSO judges what a browser came back with, and does what was asked for at the
// start: it signs in, keeps who it is behind a handle, or tells how it went.
//
// Of all that could go wrong with one address for everybody's providers (RFC 9700 §4.4)
// none is left to the answer: the state says whose it is, and the code, the issuer and
// the keys are that organization's, as it has them now.
func (c *Core) FinishSSO(ctx context.Context, in SSOReturn) (SSOReturned, error) {
	out, at, k, err := c.ssoAnswer(ctx, in)
	switch {
	case err != nil && !out.Test:
		return out, err
	case out.Test:
		return out, c.tested(ctx, in, out, k, err)
	}
	err = c.again(func() error {
		return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
			if refused, err := c.spendAnswer(ctx, tx, in.State, out.Profile); refused != nil || err != nil {
				return refused, err
			}
			out.Outcome, out.Handle = Outcome{}, ""
			k, err := c.still(ctx, tx, *at.SSO) // it may have been taken away while its provider was asked
			if f, ok := fault.From(err); ok {
				return f, nil
			} else if err != nil {
				return nil, err
			}
			if out.Deferred {
				return c.deferSSO(ctx, tx, &out, at, k, in)
			}
			return c.arriveSSO(ctx, tx, &out.Returned, k, arrival{up: k.upstream(), browser: at.Browser, terms: in.Terms, visitor: in.Visitor})
		})
	})
	return out, err
}

// ssoAnswer is the first half, as answer is where the path names the upstream.
func (c *Core) ssoAnswer(ctx context.Context, in SSOReturn) (out SSOReturned, at attempt, k connected, err error) {
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, k = SSOReturned{}, connected{}
		at, err = c.ssoAttempted(ctx, tx, &out, in)
		if err != nil {
			return err
		}
		k, err = c.still(ctx, tx, *at.SSO)
		out.Org = k.org
		return err
	})
	if err != nil {
		return out, at, k, err
	}
	out.Profile, err = c.Broker.Finish(ctx, k.upstream(), at.Attempt, in.Answer, upstream.Visitor{IP: in.Visitor.IP, UserAgent: in.Visitor.UserAgent})
	if err != nil {
		err = failed(err)
		if !out.Test {
			err = c.refused(ctx, UpstreamReturn{Upstream: k.upstream().Key, State: in.State, Visitor: in.Visitor}, out.Client, k.org.ID, err)
		}
		return out, at, k, err
	}
	if !out.Test {
		out.Profile = k.conn.Read(out.Profile)
	}
	return out, at, k, nil
}

// spendAnswer ends the attempt, and takes an answer that could come again, such as an
// assertion, so that it does not.
func (c *Core) spendAnswer(ctx context.Context, tx *db.Tx, state string, p upstream.Profile) (*fault.Error, error) {
	if refused, err := c.spendState(ctx, tx, state); refused != nil || err != nil || p.Once.ID == "" {
		return refused, err
	}
	first, err := upstream.SpendOnce(ctx, tx, p.Upstream, p.Once)
	if err == nil && !first {
		return &fault.Error{Code: fault.UpstreamFailed, Err: openid.Fail(openid.ErrLies, "the answer was taken before")}, nil
	}
	return nil, err
}

// ssoAttempted reads the attempt of a state, if it is this browser's and one at an
// organization's provider.
func (c *Core) ssoAttempted(ctx context.Context, tx *db.Tx, out *SSOReturned, in SSOReturn) (at attempt, err error) {
	s, err := onetime.Peek(ctx, tx, onetime.UpstreamState, in.State, c.Now())
	if errors.Is(err, db.ErrNotFound) {
		return at, fault.New(fault.UpstreamStateInvalid)
	} else if err != nil {
		return at, err
	}
	if err := json.Unmarshal(s.Data, &at); err != nil {
		return at, err
	}
	if at.SSO == nil || !at.SSO.Unbound && !secret.Equal(at.Browser, secret.Hash(in.Cookie)) {
		return at, fault.New(fault.UpstreamStateInvalid)
	}
	out.RedirectURI, out.State, out.Request, out.Data = at.RedirectURI, at.State, at.Request, at.Data
	out.Deferred, out.Test = at.SSO.Deferred, at.SSO.Test
	if !out.Test {
		out.Client, err = clientFor(ctx, tx, s.ClientID, "", at.Request)
	}
	return at, err
}

// still reads the connection that something was begun with, if it lets the same
// people in as then.
func (c *Core) still(ctx context.Context, tx *db.Tx, at ssoAttempt) (k connected, err error) {
	if k.org, err = org.ByID(ctx, tx, at.Org); err == nil {
		k.conn, err = sso.ByOrg(ctx, tx, c.Key, at.Org)
	}
	switch {
	case errors.Is(err, db.ErrNotFound):
		return k, fault.New(fault.ConnectionChanged)
	case err != nil:
		return k, err
	case !k.org.Open(), !k.conn.Enabled && !at.Test, k.conn.Revision != at.Revision:
		return k, fault.New(fault.ConnectionChanged)
	}
	return k, nil
}

// tested ends a test and keeps what came of it, for the connection's administrator;
// why is what was wrong with the answer, if anything. Its fault is the one that a
// sign-in would have met.
func (c *Core) tested(ctx context.Context, in SSOReturn, out SSOReturned, k connected, why error) error {
	f, expected := fault.From(why)
	if why != nil && !expected || k.conn.OrgID == "" {
		return why
	}
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		if refused, err := c.spendAnswer(ctx, tx, in.State, out.Profile); refused != nil || err != nil {
			return refused, err
		}
		domains, err := provedBy(ctx, tx, k.org.ID)
		if err != nil {
			return nil, err
		}
		if err := sso.PutTest(ctx, tx, sso.JudgeTest(k.org, k.conn, domains, out.Profile, why, c.Now())); err != nil || f != nil {
			return f, err
		}
		p := k.conn.Read(out.Profile)
		_, _, refused, err := c.relateSSO(ctx, tx, &p, k)
		return refused, err
	})
}

// provedBy are the domains that an organization has proved.
func provedBy(ctx context.Context, tx *db.Tx, id org.ID) ([]string, error) {
	all, err := org.Domains(ctx, tx, id)
	var names []string
	for _, d := range all {
		if !d.VerifiedAt.IsZero() {
			names = append(names, d.Name)
		}
	}
	return names, err
}

// methodOf is what a sign-in by a connection is called to people, and in mails.
func methodOf(ctx context.Context, tx *db.Tx, id org.ID) (string, error) {
	o, err := org.ByID(ctx, tx, id)
	if errors.Is(err, db.ErrNotFound) {
		return sso.Title(""), nil
	}
	if o.Name == "" {
		return sso.Title(""), err
	}
	return o.Name, err
}

// domainOf is what stands after the @ of a normalised address, "" for none.
func domainOf(email string) string { return email[strings.LastIndexByte(email, '@')+1:] }
