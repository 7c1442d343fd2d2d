package self_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/self"
)

func TestOrganizationGetsASlugOfItsName(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		first, err := f.Self.CreateOrganization(t.Context(), f.stranger, "Acme Corporation", "")
		if err != nil || first.Org.Slug != "acme-corporation" || first.Role != org.Owner {
			t.Errorf("got %q as %s, %v", first.Org.Slug, first.Role, err)
		}
		second, err := f.Self.CreateOrganization(t.Context(), f.stranger, "Acme Corporation", "")
		if err != nil || !strings.HasPrefix(second.Org.Slug, "acme-corporation-") || len(second.Org.Slug) != len("acme-corporation-")+6 {
			t.Errorf("the second got %q, %v", second.Org.Slug, err)
		}
		_, err = f.Self.CreateOrganization(t.Context(), f.stranger, "Acme", "Acme-Corporation")
		is(t, "a slug that is taken", err, fault.SlugTaken)
		for _, slug := range []string{"a", "-a-", "a b", "ä-b", strings.Repeat("a", 64)} {
			_, err = f.Self.CreateOrganization(t.Context(), f.stranger, "Acme", slug)
			is(t, slug, err, fault.FieldInvalid)
		}
		if all, err := f.Self.Organizations(t.Context(), f.stranger); err != nil || len(all) != 2 {
			t.Errorf("%d organizations, %v", len(all), err)
		}
	})
}

func TestSlugIsItsOwnersToChange(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		rename := func(who self.Caller, slug string) error {
			_, err := f.Self.UpdateAccount(t.Context(), who, f.id, self.AccountChange{Slug: &slug})
			return err
		}
		is(t, "an admin", rename(f.admin, "taken-over"), fault.Forbidden)
		is(t, "an owner", rename(f.owner, "acme"), "")
		if _, err := f.Self.CreateOrganization(t.Context(), f.stranger, "Other", "other"); err != nil {
			t.Fatal(err)
		}
		is(t, "another one's", rename(f.owner, "other"), fault.SlugTaken)
		is(t, "none", rename(f.owner, ""), fault.FieldInvalid)
	})
}

func TestMemberOfAnotherOrganizationIsUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		other, err := f.Self.CreateOrganization(t.Context(), f.owner, "Other", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Self.Member(t.Context(), f.owner, f.id, other.ID)
		is(t, "of another one", err, fault.UserUnknown)
		_, err = f.Self.Member(t.Context(), f.owner, f.id, "nothing")
		is(t, "none", err, fault.UserUnknown)
		_, err = f.Self.Member(t.Context(), f.admin, other.OrgID, other.ID)
		is(t, "for who is no member", err, fault.OrgUnknown)
		_, err = f.Self.Member(t.Context(), f.admin, "nothing", other.ID)
		is(t, "in none", err, fault.OrgUnknown)
		if m, err := f.Self.Member(t.Context(), f.owner, other.OrgID, other.ID); err != nil || m.User.ID != f.owner.UserID {
			t.Errorf("one's own: %v", err)
		}
	})
}

// bid invites addresses as the owner, and returns what came of it.
func (f firm) bid(emails ...string) []self.Invited {
	f.Helper()
	all, err := f.Self.InviteAll(f.Context(), f.owner, self.InviteAccountIn{ClientID: f.app.ID, Account: f.id, Role: org.Member, Page: rig.Base + "/in"}, emails)
	if err != nil {
		f.Fatal(err)
	}
	return all
}

func (f firm) accept(who self.Caller, token string) (org.Seat, error) {
	return f.Self.AcceptInvite(f.Context(), who, self.AcceptIn{ClientID: f.app.ID, Token: token, Failures: []limit.Rule{{Name: "test.accept", Key: string(who.UserID), N: 3, Per: time.Hour}}})
}

func TestInvitingManySaysWhatCameOfEach(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.bid("old@example.com")
		got := f.bid("New@Example.com", "member@example.com", "new@example.com", "old@example.com")
		if len(got) != 3 || got[0].Email != "new@example.com" || got[0].Refused != "" || got[0].Invite.ID == "" ||
			got[1].Refused != fault.AlreadyEnrolled || got[2].Refused != fault.InvitePending {
			t.Errorf("got %+v", got)
		}
		if _, ok := f.Mail("member@example.com"); ok {
			t.Error("a member was mailed")
		}
		in := self.InviteAccountIn{ClientID: f.app.ID, Account: f.id, Role: org.Member}
		_, err := f.Self.InviteAll(t.Context(), f.owner, in, []string{"fine@example.com", "not an address"})
		is(t, "one that is none", err, fault.EmailInvalid)
		if _, ok := f.Mail("fine@example.com"); ok {
			t.Error("a mail went out with a refusal")
		}
		in.Role = org.Owner
		_, err = f.Self.InviteAll(t.Context(), f.admin, in, []string{"a@example.com"})
		is(t, "an owner by an admin", err, fault.Forbidden)
		_, err = f.Self.InviteAll(t.Context(), f.member, in, []string{"a@example.com"})
		is(t, "by a member", err, fault.Forbidden)
		_, err = f.Self.InviteAll(t.Context(), f.stranger, in, []string{"a@example.com"})
		is(t, "by a stranger", err, fault.OrgUnknown)
	})
}

func TestInvitationIsAcceptedByTheInvitedAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		jane := self.Caller{UserID: f.User("jane@example.com", "Jane", "", f.app).ID}
		squatter := identity.User{ID: identity.NewUserID(), Email: "unproved@example.com", Status: identity.Active, CreatedAt: f.Now()}
		f.Write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, squatter) })
		f.bid("jane@example.com", "unproved@example.com")
		token, unproved := mailed(t, f.Rig, "jane@example.com"), mailed(t, f.Rig, "unproved@example.com")

		_, err := f.accept(f.stranger, token)
		is(t, "by another address", err, fault.InviteEmailMismatch)
		_, err = f.accept(self.Caller{UserID: squatter.ID}, unproved)
		is(t, "by who has not proved the address", err, fault.EmailUnverified)
		pinned := jane
		pinned.Org = "another"
		_, err = f.accept(pinned, token)
		is(t, "by a key of another organization", err, fault.KeyPinned)
		_, err = f.Self.AcceptInvite(t.Context(), jane, self.AcceptIn{ClientID: "another", Token: token})
		is(t, "in another client", err, fault.InviteInvalid)

		s, err := f.accept(jane, token)
		if err != nil || s.OrgID != f.id || s.Role != org.Member {
			t.Errorf("by the invited: %+v, %v", s, err)
		}
		_, err = f.accept(jane, token)
		is(t, "twice", err, fault.InviteInvalid)
	})
}

func TestWrongInvitationsAreCounted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		f.bid("stranger@example.com")
		token := mailed(t, f.Rig, "stranger@example.com")
		for range 2 {
			_, err := f.accept(f.stranger, strings.Repeat("0", 64))
			is(t, "a guess", err, fault.InviteInvalid)
		}
		if _, err := f.accept(f.stranger, token); err != nil {
			t.Errorf("the right one: %v", err)
		}
		_, err := f.accept(f.stranger, "")
		is(t, "the third guess", err, fault.InviteInvalid)
		_, err = f.accept(f.stranger, "")
		is(t, "the fourth", err, fault.RateLimited)
	})
}

func TestInvitationIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		jane := self.Caller{UserID: f.User("jane@example.com", "Jane", "", f.app).ID}
		f.bid("jane@example.com")
		token := mailed(t, f.Rig, "jane@example.com")
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = f.Self.AcceptInvite(t.Context(), jane, self.AcceptIn{ClientID: f.app.ID, Token: token})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				is(t, "a loser", err, fault.InviteInvalid)
			}
		}
		if won != 1 {
			t.Errorf("%d winners, want 1", won)
		}
	})
}

func TestResentInvitationHasAnotherSecret(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		jane := self.Caller{UserID: f.User("jane@example.com", "Jane", "", f.app).ID}
		id := f.bid("jane@example.com")[0].Invite.ID
		first := mailed(t, f.Rig, "jane@example.com")
		f.Advance(self.AccountInviteLifetime)
		resend := func(who self.Caller, in org.ID) (invite.Invite, error) {
			return f.Self.ResendInvite(t.Context(), who, self.ResendIn{Org: in, ID: id, Page: rig.Base + "/in"})
		}
		other, err := f.Self.CreateOrganization(t.Context(), f.stranger, "Other", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = resend(f.stranger, other.OrgID)
		is(t, "by the owner of another organization", err, fault.InviteUnknown)
		_, err = resend(f.stranger, f.id)
		is(t, "by a stranger", err, fault.OrgUnknown)
		_, err = resend(f.member, f.id)
		is(t, "by a member", err, fault.Forbidden)
		is(t, "revoked by the owner of another organization", f.Self.RevokeInvite(t.Context(), f.stranger, other.OrgID, id), fault.InviteUnknown)

		again, err := resend(f.admin, f.id)
		if err != nil || again.ID != id || again.Status != invite.Pending || !again.ExpiresAt.Equal(f.Now().Add(self.AccountInviteLifetime)) {
			t.Errorf("again: %+v, %v", again, err)
		}
		second := mailed(t, f.Rig, "jane@example.com")
		_, err = f.accept(jane, first)
		is(t, "the first secret", err, fault.InviteInvalid)
		if _, err := f.accept(jane, second); err != nil {
			t.Errorf("the second: %v", err)
		}
		_, err = resend(f.admin, f.id)
		is(t, "an accepted one", err, fault.InviteSpent)
		is(t, "revoking it", f.Self.RevokeInvite(t.Context(), f.admin, f.id, id), fault.InviteSpent)
	})
}

// Two owners who remove each other at once leave one.
func TestLastOwnerStaysUnderRace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		second := f.join("second", org.Owner)
		var wg sync.WaitGroup
		for i := range 6 {
			who, whom := f.owner, second
			if i%2 == 1 {
				who, whom = second, f.owner
			}
			wg.Go(func() {
				switch i / 2 {
				case 0:
					_ = f.Self.SetAccountRole(t.Context(), who, f.id, whom.UserID, org.Member)
				case 1:
					_ = f.Self.RemoveMember(t.Context(), who, f.id, whom.UserID)
				case 2:
					_ = f.Self.RemoveMember(t.Context(), who, f.id, who.UserID)
				}
			})
		}
		wg.Wait()
		owners := 0
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			owners = 0
			all, _, err := org.Members(ctx, tx, f.id, 100, 0)
			for _, m := range all {
				if m.Role == org.Owner {
					owners++
				}
			}
			return err
		})
		if owners != 1 {
			t.Errorf("%d owners are left, want 1", owners)
		}
	})
}
