package signin_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/totp"
	"sallyport/internal/upstream/upstreamtest"
)

func (to *tour) password(u identity.User) (signin.Outcome, error) {
	return to.r.SignIn.Password(context.Background(), signin.PasswordIn{ClientID: to.app.ID, Email: u.Email, Password: plain, Visitor: visitor})
}

func (to *tour) factor(u identity.User) {
	to.t.Helper()
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		return totp.Import(ctx, tx, to.r.Key, u.ID, base32, to.r.Now())
	})
}

// second answers a challenge.
func (to *tour) second(out signin.Outcome) (signin.Outcome, error) {
	to.t.Helper()
	if out.Challenge == nil {
		to.t.Fatalf("no second factor was asked for: %+v", out)
	}
	to.r.Advance(30 * time.Second) // a code is good once
	return to.r.SignIn.Challenge(context.Background(), signin.ChallengeIn{
		Secret: out.Challenge.Secret, Code: code(to.t, to.r), Tries: limit.Rule{Name: "test", N: 50, Per: time.Minute}, Visitor: visitor,
	})
}

func TestPolicyOfTheOrganizationHoldsForEveryWayIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		u := to.r.User(ann.Email, "Ann", plain, to.app)
		to.join(u, org.Member)
		before, err := to.password(u)
		if err != nil || before.SignedIn == nil {
			t.Fatal(err)
		}
		to.policy(org.SignInSSO, true)

		ways := map[string]func() (signin.Outcome, error){
			"password": func() (signin.Outcome, error) { return to.password(u) },
			"magic link": func() (signin.Outcome, error) {
				to.r.Mail(u.Email) // what another way sent: of two mails at once either may be the last
				if err := to.r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: to.app.ID, Email: u.Email, Visitor: visitor}); err != nil {
					return signin.Outcome{}, err
				}
				out, err := to.r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: token(t, to.r, u.Email), Visitor: visitor})
				return out.Outcome, err
			},
			"a live session": func() (signin.Outcome, error) {
				page, err := to.r.SignIn.Login(t.Context(), signin.ResumeIn{Cookie: before.SignedIn.Session, ClientID: to.app.ID, Visitor: visitor})
				if err == nil && page.In == nil {
					err = fault.New(fault.SSORequired, "acme") // the form decides
				}
				return signin.Outcome{SignedIn: page.In}, err
			},
			"another upstream": func() (signin.Outcome, error) {
				elsewhere := upstreamtest.Person{ID: "1", Email: u.Email, EmailVerified: true}
				tr := &trip{t: t, r: to.r, key: "corp", fake: to.r.Upstream("corp", "oidc", nil, elsewhere), app: to.r.Client("By corp", func(c *client.Client) {
					c.Policy.Methods = append(c.Policy.Methods, "corp")
				})}
				out, err := tr.as("1")
				return out.Outcome, err
			},
		}
		for about, way := range ways {
			out, err := way()
			f, _ := fault.From(err)
			if f == nil || f.Code != fault.SSORequired || len(f.Params) == 0 || f.Params[0] != "acme" || out.SignedIn != nil {
				t.Errorf("%s: %+v, %v", about, out, err)
			}
		}
		if n := count(t, to.r, "audit WHERE org_id = $1 AND detail LIKE '%sso_required%'", to.org.ID); n != 3 {
			t.Errorf("%d refusals in the organization's log, want 3", n)
		}
		// Given after the proof alone: a wrong password is what it ever was.
		wrong := signin.PasswordIn{ClientID: to.app.ID, Email: u.Email, Password: "wrong", Visitor: visitor}
		if _, err := to.r.SignIn.Password(t.Context(), wrong); !fault.Is(err, fault.CredentialsInvalid) {
			t.Errorf("a wrong password: %v", err)
		}
		// What was begun before goes on nowhere.
		if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: before.SignedIn.Refresh, Visitor: visitor}); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("refreshed: %v", err)
		}

		in := to.in(ann.ID)
		if in.User.ID != u.ID {
			t.Errorf("came in as %s", in.User.ID)
		}
		again, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: in.Refresh, Visitor: visitor})
		if err != nil || again.Refresh == "" {
			t.Errorf("by its provider: %v", err)
		}
		page, err := to.r.SignIn.Login(t.Context(), signin.ResumeIn{Cookie: in.Session, ClientID: to.app.ID, Visitor: visitor})
		if err != nil || page.In == nil {
			t.Errorf("its session: %+v, %v", page, err)
		}
	})
}

func TestPolicyBindsThoseWhomItIsAbout(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		guest := to.r.User("guest@example.com", "Guest", plain, to.app)
		stranger := to.r.User("nobody@acme.com", "Stranger", plain, to.app)
		to.join(guest, org.Admin)
		came := to.in(ann.ID)
		to.policy(org.SignInSSO, true)
		for about, u := range map[string]identity.User{"a member with an address of elsewhere": guest, "no member": stranger} {
			if out, err := to.password(u); err != nil || out.SignedIn == nil {
				t.Errorf("%s: %+v, %v", about, out, err)
			}
		}
		// Who came by the provider owes it to it, whatever their address is now.
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE emails SET address = 'ann@private.example' WHERE user_id = $1`, came.User.ID); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE users SET password_hash = $2 WHERE id = $1`, came.User.ID, guest.PasswordHash)
			return err
		})
		came.User.Email = "ann@private.example"
		if out, err := to.password(came.User); !fault.Is(err, fault.SSORequired) {
			t.Errorf("with a new address: %+v, %v", out, err)
		}
		// In an organization that is shut nobody could sign in at all.
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE orgs SET status = 'suspended' WHERE id = $1`, to.org.ID)
			return err
		})
		if out, err := to.password(came.User); err != nil || out.SignedIn == nil {
			t.Errorf("of an organization that is shut: %+v, %v", out, err)
		}
	})
}

func TestOwnerBreaksTheGlass(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		owner := to.r.User("owner@acme.com", "Owner", plain, to.app)
		admin := to.r.User("admin@acme.com", "Admin", plain, to.app)
		to.join(owner, org.Owner)
		to.join(admin, org.Admin)
		to.policy(org.SignInSSO, true)
		if out, err := to.password(owner); !fault.Is(err, fault.SSORequired) {
			t.Errorf("an owner with a password alone: %+v, %v", out, err)
		}
		to.factor(owner)
		to.factor(admin)
		if out, err := to.password(admin); !fault.Is(err, fault.SSORequired) {
			t.Errorf("an admin with a second factor: %+v, %v", out, err)
		}
		first, err := to.password(owner)
		if err != nil {
			t.Fatal(err)
		}
		out, err := to.second(first)
		if err != nil || out.SignedIn == nil || !slices.Equal(out.SignedIn.AMR, []string{session.Password, session.OTP}) {
			t.Fatalf("an owner with a second factor: %+v, %v", out, err)
		}
		if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: out.SignedIn.Refresh, Visitor: visitor}); err != nil {
			t.Errorf("and on: %v", err)
		}
		// A surface that has no place to ask for a factor does not stand in for one.
		tofu := signin.PasswordIn{ClientID: to.app.ID, Email: owner.Email, Password: plain, OneFactor: true, Visitor: visitor}
		if out, err := to.r.SignIn.Password(t.Context(), tofu); !fault.Is(err, fault.SSORequired) {
			t.Errorf("an owner who was not asked: %+v, %v", out, err)
		}
		// Where the glass is not to be broken, and where it was demoted meanwhile.
		pending, err := to.password(owner)
		if err != nil {
			t.Fatal(err)
		}
		to.policy(org.SignInSSO, false)
		if out, err := to.password(owner); !fault.Is(err, fault.SSORequired) {
			t.Errorf("without glass: %+v, %v", out, err)
		}
		if out, err := to.second(pending); !fault.Is(err, fault.SSORequired) {
			t.Errorf("a challenge from before: %+v, %v", out, err)
		}
	})
}

func TestPolicyOfTwoFactors(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		u := to.r.User(ann.Email, "Ann", plain, to.app)
		to.join(u, org.Member)
		before, err := to.password(u)
		if err != nil {
			t.Fatal(err)
		}
		to.policy(org.SignInMFA, true)
		if out, err := to.password(u); err != nil || out.Setup == nil || out.Setup.Session == "" {
			t.Errorf("without a factor: %+v, %v", out, err)
		}
		if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: before.SignedIn.Refresh, Visitor: visitor}); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("from before: %v", err)
		}
		out, err := to.as(ann.ID, nil)
		if err != nil || out.Outcome.Setup == nil {
			t.Errorf("by a provider that says nothing of factors: %+v, %v", out.Outcome, err)
		}
		p := ann
		p.Claims = map[string]any{"amr": []string{"pwd", "mfa"}}
		to.fake.SetPeople(p)
		in := to.in(ann.ID)
		if !slices.Equal(in.AMR, []string{session.Federated, session.Several}) {
			t.Errorf("by a provider that proved two: %v", in.AMR)
		}
		if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: in.Refresh, Visitor: visitor}); err != nil {
			t.Errorf("and on: %v", err)
		}
		to.fake.SetPeople(ann)
		trusting := to.r.Connection(to.org)
		trusting.TrustMFA = true
		to.r.SetConnection(trusting)
		if in := to.in(ann.ID); !session.TwoFactors(in.AMR) {
			t.Errorf("by a provider that is trusted: %v", in.AMR)
		}
		to.factor(u)
		first, err := to.password(u)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := to.second(first); err != nil || out.SignedIn == nil {
			t.Errorf("by a password and a code: %+v, %v", out, err)
		}
		tofu := signin.PasswordIn{ClientID: to.app.ID, Email: u.Email, Password: plain, OneFactor: true, Visitor: visitor}
		if out, err := to.r.SignIn.Password(t.Context(), tofu); !fault.Is(err, fault.MFARequired) {
			t.Errorf("where no code is asked for: %+v, %v", out, err)
		}
	})
}

// A second factor of ours is asked for after the provider's, and what comes of it is
// still by the provider.
func TestSSOAsksForTheFactorThatIsOwed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, func(c *sso.Connection) { c.Roles = []sso.RoleRule{{Claim: "sub", Value: ann.ID, Role: org.Admin}} })
		u := to.r.User(ann.Email, "Ann", plain, to.app)
		to.factor(u)
		to.policy(org.SignInSSO, true)
		for _, way := range []func() (signin.Outcome, error){
			func() (signin.Outcome, error) { out, err := to.as(ann.ID, nil); return out.Outcome, err },
			func() (signin.Outcome, error) { out, err := to.complete(to.handle(ann.ID)); return out.Outcome, err },
		} {
			first, err := way()
			if err != nil {
				t.Fatal(err)
			}
			out, err := to.second(first)
			if err != nil || out.SignedIn == nil || !slices.Equal(out.SignedIn.AMR, []string{session.Federated, session.OTP}) {
				t.Fatalf("%+v, %v", out, err)
			}
			if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: out.SignedIn.Refresh, Visitor: visitor}); err != nil {
				t.Errorf("refreshed: %v", err)
			}
			if m, _ := to.member(u.ID); m.Role != org.Admin {
				t.Errorf("role %q", m.Role)
			}
		}
		if n := count(t, to.r, "sessions WHERE upstream = $1", sso.Key(to.org.ID)); n != 2 {
			t.Errorf("%d sessions by the provider, want 2", n)
		}
	})
}

// A rule of the organization's connection gives roles, takes back what it gave, and
// leaves alone what somebody gave by hand.
func TestSSORolesComeAndGo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		c := to.r.Connection(to.org)
		c.Roles = []sso.RoleRule{
			{Claim: "groups", Value: "chiefs", Role: org.Admin},
			{Claim: "groups", Value: "chiefs", Client: to.app.ID, ClientRole: "manager"},
			{Claim: "department", Value: "it", Role: org.Owner, Client: to.app.ID, ClientRole: "admin"},
		}
		to.r.SetConnection(c)
		with := func(claims map[string]any) *signin.SignedIn {
			t.Helper()
			p := ann
			p.Claims = claims
			to.fake.SetPeople(p)
			return to.in(ann.ID)
		}
		chiefs := map[string]any{"groups": []string{"staff", "chiefs"}}
		check := func(about string, in *signin.SignedIn, role org.Role, roles ...string) {
			t.Helper()
			if m, _ := to.member(in.User.ID); m.Role != role || !slices.Equal(in.Roles, roles) {
				t.Errorf("%s: %q %v, want %q %v", about, m.Role, in.Roles, role, roles)
			}
		}
		check("no claim", with(nil), org.Member, "user")
		check("a chief", with(chiefs), org.Admin, "user", "manager")
		check("no chief any more", with(nil), org.Member, "user")
		in := with(map[string]any{"department": "it"})
		check("a rule that would make an owner", in, org.Member, "user", "admin")
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			_, _, err := client.AddRole(ctx, tx, in.User.ID, to.app.ID, "manager", to.r.Now())
			return err
		})
		check("one by hand", with(nil), org.Member, "user", "manager")
		check("and by rule", with(chiefs), org.Admin, "user", "manager")
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.SetRole(ctx, tx, to.org.ID, in.User.ID, org.Viewer, to.r.Now())
		})
		check("decided otherwise by hand", with(chiefs), org.Viewer, "user", "manager")
		to.r.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.SetRole(ctx, tx, to.org.ID, in.User.ID, org.Owner, to.r.Now())
		})
		check("an owner", with(nil), org.Owner, "user", "manager")
	})
}

// What an organization says of its people opens no client that its own people have no
// place in.
func TestSSOBringsPeopleWhereTheOrganizationIs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		to.app = to.r.Client("Closed", func(c *client.Client) { c.Policy.Registration = client.Invite })
		to.in(ann.ID) // the organization has no owner: it is the operator's
		owner := to.r.User("owner@acme.com", "Owner", plain)
		to.join(owner, org.Owner)
		to.refused(bob.ID, fault.NotEnrolled)
		to.r.Enrol(owner, to.app, client.Active, "user")
		to.in(bob.ID)

		to.app = to.r.Client("Approving", func(c *client.Client) { c.Policy.Registration = client.Approval })
		to.refused(ann.ID, fault.EnrolmentPending)
	})
}
