package signin_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// connect makes the trip of somebody signed in who wants to connect an account.
func (tr *trip) connect(session, id string) (signin.Returned, error) {
	tr.t.Helper()
	start := tr.begin(func(in *signin.UpstreamStart) { in.ClientID, in.Link = "", session })
	return tr.finish(tr.answer(start.Location, id, false))
}

func TestConnectAddsToWhoIsSignedIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		u := tr.r.User("pat@example.com", "Pat", plain, tr.app)
		here := signIn(t, tr.r, tr.app, "pat@example.com").SignedIn
		// Whatever address it has: they are signed in on both sides.
		for range 2 {
			out, err := tr.connect(here.Session, tom.ID)
			if err != nil || !out.Linked || out.Outcome.SignedIn != nil {
				t.Fatalf("%+v, %v", out, err)
			}
		}
		if l := links(t, tr.r, u.ID); l != "corp/"+tom.ID || count(t, tr.r, "users") != 1 {
			t.Errorf("links %q", l)
		}
		tr.in(jane.ID)
		_, err := tr.connect(here.Session, jane.ID)
		wantFault(t, "somebody else's account", err, fault.LinkTaken)

		start := tr.begin(func(in *signin.UpstreamStart) { in.ClientID, in.Link = "", here.Session })
		back := tr.answer(start.Location, eve.ID, false)
		if err := tr.r.SignIn.SignOut(t.Context(), here.Session, false, visitor); err != nil {
			t.Fatal(err)
		}
		_, err = tr.finish(back)
		wantFault(t, "signed out meanwhile", err, fault.Unauthenticated)
		if l := links(t, tr.r, u.ID); l != "corp/"+tom.ID {
			t.Errorf("links %q", l)
		}
	})
}

func TestConnectWantsAProof(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.r.User("pat@example.com", "Pat", plain, tr.app)
		here := signIn(t, tr.r, tr.app, "pat@example.com").SignedIn
		start := func(cookie string, proved bool) error {
			_, err := tr.r.SignIn.StartUpstream(t.Context(), signin.UpstreamStart{Upstream: "corp", Link: cookie, Proved: proved, Callback: callback, Visitor: visitor})
			return err
		}
		wantFault(t, "nobody", start("x", false), fault.Unauthenticated)
		tr.r.Advance(5 * 60e9)
		wantFault(t, "an old sign-in", start(here.Session, false), fault.ProofRequired)
		if err := start(here.Session, true); err != nil {
			t.Error(err)
		}
		partial := ""
		tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			_, partial, err = session.Start(ctx, tx, session.Session{UserID: here.User.ID, Partial: true, AuthenticatedAt: tr.r.Now(), CreatedAt: tr.r.Now(), ExpiresAt: tr.r.Now().Add(60e9)})
			return err
		})
		wantFault(t, "half a sign-in", start(partial, true), fault.Unauthenticated)
	})
}

func TestUsersWithoutAnAddressOfTheirOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, never)
		other := tr.r.Upstream("second", upstream.OIDC, nil, jane)
		app := tr.r.Client("Both", func(c *client.Client) { never(c); c.Policy.Methods = append(c.Policy.Methods, "corp", "second") })
		tr.app = app
		first := tr.in(jane.ID)
		tr.fake, tr.key = other, "second"
		second := tr.in(jane.ID)
		tr.fake.SetPeople(eve)
		third := tr.in(eve.ID)
		if first.User.Email != jane.Email || !first.User.EmailVerified || second.User.Email != "" || third.User.Email != "" || count(t, tr.r, "users") != 3 {
			t.Errorf("got %+v, %+v, %+v", first.User, second.User, third.User)
		}
		free := eve
		free.ID, free.Email = "667", "free@example.com"
		tr.fake.SetPeople(free)
		if in := tr.in("667"); in.User.Email != "" {
			t.Errorf("got %q, an address that nobody vouches for", in.User.Email)
		}
		// They refresh, sign out and come again like anybody.
		out, err := tr.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: app.ID, Token: second.Refresh, Visitor: visitor})
		if err != nil || out.User.ID != second.User.ID || out.User.Email != "" || out.User.EmailVerified {
			t.Errorf("refresh: %+v, %v", out.User, err)
		}
		if err := tr.r.SignIn.SignOut(t.Context(), second.Session, true, visitor); err != nil {
			t.Error(err)
		}
		tr.fake.SetPeople(jane)
		if again := tr.in(jane.ID); again.User.ID != second.User.ID {
			t.Errorf("signed in %s", again.User.ID)
		}
		nobody := upstreamtest.Person{ID: "3", GivenName: "No", FamilyName: "Mail"}
		tr.fake.SetPeople(nobody)
		tr.terms.NeedsEmail = true
		_, err = tr.as("")
		wantFault(t, "where an address is needed", err, fault.EmailRequired)
		tr.terms.NeedsEmail = false
		if in := tr.in(""); in.User.DisplayName != "No Mail" {
			t.Errorf("got %+v", in.User)
		}
	})
}
