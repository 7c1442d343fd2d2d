package signin_test

import (
	"context"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/upstream/upstreamtest"
)

// A person may be in several organizations, and one of them may be their own: what it
// demands takes nothing away from what another does.
func TestDemandsOfSeveralOrganizationsStandBesideEachOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		bank := &tour{t: t, r: to.r, org: to.r.Org("bank"), app: to.app}
		u := to.in(ann.ID).User
		to.policy(org.SignInSSO, true)
		bank.join(u, org.Member)
		if in := to.in(ann.ID); in.Session == "" {
			t.Fatal("no session")
		}
		bank.policy(org.SignInMFA, true)
		setUp := func(about string) {
			t.Helper()
			if out, err := to.as(ann.ID, nil); err != nil || out.Outcome.SignedIn != nil || out.Outcome.Setup == nil {
				t.Errorf("%s: %+v, %v", about, out.Outcome, err)
			}
		}
		setUp("one factor, by the provider")

		// Nor does a grace that is somebody's own to give.
		to.policy(org.SignInMFA, true)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error { return org.SetGrace(ctx, tx, to.org.ID, 90, to.r.Now()) })
		setUp("put off by the one")

		to.policy(org.SignInSSO, true)
		to.factor(u)
		first, err := to.as(ann.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := to.second(first.Outcome); err != nil || out.SignedIn == nil {
			t.Errorf("two factors, by the provider: %+v, %v", out, err)
		}
		// Two factors do not stand in for the provider.
		other := to.r.User("bob@acme.com", "Bob", plain, to.app)
		to.join(other, org.Member)
		bank.join(other, org.Member)
		if out, err := to.password(other); !fault.Is(err, fault.SSORequired) {
			t.Errorf("a password: %+v, %v", out, err)
		}
	})
}

// Whose domain has gone over to another organization comes in by that one's provider,
// whatever the one before demands still.
func TestDomainThatChangedHandsLocksNobodyOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		next := to.other(upstreamtest.Person{ID: "1", Email: ann.Email, EmailVerified: true})
		u := to.in(ann.ID).User
		to.policy(org.SignInSSO, true)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := org.Disclaim(ctx, tx, to.org.ID, "acme.com"); err != nil {
				return err
			}
			if _, err := org.Claim(ctx, tx, next.org.ID, "acme.com", to.r.Now()); err != nil {
				return err
			}
			return org.Verify(ctx, tx, next.org.ID, "acme.com", to.r.Now())
		})
		if in := next.in("1"); in.User.ID != u.ID {
			t.Errorf("came in as %s", in.User.ID)
		}
		if out, err := to.start(nil); err == nil {
			t.Errorf("the provider of before: %+v", out)
		}
	})
}
