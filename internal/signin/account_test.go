package signin_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/totp"
)

func withAccounts(c *client.Client) { c.Policy.Accounts = true }

func signUp(t *testing.T, r *rig.Rig, app client.Client, email string) *signin.SignedIn {
	t.Helper()
	out, err := r.SignIn.SignUp(t.Context(), signin.SignUpIn{ClientID: app.ID, Email: email, Password: plain, DisplayName: "Ada", Visitor: visitor})
	if err != nil || out.SignedIn == nil {
		t.Fatalf("sign up: %+v %v", out, err)
	}
	return out.SignedIn
}

func seats(t *testing.T, r *rig.Rig, u identity.UserID) (all []org.Seat) {
	t.Helper()
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = org.Seats(ctx, tx, u)
		return err
	})
	return all
}

// company is an organization that somebody else owns.
func company(t *testing.T, r *rig.Rig, members ...identity.UserID) org.ID {
	t.Helper()
	boss := r.User(fmt.Sprintf("boss%d@example.com", len(members)), "Boss", "")
	var s org.Seat
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		if s, err = org.Found(ctx, tx, org.Org{Name: "Acme"}, boss.ID, r.Now()); err != nil {
			return err
		}
		for _, u := range members {
			if _, _, err = org.Join(ctx, tx, s.OrgID, u, org.Member, r.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return s.OrgID
}

func refresh(t *testing.T, r *rig.Rig, in *signin.SignedIn) (signin.SignedIn, error) {
	t.Helper()
	return r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: in.Client.ID, Token: in.Refresh, Visitor: visitor})
}

func TestSignUpGivesAnAccountOfOnesOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app, plainApp := r.Client("Accounts", withAccounts), r.Client("Plain", nil)
		in := signUp(t, r, app, "ada@example.com")
		own := seats(t, r, in.User.ID)
		if len(own) != 1 || own[0].Role != org.Owner || own[0].Org.Name != "" || own[0].Org.Status != org.Active {
			t.Fatalf("got %+v, want one organization of her own", own)
		}
		if m := in.Membership; m.ID != own[0].ID || m.OrgID != own[0].OrgID || m.Role != org.Owner || in.Family == 0 {
			t.Errorf("signed in as %+v of family %d", m, in.Family)
		}
		if in := signUp(t, r, plainApp, "eve@example.com"); in.Membership != (org.Membership{}) || len(seats(t, r, in.User.ID)) != 0 {
			t.Errorf("in an application without accounts: got %+v", in.Membership)
		}
		again := signIn(t, r, app, "ada@example.com").SignedIn
		if again.Membership.ID != own[0].ID || len(seats(t, r, in.User.ID)) != 1 {
			t.Errorf("at the next sign-in: got %+v", again.Membership)
		}
	})
}

// Who has had a place already and was put out of every account gets none back.
func TestSignInGivesNoAccountLater(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		jane := r.User("jane@example.com", "Jane", plain, app)
		id := company(t, r, jane.ID)
		r.Write(func(ctx context.Context, tx *db.Tx) error { return org.Leave(ctx, tx, id, jane.ID) })
		if in := signIn(t, r, app, "jane@example.com").SignedIn; in.Membership.ID != "" || in.Refresh == "" || len(seats(t, r, jane.ID)) != 0 {
			t.Errorf("got %+v", in.Membership)
		}
	})
}

func TestRefreshActsInTheSameAccountAsTheSameRole(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		jane := r.User("jane@example.com", "Jane", plain, app)
		id := company(t, r, jane.ID)
		setRole := func(role org.Role) {
			r.Write(func(ctx context.Context, tx *db.Tx) error { return org.SetRole(ctx, tx, id, jane.ID, role, r.Now()) })
		}
		setStatus := func(s org.Status) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				o, err := org.ByID(ctx, tx, id)
				if err != nil {
					return err
				}
				o.Status = s
				return org.Update(ctx, tx, o, r.Now())
			})
		}
		in := signIn(t, r, app, "jane@example.com").SignedIn
		setRole(org.Owner)
		r.Write(func(ctx context.Context, tx *db.Tx) error { // a younger membership, which is preferred
			s, err := org.Found(ctx, tx, org.Org{}, jane.ID, r.Now())
			if err != nil {
				return err
			}
			return org.Prefer(ctx, tx, s.Membership)
		})
		next, err := refresh(t, r, in)
		if err != nil || next.Membership != (org.Membership{ID: in.Membership.ID, OrgID: id, UserID: jane.ID, Role: org.Member}) || next.Family != in.Family {
			t.Fatalf("after a raise: got %+v of %d, %v", next.Membership, next.Family, err)
		}
		setStatus(org.Suspended)
		if _, err := refresh(t, r, &next); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("in a suspended account: got %v", err)
		}
		setStatus(org.PastDue)
		setRole(org.Viewer)
		if _, err := refresh(t, r, &next); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("after the role was lowered: got %v", err)
		}
		setRole(org.Member)
		if next, err = refresh(t, r, &next); err != nil {
			t.Errorf("with the role back: %v", err)
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := org.Leave(ctx, tx, id, jane.ID); err != nil {
				return err
			}
			_, _, err := org.Join(ctx, tx, id, jane.ID, org.Owner, r.Now())
			return err
		})
		if _, err := refresh(t, r, &next); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("after the membership ended and another began: got %v", err)
		}
	})
}

func TestSwitchingAccountEndsTheOldTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		in := signUp(t, r, app, "ada@example.com")
		id, stranger := company(t, r, in.User.ID), company(t, r)
		to := signin.SwitchIn{UserID: in.User.ID, ClientID: app.ID, Family: in.Family, Account: id, Visitor: visitor}
		for name, other := range map[string]signin.SwitchIn{
			"somebody else's tokens": {UserID: r.User("eve@example.com", "Eve", "", app).ID, ClientID: app.ID, Family: in.Family, Account: id},
			"another client's":       {UserID: in.User.ID, ClientID: r.Client("Other", nil).ID, Family: in.Family, Account: id},
			"no family":              {UserID: in.User.ID, ClientID: app.ID, Account: id},
		} {
			if _, err := r.SignIn.SwitchAccount(t.Context(), other); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		alien := to
		alien.Account = stranger
		if _, err := r.SignIn.SwitchAccount(t.Context(), alien); !fault.Is(err, fault.Forbidden) {
			t.Errorf("no member: got %v", err)
		}
		out, err := r.SignIn.SwitchAccount(t.Context(), to)
		if err != nil || out.Membership.OrgID != id || out.Membership.Role != org.Member || out.Family == in.Family || out.User.ID != in.User.ID {
			t.Fatalf("got %+v %v", out.Membership, err)
		}
		if _, err := refresh(t, r, in); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("the old token: got %v", err)
		}
		if next, err := refresh(t, r, &out); err != nil || next.Membership != (org.Membership{ID: out.Membership.ID, OrgID: id, UserID: in.User.ID, Role: org.Member}) {
			t.Errorf("the new token: got %+v %v", next.Membership, err)
		}
		if again := signIn(t, r, app, "ada@example.com").SignedIn; again.Membership.OrgID != id {
			t.Errorf("at the next sign-in: got %+v, want the one she switched to", again.Membership)
		}
	})
}

func TestOneSwitchOfAFamilyWins(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		in := signUp(t, r, app, "ada@example.com")
		id := company(t, r, in.User.ID)
		one(t, race(t, func(int) error {
			_, err := r.SignIn.SwitchAccount(t.Context(), signin.SwitchIn{UserID: in.User.ID, ClientID: app.ID, Family: in.Family, Account: id, Visitor: visitor})
			return err
		}, fault.Unauthenticated))
		if n := count(t, r, `refresh_families WHERE user_id = $1`, in.User.ID); n != 1 {
			t.Errorf("%d families are left, want 1", n)
		}
	})
}

// inviteTo makes an invitation to an organization, without a mail.
func inviteTo(t *testing.T, r *rig.Rig, id org.ID, app client.ID, email string, role org.Role) (raw string) {
	t.Helper()
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		_, raw, err = invite.CreateToOrg(ctx, tx, r.Key, invite.Invite{
			OrgID: id, OrgRole: role, ClientID: app, Email: email, InvitedBy: "test", ExpiresAt: r.Now().Add(7 * 24 * time.Hour),
		}, r.Now())
		return err
	})
	return raw
}

func TestInvitationToAnAccountMakesTheUser(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", func(c *client.Client) { withAccounts(c); c.Policy.Registration = client.Invite })
		id := company(t, r)
		raw := inviteTo(t, r, id, app.ID, "new@example.com", org.Viewer)
		out, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: raw, Visitor: visitor})
		if err != nil || out.SignedIn == nil {
			t.Fatalf("got %+v %v", out, err)
		}
		in := out.SignedIn
		if in.Membership.OrgID != id || in.Membership.Role != org.Viewer || !in.User.EmailVerified || in.Client.ID != app.ID {
			t.Errorf("got %+v of %+v", in.Membership, in.User)
		}
		if all := seats(t, r, in.User.ID); len(all) != 1 {
			t.Errorf("got %d memberships, want that of the invitation alone", len(all))
		}
		if _, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: raw, Visitor: visitor}); !fault.Is(err, fault.InviteInvalid) {
			t.Errorf("once more: got %v", err)
		}
	})
}

func TestInvitationToAnAccountFindsTheUser(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		in := signUp(t, r, app, "ada@example.com") // with an address that she has not proved, and a password
		id := company(t, r)
		raw := inviteTo(t, r, id, app.ID, "ada@example.com", org.Owner)
		out, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{ClientID: app.ID, Token: raw, Visitor: visitor})
		if err != nil || out.SignedIn == nil || out.SignedIn.User.ID != in.User.ID || out.SignedIn.Membership.OrgID != id || out.SignedIn.Membership.Role != org.Owner {
			t.Fatalf("got %+v %v", out.SignedIn, err)
		}
		if len(seats(t, r, in.User.ID)) != 2 {
			t.Error("she did not keep the account of her own")
		}
		// Whoever signed up with the address may have been somebody else.
		if _, err := refresh(t, r, in); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("the tokens from before the address was proved: got %v", err)
		}
		_, err = r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "ada@example.com", Password: plain, Visitor: visitor})
		if !fault.Is(err, fault.CredentialsInvalid) {
			t.Errorf("and the password: got %v", err)
		}
	})
}

func TestInvitationToAnAccountIsAcceptedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		raw := inviteTo(t, r, company(t, r), app.ID, "new@example.com", org.Member)
		one(t, race(t, func(int) error {
			_, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: raw, Visitor: visitor})
			return err
		}, fault.InviteInvalid))
	})
}

func TestInvitationToAnAccountOpensNoOtherDoor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		other := r.Client("Closed", func(c *client.Client) { c.Policy.Registration = client.Invite })
		judged := r.Client("Judged", func(c *client.Client) { withAccounts(c); c.Policy.Registration = client.Approval })
		id := company(t, r)
		accept := func(c client.ID, raw string) (signin.Outcome, error) {
			return r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{ClientID: c, Token: raw, Visitor: visitor})
		}
		raw := inviteTo(t, r, id, app.ID, "new@example.com", org.Member)
		_, err := accept(other.ID, raw)
		wantFault(t, "in another client", err, fault.InviteInvalid)
		_, err = accept("", inviteTo(t, r, id, "", "nowhere@example.com", org.Member))
		wantFault(t, "in no client", err, fault.ClientUnknown)
		anywhere := inviteTo(t, r, id, "", "closed@example.com", org.Member)
		_, err = accept(other.ID, anywhere)
		wantFault(t, "one of no client, in one that is closed", err, fault.NotEnrolled)
		if out, err := accept(app.ID, anywhere); err != nil || out.SignedIn == nil {
			t.Errorf("and then in one that is open: %+v %v", out, err)
		}
		_, err = accept("", inviteTo(t, r, id, judged.ID, "judged@example.com", org.Member))
		wantFault(t, "where an operator approves", err, fault.EnrolmentPending)

		suspended := r.User("suspended@example.com", "S", "", app)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, suspended.ID, identity.Suspended, r.Now())
		})
		waits := inviteTo(t, r, id, app.ID, "suspended@example.com", org.Member)
		_, err = accept("", waits)
		wantFault(t, "a suspended user", err, fault.EnrolmentSuspended)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := org.MembershipOf(ctx, tx, id, suspended.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("a suspended user joined: %v", err)
			}
			o, err := org.ByID(ctx, tx, id)
			if err != nil {
				return err
			}
			o.Status = org.Closed
			return org.Update(ctx, tx, o, r.Now())
		})
		_, err = accept("", raw)
		wantFault(t, "to a closed organization", err, fault.InviteInvalid)
	})
}

func TestInvitationToAnAccountOwesTheSecondFactor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		jane := r.User("jane@example.com", "Jane", plain, app)
		own := company(t, r, jane.ID) // older than the one that she is invited to
		r.Advance(time.Hour)
		id := company(t, r, r.User("x@example.com", "X", "").ID, r.User("y@example.com", "Y", "").ID)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return totp.Import(ctx, tx, r.Key, jane.ID, base32, r.Now())
		})
		raw := inviteTo(t, r, id, app.ID, "jane@example.com", org.Member)
		out, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: raw, Visitor: visitor})
		if err != nil || out.Challenge == nil {
			t.Fatalf("got %+v %v, want a challenge", out, err)
		}
		out, err = r.SignIn.Challenge(t.Context(), signin.ChallengeIn{Secret: out.Challenge.Secret, Code: code(t, r), Tries: limit.Rule{Name: "test", N: 5, Per: time.Minute}, Visitor: visitor})
		if err != nil || out.SignedIn == nil || out.SignedIn.Membership.OrgID != id || own == id {
			t.Errorf("got %+v %v, want her in %s", out.SignedIn, err, id)
		}
		if in := out.SignedIn; in != nil && (len(in.AMR) != 2 || in.AMR[0] != session.InviteBy) {
			t.Errorf("proved %v", in.AMR)
		}
	})
}

// A secret that an operator handed over proves nothing about who has it.
func TestShownInvitationToAnAccountProvesNoAddress(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		r.User("jane@example.com", "Jane", "", app)
		id := company(t, r)
		shown := func(email string) (raw string) {
			r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				_, raw, err = invite.CreateToOrg(ctx, tx, r.Key, invite.Invite{
					OrgID: id, OrgRole: org.Member, ClientID: app.ID, Email: email, InvitedBy: "test", ExpiresAt: r.Now().Add(time.Hour), Shown: true,
				}, r.Now())
				return err
			})
			return raw
		}
		_, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: shown("jane@example.com"), Visitor: visitor})
		wantFault(t, "somebody's address", err, fault.AccountExists)
		out, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: shown("new@example.com"), Visitor: visitor})
		if err != nil || out.SignedIn == nil || out.SignedIn.User.EmailVerified {
			t.Errorf("nobody's: got %+v %v", out, err)
		}
	})
}

func TestWrongSecretsOfInvitationsAreCounted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Accounts", withAccounts)
		raw := inviteTo(t, r, company(t, r), app.ID, "new@example.com", org.Member)
		tries := []limit.Rule{{Name: "test", Key: "ip", N: 3, Per: time.Hour}}
		for i := range 4 {
			_, err := r.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{Token: raw[:63] + "x", Failures: tries, Visitor: visitor})
			wantFault(t, fmt.Sprint(i), err, []fault.Code{fault.InviteInvalid, fault.InviteInvalid, fault.InviteInvalid, fault.RateLimited}[i])
		}
	})
}
