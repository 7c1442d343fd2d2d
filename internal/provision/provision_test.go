package provision_test

import (
	"context"
	"errors"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/provision"
)

func TestPersonComesAndGoes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		p := person("Jane@Acme.com")
		u := w.create(w.acme, p)
		a := w.account(u.ID)
		if a.Email != "jane@acme.com" || !a.EmailVerified || a.Status != identity.Active || a.DisplayName != "Jane Doe" || a.HasPassword() || w.role(w.acme, u.ID) != org.Member {
			t.Errorf("created: %+v, %s", a, w.role(w.acme, u.ID))
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.SetRole(ctx, tx, w.acme.OrgID, u.ID, org.Viewer, w.Now())
		})
		w.settle(u.ID)
		p.Active = false
		w.must(w.set(w.acme, u.ID, p))
		if got := w.left(u.ID); got != "0 0 0 0 0 " || w.account(u.ID).Status != identity.Disabled || w.role(w.acme, u.ID) != "" {
			t.Errorf("deactivated: left %s, %s, role %q", got, w.account(u.ID).Status, w.role(w.acme, u.ID))
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error { // by hand, against the directory
			_, _, err := org.Join(ctx, tx, w.acme.OrgID, u.ID, org.Viewer, w.Now())
			return errors.Join(err, identity.SetStatus(ctx, tx, u.ID, identity.Active, w.Now()))
		})
		w.must(w.set(w.acme, u.ID, p))
		if w.account(u.ID).Status != identity.Disabled || w.role(w.acme, u.ID) != "" {
			t.Errorf("deactivated again: %s, role %q", w.account(u.ID).Status, w.role(w.acme, u.ID))
		}
		p.Active, p.DisplayName = true, "Jane Roe"
		w.must(w.set(w.acme, u.ID, p))
		if a := w.account(u.ID); a.Status != identity.Active || a.DisplayName != "Jane Roe" || w.role(w.acme, u.ID) != org.Viewer {
			t.Errorf("reactivated: %+v, %s", a, w.role(w.acme, u.ID))
		}
		w.settle(u.ID)
		if err := w.Provision.DeleteUser(t.Context(), w.acme, u.ID, 0); err != nil {
			t.Fatal(err)
		}
		if got := w.left(u.ID); got != "0 0 0 0 0 " || w.account(u.ID).Status != identity.Disabled {
			t.Errorf("deleted: left %s, %s", got, w.account(u.ID).Status)
		}
		_, err := w.Provision.User(t.Context(), w.acme, u.ID)
		w.refused("read after deletion", err, provision.NotFound)
		if again := w.create(w.acme, p); again.ID != u.ID || w.account(u.ID).Status != identity.Active || w.role(w.acme, u.ID) != org.Member {
			t.Errorf("back again: %s as %s, %s", again.ID, u.ID, w.account(u.ID).Status)
		}
		for action, want := range map[audit.Action]int{
			audit.UserCreated: 1, audit.UserSuspended: 3, audit.UserUnsuspended: 2, audit.MemberAdded: 3, audit.MemberRemoved: 3, audit.UserLogout: 2,
		} {
			if got := w.logged(action); got != want {
				t.Errorf("%s: %d entries, want %d", action, got, want)
			}
		}
	})
}

// An organization speaks for the domains that it has proved, and for no address besides.
func TestForeignAddressesAreRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		bob := w.User("bob@other.example", "Bob", "")
		for email, want := range map[string]provision.Kind{
			"bob@other.example":         provision.Foreign, // somebody's
			"nobody@other.example":      provision.Foreign,
			"new@acme.com":              provision.Foreign, // evil has only claimed it
			"x@sub.evil.example":        provision.Foreign,
			"x@notevil.example":         provision.Foreign,
			"x@evil.example.":           provision.Invalid,
			"x@evil.example@acme.com":   provision.Invalid,
			`"x@acme.com"@evil.example`: provision.Invalid,
			"x@еvil.example":            provision.Invalid, // a Cyrillic letter
			"not an address":            provision.Invalid,
		} {
			_, err := w.Provision.CreateUser(t.Context(), w.evil, person(email))
			w.refused(email, err, want)
		}
		_, err := w.Provision.CreateUser(t.Context(), w.evil, provision.Person{Name: "no address", Active: true})
		w.refused("no address", err, provision.Invalid)

		own := w.create(w.evil, person("own@evil.example"))
		for email, want := range map[string]provision.Kind{
			"bob@other.example": provision.Foreign, "boss@acme.com": provision.Foreign, "new@acme.com": provision.Foreign, "mallory@evil.example": provision.Taken,
		} {
			p := person("own@evil.example")
			p.Email = email
			_, err := w.set(w.evil, own.ID, p)
			w.refused("becoming "+email, err, want)
		}
		if a := w.account(own.ID); a.Email != "own@evil.example" {
			t.Errorf("the address became %s", a.Email)
		}
		if a := w.account(bob.ID); a.Status != identity.Active || w.role(w.evil, bob.ID) != "" {
			t.Errorf("bob: %s, role %q", a.Status, w.role(w.evil, bob.ID))
		}
		// What stands in mail to the address that somebody leaves is not theirs any more.
		w.settle(own.ID)
		p := person("own@evil.example")
		p.Email = "renamed@evil.example"
		w.must(w.set(w.evil, own.ID, p))
		if got := w.left(own.ID); got != "2 4 2 0 1 " || w.account(own.ID).Email != "renamed@evil.example" {
			t.Errorf("renamed: left %s, %s", got, w.account(own.ID).Email)
		}
	})
}

// Whoever signed up with somebody else's address has no part in what its owner is given.
func TestSquatterIsPutOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		u := w.User("new@acme.com", "Mallory", "correct horse battery staple", w.shop)
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE emails SET verified_at = NULL WHERE user_id = $1`, u.ID); err != nil {
				return err
			}
			if _, _, err := org.Join(ctx, tx, w.acme.OrgID, u.ID, org.Member, w.Now()); err != nil { // even as a member
				return err
			}
			return identity.AddLink(ctx, tx, identity.Link{Issuer: "https://evil.example", Subject: "1", UserID: u.ID, CreatedAt: w.Now()})
		})
		w.settle(u.ID)
		got := w.create(w.acme, person("new@acme.com"))
		a := w.account(u.ID)
		if got.ID != u.ID || !a.EmailVerified || a.HasPassword() || a.DisplayName != "Jane Doe" {
			t.Errorf("got %+v", a)
		}
		if left := w.left(u.ID); left != "0 0 0 0 0 " {
			t.Errorf("left %s", left)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			links, err := identity.Links(ctx, tx, u.ID)
			if len(links) != 0 {
				t.Errorf("links are left: %v", links)
			}
			return err
		})
		if w.logged(audit.UserEmailVerified) != 1 {
			t.Error("not in the log")
		}
	})
}

// Somebody with a proved address keeps what they have, their password too.
func TestMemberIsTakenOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		u := w.User("jane@acme.com", "Old Name", "correct horse battery staple", w.shop)
		if got := w.create(w.acme, person("jane@acme.com")); got.ID != u.ID || !w.account(u.ID).HasPassword() || w.role(w.acme, u.ID) != org.Member {
			t.Errorf("got %s, want %s, with the password", got.ID, u.ID)
		}
		_, err := w.Provision.CreateUser(t.Context(), w.acme, person("JANE@acme.com"))
		w.refused("once more", err, provision.Taken)
		// A member whom we took into the directory is new to it, under a name of its own too.
		p := provision.Person{Name: "boss.principal", Email: "boss@acme.com", ExternalID: "e1", Active: true, Attributes: []byte(`{}`)}
		if got := w.create(w.acme, p); got.ID != w.boss.ID || got.Name != "boss.principal" || w.role(w.acme, got.ID) != org.Owner || w.account(got.ID).DisplayName != "Boss" {
			t.Errorf("got %+v, %s", got, w.role(w.acme, got.ID))
		}
		_, err = w.Provision.CreateUser(t.Context(), w.acme, p)
		w.refused("told of", err, provision.Taken)
	})
}
