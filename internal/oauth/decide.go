package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/session"
)

// The authentication context classes (acr) of our sessions: how many factors
// were proved.
const (
	ACRSingle = "1"
	ACRMulti  = "2"
)

// ACRs are the classes there are.
var ACRs = []string{ACRSingle, ACRMulti}

func acrOf(s session.Session) string {
	if session.TwoFactors(s.AMR) {
		return ACRMulti
	}
	return ACRSingle
}

// CodeLifetime is how long an authorization code is good (RFC 9700 §2.1.1 and
// FAPI 2.0 §5.3.2.1 want it short, 60 seconds at most).
const CodeLifetime = time.Minute

// step is what comes next of an authorization request.
type step int

const (
	giveCode step = iota
	askLogin
	askConsent
	giveError
)

// verdict is a step, and what it needs: the refusal of giveError, or that the
// person is to be enrolled with their code.
type verdict struct {
	step    step
	refused *Error
	enrol   bool
}

func no(code, description, detail string) verdict {
	return verdict{step: giveError, refused: &Error{Code: code, Description: description, Detail: detail}}
}

// judge decides what comes next of a request. It is a function of what was read,
// so that it can be asked once more in the transaction that acts on it.
// consented says that the person has just agreed to this very request.
func (c *Core) judge(r Request, s sight, consented bool) verdict {
	fresh := s.session.ID != "" && !s.session.AuthenticatedAt.Before(r.CreatedAt)
	ask := func(why string) verdict {
		if r.Asks(promptNone) {
			return no(LoginRequired, why, "")
		}
		return verdict{step: askLogin}
	}
	if s.session.ID == "" || s.session.Partial || s.standing.User.Status != identity.Active {
		return ask("nobody is signed in")
	}
	if r.Asks(promptNone) && s.client.AsksConsent() && s.consent.UserID == "" {
		// Nothing is told about a person who never agreed to anything: not whether
		// they are the one that the client guesses, nor what place they have.
		return no(ConsentRequired, "the person must be asked", "")
	}
	if !c.meant(r, s.client, s.session.UserID) {
		if fresh { // they have just signed in: asking again would only go round in a circle
			return no(LoginRequired, "another person is signed in than the request is for", "")
		}
		return ask("another person is signed in than the request is for")
	}
	if !fresh && (r.Asks(promptLogin) || r.Asks(promptSelect) || r.Asks(promptCreate) || c.tooOld(r, s.session)) {
		return ask("the person must sign in again")
	}
	owed := s.standing.Factor || s.client.Policy.SecondFactor == client.FactorRequired
	if owed && !session.TwoFactors(s.session.AMR) {
		return ask("a second factor is owed")
	}
	if !s.standing.Demand.Met(s.session.Upstream, session.TwoFactors(s.session.AMR), c.Now()) {
		return ask("the person's organization demands another sign-in")
	}
	if len(r.ACREssential) > 0 && !slices.Contains(r.ACREssential, acrOf(s.session)) {
		return no(UnmetAuthentication, "the person cannot sign in as the request demands", "acr is "+acrOf(s.session))
	}
	v := c.judgePlace(r, s, fresh)
	if v.step != giveCode {
		return v
	}
	if needsConsent(r, s) && !consented {
		if r.Asks(promptNone) {
			return no(ConsentRequired, "the person must be asked", "")
		}
		v.step = askConsent
	}
	return v
}

// tooOld reports whether the person proved themselves longer ago than the
// request allows (Core §3.1.2.1).
func (c *Core) tooOld(r Request, s session.Session) bool {
	return r.MaxAge != nil && c.Now().Sub(s.AuthenticatedAt) > time.Duration(*r.MaxAge)*time.Second
}

// judgePlace judges the person's place in the client. The sign-in page says why
// somebody has none; who comes from there without one is sent back.
func (c *Core) judgePlace(r Request, s sight, fresh bool) verdict {
	switch e := s.standing.Enrolment; {
	case e == client.Active:
		return verdict{step: giveCode}
	case e == client.Suspended:
		return no(AccessDenied, "the person has no access to this application", "the enrolment is suspended")
	case e == "" && s.client.Policy.Door(s.standing.User.Email, s.standing.User.EmailVerified) == client.Active:
		return verdict{step: giveCode, enrol: true}
	case r.Asks(promptNone):
		return no(InteractionRequired, "the person has no access to this application yet", "enrolment "+string(e))
	case fresh:
		return no(AccessDenied, "the person has no access to this application", "enrolment "+string(e))
	}
	return verdict{step: askLogin}
}

// needsConsent reports whether the person is to be asked: if the request wants
// it so, or the client is one that asks and wants something new. A native
// application that registered itself is asked about each time, since any other
// could say that it is this one (RFC 8252 §8.6, OAuth 2.1 §7.3.1).
func needsConsent(r Request, s sight) bool {
	switch {
	case r.Asks(promptConsent):
		return true
	case !s.client.AsksConsent():
		return false
	case s.consent.UserID == "": // who asks for nothing in particular asks to know them
		return true
	case !confidential(s.client) && native(r.RedirectURI):
		return true
	}
	return !within(r.Scope, s.consent.Scope) || !within(r.Resources, s.consent.Resources) || !within(r.ClaimNames(), s.consent.Claims)
}

// native reports whether a redirect URI leads to an application on the person's
// own machine: by a loopback address, or a scheme that any of them may claim.
func native(uri string) bool {
	u, err := url.Parse(uri)
	return err != nil || u.Scheme != "https" || client.Loopback(u.Hostname())
}

// within reports whether all of a is in b.
func within(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// errObjectSeen says that a request object came before.
var errObjectSeen = errors.New("the request object was used before")

// giveCodeIn writes what a code stands for, and returns the code. It is called
// in the transaction that judged.
func (c *Core) giveCodeIn(ctx context.Context, tx *db.Tx, r Request, s sight, v verdict, who Visitor) (string, error) {
	now := c.Now()
	if r.Object != "" {
		if fresh, err := grant.See(ctx, tx, []byte(r.Object), r.ObjectExpires); err != nil {
			return "", err
		} else if !fresh {
			return "", &Error{Code: InvalidRequestObject, Description: "the request object was used before", Err: errObjectSeen}
		}
	}
	if v.enrol {
		if err := c.enrol(ctx, tx, s, who, now); err != nil {
			return "", err
		}
	}
	code := secret.Hex(32)
	err := grant.Create(ctx, tx, grant.Grant{
		ID: grant.NewID(), ClientID: s.client.ID, UserID: s.session.UserID, SessionID: s.session.ID, Issuer: r.Issuer,
		Subject: c.Subject(s.client, s.session.UserID), Scope: r.Scope, Resources: r.Resources, Claims: r.Claims,
		AMR: s.session.AMR, ACR: acrOf(s.session), Upstream: s.session.Upstream, AuthenticatedAt: s.session.AuthenticatedAt,
		Code: grant.Code{
			RedirectURI: r.RedirectURI, RedirectURIGiven: r.RedirectURIGiven, Challenge: r.Challenge, ChallengeMethod: r.ChallengeMethod,
			Nonce: r.Nonce, JKT: r.JKT,
		},
		CodeExpiresAt: now.Add(CodeLifetime), CreatedAt: now, ExpiresAt: now.Add(CodeLifetime),
	}, secret.Hash(code))
	if err != nil || !s.session.AuthenticatedAt.Before(r.CreatedAt) {
		return code, err // the sign-in on the way is in the log already
	}
	return code, audit.Record(ctx, tx, now, happened(audit.UserLogin, s, who, map[string]any{"method": "sso", "amr": s.session.AMR}))
}

// enrol gives the person a place in a client that is open to everybody.
func (c *Core) enrol(ctx context.Context, tx *db.Tx, s sight, who Visitor, now time.Time) error {
	made, err := client.Enrol(ctx, tx, client.Enrolment{
		UserID: s.session.UserID, ClientID: s.client.ID, Status: client.Active, Roles: s.client.Policy.Roles.Default, CreatedAt: now,
	})
	if err != nil || !made {
		return err
	}
	if s.client.Policy.Accounts {
		own, made, err := org.Own(ctx, tx, s.session.UserID, s.client.Tenant.ID, now)
		if err == nil && made {
			err = audit.Record(ctx, tx, now, happened(audit.OrgCreated, s, who, map[string]any{"org": string(own.OrgID), "own": true}))
		}
		if err != nil {
			return err
		}
	}
	return audit.Record(ctx, tx, now, happened(audit.UserEnrolled, s, who, map[string]any{"status": string(client.Active)}))
}

// happened is an audit entry about what the person of a session did.
func happened(action audit.Action, s sight, who Visitor, detail map[string]any) audit.Event {
	detail["email"], detail["name"] = s.standing.User.Email, s.standing.User.DisplayName
	return audit.Event{
		Actor: audit.User(s.session.UserID), Action: action, ClientID: s.client.ID, UserID: s.session.UserID, IP: who.IP, RequestID: who.RequestID,
		Detail: detail, Announce: s.client.HasWebhooks,
	}
}
