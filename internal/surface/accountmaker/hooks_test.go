package accountmaker_test

import (
	"context"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/upstream/upstreamtest"
)

// hooks are what transcripts do beside HTTP.
func hooks(r *rig.Rig, fake *upstreamtest.Fake) map[string]func(*testing.T, map[string]string) {
	id := func(t *testing.T, prefix, text string) string {
		t.Helper()
		s, ok := identity.FromKSUID(prefix, text)
		if !ok {
			t.Fatalf("%q is no id of %s", text, prefix)
		}
		return s
	}
	// choose has somebody sign in at the provider where the browser was sent, or
	// refuse; the browser comes back to back.
	choose := func(location, person string, deny bool) func(*testing.T, map[string]string) {
		return func(t *testing.T, vars map[string]string) {
			back, _, err := fake.Choose(vars[location], person, deny)
			if err != nil {
				t.Fatal(err)
			}
			vars["back"] = back
		}
	}
	return map[string]func(*testing.T, map[string]string){
		"choose-ada": choose("location", "1", false), "choose-new": choose("location2", "2", false), "choose-new3": choose("location3", "2", false), "deny3": choose("location3", "1", true),
		"bob4": choose("location4", "3", false),
		"broken5": func(t *testing.T, vars map[string]string) {
			choose("location5", "1", false)(t, vars)
			fake.Behave(upstreamtest.WrongNonce)
		},
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
	}
}

// people have accounts at the provider: Ada, who is here too, somebody new, and
// one who says that Bob's address is theirs.
var people = []upstreamtest.Person{
	{ID: "1", Email: "ada@example.com", EmailVerified: true, GivenName: "Ada", FamilyName: "Lovelace", HostedDomain: "example.com"},
	{ID: "2", Email: "new@example.com", EmailVerified: true, GivenName: "Nia", FamilyName: "New", HostedDomain: "example.com"},
	{ID: "3", Email: "bob@example.com", EmailVerified: false, GivenName: "Not", FamilyName: "Bob"},
}
