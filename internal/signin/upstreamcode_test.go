package signin_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/openid"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

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
