package signin_test

import (
	"context"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
)

func TestManyCallbacksOfOneStateAreOneSignIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		back := tr.answer(tr.begin(nil).Location, jane.ID, false)
		one(t, race(t, func(int) error {
			_, err := tr.finish(back)
			return err
		}, fault.UpstreamStateInvalid, fault.UpstreamFailed))
		for table, want := range map[string]int{"users": 1, "links": 1, "sessions": 1, "enrolments": 1, "onetime_secrets WHERE purpose = 'upstream_state'": 0} {
			if n := count(t, tr.r, table); n != want {
				t.Errorf("%s: %d rows, want %d", table, n, want)
			}
		}
	})
}

// parallel runs the callbacks of n attempts at once; all must succeed.
func (tr *trip) parallel(backs []signin.UpstreamReturn) []signin.Returned {
	tr.t.Helper()
	outs := make([]signin.Returned, len(backs))
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, back := range backs {
		wg.Go(func() {
			<-start
			out, err := tr.finish(back)
			if err != nil {
				tr.t.Errorf("callback %d: %v", i, err)
			}
			outs[i] = out
		})
	}
	close(start)
	wg.Wait()
	return outs
}

func TestParallelFirstSignInsMakeOneUser(t *testing.T) {
	for what, c := range map[string]struct {
		policy func(*client.Client)
		who    string
	}{"with an address": {nil, jane.ID}, "not vouched for": {nil, eve.ID}, "with none": {never, eve.ID}} {
		t.Run(what, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				tr := travel(t, d, c.policy)
				var backs []signin.UpstreamReturn
				for range 20 {
					backs = append(backs, tr.answer(tr.begin(nil).Location, c.who, false))
				}
				for _, out := range tr.parallel(backs) {
					if out.Outcome.SignedIn == nil {
						t.Errorf("got %+v", out.Outcome)
					}
				}
				for table, want := range map[string]int{"users": 1, "links": 1, "sessions": 20, "enrolments": 1, "audit WHERE action = 'user.signup'": 1} {
					if n := count(t, tr.r, table); n != want {
						t.Errorf("%s: %d rows, want %d", table, n, want)
					}
				}
			})
		})
	}
}

func TestTwoUpstreamsOfOneAddressMakeOneUser(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.Methods = append(c.Policy.Methods, "second") })
		first, second := tr.fake, tr.r.Upstream("second", upstream.OIDC, nil, jane)
		var backs []signin.UpstreamReturn
		for range 5 {
			tr.fake, tr.key = first, "corp"
			backs = append(backs, tr.answer(tr.begin(nil).Location, jane.ID, false))
			tr.fake, tr.key = second, "second"
			backs = append(backs, tr.answer(tr.begin(nil).Location, jane.ID, false))
		}
		users := map[identity.UserID]int{}
		for _, out := range tr.parallel(backs) {
			if out.Outcome.SignedIn == nil {
				t.Fatalf("got %+v, proof %q", out.Outcome, out.Prove)
			}
			users[out.Outcome.SignedIn.User.ID]++
		}
		if len(users) != 1 || count(t, tr.r, "users") != 1 || count(t, tr.r, "links") != 2 {
			t.Errorf("%d users, %d links", count(t, tr.r, "users"), count(t, tr.r, "links"))
		}
	})
}

// Somebody whose account is being taken back by the owner of the address must not
// slip in meanwhile.
func TestEvictedUpstreamAccountDoesNotSlipIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		thief := tr.in(eve.ID)
		var backs []signin.UpstreamReturn
		for range 20 {
			backs = append(backs, tr.answer(tr.begin(nil).Location, eve.ID, false))
		}
		owner := tr.answer(tr.begin(nil).Location, jane.ID, false)
		in := tr.parallel(append(backs, owner))[20].Outcome.SignedIn
		if in == nil || in.User.ID != thief.User.ID {
			t.Fatalf("the owner: %+v", in)
		}
		if n := count(t, tr.r, "sessions WHERE id <> $1", in.SessionID); n != 0 {
			t.Errorf("%d sessions of the thief live on", n)
		}
		if n := count(t, tr.r, "refresh_families"); n != 1 {
			t.Errorf("%d refresh families, want the owner's", n)
		}
	})
}

// The same with the thief's password.
func TestEvictedPasswordDoesNotSlipIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		unverified(t, tr.r, tr.app, jane.Email)
		back := tr.answer(tr.begin(nil).Location, jane.ID, false)
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() {
				_, err := tr.r.SignIn.Password(context.Background(), signin.PasswordIn{ClientID: tr.app.ID, Email: jane.Email, Password: plain, Visitor: visitor})
				if err != nil && !fault.Is(err, fault.CredentialsInvalid) {
					t.Error(err)
				}
			})
		}
		out, err := tr.finish(back)
		if err != nil || out.Outcome.SignedIn == nil {
			t.Fatalf("the owner: %+v, %v", out.Outcome, err)
		}
		wg.Wait()
		if n := count(t, tr.r, "sessions WHERE id <> $1", out.Outcome.SignedIn.SessionID); n != 0 {
			t.Errorf("%d sessions of the thief live on", n)
		}
	})
}

func TestHandleIsRedeemedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		out, err := tr.r.SignIn.DeferUpstream(t.Context(), signin.DeferIn{UpstreamReturn: tr.answer(tr.begin(nil).Location, jane.ID, false), Lifetime: 2 * 60e9})
		if err != nil {
			t.Fatal(err)
		}
		one(t, race(t, func(int) error {
			_, err := tr.r.SignIn.RedeemUpstream(context.Background(), signin.RedeemIn{ClientID: tr.app.ID, Handle: out.Handle, Visitor: visitor})
			return err
		}, fault.UpstreamStateInvalid))
	})
}

func TestCodeIsExchangedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		x := tr.code(jane.ID)
		one(t, race(t, func(int) error {
			_, err := tr.r.SignIn.ExchangeUpstream(context.Background(), x)
			return err
		}, fault.UpstreamFailed))
		asked := 0
		for _, r := range tr.fake.Requests() {
			if r == "POST /token" {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("the upstream was asked %d times", asked)
		}
	})
}

// A database that fails now and then leaves nobody half made.
func TestFaultyDatabaseMakesWholeUsers(t *testing.T) {
	dbtest.EachFaulty(t, dbtest.Faults{Seed: 7, Serialization: 0.02, Lost: 0.01}, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		for range 10 {
			tr.in(jane.ID)
			tr.in(tom.ID)
		}
		if u, l, e := count(t, tr.r, "users"), count(t, tr.r, "links"), count(t, tr.r, "enrolments"); u != 2 || l != 2 || e != 2 {
			t.Errorf("%d users, %d links, %d enrolments", u, l, e)
		}
	})
}
