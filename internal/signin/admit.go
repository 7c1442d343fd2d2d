package signin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/openid"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/token"
	"sallyport/internal/upstream"
)

// proof is a first factor (or, with second, both) that proved right.
type proof struct {
	user    identity.User
	client  client.Client
	amr     []string
	method  string // as the audit log and webhooks name it
	device  string
	request string // the request that the sign-in is for, or ""
	visitor Visitor
	// second is set once a second factor was proved too.
	second bool
	// sessionless proofs never set a session cookie: an invite code alone
	// (contract keymaster §2.4).
	sessionless bool
	// existing is the browser session that is the proof, on the fast path:
	// no other is started.
	existing *session.Session
	// account is the organization that the sign-in is to act in, or "".
	account org.ID
	// hash, if not nil, must still be the user's password hash.
	hash *string
	// upstream is where an upstream's word comes from, if that is the first factor.
	upstream *provenance
	// sessionFor, if not 0, makes the sign-in a session of that life alone: no
	// cookie, no refresh tokens.
	sessionFor time.Duration
	// placed lets nobody in who has no place in the client yet, whatever its door.
	placed bool
	// rules are asked for roles.
	rules *ruling
	// connection is the organization's own provider that the person came by, if they
	// did, whose rules then give the roles, for what was said.
	connection *sso.Connection
	said       upstream.Profile
	// prove is the SHA-256 of the secret of an upstream account that waits for this
	// user to sign in.
	prove []byte
}

// provenance is what upstream said who it is, and when the person proved
// themselves to it, if it told.
type provenance struct {
	Key          string    `json:"key"`
	Issuer       string    `json:"issuer"`
	Session      string    `json:"session,omitempty"`
	Impersonator string    `json:"impersonator,omitempty"`
	At           time.Time `json:"at,omitzero"`
	Ends         time.Time `json:"ends,omitzero"` // when the session there does, and what is begun here with it
}

// ruling is what automatic roles are decided by.
type ruling struct {
	rules []client.RoleRule
	said  client.Assertion
	keep  bool
}

// authenticated is when the person proved themselves: to the upstream if it says
// so, for a session there may be days old, and a sign-in that should be fresh is
// not made so by a redirect; else now. The upstream tells whole seconds by a clock
// of its own: taken by the letter, somebody who proved themselves a moment ago has
// done so before they were asked to, and is asked again without end.
func (p proof) authenticated(now time.Time) time.Time {
	if p.upstream != nil && !p.second && !p.upstream.At.IsZero() && now.Sub(p.upstream.At) > openid.Leeway {
		return p.upstream.At
	}
	return now
}

// challengeData is what a challenge remembers of the first factor.
type challengeData struct {
	AMR         []string `json:"amr"`
	Method      string   `json:"method"`
	DeviceID    string   `json:"device_id,omitempty"`
	Request     string   `json:"request,omitempty"`
	Sessionless bool     `json:"sessionless,omitempty"`
	Account     org.ID   `json:"account,omitempty"`

	Upstream   *provenance   `json:"upstream,omitempty"`
	SessionFor time.Duration `json:"session_for,omitempty"`
	Prove      []byte        `json:"prove,omitempty"`
}

// admit judges a proof at the gates, in one order for every method (contract
// keymaster §1.7), and completes the sign-in if all are passed. A refusal is
// returned as a value: what admit wrote before it (a pending enrolment) is
// meant to stay.
func (c *Core) admit(ctx context.Context, tx *db.Tx, p proof) (Outcome, *fault.Error, error) {
	now := c.Now()
	out, refused, err := c.judge(ctx, tx, p, now)
	reason := ""
	switch {
	case err != nil:
	case refused != nil:
		reason = string(refused.Code)
	case out.Setup != nil:
		reason = string(fault.FactorSetupRequired)
	}
	if reason != "" {
		e := p.visitor.event(audit.UserLoginFailed, p.user, p.client, map[string]any{"method": p.method, "reason": reason})
		if e.OrgID = p.org(); refused != nil && (refused.Code == fault.SSORequired || refused.Code == fault.MFARequired) {
			e.OrgID = org.ID(refused.Params[1])
		}
		err = audit.Record(ctx, tx, now, e)
	}
	return out, refused, err
}

// judge is admit without the record of a refusal.
func (c *Core) judge(ctx context.Context, tx *db.Tx, p proof, now time.Time) (Outcome, *fault.Error, error) {
	s, err := client.StandingOf(ctx, tx, p.user.ID, p.client.ID)
	if err != nil {
		return Outcome{}, nil, fmt.Errorf("read standing: %w", err)
	}
	if p.hash != nil && s.User.PasswordHash != *p.hash {
		// The password was changed while we were verifying the old one.
		return Outcome{}, fault.New(fault.CredentialsInvalid), nil
	}
	if s.Enrolment == "" {
		if refused, err := c.enrol(ctx, tx, p, &s, now); refused != nil || err != nil {
			return Outcome{}, refused, err
		}
	}
	if err := c.letIn(ctx, tx, p, &s, now); err != nil {
		return Outcome{}, nil, err
	}
	switch {
	case s.User.Status != identity.Active, s.Enrolment == client.Suspended:
		return Outcome{}, fault.New(fault.EnrolmentSuspended, string(s.User.Status)), nil
	case p.client.Policy.VerifiedEmail && p.method == client.MethodPassword && !s.User.EmailVerified:
		return Outcome{}, fault.New(fault.EmailUnverified), nil
	case s.Enrolment == client.Pending:
		return Outcome{}, fault.New(fault.EnrolmentPending), nil
	case p.sessionless && p.request != "":
		// A code that was handed over starts no session, and without one there
		// is nothing to be had for a request: they are in, and sign in next.
		return Outcome{SignedIn: &SignedIn{User: p.user, Client: p.client, Roles: s.Roles, Request: p.request}}, nil, nil
	}
	met := s.Demand.Met(p.by(), session.TwoFactors(p.amr), now)
	if f := p.undemanded(s, met, now); f != nil {
		return Outcome{}, f, nil
	}
	if err := c.applyRules(ctx, tx, p, &s, now); err != nil {
		return Outcome{}, nil, err
	}
	trusted, err := c.trusts(ctx, tx, p, s, met, now)
	if err != nil {
		return Outcome{}, nil, err
	}
	switch {
	case s.Factor && !p.second && trusted == nil:
		ch, err := c.challenge(ctx, tx, p, now)
		return Outcome{Challenge: ch}, nil, err
	case !s.Factor && !met, !s.Factor && p.client.Policy.SecondFactor == client.FactorRequired && !session.TwoFactors(p.amr):
		setup, err := c.setup(ctx, tx, p, now)
		return Outcome{Setup: setup}, nil, err
	}
	in, err := c.complete(ctx, tx, p, s.Roles, now)
	if err == nil {
		in.Trusted, in.Factor = trusted, s.Factor
	}
	return Outcome{SignedIn: in}, nil, err
}

// enrol gives a user without an enrolment the place that the client's
// registration policy allows, if the surface does.
func (c *Core) enrol(ctx context.Context, tx *db.Tx, p proof, s *client.Standing, now time.Time) (*fault.Error, error) {
	status := p.client.Policy.Door(s.User.Email, s.User.EmailVerified)
	if status == "" && p.connection != nil {
		if ok, err := org.Brings(ctx, tx, p.connection.OrgID, p.client.ID); err != nil {
			return nil, err
		} else if ok {
			status = client.Active
		}
	}
	if status == "" || p.placed {
		return fault.New(fault.NotEnrolled), nil
	}
	roles := p.client.Policy.Roles.Default
	made, err := client.Enrol(ctx, tx, client.Enrolment{UserID: p.user.ID, ClientID: p.client.ID, Status: status, Roles: roles, CreatedAt: now})
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	if !made { // a concurrent sign-in of the same person was first: judge by what it made
		again, err := client.StandingOf(ctx, tx, p.user.ID, p.client.ID)
		*s = again
		return nil, err
	}
	s.Enrolment, s.Roles = status, roles
	if err := c.ownAccount(ctx, tx, p.client, p.user, p.visitor); err != nil {
		return nil, err
	}
	return nil, audit.Record(ctx, tx, now, p.visitor.event(audit.UserEnrolled, p.user, p.client, map[string]any{"status": string(status)}))
}

// challenge stores what was proved until the second factor comes.
func (c *Core) challenge(ctx context.Context, tx *db.Tx, p proof, now time.Time) (*Challenge, error) {
	data, err := json.Marshal(challengeData{AMR: p.amr, Method: p.method, DeviceID: p.device, Request: p.request, Sessionless: p.sessionless, Account: p.account,
		Upstream: p.upstream, SessionFor: p.sessionFor, Prove: p.prove})
	if err != nil {
		return nil, err
	}
	raw, err := onetime.Create(ctx, tx, onetime.Secret{
		Purpose: onetime.Challenge, UserID: p.user.ID, ClientID: p.client.ID, Data: data,
		ExpiresAt: now.Add(cmp.Or(p.visitor.Manner.Challenge, ChallengeLifetime)),
	}, now)
	if err != nil {
		return nil, fmt.Errorf("store challenge: %w", err)
	}
	ways, err := waysOf(ctx, tx, p.user.ID, p.amr)
	if err != nil {
		return nil, err
	}
	if !ways.App && !p.visitor.Manner.AsksForCodes {
		if err := c.mailCode(ctx, tx, p.client, p.user, raw, now); err != nil {
			return nil, err
		}
	}
	return &Challenge{Secret: raw, Ways: ways, UserID: p.user.ID, ClientID: p.client.ID, AMR: p.amr, DeviceID: p.device, IssuedAt: now}, nil
}

// setup starts a partial session, which only opens the account pages.
func (c *Core) setup(ctx context.Context, tx *db.Tx, p proof, now time.Time) (*Setup, error) {
	if p.sessionless || p.existing != nil || p.sessionFor > 0 {
		return &Setup{}, nil
	}
	_, cookie, err := c.startSession(ctx, tx, p, true, now)
	return &Setup{Session: cookie}, err
}

func (c *Core) startSession(ctx context.Context, tx *db.Tx, p proof, partial bool, now time.Time) (session.Session, string, error) {
	s := session.Session{
		UserID: p.user.ID, AMR: p.amr, Partial: partial, IP: p.visitor.IP, UserAgent: p.visitor.UserAgent,
		AuthenticatedAt: p.authenticated(now), CreatedAt: now, ExpiresAt: now.Add(cmp.Or(p.visitor.Manner.Session, SessionLifetime)),
	}
	if p.upstream != nil {
		s.Upstream, s.UpstreamSession = p.upstream.Key, p.upstream.Session
	}
	if p.sessionFor > 0 {
		s.ExpiresAt = now.Add(p.sessionFor)
	}
	if p.upstream != nil && !p.upstream.Ends.IsZero() && p.upstream.Ends.Before(s.ExpiresAt) {
		s.ExpiresAt = p.upstream.Ends
	}
	s, cookie, err := session.Start(ctx, tx, s)
	if p.sessionFor > 0 {
		cookie = ""
	}
	return s, cookie, err
}

// applyRules gives the roles that the client's rules give for what the upstream
// said, and records it.
func (c *Core) applyRules(ctx context.Context, tx *db.Tx, p proof, s *client.Standing, now time.Time) error {
	if p.connection != nil {
		return c.applyConnection(ctx, tx, p, s, now)
	}
	if p.rules == nil {
		return nil
	}
	before := s.Roles
	change, err := client.ApplyRules(ctx, tx, p.user.ID, p.client.ID, p.rules.rules, p.rules.said, p.rules.keep, now)
	if err != nil {
		return fmt.Errorf("apply role rules: %w", err)
	}
	s.Roles = change.Roles
	if len(change.Given)+len(change.Dropped) == 0 {
		return nil
	}
	e := p.visitor.event(audit.UserRoleChanged, p.user, p.client, map[string]any{
		"roles": change.Roles, "previous_roles": before, "by": "rule", "upstream": p.method,
	})
	e.Actor = audit.System()
	return audit.Record(ctx, tx, now, e)
}

// complete ends a sign-in that passed every gate: a session, a refresh-token
// family unless a request decides what there will be, an audit entry.
func (c *Core) complete(ctx context.Context, tx *db.Tx, p proof, roles []string, now time.Time) (*SignedIn, error) {
	in := &SignedIn{User: p.user, Client: p.client, Roles: roles, AMR: slices.Clone(p.amr), Request: p.request, AuthenticatedAt: p.authenticated(now)}
	if p.sessionless && !p.second {
		in.AuthenticatedAt = time.Time{} // a code that was handed over proves no person
	}
	var id session.ID
	var err error
	switch {
	case p.existing != nil:
		id, in.AuthenticatedAt = p.existing.ID, p.existing.AuthenticatedAt
	case !p.sessionless || p.sessionFor > 0:
		if in.Started, in.Session, err = c.startSession(ctx, tx, p, false, now); err != nil {
			return nil, err
		}
		id = in.Started.ID
	}
	in.SessionID = id
	if p.request == "" && p.sessionFor == 0 && p.visitor.Manner.Session == 0 {
		if in.Membership, err = p.acting(ctx, tx); err != nil {
			return nil, err
		}
		in.Refresh, err = token.Issue(ctx, tx, c.Key, token.Family{
			UserID: p.user.ID, ClientID: p.client.ID, SessionID: id, DeviceID: p.device, AMR: p.amr,
			Membership: in.Membership.ID, OrgRole: in.Membership.Role, Upstream: p.by(), ExpiresAt: p.client.Policy.RefreshExpiry(now),
		}, now)
		if err != nil {
			return nil, err
		}
		in.Family, _ = token.FamilyOf(c.Key, in.Refresh)
	}
	if err := c.linkProved(ctx, tx, p); err != nil {
		return nil, err
	}
	e := p.visitor.event(audit.UserLogin, p.user, p.client, p.detail())
	e.OrgID = cmp.Or(p.org(), in.Membership.OrgID)
	return in, audit.Record(ctx, tx, now, e)
}

// detail is what the audit log tells of a completed sign-in.
func (p proof) detail() map[string]any {
	d := map[string]any{"method": p.method, "amr": p.amr}
	if p.upstream != nil {
		d["issuer"] = p.upstream.Issuer
		if p.upstream.Impersonator != "" {
			d["impersonator"] = p.upstream.Impersonator
		}
	}
	return d
}
