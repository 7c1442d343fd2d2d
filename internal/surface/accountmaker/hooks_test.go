package accountmaker_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
)

// hooks are what transcripts do beside HTTP.
func hooks(r *rig.Rig, demo client.Client) map[string]func(*testing.T, map[string]string) {
	id := func(t *testing.T, prefix, text string) string {
		t.Helper()
		s, ok := identity.FromKSUID(prefix, text)
		if !ok {
			t.Fatalf("%q is no id of %s", text, prefix)
		}
		return s
	}
	return map[string]func(*testing.T, map[string]string){
		// Bob leaves the account acc.
		"bob-leaves": func(t *testing.T, vars map[string]string) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return org.Leave(ctx, tx, org.ID(id(t, "acc", vars["acc"])), identity.UserID(id(t, "uid", vars["bob"])))
			})
		},
		// Grace may do no more than read in the account acc.
		"demote": func(t *testing.T, vars map[string]string) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return org.SetRole(ctx, tx, org.ID(id(t, "acc", vars["acc"])), identity.UserID(id(t, "uid", vars["bob"])), org.Viewer, r.Now())
			})
		},
		"suspend-bob": func(t *testing.T, vars map[string]string) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, identity.UserID(id(t, "uid", vars["bob"])), identity.Suspended, r.Now())
			})
		},
		// An account shows that auth.acme.example is its own, which the client other
		// answers on.
	}
}
