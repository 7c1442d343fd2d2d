package signin_test

import (
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

func forAcme(r client.Registration) func(*client.Client) {
	return func(c *client.Client) {
		c.Policy.Registration, c.Policy.AllowedDomains = r, []string{"acme.com"}
	}
}

// Who signs up with an address of an allowed domain waits until it is verified,
// and is let in by that; who has another address is told what they would be told
// without allowed domains.
func TestAllowedDomainLetsInOnceTheAddressIsVerified(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Closed", forAcme(client.Invite))
		signUp := func(email string) (signin.Outcome, error) {
			return r.SignIn.SignUp(t.Context(), signin.SignUpIn{ClientID: app.ID, Email: email, Password: plain, DisplayName: "Jane", Visitor: visitor})
		}
		_, err := signUp("jane@other.com")
		wantFault(t, "another domain", err, fault.InviteRequired)
		_, err = signUp("jane@mail.acme.com")
		wantFault(t, "a domain below it", err, fault.InviteRequired)
		out, err := signUp("jane@acme.com")
		if err != nil || !out.Pending {
			t.Fatalf("got %+v %v, want pending", out, err)
		}
		in := signin.PasswordIn{ClientID: app.ID, Email: "jane@acme.com", Password: plain, Visitor: visitor}
		_, err = r.SignIn.Password(t.Context(), in)
		wantFault(t, "before the address is verified", err, fault.EnrolmentPending)
		if err := r.SignIn.VerifyEmail(t.Context(), token(t, r, "jane@acme.com"), visitor); err != nil {
			t.Fatal(err)
		}
		if out, err := r.SignIn.Password(t.Context(), in); err != nil || out.SignedIn == nil {
			t.Errorf("after it: got %+v %v", out, err)
		}
		if n := count(t, r, `audit WHERE action = 'user.approved' AND actor = 'system'`); n != 1 {
			t.Errorf("%d entries tell that a rule let her in, want 1", n)
		}
	})
}

func TestMailedLinkOfAnAllowedDomainLetsIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		for name, app := range map[string]client.Client{"invite": r.Client("Closed", forAcme(client.Invite)), "approval": r.Client("Judged", forAcme(client.Approval))} {
			email := name + "@acme.com"
			for _, to := range []string{email, name + "@other.com"} {
				if err := r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: app.ID, Email: to, Visitor: visitor}); err != nil {
					t.Fatal(err)
				}
			}
			out, err := r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: token(t, r, email), Visitor: visitor})
			if err != nil || out.SignedIn == nil {
				t.Errorf("%s: got %+v %v", name, out, err)
			}
			if _, mailed := r.Mail(name + "@other.com"); mailed != (name == "approval") {
				t.Errorf("%s: another domain was mailed a link: %v", name, mailed)
			}
		}
	})
}

func TestRuleThatCameLaterLetsInWhoWaits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Judged", forAcme(client.Approval))
		for email, want := range map[string]fault.Code{"jane@acme.com": "", "john@other.com": fault.EnrolmentPending} {
			u := r.User(email, "X", plain) // made with a verified address
			r.Enrol(u, app, client.Pending)
			_, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: email, Password: plain, Visitor: visitor})
			if want == "" && err != nil || want != "" && !fault.Is(err, want) {
				t.Errorf("%s: got %v, want %q", email, err, want)
			}
		}
	})
}
