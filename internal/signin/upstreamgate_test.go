package signin_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/totp"
)

func TestGatesHoldForUpstreams(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		u := tr.in(jane.ID).User
		tr.r.Enrol(u, tr.app, client.Suspended, "user")
		_, err := tr.as(jane.ID)
		wantFault(t, "suspended here", err, fault.EnrolmentSuspended)
		tr.r.Enrol(u, tr.app, client.Pending, "user")
		_, err = tr.as(jane.ID)
		wantFault(t, "pending", err, fault.EnrolmentPending)
		tr.r.Enrol(u, tr.app, client.Active, "user")
		tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, u.ID, identity.Suspended, tr.r.Now())
		})
		out, err := tr.as(jane.ID)
		wantFault(t, "suspended everywhere", err, fault.EnrolmentSuspended)
		if out.RedirectURI == "" || out.Outcome.SignedIn != nil {
			t.Errorf("got %+v", out)
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.login_failed' AND user_id = $1 AND detail LIKE '%corp%'", u.ID); n != 3 {
			t.Errorf("%d audit entries, want 3", n)
		}
		tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := identity.SetStatus(ctx, tx, u.ID, identity.Active, tr.r.Now()); err != nil {
				return err
			}
			return totp.Import(ctx, tx, tr.r.Key, u.ID, base32, tr.r.Now())
		})
		tr.terms.SessionFor = time.Hour
		out, err = tr.as(jane.ID)
		if err != nil || out.Outcome.Challenge == nil {
			t.Fatalf("second factor: %+v, %v", out, err)
		}
		done, err := tr.r.SignIn.Challenge(t.Context(), signin.ChallengeIn{Secret: out.Outcome.Challenge.Secret, Code: code(t, tr.r), Tries: tries, Visitor: visitor})
		if err != nil || done.SignedIn == nil {
			t.Fatalf("%+v, %v", done, err)
		}
		// What the first factor was, and what it was for, came through.
		var s session.Session
		tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			s, err = session.ByID(ctx, tx, done.SignedIn.SessionID, tr.r.Now())
			return err
		})
		if s.Upstream != "corp" || !s.Has(session.Federated) || !s.Has(session.OTP) || done.SignedIn.Session != "" || done.SignedIn.Refresh != "" || !s.ExpiresAt.Equal(tr.r.Now().Add(time.Hour)) {
			t.Errorf("got %+v, %+v", s, done.SignedIn)
		}
	})
}

func TestUpstreamWhereAFactorIsDemanded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired })
		out, err := tr.as(jane.ID)
		if err != nil || out.Outcome.Setup == nil || out.Outcome.Setup.Session == "" {
			t.Errorf("got %+v, %v", out.Outcome, err)
		}
		tr.terms.SessionFor = time.Hour
		out, err = tr.as(jane.ID)
		if err != nil || out.Outcome.Setup == nil || out.Outcome.Setup.Session != "" || count(t, tr.r, "sessions") != 1 {
			t.Errorf("a surface's own session: %+v, %v", out.Outcome, err)
		}
	})
}

func TestUpstreamWhereApprovalIsNeeded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.Registration = client.Approval })
		out, err := tr.as(jane.ID)
		if err != nil || !out.Outcome.Pending {
			t.Errorf("the first time: %+v, %v", out.Outcome, err)
		}
		_, err = tr.as(jane.ID)
		wantFault(t, "the second time", err, fault.EnrolmentPending)
		if n := count(t, tr.r, "sessions"); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestTermsOfASurface(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.terms = signin.Terms{Existing: true, VerifiedOnly: true}
		_, err := tr.as(jane.ID)
		wantFault(t, "nobody here", err, fault.UserUnknown)
		u := tr.r.User(jane.Email, "Jane", "", tr.app)
		_, err = tr.as(eve.ID)
		wantFault(t, "not vouched for", err, fault.EmailUnverified)
		if n := count(t, tr.r, "users"); n != 1 || links(t, tr.r, u.ID) != "" {
			t.Errorf("%d users, links %q", n, links(t, tr.r, u.ID))
		}
		if in := tr.in(jane.ID); in.User.ID != u.ID || links(t, tr.r, u.ID) != "corp/"+jane.ID {
			t.Errorf("got %+v", in.User)
		}
		// With a link the address no longer matters.
		lost := jane
		lost.EmailVerified = false
		tr.fake.SetPeople(lost)
		tr.in(jane.ID)
		tr.terms.Rename = true
		lost.GivenName, lost.FamilyName = "Jane", "Roe-Doe"
		tr.fake.SetPeople(lost)
		if in := tr.in(jane.ID); in.User.DisplayName != "Jane Roe-Doe" || in.User.FamilyName != "Roe-Doe" {
			t.Errorf("got %+v", in.User)
		}
		if n := count(t, tr.r, "users WHERE display_name = 'Jane Roe-Doe'"); n != 1 {
			t.Error("the name was not stored")
		}
	})
}
