package invite_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
)

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		tenant := client.Tenant{ID: client.TenantID(identity.NewID()), Slug: "acme", Name: "Acme", CreatedAt: now}
		o.write(func(ctx context.Context, tx *db.Tx) error { return client.CreateTenant(ctx, tx, tenant) })
		other := o
		other.client = o.newClient(tenant)
		name := map[string]string{}
		for i, n := range []string{"expired", "accepted", "revoked", "old", "new"} {
			in, _ := o.invite(n+"@example.com", now.Add(-week).Add(time.Duration(i)*time.Hour))
			name[in.ID] = n
			switch n {
			case "accepted":
				if err := o.accept(in.ID, "u1", now.Add(-5*24*time.Hour)); err != nil {
					t.Fatal(err)
				}
			case "revoked":
				if err := o.revoke(in.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		in, _ := other.invite("theirs@example.com", now)
		name[in.ID] = "theirs"
		for _, c := range []struct {
			f     invite.Filter
			want  string
			total int
		}{
			{invite.Filter{Limit: 10}, "theirs new old revoked accepted expired", 6},
			{invite.Filter{ClientID: o.client, Limit: 2}, "new old", 5},
			{invite.Filter{ClientID: o.client, Limit: 2, Offset: 2}, "revoked accepted", 5},
			{invite.Filter{ClientID: o.client, Limit: 2, Offset: 4}, "expired", 5},
			{invite.Filter{ClientID: o.client, Limit: 2, Offset: 6}, "", 5},
			{invite.Filter{ClientID: o.client}, "", 5},
			{invite.Filter{ClientID: o.client, Status: invite.Pending, Limit: 10}, "new old", 2},
			{invite.Filter{ClientID: o.client, Status: invite.Expired, Limit: 10}, "expired", 1},
			{invite.Filter{ClientID: o.client, Status: invite.Accepted, Limit: 10}, "accepted", 1},
			{invite.Filter{Status: invite.Revoked, Limit: 10}, "revoked", 1},
			{invite.Filter{Status: "odd", Limit: 10}, "", 0},
			{invite.Filter{Tenant: tenant.ID, Limit: 10}, "theirs", 1},
			{invite.Filter{Tenant: tenant.ID, ClientID: o.client, Limit: 10}, "", 0},
			{invite.Filter{ClientID: "none", Limit: 10}, "", 0},
		} {
			list, total := o.list(c.f, now)
			var got []string
			for _, i := range list {
				got = append(got, name[i.ID])
				if i.Status == invite.Pending && !i.ExpiresAt.After(now) {
					t.Errorf("%+v: %s is shown as pending", c.f, name[i.ID])
				}
			}
			if got := strings.Join(got, " "); got != c.want || total != c.total {
				t.Errorf("%+v: got %q of %d, want %q of %d", c.f, got, total, c.want, c.total)
			}
		}
	})
}
