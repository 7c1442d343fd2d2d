// Package enterprise is the core for an organization's own sign-in: its provider, its
// domains, what it demands of its members, and its directory. Three kinds of caller
// set these up, and each may do its part and no more:
//
//	an owner      a member with that role, signed in lately       everything
//	the operator  whoever runs the installation                   everything, client roles too
//	a link        the customer's IT administrator, who has no     provider, domains, test, directory;
//	              account here                                    to demand the provider, once it works
//
// Whoever sets up the provider of a proved domain can sign in as anybody with an
// address there. So a domain counts by its own name servers' word alone, what a
// provider publishes is read by us and through the guard before anything is stored,
// and the owners are mailed of every change.
//
//	SetConnection ── discovery or metadata, guarded ──▶ fits? ──▶ one write, the org's lock held
//	AddDomain ── token ──▶ TXT record ──▶ VerifyDomain (first to prove has it) ──▶ weekly looks
//
// It signs nobody in (package signin), and speaks no protocol.
package enterprise

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/dns"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/outbound"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

// Core holds what the operations need. Outbound are the networks that what strangers
// name may reach although they are not public; Documents reads SAML metadata under the
// same guard. Base is the public URL, which mails that nobody asked for link to.
type Core struct {
	DB        *db.DB
	Now       func() time.Time
	Key       *secret.Key
	Broker    *upstream.Broker
	Documents *outbound.Documents
	Names     dns.Resolver
	Outbound  []netip.Prefix
	Base      string
}

// Fresh is how young a sign-in must be for changes (contract snooplytics §9).
const Fresh = 24 * time.Hour

// Actor is who asks; exactly one of the first three says so. UserID is a member, with
// the Session that they are in, zero for who shows a token. Operator names the way in
// of whoever runs the installation ("admin"), whose rights the caller has judged. Setup
// is the secret of a set-up link. Base is the absolute URL of the mount that the
// request came by.
type Actor struct {
	UserID   identity.UserID
	Operator string
	Setup    string

	Session   session.Session
	IP        string
	RequestID string
	Base      string
}

// standing is who asks, as it is in the current transaction, and where.
type standing struct {
	who  Actor
	org  org.Org
	role org.Role      // of a member, "" for others
	user identity.User // the member, zero for others
	link sso.SetupLink // zero for others
	seat org.Seat
}

// what is a kind of thing that may be done.
type what int

const (
	look   what = iota // see the settings
	set                // what a provider needs: connection, domains, directory
	demand             // what members owe
	govern             // who may set up
)

// stand reads who asks in an organization, and refuses who may not do a thing there.
// With a link no organization need be named: it has one.
func (c *Core) stand(ctx context.Context, tx *db.Tx, who Actor, id org.ID, do what) (standing, error) {
	s := standing{who: who}
	var err error
	switch {
	case who.Setup != "":
		s, err = c.byLink(ctx, tx, who, id, do)
	case who.Operator != "":
		if s.org, err = org.ByID(ctx, tx, id); errors.Is(err, db.ErrNotFound) {
			err = fault.New(fault.OrgUnknown)
		}
		return s, err // one that is shut, too, is the operator's
	default:
		s, err = c.member(ctx, tx, who, id, org.Owner)
		if err == nil && do != look && c.Now().Sub(who.Session.AuthenticatedAt) > Fresh {
			err = fault.New(fault.ProofRequired)
		}
	}
	if err == nil && do != look && !s.org.Open() {
		err = fault.New(fault.Forbidden)
	}
	return s, err
}

// byLink is whoever has a set-up link.
func (c *Core) byLink(ctx context.Context, tx *db.Tx, who Actor, id org.ID, do what) (standing, error) {
	l, err := sso.SetupLinkBy(ctx, tx, who.Setup, c.Now())
	if errors.Is(err, db.ErrNotFound) || err == nil && id != "" && id != l.OrgID {
		return standing{}, fault.New(fault.SetupLinkInvalid)
	} else if err != nil {
		return standing{}, err
	}
	s := standing{who: who, link: l}
	if s.org, err = org.ByID(ctx, tx, l.OrgID); err != nil {
		return s, err
	}
	switch {
	case do == govern:
		return s, fault.New(fault.Forbidden)
	case !s.org.Open():
		return s, fault.New(fault.SetupLinkInvalid)
	}
	return s, nil
}

// member is a member of at least a role, who meets what the organization demands.
func (c *Core) member(ctx context.Context, tx *db.Tx, who Actor, id org.ID, least org.Role) (standing, error) {
	s := standing{who: who}
	u, err := identity.ByID(ctx, tx, who.UserID)
	if errors.Is(err, db.ErrNotFound) {
		return s, fault.New(fault.Unauthenticated)
	} else if err != nil {
		return s, err
	}
	if u.Status != identity.Active {
		return s, fault.New(fault.EnrolmentSuspended, string(u.Status))
	}
	seat, err := org.SeatOf(ctx, tx, id, u.ID)
	if errors.Is(err, db.ErrNotFound) {
		return s, fault.New(fault.OrgUnknown)
	} else if err != nil {
		return s, err
	}
	s.user, s.org, s.role, s.seat = u, seat.Org, seat.Role, seat
	if seat.Role.Below(least) {
		return s, fault.New(fault.Forbidden)
	}
	return s, c.meets(ctx, tx, s)
}

// Enter is what every operation of an organization begins with, for a member: their
// place there, if they have at least a role and their sign-in is one that the
// organization takes.
func (c *Core) Enter(ctx context.Context, who Actor, id org.ID, least org.Role) (org.Seat, error) {
	var s standing
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = c.member(ctx, tx, who, id, least)
		return err
	})
	return s.seat, err
}

// read runs fn for who may do a thing in an organization.
func (c *Core) read(ctx context.Context, who Actor, id org.ID, do what, fn func(context.Context, *db.Tx, standing) error) error {
	return c.DB.Read(ctx, c.standing(who, id, do, fn))
}

// write is read in a write transaction.
func (c *Core) write(ctx context.Context, who Actor, id org.ID, do what, fn func(context.Context, *db.Tx, standing) error) error {
	return c.DB.Write(ctx, c.standing(who, id, do, fn))
}

func (c *Core) standing(who Actor, id org.ID, do what, fn func(context.Context, *db.Tx, standing) error) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		s, err := c.stand(ctx, tx, who, id, do)
		if err != nil {
			return err
		}
		return fn(ctx, tx, s)
	}
}

// actor is who asks, for the audit log.
func (s standing) actor() audit.Actor {
	switch {
	case s.link.ID != "":
		return audit.Actor{Kind: audit.KindSetupLink, ID: s.link.ID}
	case s.who.Operator != "":
		return audit.Operator(s.who.Operator)
	}
	return audit.User(s.who.UserID)
}

// record writes an audit entry of what was done in the organization.
func (c *Core) record(ctx context.Context, tx *db.Tx, s standing, a audit.Action, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["org"] = string(s.org.ID)
	return audit.Record(ctx, tx, c.Now(), audit.Event{
		Actor: s.actor(), Action: a, OrgID: s.org.ID, IP: s.who.IP, RequestID: s.who.RequestID, Detail: detail,
	})
}

// take counts an attempt that has us ask somebody else, in a transaction of its own:
// a refusal counts, too.
func (c *Core) take(ctx context.Context, rules ...limit.Rule) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		wait, _, err := limit.Take(ctx, tx, c.Now(), rules...)
		if err == nil && wait > 0 {
			err = fault.Later(fault.RateLimited, wait)
		}
		return err
	})
}

func invalid(field string) error { return &fault.Error{Code: fault.FieldInvalid, Field: field} }
