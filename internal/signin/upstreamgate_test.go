package signin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/openid"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/totp"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
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

func TestDeferredProfileWaitsForItsCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		wait := func() string {
			t.Helper()
			out, err := tr.r.SignIn.DeferUpstream(t.Context(), signin.DeferIn{
				UpstreamReturn: tr.answer(tr.begin(nil).Location, jane.ID, false), Lifetime: 2 * time.Minute, Bind: json.RawMessage(`"mine"`),
			})
			if err != nil || out.Handle == "" || string(out.Data) != `{"x":1}` || out.RedirectURI == "" {
				t.Fatalf("%+v, %v", out.Outcome, err)
			}
			return out.Handle
		}
		redeem := func(in signin.RedeemIn) (signin.Returned, error) {
			in.ClientID, in.Visitor = tr.app.ID, visitor
			return tr.r.SignIn.RedeemUpstream(t.Context(), in)
		}
		handle := wait()
		if n := count(t, tr.r, "users"); n != 0 {
			t.Errorf("%d users before the handle is redeemed", n)
		}
		_, err := redeem(signin.RedeemIn{Handle: handle, Check: func(json.RawMessage) bool { return false }})
		wantFault(t, "not what it was bound to", err, fault.UpstreamStateInvalid)
		_, err = redeem(signin.RedeemIn{Handle: handle})
		wantFault(t, "after that", err, fault.UpstreamStateInvalid)

		_, err = tr.r.SignIn.RedeemUpstream(t.Context(), signin.RedeemIn{ClientID: tr.r.Client("Other", nil).ID, Handle: wait(), Visitor: visitor})
		wantFault(t, "another client", err, fault.UpstreamStateInvalid)

		handle = wait()
		tr.r.Advance(2 * time.Minute)
		_, err = redeem(signin.RedeemIn{Handle: handle})
		wantFault(t, "too late", err, fault.UpstreamStateInvalid)

		rules := []limit.Rule{{Name: "test", N: 1, Per: time.Hour}}
		before := d.Stats()
		handle = wait()
		middle := d.Stats()
		out, err := redeem(signin.RedeemIn{Handle: handle, Limits: rules, Terms: signin.Terms{Alias: "corp"}, Check: func(b json.RawMessage) bool { return string(b) == `"mine"` }})
		if err != nil || out.Outcome.SignedIn == nil || out.Alias != "corp"+jane.ID || out.Profile.Username != jane.Username {
			t.Fatalf("%+v, %v", out.Outcome, err)
		}
		if after := d.Stats(); after.Transactions-middle.Transactions != 1 || after.Reads != middle.Reads || middle.Transactions-before.Transactions != 2 {
			t.Errorf("redeeming took %d writes and %d reads", after.Transactions-middle.Transactions, after.Reads-middle.Reads)
		}
		_, err = redeem(signin.RedeemIn{Handle: wait(), Limits: rules})
		wantFault(t, "too many", err, fault.RateLimited)
	})
}

// code is what an application gets at the provider by itself.
func (tr *trip) code(id string) signin.ExchangeIn {
	tr.t.Helper()
	q := url.Values{"client_id": {upstreamtest.ClientID}, "redirect_uri": {"https://app.example.com/callback"}, "response_type": {"code"}, "scope": {"openid profile email"}}
	back := tr.answer("https://idp.example/auth?"+q.Encode(), id, false)
	return signin.ExchangeIn{
		ClientID: tr.app.ID, Upstream: tr.key, Terms: tr.terms, Visitor: visitor,
		Exchange: upstream.Exchange{Code: back.Answer.Code, RedirectURI: "https://app.example.com/callback"},
	}
}

func TestExchangeOfAnApplicationsOwnCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		if _, err := tr.r.SignIn.ExchangeUpstream(t.Context(), tr.code(jane.ID)); err != nil {
			t.Fatal(err)
		}
		x := tr.code(jane.ID)
		tr.fake.Behave(upstreamtest.Down)
		_, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		wantFault(t, "down", err, fault.UpstreamUnreachable)
		tr.fake.Behave(upstreamtest.None)
		out, err := tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		if err != nil || out.Outcome.SignedIn == nil {
			t.Fatalf("the same once it answers: %+v, %v", out.Outcome, err)
		}
		asked := len(tr.fake.Requests())
		_, err = tr.r.SignIn.ExchangeUpstream(t.Context(), x)
		wantFault(t, "once more", err, fault.UpstreamFailed)
		if !errors.Is(err, openid.ErrInvalidGrant) || len(tr.fake.Requests()) != asked {
			t.Errorf("a code that came before: %v, asked %v", err, tr.fake.Requests()[asked:])
		}
		bad := x
		bad.Code = "4/of-nobody"
		_, err = tr.r.SignIn.ExchangeUpstream(t.Context(), bad)
		wantFault(t, "a code of nobody", err, fault.UpstreamFailed)
		if !errors.Is(err, openid.ErrInvalidGrant) {
			t.Errorf("got %v", err)
		}
		// No browser is bound: what Returned.Prove names can be proved by nobody.
		taken := tr.r.User(tom.Email, "Tom", plain, tr.app)
		unsure := tom
		unsure.EmailVerified = false
		tr.fake.SetPeople(unsure)
		out, err = tr.r.SignIn.ExchangeUpstream(t.Context(), tr.code(tom.ID))
		if err != nil || out.Prove == "" {
			t.Fatalf("%+v, %v", out.Outcome, err)
		}
		for _, cookie := range []string{"", tr.cookie, "x"} {
			if _, err := tr.r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: tr.app.ID, Email: tom.Email, Password: plain, Prove: signin.Prove{Secret: out.Prove, Cookie: cookie}, Visitor: visitor}); err != nil {
				t.Error(err)
			}
		}
		if l := links(t, tr.r, taken.ID); l != "" {
			t.Errorf("links %s", l)
		}
	})
}

func TestRolesByRuleAtSignIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.terms.Roles = []client.RoleRule{{Role: "staff", Domain: "example.com"}, {Role: "admin", Emails: []string{"JANE@example.com"}, Upstreams: []string{"oidc"}}}
		in := tr.in(jane.ID)
		if len(in.Roles) != 3 || in.Roles[1] != "staff" || in.Roles[2] != "admin" {
			t.Errorf("roles %v", in.Roles)
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.role_changed' AND actor = 'system' AND user_id = $1", in.User.ID); n != 1 {
			t.Errorf("%d audit entries", n)
		}
		tr.in(jane.ID)
		if n := count(t, tr.r, "audit WHERE action = 'user.role_changed'"); n != 1 {
			t.Errorf("%d audit entries after a sign-in that changed nothing", n)
		}
		// Nothing for an address that the upstream does not vouch for.
		eves := tr.terms
		tr.terms = signin.Terms{Roles: eves.Roles}
		stranger := eve
		stranger.Email = "eve@example.com"
		tr.fake.SetPeople(stranger, jane)
		if in := tr.in(eve.ID); len(in.Roles) != 1 {
			t.Errorf("roles %v of an unverified address", in.Roles)
		}
		// The address is another one now: what the rule gave goes.
		left := jane
		left.Email = "jane@elsewhere.example"
		tr.fake.SetPeople(left)
		tr.terms.KeepRoles = true
		if in := tr.in(jane.ID); len(in.Roles) != 3 {
			t.Errorf("roles %v, want them kept", in.Roles)
		}
		tr.terms.KeepRoles = false
		if in := tr.in(jane.ID); len(in.Roles) != 1 {
			t.Errorf("roles %v, want those of the rules gone", in.Roles)
		}
	})
}
