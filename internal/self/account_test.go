package self_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/signin"
)

// firm is an account with a member of each role, beside a stranger.
type firm struct {
	*rig.Rig
	*testing.T
	app                                    client.Client
	id                                     org.ID
	owner, admin, member, viewer, stranger self.Caller
}

func newFirm(t *testing.T, d *db.DB) firm {
	t.Helper()
	f := firm{Rig: rig.New(t, d), T: t}
	f.app = f.Client("Accounts", func(c *client.Client) { c.Policy.Accounts = true })
	f.owner, f.stranger = f.person("owner"), f.person("stranger")
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		s, err := org.Found(ctx, tx, org.Org{Name: "Acme"}, f.owner.UserID, f.Now())
		f.id = s.OrgID
		return err
	})
	f.admin, f.member, f.viewer = f.join("admin", org.Admin), f.join("member", org.Member), f.join("viewer", org.Viewer)
	return f
}

func (f firm) person(name string) self.Caller {
	f.Helper()
	return self.Caller{UserID: f.User(name+"@example.com", name, "", f.app).ID}
}

func (f firm) join(name string, role org.Role) self.Caller {
	f.Helper()
	who := f.person(name)
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		_, _, err := org.Join(ctx, tx, f.id, who.UserID, role, f.Now())
		return err
	})
	return who
}

func (f firm) invite(who self.Caller, email string, role org.Role) (invite.Invite, error) {
	return f.Self.InviteToAccount(f.Context(), who, self.InviteAccountIn{ClientID: f.app.ID, Account: f.id, Email: email, Role: role, Page: rig.Base + "/auth/accept-invite"})
}

func is(t *testing.T, what string, err error, want fault.Code) {
	t.Helper()
	if want == "" && err != nil || want != "" && !fault.Is(err, want) {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

// The profile of somebody with a thousand memberships is a statement for each
// table, as it is for somebody with one.
func TestAccountIsAStatementForEachTable(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		statements := func(who self.Caller) (int64, self.AccountView) {
			before := d.Stats()
			v, err := f.Self.Account(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			after := d.Stats()
			if n := after.Reads - before.Reads; n != 1 {
				t.Errorf("%d transactions, want 1", n)
			}
			return after.Statements - before.Statements, v
		}
		few, _ := statements(f.member)
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			for i := range 1000 {
				s, err := org.Found(ctx, tx, org.Org{Name: fmt.Sprint(i)}, f.member.UserID, f.Now())
				if err != nil {
					return err
				}
				if err := org.Prefer(ctx, tx, s.Membership); err != nil {
					return err
				}
			}
			return nil
		})
		many, v := statements(f.member)
		if few != 3 || many != 3 || len(v.Seats) != 1001 {
			t.Errorf("%d statements, then %d for %d memberships, want 3 each", few, many, len(v.Seats))
		}
		preferred := 0
		for _, s := range v.Seats {
			if s.Preferred {
				preferred++
			}
		}
		if preferred != 1 || len(v.Emails) != 1 || v.Emails[0].Address != "member@example.com" || v.User.ID != f.member.UserID {
			t.Errorf("got %d preferred, %v of %s", preferred, v.Emails, v.User.ID)
		}
	})
}

func TestColleaguesAreMembersOfOneOrg(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		u, preferred, err := f.Self.Colleague(t.Context(), f.viewer, f.owner.UserID)
		if err != nil || u.ID != f.owner.UserID || preferred != "" {
			t.Errorf("a colleague: got %s %q %v", u.ID, preferred, err)
		}
		if _, _, err := f.Self.Colleague(t.Context(), f.stranger, f.stranger.UserID); err != nil {
			t.Errorf("oneself: %v", err)
		}
		_, _, err = f.Self.Colleague(t.Context(), f.stranger, f.owner.UserID)
		is(t, "a stranger", err, fault.UserUnknown)
		_, _, err = f.Self.Colleague(t.Context(), f.owner, identity.NewUserID())
		is(t, "nobody", err, fault.UserUnknown)
	})
}

func TestWhoMayInviteToAnAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		for i, c := range []struct {
			who  self.Caller
			role org.Role
			want fault.Code
		}{
			{f.owner, org.Owner, ""}, {f.admin, org.Member, ""}, {f.admin, org.Owner, fault.Forbidden}, {f.member, org.Viewer, fault.Forbidden},
			{f.viewer, org.Viewer, fault.Forbidden}, {f.stranger, org.Viewer, fault.OrgUnknown}, {f.owner, "king", fault.RoleInvalid},
		} {
			_, err := f.invite(c.who, fmt.Sprintf("new%d@example.com", i), c.role)
			is(t, fmt.Sprint(i), err, c.want)
		}
		_, err := f.invite(f.owner, "new0@example.com", org.Member)
		is(t, "invited already", err, fault.InvitePending)
		_, err = f.invite(f.owner, "Viewer@example.com", org.Member)
		is(t, "a member", err, fault.AlreadyEnrolled)
		_, err = f.invite(f.owner, "nobody", org.Member)
		is(t, "no address", err, fault.EmailInvalid)
	})
}

// The secret is in the mail and nowhere else, and signs the person in.
func TestInvitationToAnAccountIsMailedOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		made, err := f.invite(f.owner, "stranger@example.com", org.Member)
		if err != nil {
			t.Fatal(err)
		}
		if !made.ExpiresAt.Equal(f.Now().Add(7 * 24 * time.Hour)) {
			t.Errorf("got %+v", made)
		}
		text, ok := f.Mail("stranger@example.com")
		_, raw, found := strings.Cut(text, rig.Base+"/auth/accept-invite?token=")
		if !ok || !found || !strings.Contains(text, "owner invites you to join Acme at Accounts") {
			t.Fatalf("mail: %s", text)
		}
		out, err := f.SignIn.AcceptAccountInvite(t.Context(), signin.AccountInviteIn{ClientID: f.app.ID, Token: raw[:64], Visitor: signin.Visitor{Base: rig.Base}})
		if err != nil || out.SignedIn == nil || out.SignedIn.User.ID != f.stranger.UserID || out.SignedIn.Membership.OrgID != f.id {
			t.Errorf("got %+v %v", out, err)
		}
		_, err = f.invite(f.owner, "stranger@example.com", org.Member)
		is(t, "once more", err, fault.AlreadyEnrolled)
	})
}

func TestInvitationToAnAccountIsRevoked(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		made, err := f.invite(f.owner, "new@example.com", org.Owner)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			who  self.Caller
			id   string
			want fault.Code
		}{
			"an admin, of an owner's": {f.admin, made.ID, fault.Forbidden}, "a member": {f.member, made.ID, fault.Forbidden},
			"a stranger": {f.stranger, made.ID, fault.InviteUnknown}, "none": {f.owner, "none", fault.InviteUnknown},
		} {
			is(t, name, f.Self.RevokeAccountInvite(t.Context(), c.who, c.id), c.want)
		}
		all, total, err := f.Self.AccountInvites(t.Context(), f.admin, f.id, self.Page{Number: 1, Size: 10})
		if err != nil || total != 1 || all[0].ID != made.ID || all[0].Status != invite.Pending {
			t.Errorf("got %v of %d, %v", all, total, err)
		}
		for range 2 {
			is(t, "its owner", f.Self.RevokeAccountInvite(t.Context(), f.owner, made.ID), "")
		}
		if _, err := f.invite(f.owner, "new@example.com", org.Viewer); err != nil {
			t.Errorf("another one then: %v", err)
		}
	})
}

func TestWaitlistIsOfWhoActsInTheAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		join := func(who self.Caller, id org.ID, feature string) error {
			_, err := f.Self.JoinWaitlist(t.Context(), who, self.WaitIn{ClientID: f.app.ID, Account: id, Feature: feature})
			return err
		}
		is(t, "a viewer", join(f.viewer, f.id, "beta"), "")
		is(t, "once more", join(f.viewer, f.id, "beta"), "")
		is(t, "a stranger", join(f.stranger, f.id, "beta"), fault.AccountRequired)
		is(t, "no account", join(f.viewer, "", "beta"), fault.AccountRequired)
		is(t, "no feature", join(f.viewer, f.id, "no feature"), fault.FieldInvalid)
		all, err := f.Self.Waitlist(t.Context(), f.viewer, f.id)
		if err != nil || len(all) != 1 {
			t.Errorf("got %v %v", all, err)
		}
		for who, want := range map[*self.Caller]bool{&f.viewer: true, &f.member: false} {
			if e, err := f.Self.WaitlistEntry(t.Context(), *who, f.id, "beta"); err != nil || (e != nil) != want {
				t.Errorf("got %v %v, want %v", e, err, want)
			}
		}
		for range 2 {
			is(t, "leave", f.Self.LeaveWaitlist(t.Context(), f.viewer, f.id, "beta"), "")
		}
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			o, err := org.ByID(ctx, tx, f.id)
			if err != nil {
				return err
			}
			o.Status = org.Closed
			return org.Update(ctx, tx, o, f.Now())
		})
		is(t, "in a closed account", join(f.viewer, f.id, "beta"), fault.AccountRequired)
	})
}

func TestWhoMayChangeAnAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		name, bad, picture, insecure := "Acme Ltd", "a\nb", "https://acme.example/a.png", "http://acme.example/a.png"
		for what, c := range map[string]struct {
			who  self.Caller
			ch   self.AccountChange
			want fault.Code
		}{
			"owner": {f.owner, self.AccountChange{Name: &name}, ""}, "admin": {f.admin, self.AccountChange{Picture: &picture}, ""},
			"member": {f.member, self.AccountChange{Name: &name}, fault.Forbidden}, "stranger": {f.stranger, self.AccountChange{Name: &name}, fault.OrgUnknown},
			"lines": {f.owner, self.AccountChange{Name: &bad}, fault.FieldInvalid}, "not https": {f.owner, self.AccountChange{Picture: &insecure}, fault.FieldInvalid},
		} {
			_, err := f.Self.UpdateAccount(t.Context(), c.who, f.id, c.ch)
			is(t, what, err, c.want)
		}
		s, err := f.Self.AccountByID(t.Context(), f.viewer, f.id)
		if err != nil || s.Org.Name != name || s.Org.Picture != picture || s.Role != org.Viewer {
			t.Errorf("got %+v %v", s, err)
		}
		_, err = f.Self.CreateAccount(t.Context(), f.member, f.id, self.AccountChange{Name: &name})
		is(t, "a member makes one below", err, fault.Forbidden)
		below, err := f.Self.CreateAccount(t.Context(), f.admin, f.id, self.AccountChange{Name: &name})
		if err != nil || below.Org.Parent != f.id || below.Role != org.Owner {
			t.Fatalf("got %+v %v", below, err)
		}
		_, err = f.Self.AccountByID(t.Context(), f.owner, below.OrgID)
		is(t, "the owner above", err, fault.OrgUnknown)
		if all, total, err := f.Self.AccountsBelow(t.Context(), f.viewer, f.id, self.Page{Number: 1, Size: 10}); err != nil || total != 1 || all[0].ID != below.OrgID {
			t.Errorf("below: got %v of %d, %v", all, total, err)
		}
		is(t, "not empty", f.Self.DeleteAccount(t.Context(), f.owner, f.id), fault.OrgHolds)
		is(t, "an admin deletes", f.Self.DeleteAccount(t.Context(), f.admin, f.id), fault.Forbidden)
		is(t, "below", f.Self.DeleteAccount(t.Context(), f.admin, below.OrgID), "")
		is(t, "then above", f.Self.DeleteAccount(t.Context(), f.owner, f.id), "")
		is(t, "once more", f.Self.DeleteAccount(t.Context(), f.owner, f.id), fault.OrgUnknown)
	})
}

func TestWhoMayChangeMembers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		set := func(who, u self.Caller, role org.Role) error {
			return f.Self.SetAccountRole(t.Context(), who, f.id, u.UserID, role)
		}
		remove := func(who, u self.Caller) error { return f.Self.RemoveMember(t.Context(), who, f.id, u.UserID) }
		is(t, "an admin lowers the owner", set(f.admin, f.owner, org.Viewer), fault.Forbidden)
		is(t, "an admin makes an owner", set(f.admin, f.admin, org.Owner), fault.Forbidden)
		is(t, "a member raises themselves", set(f.member, f.member, org.Admin), fault.Forbidden)
		is(t, "an admin raises a viewer", set(f.admin, f.viewer, org.Admin), "")
		is(t, "the last owner lowers themselves", set(f.owner, f.owner, org.Admin), fault.LastAdministrator)
		is(t, "an admin removes the owner", remove(f.admin, f.owner), fault.Forbidden)
		is(t, "a member removes another", remove(f.member, f.viewer), fault.Forbidden)
		is(t, "a stranger removes one", remove(f.stranger, f.member), fault.OrgUnknown)
		is(t, "the owner removes a stranger", remove(f.owner, f.stranger), fault.UserUnknown)
		is(t, "the last owner leaves", remove(f.owner, f.owner), fault.LastAdministrator)
		is(t, "a member leaves", remove(f.member, f.member), "")
		is(t, "an admin removes another", remove(f.admin, f.viewer), "")
		all, total, err := f.Self.AccountMembers(t.Context(), f.admin, f.id, self.Page{Number: 1, Size: 10})
		if err != nil || total != 2 || all[0].User.Email != "owner@example.com" || all[1].Role != org.Admin {
			t.Errorf("got %v of %d, %v", all, total, err)
		}
	})
}

func TestOwnersRemovingEachOtherLeaveOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		other := f.join("other", org.Owner)
		pair := []self.Caller{f.owner, other}
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = f.Self.RemoveMember(t.Context(), pair[i%2], f.id, pair[1-i%2].UserID) })
		}
		wg.Wait()
		removed := 0
		for _, err := range errs {
			switch {
			case err == nil:
				removed++
			case !fault.Is(err, fault.OrgUnknown) && !fault.Is(err, fault.UserUnknown):
				t.Error(err) // who was removed knows no account any more, and there is nobody to remove
			}
		}
		if removed != 1 {
			t.Errorf("%d were removed, want 1", removed)
		}
	})
}
