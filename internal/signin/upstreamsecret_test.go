package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
)

// Somebody of the provider's, or of the customer's, who signs in there as another
// person, is let in as that person only where the surface wants it.
func TestImpersonationAtTheUpstream(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.Methods = append(c.Policy.Methods, "work") })
		ghost := jane
		ghost.Impersonator = "admin@workos.example"
		tr.fake, tr.key = tr.r.Upstream("work", upstream.WorkOS, nil, ghost), "work"
		_, err := tr.as(jane.ID)
		wantFault(t, "without the terms", err, fault.Forbidden)
		if n := count(t, tr.r, "users"); n != 0 {
			t.Errorf("%d users", n)
		}
		tr.r.User("pat@example.com", "Pat", plain, tr.app)
		here := signIn(t, tr.r, tr.app, "pat@example.com").SignedIn
		_, err = tr.connect(here.Session, jane.ID)
		wantFault(t, "connecting", err, fault.UpstreamDenied)
		tr.terms.Impersonation = true
		in := tr.in(jane.ID)
		if n := count(t, tr.r, "audit WHERE action = 'user.login' AND user_id = $1 AND detail LIKE '%admin@workos.example%'", in.User.ID); n != 1 {
			t.Errorf("%d audit entries that name who it was", n)
		}
	})
}

// What opens something is stored as a hash or sealed, and told to no log. Of an
// attempt the verifier is needed back, which is worth nothing without the code.
func TestNothingSecretCanBeRead(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.r.User(jane.Email, "Jane", plain, tr.app)
		closed := tr.r.Client("Closed", func(c *client.Client) {
			c.Policy.Methods, c.Policy.Registration = []string{"corp"}, client.Invite
		})
		secrets := map[string]string{}
		back := tr.answer(tr.begin(nil).Location, tom.ID, false)
		secrets["state"], secrets["cookie"], secrets["code"] = back.State, back.Cookie, back.Answer.Code
		out, err := tr.finish(back)
		if err != nil {
			t.Fatal(err)
		}
		secrets["session"], secrets["refresh token"] = out.Outcome.SignedIn.Session, out.Outcome.SignedIn.Refresh
		open := tr.answer(tr.begin(nil).Location, jane.ID, false) // stays unspent
		secrets["open state"], secrets["open code"] = open.State, open.Answer.Code
		if out, err = tr.as(eve.ID); err != nil {
			t.Fatal(err)
		}
		secrets["proof"] = out.Prove
		deferred, err := tr.r.SignIn.DeferUpstream(t.Context(), signin.DeferIn{UpstreamReturn: tr.answer(tr.begin(nil).Location, tom.ID, false), Lifetime: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		secrets["handle"] = deferred.Handle
		secrets["access token"], secrets["ID token"] = deferred.Profile.Tokens.Access.Reveal(), deferred.Profile.Tokens.ID.Reveal()
		tr.app = closed
		stranger := tom
		stranger.ID, stranger.Email = "4001", "four@example.com"
		tr.fake.SetPeople(stranger)
		if out, err = tr.as("4001"); err != nil {
			t.Fatal(err)
		}
		secrets["pending"] = out.Invite
		var rows []string
		tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			rows, err = db.All(ctx, tx, db.Text, `SELECT detail FROM audit UNION ALL SELECT data FROM onetime_secrets UNION ALL SELECT profile FROM links`)
			return err
		})
		if len(rows) < 9 {
			t.Fatalf("%d rows", len(rows))
		}
		for what, s := range secrets {
			if s == "" {
				t.Errorf("no %s", what)
			}
			for _, row := range rows {
				if strings.Contains(row, s) {
					t.Errorf("the %s is in %s", what, row)
				}
			}
		}
	})
}
