package signin_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/invite"
	"sallyport/internal/signin"
)

// invited makes an invitation to the application.
func (tr *trip) invited(email string) string {
	code := ""
	tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		_, code, err = invite.Create(ctx, tx, tr.r.Key, invite.Invite{ClientID: tr.app.ID, Email: email, Roles: []string{"manager"}, ExpiresAt: tr.r.Now().Add(time.Hour)}, tr.r.Now())
		return err
	})
	return code
}

func (tr *trip) accept(pending, code string) (signin.Returned, error) {
	return tr.r.SignIn.AcceptUpstreamInvite(context.Background(), signin.UpstreamInviteIn{ClientID: tr.app.ID, Pending: pending, Code: code, Visitor: visitor})
}

// Contract keymaster §3.2, §3.3.
func TestInviteOnlyClientKeepsTheProfileWaiting(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.Registration = client.Invite })
		pending := func(id string) string {
			t.Helper()
			out, err := tr.as(id)
			if err != nil || out.Invite == "" || out.Outcome.SignedIn != nil {
				t.Fatalf("got %+v, %v", out.Outcome, err)
			}
			return out.Invite
		}
		first := pending(jane.ID)
		if u, l := count(t, tr.r, "users"), count(t, tr.r, "links"); u != 0 || l != 0 {
			t.Fatalf("%d users and %d links before the invitation", u, l)
		}
		for range 4 {
			_, err := tr.accept(first, "AAAAAAAA")
			wantFault(t, "a wrong code", err, fault.InviteInvalid)
		}
		open := tr.invited("")
		_, err := tr.r.SignIn.AcceptUpstreamInvite(t.Context(), signin.UpstreamInviteIn{ClientID: tr.r.Client("Other", nil).ID, Pending: first, Code: open, Visitor: visitor})
		wantFault(t, "another client", err, fault.UpstreamStateInvalid)
		out, err := tr.accept(first, open)
		if err != nil || out.Outcome.SignedIn == nil || out.RedirectURI == "" || out.State != "the app's" {
			t.Fatalf("%+v, %v", out.Outcome, err)
		}
		in := out.Outcome.SignedIn
		if in.Session == "" || in.Refresh == "" || len(in.Roles) != 1 || in.Roles[0] != "manager" || !in.User.EmailVerified || links(t, tr.r, in.User.ID) != "corp/"+jane.ID {
			t.Errorf("got %+v", in)
		}
		_, err = tr.accept(first, tr.invited(""))
		wantFault(t, "spent", err, fault.UpstreamStateInvalid)
		tr.in(jane.ID)

		second, code := pending(tom.ID), tr.invited("pat@example.com")
		for i := range 6 {
			_, err := tr.accept(second, code)
			want := fault.InviteEmailMismatch
			if i == 5 { // the fifth wrong one ended it
				want = fault.UpstreamStateInvalid
			}
			wantFault(t, "an invitation for somebody else", err, want)
		}
		own := tr.invited(tom.Email)
		third := pending(tom.ID)
		one(t, race(t, func(int) error { _, err := tr.accept(third, own); return err },
			fault.InviteInvalid, fault.UpstreamStateInvalid, fault.AlreadyEnrolled))
	})
}

func TestInvitationForAnAddressWantsOneThatIsVouchedFor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.Registration = client.Invite })
		out, err := tr.as(eve.ID)
		if err != nil || out.Invite == "" {
			t.Fatalf("%+v, %v", out.Outcome, err)
		}
		_, err = tr.accept(out.Invite, tr.invited(eve.Email))
		wantFault(t, "not vouched for", err, fault.InviteEmailMismatch)
		// An open one takes her, with the address unproved.
		in, err := tr.accept(out.Invite, tr.invited(""))
		if err != nil || in.Outcome.SignedIn == nil || in.Outcome.SignedIn.User.EmailVerified {
			t.Errorf("%+v, %v", in, err)
		}
	})
}

// An address that the newcomer does not get opens no door by its domain, and
// leaves nobody behind.
func TestAllowedDomainsAndUpstreams(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) {
			c.Policy.Registration, c.Policy.AllowedDomains = client.Invite, []string{"example.com"}
		})
		if in := tr.in(jane.ID); !in.User.EmailVerified {
			t.Errorf("got %+v", in.User)
		}
		unsure := tom
		unsure.EmailVerified = false
		tr.fake.SetPeople(unsure)
		out, err := tr.as(tom.ID)
		if err != nil || !out.Outcome.Pending {
			t.Errorf("an address that nobody vouches for: %+v, %v", out.Outcome, err)
		}
		closed := tr.r.Client("Closed", func(c *client.Client) {
			c.Policy = tr.app.Policy
			never(c)
		})
		tr.app = closed
		other := unsure
		other.ID = "3001"
		tr.fake.SetPeople(other)
		before := count(t, tr.r, "users")
		if out, err = tr.as("3001"); err != nil || out.Invite == "" || count(t, tr.r, "users") != before {
			t.Errorf("where accounts are not linked: %+v, %v", out.Outcome, err)
		}
	})
}

func TestKnownUserOfAnInviteOnlyClientNeedsNone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, func(c *client.Client) { c.Policy.Registration = client.Invite })
		u := tr.r.User(jane.Email, "Jane", "", tr.app)
		if in := tr.in(jane.ID); in.User.ID != u.ID {
			t.Errorf("got %+v", in.User)
		}
		outsider := tr.r.User(tom.Email, "Tom", plain)
		out, err := tr.as(tom.ID)
		if err != nil || out.Invite == "" || links(t, tr.r, outsider.ID) != "" {
			t.Fatalf("a user of other clients: %+v, %v", out, err)
		}
		in, err := tr.accept(out.Invite, tr.invited(tom.Email))
		if err != nil || in.Outcome.SignedIn == nil || in.Outcome.SignedIn.User.ID != outsider.ID || !hasPassword(t, tr.r, outsider.ID) {
			t.Errorf("%+v, %v", in, err)
		}
	})
}
