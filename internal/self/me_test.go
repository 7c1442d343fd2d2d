package self_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/signin"
)

// signIn signs somebody in with a browser, by their password.
func (f firm) signIn(email, in string) self.Caller {
	f.Helper()
	app := f.app
	if in != "" {
		app.ID = f.Client(in, nil).ID
	}
	out, err := f.SignIn.Password(f.Context(), signin.PasswordIn{ClientID: app.ID, Email: email, Password: plain, Visitor: visitor})
	if err != nil {
		f.Fatal(err)
	}
	who, err := f.Self.Browser(f.Context(), out.SignedIn.Session, "192.0.2.9", "r1")
	if err != nil {
		f.Fatal(err)
	}
	return who
}

func TestPersonIsToldOfTheirSignIns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.User("jane@example.com", "Jane", plain, f.app)
		_, err := f.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: f.app.ID, Email: "jane@example.com", Password: "wrong", Visitor: visitor})
		is(t, "wrong password", err, fault.CredentialsInvalid)
		f.Advance(time.Minute)
		who := f.signIn("jane@example.com", "")
		at := f.Now()
		f.Advance(time.Minute)
		f.signIn("jane@example.com", "Elsewhere")

		p, err := f.Self.Person(t.Context(), who, f.app.ID)
		if err != nil || p.User.Email != "jane@example.com" || !p.LastLogin.Equal(at) || p.TOTP || len(p.Roles) != 1 || p.VerifiedAt().IsZero() {
			t.Errorf("got %+v, %v", p, err)
		}
		all, n, err := f.Self.Logins(t.Context(), who, f.app.ID, self.Page{Number: 1, Size: 1})
		if err != nil || n != 2 || len(all) != 1 || !all[0].At.Equal(at) || all[0].Detail["user_agent"] != "test" || all[0].IP != visitor.IP {
			t.Errorf("the last of %d: %+v, %v", n, all, err)
		}
		all, _, err = f.Self.Logins(t.Context(), who, f.app.ID, self.Page{Number: 1, Size: 1, Skip: 1})
		if err != nil || len(all) != 1 || all[0].Detail["reason"] != string(fault.CredentialsInvalid) && all[0].Detail["method"] != "password" {
			t.Errorf("the first: %+v, %v", all, err)
		}
		e, err := f.Self.Export(t.Context(), who, f.app.ID)
		if err != nil || len(e.Logins) != 2 || len(e.Sessions) != 2 || len(e.Emails) != 1 {
			t.Errorf("export: %d logins, %d sessions, %d addresses, %v", len(e.Logins), len(e.Sessions), len(e.Emails), err)
		}
		if _, n, err := f.Self.Logins(t.Context(), f.stranger, f.app.ID, self.Page{Number: 1, Size: 10}); err != nil || n != 0 {
			t.Errorf("somebody else has %d, %v", n, err)
		}
	})
}

func TestPinnedKeySeesOneOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := org.Found(ctx, tx, org.Org{Name: "Other"}, f.owner.UserID, f.Now())
			return err
		})
		_, raw := f.makeKey(f.owner, func(in *self.APIKeyIn) { in.Org = f.id })
		for name, c := range map[string]struct {
			who  self.Caller
			want int
		}{"session": {f.owner, 2}, "pinned key": {f.holder(raw), 1}} {
			if p, err := f.Self.Person(t.Context(), c.who, f.app.ID); err != nil || len(p.Seats) != c.want {
				t.Errorf("%s sees %d, %v", name, len(p.Seats), err)
			}
		}
	})
}

// there reports whether a user still is.
func (f firm) there(id identity.UserID) bool {
	f.Helper()
	found := false
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		users, err := identity.ByIDs(ctx, tx, []identity.UserID{id})
		_, found = users[id]
		return err
	})
	return found
}

func TestLeavingTakesWhatIsOnesOwn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		jane := f.User("jane@example.com", "Jane", plain, f.app)
		var own org.ID
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			s, err := org.Found(ctx, tx, org.Org{Name: "Own"}, jane.ID, f.Now())
			if err != nil {
				return err
			}
			own = s.OrgID
			_, _, err = org.Join(ctx, tx, f.id, jane.ID, org.Member, f.Now())
			return err
		})
		who := f.signIn("jane@example.com", "")
		_, raw := f.makeKey(who, nil)
		if err := f.Self.Leave(t.Context(), who, f.app.ID); err != nil {
			t.Fatal(err)
		}
		if f.there(jane.ID) {
			t.Error("the user is still there")
		}
		_, err := f.shows(raw)
		is(t, "the key", err, fault.KeyInvalid)
		_, err = f.Self.Me(t.Context(), who)
		is(t, "the caller", err, fault.Unauthenticated)
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := org.ByID(ctx, tx, own); err == nil {
				t.Error("their own organization is left without anybody")
			}
			_, n, err := org.Members(ctx, tx, f.id, 10, 0)
			if n != 4 {
				t.Errorf("the other one has %d members, want 4", n)
			}
			return err
		})
	})
}

func TestWhoIsElsewhereTooStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		jane := f.User("jane@example.com", "Jane", plain, f.app)
		other := f.signIn("jane@example.com", "Elsewhere")
		who := f.signIn("jane@example.com", "")
		_, raw := f.makeKey(who, nil)
		if err := f.Self.Leave(t.Context(), who, f.app.ID); err != nil {
			t.Fatal(err)
		}
		if !f.there(jane.ID) {
			t.Fatal("somebody who is in another client is gone")
		}
		_, err := f.shows(raw)
		is(t, "the key", err, fault.KeyInvalid)
		if err := f.Self.Leave(t.Context(), other, f.app.ID); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("by a session that ended: %v", err)
		}
	})
}

func TestLeavingIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		boss := f.User("boss@example.com", "Boss", plain, f.app)
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			s, err := org.Found(ctx, tx, org.Org{Name: "Theirs"}, boss.ID, f.Now())
			if err == nil {
				_, _, err = org.Join(ctx, tx, s.OrgID, f.member.UserID, org.Admin, f.Now())
			}
			return err
		})
		who := f.signIn("boss@example.com", "")
		is(t, "the last owner of others", f.Self.Leave(t.Context(), who, f.app.ID), fault.LastAdministrator)
		if _, err := f.Self.Me(t.Context(), who); err != nil || !f.there(boss.ID) {
			t.Errorf("what was refused did something: %v", err)
		}
		_, raw := f.makeKey(who, nil)
		is(t, "by a key", f.Self.Leave(t.Context(), f.holder(raw), f.app.ID), fault.ProofRequired)
		is(t, "by a token", f.Self.Leave(t.Context(), bearer(f.Rig, boss.ID), f.app.ID), fault.ProofRequired)
		f.Advance(24 * time.Hour)
		is(t, "a day later", f.Self.Leave(t.Context(), who, f.app.ID), fault.ProofRequired)
	})
}
