package self_test

import (
	"context"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/sso"
)

// Who could remove the account at their organization's provider could get around what
// the organization demands of them.
func TestAccountOfAnOrganizationIsItsMembersToKeep(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		u := r.User("ann@acme.com", "Ann", "correct horse battery staple", app)
		o := r.Org("acme", "acme.com")
		key := sso.Key(o.ID)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, _, err := org.Join(ctx, tx, o.ID, u.ID, org.Member, r.Now()); err != nil {
				return err
			}
			return identity.AddLink(ctx, tx, identity.Link{Issuer: sso.LinkIssuer(o.ID, "https://idp"), Subject: "1", UserID: u.ID, Upstream: key, Email: u.Email, CreatedAt: r.Now()})
		})
		who := self.Caller{UserID: u.ID, AuthenticatedAt: r.Now()}
		proof := tries(self.Proof{Password: "correct horse battery staple"})
		all, err := r.Self.Connections(t.Context(), who)
		if err != nil || len(all) != 1 || all[0].Title != o.Name || !all[0].Last {
			t.Errorf("%+v, %v", all, err)
		}
		if err := r.Self.Unlink(t.Context(), who, proof, key); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a member: %v", err)
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error { return org.Leave(ctx, tx, o.ID, u.ID) })
		if err := r.Self.Unlink(t.Context(), who, proof, key); err != nil {
			t.Errorf("who has left: %v", err)
		}
	})
}
