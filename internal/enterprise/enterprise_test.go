package enterprise_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/upstream/upstreamtest"
)

// firm is an organization without domains and provider, with a member of each role, a
// link to set it up, and whoever runs the installation. Beside it stands another.
type firm struct {
	*rig.Rig
	*testing.T
	org, other                                   org.Org
	owner, admin, member, stranger, link, runner enterprise.Actor
	secret                                       string
}

func newFirm(t *testing.T, d *db.DB) firm {
	t.Helper()
	f := firm{Rig: rig.New(t, d), T: t, runner: enterprise.Actor{Operator: "admin", Base: rig.Base}}
	f.org, f.other = f.Org("acme"), f.Org("other")
	f.owner, f.admin, f.member = f.join("owner", org.Owner), f.join("admin", org.Admin), f.join("member", org.Member)
	f.stranger = f.actor(f.User("stranger@example.com", "stranger", "").ID)
	f.secret, f.link = f.setup(f.org.ID)
	return f
}

// actor is somebody who has just signed in.
func (f firm) actor(u identity.UserID) enterprise.Actor {
	return enterprise.Actor{UserID: u, Session: session.Session{UserID: u, AMR: []string{session.Password}, AuthenticatedAt: f.Now()}, Base: rig.Base}
}

func (f firm) join(name string, role org.Role) enterprise.Actor {
	f.Helper()
	u := f.User(name+"@acme.com", name, "")
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		_, _, err := org.Join(ctx, tx, f.org.ID, u.ID, role, f.Now())
		return err
	})
	return f.actor(u.ID)
}

func (f firm) setup(id org.ID) (string, enterprise.Actor) {
	f.Helper()
	l, err := f.Enterprise.MakeSetupLink(f.Context(), f.runner, id, enterprise.SetupIn{})
	if err != nil {
		f.Fatal(err)
	}
	return l.Secret, enterprise.Actor{Setup: l.Secret, Base: rig.Base}
}

// provider is a fake one that is not connected yet, with what connects it.
func (f firm) provider(people ...upstreamtest.Person) (*upstreamtest.Fake, enterprise.ConnectionIn) {
	f.Helper()
	place := f.Org("elsewhere-" + strings.ToLower(fmt.Sprintf("%p", &people)))
	fake := f.Connect(place, nil, people...)
	c := f.Connection(place)
	return fake, enterprise.ConnectionIn{Kind: sso.OIDC, Provider: sso.Okta, Issuer: c.Issuer, ClientID: c.ClientID, Secret: c.Secret}
}

func (f firm) connect(who enterprise.Actor, in enterprise.ConnectionIn) enterprise.View {
	f.Helper()
	v, err := f.Enterprise.SetConnection(f.Context(), who, f.org.ID, in)
	if err != nil {
		f.Fatal(err)
	}
	return v
}

// prove has the organization own a domain.
func (f firm) prove(name string) {
	f.Helper()
	d, err := f.Enterprise.AddDomain(f.Context(), f.owner, f.org.ID, name)
	if err != nil {
		f.Fatal(err)
	}
	f.Names.TXT(d.Record.Name, d.Record.Value)
	if _, err := f.Enterprise.VerifyDomain(f.Context(), f.owner, f.org.ID, name); err != nil {
		f.Fatal(err)
	}
}

// linkTo has somebody linked by the organization's connection, and signed in by it.
func (f firm) linkTo(u identity.UserID, subject string) session.Session {
	f.Helper()
	var s session.Session
	f.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		key := sso.Key(f.org.ID)
		c, err := sso.ByOrg(ctx, tx, f.Key, f.org.ID)
		if err != nil {
			return err
		}
		l := identity.Link{Issuer: sso.LinkIssuer(f.org.ID, c.Issuer), Subject: subject, UserID: u, Upstream: key, CreatedAt: f.Now()}
		if err := identity.AddLink(ctx, tx, l); err != nil {
			return err
		}
		s, _, err = session.Start(ctx, tx, session.Session{
			UserID: u, AMR: []string{session.Federated}, Upstream: key, AuthenticatedAt: f.Now(), CreatedAt: f.Now(), ExpiresAt: f.Now().Add(time.Hour),
		})
		return err
	})
	return s
}

func (f firm) links(u identity.UserID) (n int) {
	f.Helper()
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		all, err := identity.Links(ctx, tx, u)
		n = len(all)
		return err
	})
	return n
}

func (f firm) alive(s session.Session) bool {
	f.Helper()
	var err error
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err = session.ByID(ctx, tx, s.ID, f.Now())
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	return err == nil
}

// last is the newest entry of the organization's log.
func (f firm) last() audit.Entry {
	f.Helper()
	all, _, err := f.Enterprise.AuditLogs(f.Context(), f.owner, f.org.ID, enterprise.AuditIn{Limit: 1})
	if err != nil || len(all) != 1 {
		f.Fatalf("log: %v %v", all, err)
	}
	return all[0]
}

func is(t *testing.T, what string, err error, want fault.Code, params ...string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	f, ok := fault.From(err)
	if !ok || f.Code != want || len(params) > 0 && (len(f.Params) < len(params) || strings.Join(f.Params[:len(params)], "|") != strings.Join(params, "|")) {
		t.Errorf("%s: got %v %v, want %q %q", what, err, f, want, params)
	}
}

// Each operation with who may do it. Of the others nobody may, whatever they say.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		e, ctx := f.Enterprise, t.Context()
		_, in := f.provider()
		f.connect(f.owner, in)
		type op = func(enterprise.Actor) error
		ops := map[string]struct {
			do   op
			link bool     // with a link, too
			from org.Role // the least role of a member
			only bool     // for members
		}{
			"look":        {func(a enterprise.Actor) error { _, err := e.View(ctx, a, f.org.ID); return err }, true, org.Owner, false},
			"domains":     {func(a enterprise.Actor) error { _, err := e.Domains(ctx, a, f.org.ID); return err }, true, org.Owner, false},
			"policy":      {func(a enterprise.Actor) error { _, err := e.Policy(ctx, a, f.org.ID); return err }, true, org.Owner, false},
			"connect":     {func(a enterprise.Actor) error { _, err := e.SetConnection(ctx, a, f.org.ID, in); return err }, true, org.Owner, false},
			"switch on":   {func(a enterprise.Actor) error { _, err := e.Enable(ctx, a, f.org.ID, true); return err }, true, org.Owner, false},
			"claim":       {func(a enterprise.Actor) error { _, err := e.AddDomain(ctx, a, f.org.ID, "acme.com"); return err }, true, org.Owner, false},
			"directory":   {func(a enterprise.Actor) error { _, _, err := e.SetDirectory(ctx, a, f.org.ID, false); return err }, true, org.Owner, false},
			"end a token": {func(a enterprise.Actor) error { return e.EndDirectoryToken(ctx, a, f.org.ID, "none") }, true, org.Owner, false},
			"demand any": {func(a enterprise.Actor) error {
				_, err := e.SetPolicy(ctx, a, f.org.ID, org.SignInAny, nil)
				return err
			}, true, org.Owner, false},
			"demand nobody": {func(a enterprise.Actor) error { _, err := e.SetMFA(ctx, a, f.org.ID, enterprise.MFA{}); return err }, true, org.Owner, false},
			"links":         {func(a enterprise.Actor) error { _, err := e.SetupLinks(ctx, a, f.org.ID); return err }, false, org.Owner, false},
			"members' MFA":  {func(a enterprise.Actor) error { _, err := e.MFA(ctx, a, f.org.ID); return err }, false, org.Viewer, true},
			"compliance":    {func(a enterprise.Actor) error { _, err := e.Compliance(ctx, a, f.org.ID); return err }, false, org.Admin, true},
			"log": {func(a enterprise.Actor) error {
				_, _, err := e.AuditLogs(ctx, a, f.org.ID, enterprise.AuditIn{})
				return err
			}, false, org.Admin, true},
			"enter": {func(a enterprise.Actor) error { _, err := e.Enter(ctx, a, f.org.ID, org.Member); return err }, false, org.Member, true},
		}
		_, foreign := f.setup(f.other.ID)
		_, f.link = f.setup(f.org.ID)
		for name, o := range ops {
			least := func(role org.Role) fault.Code {
				if role.Below(o.from) {
					return fault.Forbidden
				}
				return ""
			}
			is(t, name+": owner", o.do(f.owner), least(org.Owner))
			is(t, name+": admin", o.do(f.admin), least(org.Admin))
			is(t, name+": member", o.do(f.member), least(org.Member))
			is(t, name+": stranger", o.do(f.stranger), fault.OrgUnknown)
			is(t, name+": nobody", o.do(f.actor(identity.NewUserID())), fault.Unauthenticated)
			if o.only {
				continue
			}
			is(t, name+": whoever runs it", o.do(f.runner), "")
			want := fault.Code("")
			if !o.link {
				want = fault.Forbidden
			}
			is(t, name+": link", o.do(f.link), want)
			is(t, name+": another organization's link", o.do(foreign), fault.SetupLinkInvalid)
			is(t, name+": no link", o.do(enterprise.Actor{Setup: strings.Repeat("0", 64)}), fault.SetupLinkInvalid)
		}
		_, err := e.MakeSetupLink(ctx, f.admin, f.org.ID, enterprise.SetupIn{})
		is(t, "make a link: admin", err, fault.Forbidden)
		_, err = e.MakeSetupLink(ctx, f.link, f.org.ID, enterprise.SetupIn{})
		is(t, "make a link: link", err, fault.Forbidden)
		is(t, "end a link: link", e.EndSetupLink(ctx, f.link, f.org.ID, "none"), fault.Forbidden)
		is(t, "end a link: another's", e.EndSetupLink(ctx, f.owner, f.org.ID, "none"), fault.SetupLinkInvalid)
		_, err = e.View(ctx, f.runner, "none")
		is(t, "no such organization", err, fault.OrgUnknown)
	})
}

func TestChangesWantAFreshSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		add := func(a enterprise.Actor) error {
			_, err := f.Enterprise.AddDomain(t.Context(), a, f.org.ID, "acme.com")
			return err
		}
		f.Advance(enterprise.Fresh)
		is(t, "a day old", add(f.owner), "")
		f.Advance(time.Second)
		is(t, "older", add(f.owner), fault.ProofRequired)
		_, err := f.Enterprise.View(t.Context(), f.owner, f.org.ID)
		is(t, "look", err, "")
		token := f.owner
		token.Session = session.Session{}
		is(t, "a token", add(token), fault.ProofRequired)
	})
}

func TestShutOrganizationIsSetUpByNobody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		for _, status := range []org.Status{org.Suspended, org.Closed} {
			f.Write(func(ctx context.Context, tx *db.Tx) error {
				o, err := org.ByID(ctx, tx, f.org.ID)
				if err != nil {
					return err
				}
				o.Status = status
				return org.Update(ctx, tx, o, f.Now())
			})
			add := func(a enterprise.Actor) error {
				_, err := f.Enterprise.AddDomain(t.Context(), a, f.org.ID, "acme.com")
				return err
			}
			is(t, "owner", add(f.owner), fault.Forbidden)
			is(t, "link", add(f.link), fault.SetupLinkInvalid)
			is(t, "whoever runs it", add(f.runner), "")
			_, err := f.Enterprise.OpenSetup(t.Context(), f.link)
			is(t, "open", err, fault.SetupLinkInvalid)
		}
	})
}

func TestSetupLinkEnds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		open := func(a enterprise.Actor) error {
			v, err := f.Enterprise.OpenSetup(t.Context(), a)
			if err == nil && (v.Org.ID != f.org.ID || v.Until.IsZero()) {
				t.Errorf("opened %s until %s", v.Org.ID, v.Until)
			}
			return err
		}
		add := func(a enterprise.Actor) error {
			_, err := f.Enterprise.AddDomain(t.Context(), a, "", "acme.com")
			return err
		}
		for range 3 {
			is(t, "open", open(f.link), "")
		}
		if e := f.last(); e.Action != audit.SetupLinkOpened || e.Actor.Kind != audit.KindSetupLink || strings.Contains(fmt.Sprint(e), f.secret) {
			t.Errorf("logged %+v", e)
		}
		is(t, "not by a link", open(f.owner), fault.OrgUnknown)

		second, err := f.Enterprise.MakeSetupLink(t.Context(), f.owner, f.org.ID, enterprise.SetupIn{Email: "IT@acme.com", For: time.Hour})
		is(t, "another one", err, "")
		is(t, "the one before", open(f.link), fault.SetupLinkInvalid)
		is(t, "the one before, its page", add(f.link), fault.SetupLinkInvalid)
		text, ok := f.Mail("it@acme.com")
		if !ok || !strings.Contains(text, second.URL) || !strings.Contains(text, "owner@acme.com asks you to connect Org acme's identity provider") || !strings.Contains(text, "1 hour") {
			t.Errorf("mail: %s", text)
		}
		if second.URL != rig.Base+"/setup?token="+second.Secret || len(second.Secret) != 64 {
			t.Errorf("link: %s", second.URL)
		}
		newer := enterprise.Actor{Setup: second.Secret}
		is(t, "the new one", add(newer), "")
		f.Advance(time.Hour - time.Second)
		is(t, "just before its end", add(newer), "")
		f.Advance(time.Second)
		is(t, "at its end", add(newer), fault.SetupLinkInvalid)

		third, err := f.Enterprise.MakeSetupLink(t.Context(), f.runner, f.org.ID, enterprise.SetupIn{})
		is(t, "a third", err, "")
		if all, err := f.Enterprise.SetupLinks(t.Context(), f.runner, f.org.ID); err != nil || len(all) != 1 || all[0].ID != third.ID {
			t.Errorf("listed %+v %v", all, err)
		}
		is(t, "end it", f.Enterprise.EndSetupLink(t.Context(), f.runner, f.org.ID, third.ID), "")
		is(t, "used on", add(enterprise.Actor{Setup: third.Secret}), fault.SetupLinkInvalid)
		for in, want := range map[enterprise.SetupIn]fault.Code{{For: time.Minute}: fault.FieldInvalid, {For: 31 * 24 * time.Hour}: fault.FieldInvalid, {Email: "nobody"}: fault.EmailInvalid} {
			_, err := f.Enterprise.MakeSetupLink(t.Context(), f.owner, f.org.ID, in)
			if f.Advance(-time.Hour); !fault.Is(err, want) {
				t.Errorf("%+v: got %v, want %s", in, err, want)
			}
		}
	})
}
