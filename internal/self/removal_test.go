package self_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/sso"
)

// prove verifies the domain of the members' addresses for the firm and switches its
// directory on, which knows them then.
func (f firm) prove() {
	f.Helper()
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := org.Claim(ctx, tx, f.id, "example.com", f.Now())
		if err = errors.Join(err, org.Verify(ctx, tx, f.id, "example.com", f.Now())); err != nil {
			return err
		}
		_, _, err = directory.MakeToken(ctx, tx, f.id, f.Now())
		return err
	})
}

// settle gives somebody what may come by a membership: roles that the firm's rules gave
// and one by hand, a session by its provider and one without, a key of each kind.
func (f firm) settle(who self.Caller) {
	f.Helper()
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		if _, _, err := client.AddRole(ctx, tx, who.UserID, f.app.ID, "hand", f.Now()); err != nil {
			return err
		}
		if _, err := client.ApplyDue(ctx, tx, who.UserID, f.app.ID, string(f.id), []string{"ruled"}, false, f.Now()); err != nil {
			return err
		}
		for _, upstream := range []string{"", sso.Key(f.id)} {
			_, _, err := session.Start(ctx, tx, session.Session{UserID: who.UserID, AMR: []string{"pwd"}, Upstream: upstream, AuthenticatedAt: f.Now(), CreatedAt: f.Now(), ExpiresAt: f.Now().Add(time.Hour)})
			if err != nil {
				return err
			}
		}
		for _, pinned := range []org.ID{"", f.id} {
			if _, _, err := apikey.Create(ctx, tx, "ba_", apikey.Key{UserID: who.UserID, ClientID: f.app.ID, OrgID: pinned, Name: "CI", Scopes: []string{"user:read"}, Metadata: json.RawMessage(`{}`)}, f.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Whoever is put out by hand keeps nothing that they had by the organization, and no way
// back: neither the provider nor an invitation of before makes them a member again.
func TestRemovedMemberKeepsNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.bid("late@example.com")
		token := mailed(t, f.Rig, "late@example.com")
		late := f.join("late", org.Admin) // by another way than the invitation
		f.prove()
		f.settle(late)
		other := f.join("other", org.Member)
		f.settle(other)
		if err := f.Self.RemoveMember(t.Context(), f.owner, f.id, late.UserID); err != nil {
			t.Fatal(err)
		}
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			s, err := client.StandingOf(ctx, tx, late.UserID, f.app.ID)
			if !slices.Equal(s.Roles, []string{"user", "hand"}) {
				t.Errorf("roles: %v", s.Roles)
			}
			sessions, err2 := session.ByUser(ctx, tx, late.UserID, f.Now())
			if len(sessions) != 1 || sessions[0].Upstream != "" {
				t.Errorf("sessions: %+v", sessions)
			}
			keys, _, err3 := apikey.List(ctx, tx, late.UserID, "", 10, 0)
			if len(keys) != 1 || keys[0].OrgID != "" {
				t.Errorf("keys: %+v", keys)
			}
			barred, err4 := directory.Barred(ctx, tx, f.id, late.UserID)
			if !barred {
				t.Error("the directory has them as active: the next sign-in brings them back")
			}
			others, err5 := session.ByUser(ctx, tx, other.UserID, f.Now())
			if len(others) != 2 {
				t.Errorf("somebody else's sessions: %d", len(others))
			}
			all, _, err6 := audit.List(ctx, tx, audit.Filter{OrgID: f.id, Any: []audit.Action{audit.MemberRemoved, audit.UserRoleChanged, audit.InviteRevoked, audit.UserLogout}, Limit: 10})
			if len(all) != 4 || slices.ContainsFunc(all, func(e audit.Entry) bool { return e.Actor != audit.User(f.owner.UserID) }) {
				t.Errorf("audit: %+v", all)
			}
			return errors.Join(err, err2, err3, err4, err5, err6)
		})
		_, err := f.accept(late, token)
		is(t, "an invitation of before", err, fault.InviteInvalid)

		f.bid("late@example.com")
		if _, err := f.accept(late, mailed(t, f.Rig, "late@example.com")); err != nil {
			t.Fatal(err)
		}
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			u, err := directory.UserByID(ctx, tx, f.id, late.UserID)
			if !u.Active {
				t.Error("who was asked back is not active in the directory: its next word puts them out")
			}
			return errors.Join(err, directory.Remove(ctx, tx, u, f.Now()), org.Leave(ctx, tx, f.id, late.UserID))
		})
		f.bid("late@example.com")
		if _, err := f.accept(late, mailed(t, f.Rig, "late@example.com")); err != nil {
			t.Fatal(err)
		}
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			barred, err := directory.Barred(ctx, tx, f.id, late.UserID)
			if barred {
				t.Error("a member whom the directory had deleted cannot sign in by the provider")
			}
			return err
		})
	})
}

// An address that somebody wrote into their account voids nobody's invitation.
func TestLeavingVoidsNoInvitationOfOthers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		squatter := identity.User{ID: identity.NewUserID(), Email: "jane@example.com", Status: identity.Active, CreatedAt: f.Now()}
		f.bid("jane@example.com", "june@example.com")
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := identity.Create(ctx, tx, squatter); err != nil {
				return err
			}
			_, _, err := org.Join(ctx, tx, f.id, squatter.ID, org.Member, f.Now())
			return err
		})
		if err := f.Self.RemoveMember(t.Context(), self.Caller{UserID: squatter.ID}, f.id, squatter.ID); err != nil {
			t.Fatal(err)
		}
		june := self.Caller{UserID: f.User("june@example.com", "June", "", f.app).ID}
		if _, err := f.accept(june, mailed(t, f.Rig, "june@example.com")); err != nil {
			t.Error(err)
		}
		all, _, err := f.Self.AccountInvites(t.Context(), f.owner, f.id, self.Page{Number: 1, Size: 10})
		if err != nil || len(all) != 2 || slices.ContainsFunc(all, func(i invite.Invite) bool { return i.Status == "revoked" }) {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// An organization that is deleted leaves nobody what they had from it alone.
func TestDeletedOrganizationLeavesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.settle(f.member)
		if err := f.Self.DeleteAccount(t.Context(), f.owner, f.id); err != nil {
			t.Fatal(err)
		}
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			s, err := client.StandingOf(ctx, tx, f.member.UserID, f.app.ID)
			if !slices.Equal(s.Roles, []string{"user", "hand"}) {
				t.Errorf("roles: %v", s.Roles)
			}
			sessions, err2 := session.ByUser(ctx, tx, f.member.UserID, f.Now())
			if len(sessions) != 1 || sessions[0].Upstream != "" {
				t.Errorf("sessions: %+v", sessions)
			}
			all, _, err3 := audit.List(ctx, tx, audit.Filter{OrgID: f.id, Action: audit.UserRoleChanged, Limit: 10})
			if len(all) != 1 || all[0].UserID != f.member.UserID {
				t.Errorf("audit: %+v", all)
			}
			return errors.Join(err, err2, err3)
		})
	})
}

// Nobody's mailbox is filled with invitations that are taken back and sent again, by
// however many organizations.
func TestInvitationsToOneAddressAreFew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		for range 10 {
			made := f.bid("victim@example.com")
			if err := f.Self.RevokeInvite(t.Context(), f.owner, f.id, made[0].Invite.ID); err != nil {
				t.Fatal(err)
			}
		}
		other, err := f.Self.CreateOrganization(t.Context(), f.stranger, "Other", "")
		if err != nil {
			t.Fatal(err)
		}
		in := self.InviteAccountIn{ClientID: f.app.ID, Account: other.OrgID, Role: org.Member}
		_, err = f.Self.InviteAll(t.Context(), f.stranger, in, []string{"victim@example.com"})
		is(t, "the eleventh", err, fault.RateLimited)
		if _, err = f.Self.InviteAll(t.Context(), f.stranger, in, []string{"somebody@example.com"}); err != nil {
			t.Error(err)
		}
	})
}
