package self_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/token"
)

// granted stores a grant as a code makes it; redeemed ones have a refresh token.
func granted(t *testing.T, r *rig.Rig, u identity.User, c client.Client, redeemed bool, scope ...string) (refresh string) {
	t.Helper()
	g := grant.Grant{
		ID: grant.NewID(), ClientID: c.ID, UserID: u.ID, Subject: string(u.ID), Scope: scope,
		CodeExpiresAt: r.Now().Add(time.Minute), CreatedAt: r.Now(), ExpiresAt: r.Now().Add(time.Hour),
	}
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		if err := grant.Create(ctx, tx, g, []byte(g.ID)); err != nil || !redeemed {
			return err
		}
		if err := grant.Redeem(ctx, tx, g.ID, r.Now().Add(time.Hour), r.Now()); err != nil {
			return err
		}
		refresh, err = token.Issue(ctx, tx, r.Key, token.Family{UserID: u.ID, ClientID: c.ID, GrantID: string(g.ID), ExpiresAt: r.Now().Add(time.Hour)}, r.Now())
		return err
	})
	return refresh
}

func names(all []self.Access) (names []string) {
	for _, a := range all {
		names = append(names, a.Client.Name)
	}
	return names
}

func TestAccessesAreConsentsAndLiveGrants(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		begun, consented, both, other := r.Client("Begun", nil), r.Client("Consented", nil), r.Client("Both", nil), r.Client("Other", nil)
		jane, tom := r.User("jane@example.com", "Jane", plain), r.User("tom@example.com", "Tom", plain)
		granted(t, r, jane, begun, false, "openid") // nobody came for the code
		granted(t, r, tom, other, true, "openid")
		granted(t, r, jane, both, true, "openid", "email")
		r.Advance(time.Minute)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(
				grant.PutConsent(ctx, tx, grant.Consent{UserID: jane.ID, ClientID: both.ID, Scope: []string{"openid", "profile"}}, r.Now()),
				grant.PutConsent(ctx, tx, grant.Consent{UserID: jane.ID, ClientID: consented.ID, Scope: []string{"openid"}}, r.Now()))
		})
		all, err := r.Self.Accesses(t.Context(), bearer(r, jane.ID))
		if want := []string{"Consented", "Both"}; err != nil || !slices.Equal(names(all), want) {
			t.Fatalf("got %v and %v, want %v", names(all), err, want)
		}
		if got, want := all[1].Scope, []string{"openid", "profile", "email"}; !slices.Equal(got, want) || !all[1].Since.Equal(rig.Start) {
			t.Errorf("got %v since %v, want %v since %v", got, all[1].Since, want, rig.Start)
		}
		r.Advance(time.Hour) // the grant has ended, the consent has not
		if all, err = r.Self.Accesses(t.Context(), bearer(r, jane.ID)); err != nil || len(all) != 2 || slices.Contains(all[1].Scope, "email") {
			t.Errorf("got %+v and %v, want the consents alone", all, err)
		}
	})
}

// What is withdrawn is asked for again, and its tokens are gone; nobody else's,
// and no other application's, are touched.
func TestWithdrawnAccessIsGone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app, second := r.Client("Demo", nil), r.Client("Second", nil)
		jane, tom := r.User("jane@example.com", "Jane", plain), r.User("tom@example.com", "Tom", plain)
		gone, stays, toms := granted(t, r, jane, app, true, "openid"), granted(t, r, jane, second, true, "openid"), granted(t, r, tom, app, true, "openid")
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return grant.PutConsent(ctx, tx, grant.Consent{UserID: jane.ID, ClientID: app.ID, Scope: []string{"openid"}}, r.Now())
		})
		for range 2 { // the second finds nothing, which is what was wanted
			if err := r.Self.Withdraw(t.Context(), bearer(r, jane.ID), app.ID); err != nil {
				t.Fatal(err)
			}
		}
		all, err := r.Self.Accesses(t.Context(), bearer(r, jane.ID))
		if want := []string{"Second"}; err != nil || !slices.Equal(names(all), want) {
			t.Errorf("got %v and %v, want %v", names(all), err, want)
		}
		for raw, want := range map[string]bool{gone: false, stays: true, toms: true} {
			var err error
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err = token.Find(ctx, tx, r.Key, raw, r.Now(), 0)
				return nil
			})
			if got := err == nil; got != want {
				t.Errorf("refresh token: found %v (%v), want %v", got, err, want)
			}
		}
		entries := 0
		r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			entries, err = db.One(ctx, tx, func(row db.Row) (n int, err error) { return n, row.Scan(&n) },
				`SELECT COUNT(*) FROM audit WHERE action = 'consent.withdrawn' AND user_id = $1 AND client_id = $2`, jane.ID, app.ID)
			return err
		})
		if entries != 1 {
			t.Errorf("%d audit entries, want 1", entries)
		}
	})
}
