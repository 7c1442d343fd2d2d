package enterprise_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

func TestProviderIsDemandedOnceItWorks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		demand := func(who enterprise.Actor) error {
			_, err := f.Enterprise.SetPolicy(t.Context(), who, f.org.ID, org.SignInSSO, nil)
			return err
		}
		is(t, "no connection", demand(f.owner), fault.ConnectionUnready, enterprise.LacksConnection)
		_, in := f.provider()
		in.Enabled = new(bool)
		f.connect(f.owner, in)
		is(t, "switched off", demand(f.owner), fault.ConnectionUnready, enterprise.LacksConnection)
		*in.Enabled = true
		f.connect(f.owner, in)
		is(t, "no domain", demand(f.owner), fault.ConnectionUnready, enterprise.LacksDomain)
		f.prove("acme.com")
		is(t, "never came by it", demand(f.owner), fault.ConnectionUnready, enterprise.LacksSignIn)
		is(t, "a link, untested", demand(f.link), fault.ConnectionUnready, enterprise.LacksSignIn)
		f.linkTo(f.member.UserID, "somebody else")
		is(t, "somebody else came by it", demand(f.owner), fault.ConnectionUnready, enterprise.LacksSignIn)
		f.linkTo(f.owner.UserID, "owner")
		is(t, "the owner has", demand(f.owner), "")
		f.owner.Session = session.Session{UserID: f.owner.UserID, AMR: []string{session.Federated}, Upstream: sso.Key(f.org.ID), AuthenticatedAt: f.Now()}
		is(t, "once more", demand(f.owner), "")
		if e := f.last(); e.Action != audit.PolicyChanged || e.Detail["sign_in"] != "sso" || e.Detail["previous_sign_in"] != "any" {
			t.Errorf("logged %+v", e)
		}

		is(t, "remove", f.Enterprise.RemoveConnection(t.Context(), f.owner, f.org.ID), fault.ConnectionUnready, enterprise.LacksPolicy)
		_, err := f.Enterprise.Enable(t.Context(), f.link, "", false)
		is(t, "switch off", err, fault.ConnectionUnready, enterprise.LacksPolicy)
		*in.Enabled = false
		_, err = f.Enterprise.SetConnection(t.Context(), f.owner, f.org.ID, in)
		is(t, "set to off", err, fault.ConnectionUnready, enterprise.LacksPolicy)
		_, err = f.Enterprise.SetPolicy(t.Context(), f.owner, f.org.ID, "king", nil)
		is(t, "no such policy", err, fault.FieldInvalid)
	})
}

// A link demands the provider after a test that passed, of the connection as it is, and
// nothing else.
func TestLinkDemandsTheProviderAfterATest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		f.connect(f.link, in)
		f.prove("acme.com")
		set := func(in org.SignIn) error {
			_, err := f.Enterprise.SetPolicy(t.Context(), f.link, "", in, nil)
			return err
		}
		test := func(p upstream.Profile) {
			f.Write(func(ctx context.Context, tx *db.Tx) error {
				return sso.PutTest(ctx, tx, sso.JudgeTest(f.org, f.stored(ctx, tx), []string{"acme.com"}, p, nil, f.Now()))
			})
		}
		test(upstream.Profile{Subject: "1", Email: "ann@other.com", EmailVerified: true, Name: "Ann"})
		is(t, "a test that failed", set(org.SignInSSO), fault.ConnectionUnready, enterprise.LacksSignIn)
		test(upstream.Profile{Subject: "1", Email: "ann@acme.com", EmailVerified: true, Name: "Ann"})
		is(t, "a test that passed", set(org.SignInSSO), "")
		is(t, "and back", set(org.SignInAny), "")
		if v, err := f.Enterprise.View(t.Context(), f.link, ""); err != nil || v.Test == nil || !v.Test.OK || v.Test.Revision != v.Connection.Revision {
			t.Errorf("test: %+v %v", v.Test, err)
		}
		is(t, "a second factor", set(org.SignInMFA), fault.Forbidden)
		_, other := f.provider()
		f.connect(f.link, other)
		is(t, "another connection since", set(org.SignInSSO), fault.ConnectionUnready, enterprise.LacksSignIn)
		_, err := f.Enterprise.SetPolicy(t.Context(), f.owner, f.org.ID, org.SignInMFA, nil)
		is(t, "the owner demands a factor", err, "")
		is(t, "a link undoes that", set(org.SignInAny), fault.Forbidden)
	})
}

// stored is the connection as it is stored.
func (f firm) stored(ctx context.Context, tx *db.Tx) sso.Connection {
	c, err := sso.ByOrg(ctx, tx, f.Key, f.org.ID)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// What the organization demands is demanded by every operation in it.
func TestMembersMeetThePolicy(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		f.connect(f.runner, in)
		f.prove("acme.com")
		guest := f.User("guest@elsewhere.example", "guest", "")
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			_, _, err := org.Join(ctx, tx, f.org.ID, guest.ID, org.Member, f.Now())
			return err
		})
		by := func(a enterprise.Actor, upstream string, amr ...string) enterprise.Actor {
			a.Session.Upstream, a.Session.AMR = upstream, amr
			return a
		}
		enter := func(a enterprise.Actor) error {
			_, err := f.Enterprise.Enter(t.Context(), a, f.org.ID, org.Viewer)
			return err
		}
		key := sso.Key(f.org.ID)
		policy := func(in org.SignIn) {
			_, err := f.Enterprise.SetPolicy(t.Context(), f.runner, f.org.ID, in, nil)
			is(t, string(in), err, "")
		}
		policy(org.SignInSSO)
		is(t, "by password", enter(by(f.member, "", session.Password)), fault.SSORequired, "acme")
		is(t, "by password and a code", enter(by(f.member, "", session.Password, session.OTP)), fault.SSORequired)
		is(t, "by Google", enter(by(f.member, "google", session.Federated)), fault.SSORequired)
		is(t, "by another organization's", enter(by(f.member, sso.Key(f.other.ID), session.Federated)), fault.SSORequired)
		is(t, "by their own", enter(by(f.member, key, session.Federated)), "")
		is(t, "a token that says nothing", enter(enterprise.Actor{UserID: f.member.UserID}), fault.SSORequired)
		is(t, "a guest", enter(by(f.actor(guest.ID), "", session.Password)), "")
		is(t, "an owner by password", enter(by(f.owner, "", session.Password)), fault.SSORequired)
		is(t, "an owner breaks the glass", enter(by(f.owner, "", session.Password, session.OTP)), "")
		is(t, "an admin has no glass", enter(by(f.admin, "", session.Password, session.OTP)), fault.SSORequired)
		policy(org.SignInMFA)
		is(t, "one factor", enter(by(f.member, "", session.Password)), fault.MFARequired)
		is(t, "one factor, by their own", enter(by(f.member, key, session.Federated)), fault.MFARequired)
		is(t, "two", enter(by(f.member, "", session.Password, session.OTP)), "")
		is(t, "two, by their own", enter(by(f.member, key, session.Federated, session.Several)), "")
		is(t, "a guest", enter(by(f.actor(guest.ID), "", session.Password)), fault.MFARequired)
		policy(org.SignInAny)
		is(t, "anything", enter(by(f.member, "", session.Password)), "")
	})
}

func TestSecondFactorIsDemandedAfterTheDaysGiven(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		m, err := f.Enterprise.SetMFA(t.Context(), f.owner, f.org.ID, enterprise.MFA{Required: true, GraceDays: 7})
		if err != nil || !m.Required || m.GraceDays != 7 {
			t.Errorf("got %+v %v", m, err)
		}
		enter := func() error {
			_, err := f.Enterprise.Enter(t.Context(), f.member, f.org.ID, org.Viewer)
			return err
		}
		f.Advance(7*24*time.Hour - time.Second)
		is(t, "in time", enter(), "")
		f.Advance(time.Second)
		is(t, "after", enter(), fault.MFARequired)
		f.owner.Session.AMR, f.owner.Session.AuthenticatedAt = []string{session.Password, session.OTP}, f.Now()
		m, err = f.Enterprise.SetMFA(t.Context(), f.owner, f.org.ID, enterprise.MFA{Required: true})
		if err != nil || m.GraceDays != 0 {
			t.Errorf("no days: %+v %v", m, err)
		}
		is(t, "at once", enter(), fault.MFARequired)
		m, err = f.Enterprise.SetMFA(t.Context(), f.owner, f.org.ID, enterprise.MFA{})
		if err != nil || m.Required {
			t.Errorf("no more: %+v %v", m, err)
		}
		is(t, "no more", enter(), "")
		for _, days := range []int{-1, 91} {
			_, err := f.Enterprise.SetMFA(t.Context(), f.owner, f.org.ID, enterprise.MFA{Required: true, GraceDays: days})
			is(t, "days", err, fault.FieldInvalid)
		}
	})
}

// Who takes the demand for a factor away does not take away what is demanded beside it.
func TestFactorsAndProviderAreOnePolicy(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	_, in := f.provider()
	f.connect(f.runner, in)
	f.prove("acme.com")
	_, err := f.Enterprise.SetPolicy(t.Context(), f.runner, f.org.ID, org.SignInSSO, nil)
	is(t, "sso", err, "")
	if m, err := f.Enterprise.SetMFA(t.Context(), f.runner, f.org.ID, enterprise.MFA{}); err != nil || m.Required {
		t.Errorf("got %+v %v", m, err)
	}
	if p, err := f.Enterprise.Policy(t.Context(), f.runner, f.org.ID); err != nil || p.SignIn != org.SignInSSO || !p.BreakGlass {
		t.Errorf("got %+v %v", p, err)
	}
}

func TestComplianceCountsWhoHasASecondFactor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			for i, who := range []enterprise.Actor{f.owner, f.admin} {
				if _, err := tx.Exec(ctx, `INSERT INTO totp (user_id, sealed, confirmed_at, last_step, created_at) VALUES ($1, $2, $3, 0, 0)`,
					who.UserID, []byte{0}, []any{db.At(f.Now()), nil}[i]); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, `INSERT INTO passkeys (id, user_id, name, data, sign_count, created_at) VALUES ($1, $2, '', '{}', 0, 0)`, []byte{1}, f.member.UserID)
			return err
		})
		got, err := f.Enterprise.Compliance(t.Context(), f.admin, f.org.ID)
		if err != nil || got.Required || got.Compliant != 2 || len(got.Members) != 3 {
			t.Fatalf("got %+v %v", got, err)
		}
		for i, want := range []enterprise.MemberFactor{
			{UserID: f.owner.UserID, Role: org.Owner, Email: "owner@acme.com", Name: "owner", TwoFactor: true},
			{UserID: f.admin.UserID, Role: org.Admin, Email: "admin@acme.com", Name: "admin"},
			{UserID: f.member.UserID, Role: org.Member, Email: "member@acme.com", Name: "member", TwoFactor: true},
		} {
			want.MembershipID = got.Members[i].MembershipID
			if got.Members[i] != want || want.MembershipID == "" {
				t.Errorf("got %+v, want %+v", got.Members[i], want)
			}
		}
		// Codes by mail count for who chose them.
		for compliant, chosen := range map[int]bool{2: false, 3: true} {
			f.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO mailed_factors (user_id, chosen, barred, created_at) VALUES ($1, $2, $3, 0)
					ON CONFLICT (user_id) DO UPDATE SET chosen = excluded.chosen`, f.admin.UserID, chosen, false)
				return err
			})
			if got, err = f.Enterprise.Compliance(t.Context(), f.admin, f.org.ID); err != nil || got.Compliant != compliant || got.Members[1].TwoFactor != chosen {
				t.Errorf("mailed codes chosen %v: %+v, %v", chosen, got, err)
			}
		}
	})
}

func TestLogIsOfTheOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		for _, name := range []string{"a.example", "b.example"} {
			_, err := f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, name)
			is(t, name, err, "")
			_, err = f.Enterprise.AddDomain(t.Context(), f.runner, f.other.ID, name)
			is(t, name, err, "")
			f.Advance(time.Minute)
		}
		count := func(in enterprise.AuditIn) int {
			t.Helper()
			in.Limit = 10
			all, total, err := f.Enterprise.AuditLogs(t.Context(), f.admin, f.org.ID, in)
			if err != nil || total != len(all) {
				t.Errorf("%+v: %d of %d, %v", in, len(all), total, err)
			}
			for _, e := range all {
				if e.OrgID != f.org.ID {
					t.Errorf("another organization's: %+v", e)
				}
			}
			return total
		}
		for name, c := range map[string]struct {
			in   enterprise.AuditIn
			want int
		}{
			"all": {enterprise.AuditIn{}, 3}, "an action": {enterprise.AuditIn{Action: string(audit.DomainClaimed)}, 2},
			"what it is about": {enterprise.AuditIn{ResourceType: "setup"}, 1}, "since": {enterprise.AuditIn{Since: f.Now().Add(-time.Minute)}, 1},
			"until": {enterprise.AuditIn{Until: f.Now().Add(-time.Minute)}, 2}, "nobody": {enterprise.AuditIn{UserID: "none"}, 0},
		} {
			if got := count(c.in); got != c.want {
				t.Errorf("%s: %d entries, want %d", name, got, c.want)
			}
		}
	})
}
