package enterprise

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
)

// Policy is how the members of an organization must sign in. A second factor is owed
// from From on. BreakGlass lets an owner with a second factor in without the provider.
type Policy struct {
	SignIn     org.SignIn
	From       time.Time
	GraceDays  int
	BreakGlass bool
}

func policyOf(o org.Org) Policy {
	return Policy{SignIn: o.SignIn, From: o.FactorsFrom, GraceDays: o.GraceDays, BreakGlass: o.BreakGlass}
}

// What a policy lacks, as the parameter of fault.ConnectionUnready.
const (
	LacksConnection = "connection" // none that is switched on
	LacksDomain     = "domain"     // no proved domain
	LacksSignIn     = "sign_in"    // the owner has not come in by it yet
	LacksPolicy     = "policy"     // the policy must allow other ways first
)

// maxGrace is the most days that a second factor may be put off.
const maxGrace = 90

// meets refuses a member whose sign-in is not one that the organization takes.
func (c *Core) meets(ctx context.Context, tx *db.Tx, s standing) error {
	if s.org.SignIn == org.SignInAny {
		return nil
	}
	d, err := sso.DemandOf(ctx, tx, s.org.ID, s.user.ID)
	if err != nil || d.Met(s.who.Session.Upstream, session.TwoFactors(s.who.Session.AMR), c.Now()) {
		return err
	}
	if d.SSO {
		return fault.New(fault.SSORequired, s.org.Slug)
	}
	return fault.New(fault.MFARequired)
}

// Policy reads how members must sign in.
func (c *Core) Policy(ctx context.Context, who Actor, id org.ID) (Policy, error) {
	var p Policy
	err := c.read(ctx, who, id, look, func(_ context.Context, _ *db.Tx, s standing) error {
		p = policyOf(s.org)
		return nil
	})
	return p, err
}

// SetPolicy says how members must sign in from now on. Their own provider alone can
// be demanded once there is one that works: it is on, a domain is proved, and the
// owner who asks has come in by it; of who has a set-up link, a test has. The same is
// wanted of who takes the owners' other way in from them: breakGlass, which stays if it
// is nil, and is not for who has a link.
func (c *Core) SetPolicy(ctx context.Context, who Actor, id org.ID, in org.SignIn, breakGlass *bool) (Policy, error) {
	return c.setPolicy(ctx, who, id, in, 0, breakGlass)
}

func (c *Core) setPolicy(ctx context.Context, who Actor, id org.ID, in org.SignIn, grace int, breakGlass *bool) (Policy, error) {
	var p Policy
	if !slices.Contains(org.SignIns, in) {
		return p, invalid("sign_in")
	}
	if grace < 0 || grace > maxGrace {
		return p, invalid("grace_days")
	}
	err := c.write(ctx, who, id, demand, func(ctx context.Context, tx *db.Tx, s standing) error {
		if s.link.ID != "" && (in == org.SignInMFA || s.org.SignIn == org.SignInMFA) {
			return fault.New(fault.Forbidden) // factors of ours are not the business of who looks after the provider
		}
		if s.link.ID != "" && breakGlass != nil {
			return fault.New(fault.Forbidden) // nor is what the owners fall back on
		}
		if err := org.Lock(ctx, tx, s.org.ID); err != nil { // against who removes the connection meanwhile
			return err
		}
		o, err := org.ByID(ctx, tx, s.org.ID)
		if err != nil {
			return err
		}
		s.org = o // as it is now that nobody else changes it
		glass := o.BreakGlass
		assign(&glass, breakGlass)
		if in == org.SignInSSO && o.SignIn != in || o.BreakGlass && !glass {
			if err := c.ready(ctx, tx, s); err != nil {
				return err
			}
		}
		if err := c.change(ctx, tx, s, in, grace, glass); err != nil {
			return err
		}
		o, err = org.ByID(ctx, tx, s.org.ID)
		p = policyOf(o)
		return err
	})
	return p, err
}

// change stores a policy, if it is another one.
func (c *Core) change(ctx context.Context, tx *db.Tx, s standing, in org.SignIn, grace int, glass bool) error {
	same := in == s.org.SignIn && (in != org.SignInMFA || grace == s.org.GraceDays)
	if same && glass == s.org.BreakGlass {
		return nil
	}
	now := c.Now()
	if err := org.SetPolicy(ctx, tx, s.org.ID, in, glass, now); err != nil {
		return err
	}
	detail := map[string]any{"sign_in": in, "previous_sign_in": s.org.SignIn, "break_glass": glass}
	if !same {
		if err := org.SetGrace(ctx, tx, s.org.ID, grace, now); err != nil {
			return err
		}
		detail["grace_days"] = grace
	}
	return c.record(ctx, tx, s, audit.PolicyChanged, detail)
}

// ready refuses an organization that would shut its own members out.
func (c *Core) ready(ctx context.Context, tx *db.Tx, s standing) error {
	conn, err := sso.ByOrg(ctx, tx, c.Key, s.org.ID)
	if errors.Is(err, db.ErrNotFound) || err == nil && !conn.Enabled {
		return fault.New(fault.ConnectionUnready, LacksConnection)
	} else if err != nil {
		return err
	}
	proved, err := provedDomains(ctx, tx, s.org.ID)
	if err != nil {
		return err
	}
	if len(proved) == 0 {
		return fault.New(fault.ConnectionUnready, LacksDomain)
	}
	switch {
	case s.link.ID != "":
		t, err := sso.TestOf(ctx, tx, s.org.ID)
		if errors.Is(err, db.ErrNotFound) || err == nil && (!t.OK || t.Revision != conn.Revision) {
			return fault.New(fault.ConnectionUnready, LacksSignIn)
		}
		return err
	case s.user.ID == "":
		return nil
	}
	came, err := hasLink(ctx, tx, s.user.ID, sso.Key(s.org.ID), sso.LinkIssuer(s.org.ID, conn.Issuer))
	if err == nil && !came {
		return fault.New(fault.ConnectionUnready, LacksSignIn)
	}
	return err
}

// MFA is whether a second factor is demanded, and how many days members were given.
type MFA struct {
	Required  bool
	GraceDays int
}

// MFA reads that, for any member.
func (c *Core) MFA(ctx context.Context, who Actor, id org.ID) (MFA, error) {
	var m MFA
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := c.member(ctx, tx, who, id, org.Viewer)
		m = mfaOf(policyOf(s.org))
		return err
	})
	return m, err
}

func mfaOf(p Policy) MFA { return MFA{Required: p.SignIn == org.SignInMFA, GraceDays: p.GraceDays} }

// SetMFA demands a second factor, which is a policy of its own, or does no longer: an
// organization that demands something else keeps that.
func (c *Core) SetMFA(ctx context.Context, who Actor, id org.ID, m MFA) (MFA, error) {
	in := org.SignInMFA
	if !m.Required {
		p, err := c.Policy(ctx, who, id)
		if err != nil {
			return MFA{}, err
		}
		if in = org.SignInAny; p.SignIn == org.SignInSSO {
			in = p.SignIn
		}
	}
	p, err := c.setPolicy(ctx, who, id, in, m.GraceDays, nil)
	return mfaOf(p), err
}

// MemberFactor is a member with whether they have a second factor set up.
type MemberFactor struct {
	MembershipID org.MembershipID
	UserID       identity.UserID
	Role         org.Role
	Email        string
	Name         string
	TwoFactor    bool
}

// Compliance is who has a second factor and who has not.
type Compliance struct {
	Required  bool
	Compliant int
	Members   []MemberFactor
}

// Compliance reads that, for the administrators of an organization.
func (c *Core) Compliance(ctx context.Context, who Actor, id org.ID) (Compliance, error) {
	var out Compliance
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = Compliance{}
		s, err := c.member(ctx, tx, who, id, org.Admin)
		if err != nil {
			return err
		}
		out.Required = s.org.SignIn == org.SignInMFA
		out.Members, err = factors(ctx, tx, id)
		for _, m := range out.Members {
			if m.TwoFactor {
				out.Compliant++
			}
		}
		return err
	})
	return out, err
}

// AuditIn chooses entries of an organization's log; empty parts choose all.
type AuditIn struct {
	Action       string
	ResourceType string          // what the action is of: the word before its dot
	ResourceID   string          // that the entry is about
	UserID       identity.UserID // who did it, or whom it was done to
	Since, Until time.Time
	Limit        int
	Offset       int
}

// MaxAudit is how many entries are read at once.
const MaxAudit = 1000

// AuditLogs returns one page of what happened in an organization, newest first, and how
// much that is in all, for its administrators.
func (c *Core) AuditLogs(ctx context.Context, who Actor, id org.ID, in AuditIn) ([]audit.Entry, int, error) {
	var all []audit.Entry
	var total int
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := c.member(ctx, tx, who, id, org.Admin); err != nil {
			return err
		}
		var err error
		all, total, err = audit.List(ctx, tx, audit.Filter{
			OrgID: id, Action: audit.Action(in.Action), Noun: in.ResourceType, About: in.ResourceID, By: in.UserID, Since: in.Since, Until: in.Until,
			Limit: min(max(in.Limit, 1), MaxAudit), Offset: max(in.Offset, 0),
		})
		return err
	})
	return all, total, err
}
