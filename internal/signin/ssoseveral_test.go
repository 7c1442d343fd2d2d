package signin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
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
		// Nor do two by the word of a provider that may be the person's own, and not the bank's.
		trusting := to.r.Connection(to.org)
		trusting.TrustMFA = true
		to.r.SetConnection(trusting)
		if out, err := to.as(ann.ID, nil); err != nil || out.Outcome.Challenge == nil {
			t.Errorf("by the word of another organization: %+v, %v", out.Outcome, err)
		}
		bank.policy(org.SignInAny, true)
		if in := to.in(ann.ID); !session.TwoFactors(in.AMR) {
			t.Errorf("which counts where nobody else demands them: %v", in.AMR)
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

// What an owner takes away lets nobody in any more, though its provider was being asked
// just then.
func TestConnectionThatIsTakenAwayWhileItIsAskedLetsNobodyIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		o := r.Org("acme", "acme.com")
		s := httptest.NewUnstartedServer(nil)
		issuer := "http://" + s.Listener.Addr().String()
		to := &tour{t: t, r: r, org: o, fake: upstreamtest.New(upstream.OIDC, issuer, r.Now, ann), app: r.Client("Demo", nil)}
		var removed sync.Once
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost { // the code
				removed.Do(func() { r.Write(func(ctx context.Context, tx *db.Tx) error { return sso.Remove(ctx, tx, o.ID) }) })
			}
			to.fake.ServeHTTP(w, req)
		})
		s.Start()
		t.Cleanup(s.Close)
		r.SetConnection(sso.Connection{OrgID: o.ID, Kind: sso.OIDC, Provider: sso.Okta, Enabled: true, JIT: true, Issuer: issuer,
			ClientID: upstreamtest.ClientID, Secret: upstreamtest.ClientSecret})
		to.refused(ann.ID, fault.ConnectionChanged)
		if n := count(t, r, "sessions") + count(t, r, "links"); n != 0 {
			t.Errorf("%d sessions and links of a connection that is gone", n)
		}
	})
}

// A session ends with the one at the provider, and one of before a policy when it was to.
func TestSessionThatMustEndIsNotRenewed(t *testing.T) {
	t.Parallel()
	const life = 7 * 24 * time.Hour
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		sit := func(cookie string) self.Sitting {
			t.Helper()
			s, err := to.r.Self.Sitting(t.Context(), self.SittingIn{ClientID: to.app.ID, Cookie: cookie, Life: life, RenewAfter: 24 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		who := visitor
		who.Manner.Session = life
		u := to.r.User("bob@acme.com", "Bob", plain, to.app)
		to.join(u, org.Member)
		out, err := to.r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: to.app.ID, Email: u.Email, Password: plain, Visitor: who})
		if err != nil {
			t.Fatal(err)
		}
		in := to.in(ann.ID)
		ends := to.r.Now().Add(72 * time.Hour)
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE sessions SET expires_at = $2 WHERE id = $1`, in.SessionID, db.At(ends))
			return err
		})
		to.r.Advance(48 * time.Hour)
		if s := sit(in.Session); s.Renewed || !s.Session.ExpiresAt.Equal(ends) {
			t.Errorf("a session that ends with another was renewed until %v", s.Session.ExpiresAt)
		}
		if s := sit(out.SignedIn.Session); !s.Renewed {
			t.Error("one that is free to go on was not renewed")
		}
		to.r.Advance(48 * time.Hour)
		to.policy(org.SignInSSO, true)
		if s := sit(out.SignedIn.Session); s.Renewed {
			t.Error("one that could not begin any more was renewed")
		}
	})
}
