package pages_test

import (
	"context"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/enterprise"
	"sallyport/internal/org"
	"sallyport/internal/sso"
	"sallyport/internal/upstream/upstreamtest"
)

// Those whom the provider of the organization acme knows: two of its people, whose
// addresses are of its domain, and one whose address is of somebody else's.
var colleagues = map[string]upstreamtest.Person{
	"ann": {ID: "5501", Email: "ann@acme.example", EmailVerified: true, GivenName: "Ann", FamilyName: "Acme", Claims: map[string]any{"groups": []string{"IT"}}},
	"bob": {ID: "5502", Email: "bob@acme.example", EmailVerified: true, GivenName: "Bob", FamilyName: "Builder"},
	"eve": {ID: "5503", Email: "jane@example.com", EmailVerified: true, GivenName: "Eve", FamilyName: "Elsewhere"},
}

// acme makes an organization that has proved acme.example and has a provider of its
// own, whose people in IT are managers in the application demo.
func (w town) acme() (org.Org, *upstreamtest.Fake) {
	o := w.Org("acme", "acme.example")
	fake := w.Connect(o, func(c *sso.Connection) {
		c.Roles = []sso.RoleRule{{Claim: sso.GroupsClaim, Value: "IT", Client: client.ID(w.vars["demo"]), ClientRole: "manager"}}
	}, colleagues["ann"], colleagues["bob"], colleagues["eve"])
	fake.Ask = ask
	return o, fake
}

// employers are hooks: an organization comes to be, its people sign in at its
// provider (they begin at <away> and come to <back>), and it comes to demand that.
func (w town) employers() map[string]func(*testing.T, map[string]string) {
	var o org.Org
	var fake *upstreamtest.Fake
	choose := func(id string, deny bool) func(*testing.T, map[string]string) {
		return func(t *testing.T, v map[string]string) {
			back, _, err := fake.Choose(v["away"], id, deny)
			if err != nil {
				t.Fatal(err)
			}
			v["back"] = back
			delete(v, "away")
		}
	}
	policy := func(in org.SignIn) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) {
			w.Write(func(ctx context.Context, tx *db.Tx) error { return org.SetPolicy(ctx, tx, o.ID, in, true, w.Now()) })
		}
	}
	out := map[string]func(*testing.T, map[string]string){
		"acme": func(_ *testing.T, v map[string]string) {
			o, fake = w.acme()
			v["acme"] = string(o.ID)
		},
		"acme-deny": choose("", true),
		"acme-down": func(*testing.T, map[string]string) { fake.Behave(upstreamtest.Down) },
		"acme-well": func(*testing.T, map[string]string) { fake.Behave(upstreamtest.None) },
		"acme-lies": func(*testing.T, map[string]string) { fake.Behave(upstreamtest.WrongSignature) },
		"acme-only": policy(org.SignInSSO),
		"acme-off": func(*testing.T, map[string]string) {
			c := w.Connection(o)
			c.Enabled = false
			w.SetConnection(c)
		},
		"jim": func(*testing.T, map[string]string) { // has an account and a password, and works at acme
			jim := w.User("jim@acme.example", "Jim Joiner", password, w.client("demo"), w.client("button"))
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				_, _, err := org.Join(ctx, tx, o.ID, jim.ID, org.Member, w.Now())
				return err
			})
		},
	}
	for name, p := range colleagues {
		out["acme-"+name] = choose(p.ID, false)
	}
	return out
}

// client reads an application of the town.
func (w town) client(name string) (c client.Client) {
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		c, err = client.ByID(ctx, tx, client.ID(w.vars[name]))
		return err
	})
	return c
}

// customers are hooks for the set-up: the organization globex, which has nothing yet,
// with a link for its IT administrator, whose provider knows somebody at each of two
// domains.
func (w town) customers() map[string]func(*testing.T, map[string]string) {
	var o org.Org
	var link enterprise.SetupLink
	var fake *upstreamtest.Fake
	operator := enterprise.Actor{Operator: "admin", Base: "https://auth.example.com"}
	choose := func(id string, deny bool) func(*testing.T, map[string]string) {
		return func(t *testing.T, v map[string]string) {
			back, _, err := fake.Choose(v["away"], id, deny)
			if err != nil {
				t.Fatal(err)
			}
			v["back"] = back
			delete(v, "away")
		}
	}
	return map[string]func(*testing.T, map[string]string){
		"globex": func(t *testing.T, v map[string]string) {
			o = w.Org("globex")
			fake, v["issuer"] = w.Provider(upstreamtest.Person{ID: "6601", Email: "gina@globex.example", EmailVerified: true, GivenName: "Gina", FamilyName: "Globex"},
				upstreamtest.Person{ID: "6602", Email: "carl@contractor.example", EmailVerified: true, GivenName: "Carl", FamilyName: "Contractor"})
			var err error
			if link, err = w.Enterprise.MakeSetupLink(t.Context(), operator, o.ID, enterprise.SetupIn{}); err != nil {
				t.Fatal(err)
			}
			v["setup"], v["globex"] = link.Secret, string(o.ID)
		},
		"globex-record": func(t *testing.T, v map[string]string) {
			w.Names.TXT("_sallyport-challenge.globex.example", v["record"])
		},
		"globex-wrong": func(t *testing.T, v map[string]string) {
			w.Names.TXT("_sallyport-challenge.globex.example", "sallyport-domain-verification=old")
		},
		"globex-silent": func(t *testing.T, v map[string]string) { w.Names.Silence("_sallyport-challenge.globex.example") },
		"globex-gina":   choose("6601", false),
		"globex-carl":   choose("6602", false),
		"globex-deny":   choose("", true),
		"globex-end": func(t *testing.T, _ map[string]string) {
			if err := w.Enterprise.EndSetupLink(t.Context(), operator, o.ID, link.ID); err != nil {
				t.Fatal(err)
			}
		},
	}
}
