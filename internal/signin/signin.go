// Package signin is the core for a visitor: somebody who is not signed in, or
// holds no more than a refresh token or a session cookie. It signs people up
// and in by every method, asks for second factors, recovers lost passwords,
// keeps people signed in and signs them out.
//
// Every way in is the same three steps, drawn here once:
//
//	prove      a password, a mailed link, an invite code …   (one file each)
//	admit      the gates, in one order, for every method      (admit.go)
//	           enrolled? approved? suspended? second factor?
//	complete   session, refresh-token family, audit entry     (admit.go)
//
// and each operation has three beats: read what is needed, think with no
// transaction open (hashing), write once and re-check what was relied on.
//
// A sign-in by an upstream proves in two halves, because a browser, and often an
// application too, comes between them:
//
//	StartUpstream ──▶ state, bound to the browser ──▶ provider        (upstream.go)
//	                                                     │
//	who is it    FinishUpstream, DeferUpstream ◀─────────┘            (finish.go, defer.go)
//	             ExchangeUpstream: a code the application got         (exchange.go)
//	             no transaction: state, provider, verified profile
//	                 │              │
//	                 │              └─ handle ─▶ RedeemUpstream       (defer.go)
//	                 ▼                               │
//	come in      known by issuer and subject?  ◀─────┘                (arrive.go)
//	             else by an address that both sides vouch for?
//	             else somebody new? ──▶ admit, complete, as above
//	                 │
//	                 ├─ the address is somebody's ─▶ Prove ─▶ a sign-in of theirs links it   (prove.go)
//	                 └─ by invitation only ─▶ AcceptUpstreamInvite                           (upstreaminvite.go)
//
// The provider of somebody's own organization is an upstream with rules of its own:
//
//	StartSSO ──▶ provider ──▶ FinishSSO   one callback for all of them       (sso.go)
//	                              │
//	                              ├─ a member, or an address of the organization's: in   (ssoarrive.go)
//	                              ├─ handle ─▶ CompleteSSO                    (ssocomplete.go)
//	                              └─ a test, which lets nobody in
//
// What an organization demands of its members is one more gate of admit (ssoadmit.go).
//
// A sign-in may be for a request: an authorization request that waits for it
// (package oauth), named by its handle, which is no more to this package than a
// text. Such a sign-in ends with a session and no tokens: what the client gets
// is the request's to say. What was begun for a request, a challenge or a mailed
// link, ends in it and nowhere else.
//
// Access tokens are not made here: their claims are part of a surface.
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
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/org"
	"sallyport/internal/password"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/upstream"
)

// How long things live. All but the session's are contract keymaster §1.4.
const (
	SessionLifetime   = 8 * time.Hour
	ChallengeLifetime = 5 * time.Minute
	MagicLinkLifetime = 15 * time.Minute
	ResetLifetime     = time.Hour
	VerifyLifetime    = 24 * time.Hour
	ConfirmLifetime   = time.Hour // contract snooplytics §11
)

// Core holds what the operations need.
type Core struct {
	DB        *db.DB
	Now       func() time.Time
	Key       *secret.Key
	Passwords *password.Pool
	Broker    *upstream.Broker
}

// Visitor is what is known of the one who asks. Base is the absolute URL of
// the mount the request came by, without a trailing slash: links in mails stay
// on it. Trusted is the cookie of a browser that is trusted with a second factor.
type Visitor struct {
	IP        string
	UserAgent string
	RequestID string
	Base      string
	Trusted   string
	Manner    Manner
}

// Manner is what a surface has otherwise than others in every way in; the zero value
// is none of it. With a Session of its own life a sign-in gives a cookie and no refresh
// tokens. AsksForCodes says that people there ask for a mailed code themselves. OwnOrg
// is what an organization is called that somebody gets of their own, with their name
// in the place of {name}.
type Manner struct {
	Session      time.Duration
	Challenge    time.Duration // how long the second factor may take
	AsksForCodes bool
	OwnOrg       string
}

// SignedIn is a completed sign-in. Refresh is the refresh token; Session is
// the value of the session cookie to set, or "" to set none. Request is the
// request that it was for, and then Refresh is empty; without a Session beside
// it (an invitation was accepted) the sign-in itself is yet to come.
type SignedIn struct {
	User    identity.User
	Client  client.Client
	Roles   []string
	AMR     []string
	Refresh string
	Session string
	Request string
	// Membership is the one that the sign-in acts in, with its role as it was at
	// the sign-in; zero for none. Family is that of the refresh token, which the
	// tokens of one that acts in an account name: SwitchAccount asks for it.
	Membership org.Membership
	Family     int64
	// SessionID is the session's public id, "" if none was started; Started is the
	// session, if this sign-in started it.
	SessionID session.ID
	Started   session.Session
	// Trusted is the next cookie of a browser that is trusted with the second factor;
	// Factor tells that the user has one.
	Trusted *Trusted
	Factor  bool
	// AuthenticatedAt is when the person proved themselves; zero after a
	// refresh, which proves nothing.
	AuthenticatedAt time.Time
}

// Trusted is a cookie for a browser, and how long it is good for.
type Trusted struct {
	Cookie string
	Life   time.Duration
}

// Challenge is a sign-in that still owes a second factor. Secret is single-use
// and lives ChallengeLifetime; the surface wraps it as its wire demands. Ways are
// what the person can show.
type Challenge struct {
	Ways     Ways
	Secret   string
	UserID   identity.UserID
	ClientID client.ID
	AMR      []string
	DeviceID string
	IssuedAt time.Time
}

// Outcome is where a sign-in got to: exactly one field is set.
type Outcome struct {
	SignedIn  *SignedIn
	Challenge *Challenge
	// Setup means that the client demands a second factor which the user has
	// yet to set up. Setup.Session is the cookie of a partial session that
	// opens the account pages for it, or "" where the proof allows none.
	Setup *Setup
	// Pending means that the sign-up worked and now waits for approval.
	Pending bool
}

// Setup is a sign-in that waits for the user to set up a second factor.
type Setup struct{ Session string }

// Limits are the counters a surface's contract puts on an operation. Those in
// Clear are forgotten when the operation succeeds, and those in Failures get back
// what it took, so that they count failures only.
type Limits struct {
	Count    []limit.Rule
	Clear    []limit.Rule
	Failures []limit.Rule
}

// read runs a read transaction.
func (c *Core) read(ctx context.Context, fn func(context.Context, *db.Tx) error) error {
	return c.DB.Read(ctx, fn)
}

// write runs a write transaction whose expected refusal is a value: a fault
// that fn returns beside a nil error is handed on after the commit, so that
// what was written on the way to it (a counter, an audit entry) stays.
func (c *Core) write(ctx context.Context, fn func(context.Context, *db.Tx) (*fault.Error, error)) error {
	var refused *fault.Error
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		refused, err = fn(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return nil
}

// take counts one attempt against every rule, or refuses and counts nothing.
func (c *Core) take(ctx context.Context, rules ...limit.Rule) error {
	if len(rules) == 0 {
		return nil
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return takeIn(ctx, tx, c.Now(), rules...)
	})
}

// takeIn is take inside a transaction. Its refusal must end the transaction:
// some of the rules may have been counted.
func takeIn(ctx context.Context, tx *db.Tx, now time.Time, rules ...limit.Rule) error {
	wait, _, err := limit.Take(ctx, tx, now, rules...)
	if err != nil {
		return err
	}
	if wait > 0 {
		return fault.Later(fault.RateLimited, wait)
	}
	return nil
}

// limited refuses if any rule would, and counts nothing.
func limited(ctx context.Context, tx *db.Tx, now time.Time, rules ...limit.Rule) error {
	if len(rules) == 0 {
		return nil
	}
	wait, _, err := limit.Wait(ctx, tx, now, rules...)
	if err != nil {
		return err
	}
	if wait > 0 {
		return fault.Later(fault.RateLimited, wait)
	}
	return nil
}

// clientFor reads an active client that offers method ("" asks for none). One
// that registered itself signs nobody in but for a request, where the person is
// asked what it may have: tokens of our own APIs ask nobody.
func clientFor(ctx context.Context, tx *db.Tx, id client.ID, method, request string) (client.Client, error) {
	cl, err := client.ByID(ctx, tx, id)
	if errors.Is(err, db.ErrNotFound) || err == nil && (!cl.Active || cl.Source != client.Operator && request == "") {
		return cl, fault.New(fault.ClientUnknown)
	}
	if err != nil {
		return cl, err
	}
	if method != "" && !cl.Offers(method) {
		return cl, fault.New(fault.MethodDisabled, method)
	}
	return cl, nil
}

// hash makes a password hash, or refuses when the pool is full.
func (c *Core) hash(ctx context.Context, plain string) (string, error) {
	h, err := c.Passwords.Hash(ctx, plain)
	return h, password.Fault(err)
}

// CheckPassword tells whether a new password meets the policy; about are
// words that it must not be, such as the person's own address.
func CheckPassword(p client.PasswordPolicy, plain string, about ...string) error {
	return password.Fault(password.Policy(p).Check(plain, about...))
}

// attempt is an audit entry about a user by somebody who did not prove to be
// them: who tried is not known.
func (v Visitor) attempt(action audit.Action, u identity.User, cl client.Client, detail map[string]any) audit.Event {
	e := v.event(action, u, cl, detail)
	e.Actor = audit.Actor{}
	return e
}

// event is an audit entry by the visitor about a user.
func (v Visitor) event(action audit.Action, u identity.User, cl client.Client, detail map[string]any) audit.Event {
	var actor audit.Actor
	if u.ID != "" {
		actor = audit.User(u.ID)
		if detail == nil {
			detail = map[string]any{}
		}
		detail["email"], detail["name"] = u.Email, u.DisplayName
		if v.UserAgent != "" && (action == audit.UserLogin || action == audit.UserLoginFailed) {
			detail["user_agent"] = v.UserAgent // their owner looks through these for one that is not theirs
		}
	}
	return audit.Event{
		Actor: actor, Action: action, ClientID: cl.ID, UserID: u.ID, IP: v.IP, RequestID: v.RequestID,
		Detail: detail, Announce: cl.HasWebhooks,
	}
}

// queueMail stores a mail to be sent, sealed, in the transaction of its cause.
func (c *Core) queueMail(ctx context.Context, tx *db.Tx, t mail.Template, to string, d mail.Data) error {
	return job.EnqueueMail(ctx, tx, c.Key, t, to, d, c.Now())
}

// queue stores a job whose payload may hold secrets and is sealed.
func (c *Core) queue(ctx context.Context, tx *db.Tx, kind job.Kind, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = job.Enqueue(ctx, tx, kind, c.Key.Seal(string(kind), plain), c.Now(), c.Now())
	return err
}

// unqueue opens what queue sealed.
func (c *Core) unqueue(kind job.Kind, payload []byte, into any) error {
	plain, err := c.Key.Open(string(kind), payload)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}

// takesIn reports whether somebody with an address whom nobody knows may make an
// account by way of cl. A client that registered itself opens no door that the
// operator has closed: what it gets for a person is good at the operator's
// resources too.
func takesIn(ctx context.Context, tx *db.Tx, cl client.Client, email string) (bool, error) {
	if cl.Source == client.Operator {
		return cl.Policy.Door(email, false) != "", nil
	}
	return client.AnyOpen(ctx, tx)
}

// brand is how a client looks in its mails. One that registered itself chose its
// name, and would choose what we mail to people who never heard of it.
func brand(cl client.Client, u identity.User) mail.Data {
	if cl.Source != client.Operator {
		return mail.Data{Name: u.DisplayName}
	}
	return mail.Data{ClientName: cl.Name, Color: cl.Policy.Branding.Color, Name: u.DisplayName}
}
