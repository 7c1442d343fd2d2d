package admin_test

import (
	"context"
	"testing"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
)

// Whoever lost the role that rules, or their place, between the gate and the
// transaction changes nothing.
func TestRulersRuleAsOfNow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("App", func(c *client.Client) { c.Policy.Roles = client.Roles{Available: []string{"Admin", "User"}} })
		other := r.Client("Other", nil)
		admins, jane := r.User("admin@example.com", "Admin", "", app), r.User("jane@example.com", "Jane", "", app)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetAlias(ctx, tx, string(app.ID), "github1", jane.ID)
		})
		who := admin.Ruler{ClientID: app.ID, UserID: admins.ID, By: "Admin"}
		change := func(about string, who admin.Ruler, want fault.Code) {
			t.Helper()
			for what, err := range map[string]error{
				"give":     second(r.Admin.GiveRole(t.Context(), who, "github1", "User", false)),
				"take":     second(r.Admin.TakeRole(t.Context(), who, "github1", "User")),
				"describe": second(r.Admin.Describe(t.Context(), who, admin.DescribeIn{Alias: "github1"})),
			} {
				if !fault.Is(err, want) {
					t.Errorf("%s, %s: got %v, want %s", about, what, err, want)
				}
			}
		}
		change("no role", who, fault.Unauthenticated)
		r.Enrol(admins, app, client.Suspended, "Admin")
		change("a suspended place", who, fault.Unauthenticated)
		r.Enrol(admins, app, client.Active, "admin")
		change("another letter case", who, fault.Unauthenticated)
		r.Enrol(admins, other, client.Active, "Admin")
		change("in another client", who, fault.Unauthenticated)
		change("nobody", admin.Ruler{ClientID: app.ID, By: "Admin"}, fault.Unauthenticated)
		change("an unknown client", admin.Ruler{ClientID: client.NewID(), UserID: admins.ID, By: "Admin"}, fault.ClientUnknown)

		r.Enrol(admins, app, client.Active, "Admin")
		if got, err := r.Admin.GiveRole(t.Context(), who, "github1", "Admin", false); err != nil || len(got.Roles) != 2 {
			t.Errorf("an Admin: %+v, %v", got, err)
		}
		for _, role := range []string{"", "Wizard", "user"} {
			if _, err := r.Admin.GiveRole(t.Context(), who, "github1", role, false); !fault.Is(err, fault.RoleInvalid) {
				t.Errorf("role %q: %v", role, err)
			}
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, admins.ID, identity.Disabled, r.Now())
		})
		change("a disabled user", who, fault.Unauthenticated)
	})
}

func second[T any](_ T, err error) error { return err }

func TestSiblingsAreConfidentialClients(t *testing.T) {
	t.Parallel()
	r := rig.New(t, dbtest.SQLite(t))
	r.Client("Service", func(c *client.Client) { c.Key, c.SecretHash = "service", client.HashSecret(r.Key, "its secret") })
	r.Client("Public", func(c *client.Client) { c.Key = "public" })
	r.Client("Off", func(c *client.Client) {
		c.Key, c.Active, c.SecretHash = "off", false, client.HashSecret(r.Key, "its secret")
	})
	if cl, err := r.Admin.Sibling(t.Context(), "service", "its secret"); err != nil || cl.Key != "service" {
		t.Errorf("got %s, %v", cl.Key, err)
	}
	for _, c := range [][2]string{{"service", ""}, {"service", "other"}, {"public", ""}, {"off", "its secret"}, {"nobody", ""}, {"", ""}} {
		if cl, err := r.Admin.Sibling(t.Context(), c[0], c[1]); !fault.Is(err, fault.ClientAuthFailed) || cl.ID != "" {
			t.Errorf("%q by %q: %s, %v", c[0], c[1], cl.ID, err)
		}
	}
}
