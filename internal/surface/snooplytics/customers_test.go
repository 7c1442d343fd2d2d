package snooplytics_test

import (
	"context"
	"net/url"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/upstream/upstreamtest"
)

// customers are the organizations of the transcripts: acme-corp signs its people in
// by its own provider, beta-corp by another; gamma's connection is off, and delta has
// claimed a domain that nobody proved.
type customers struct {
	*rig.Rig
	app                        client.Client
	bob, una                   identity.User
	acme, beta, gamma, delta   org.Org
	acmeIdP, betaIdP, gammaIdP *upstreamtest.Fake
}

// acmePeople sign in at acme's provider: Ann and Una are of its domain, Out is not,
// and of Una the provider says that nobody verified her address.
var acmePeople = []upstreamtest.Person{
	{ID: "1", Email: "ann@acme.com", EmailVerified: true, GivenName: "Ann", FamilyName: "Acme"},
	{ID: "2", Email: "una@acme.com", EmailVerified: false, GivenName: "Una", FamilyName: "Unsure"},
	{ID: "3", Email: "ada@example.com", EmailVerified: true, GivenName: "Not", FamilyName: "Ada"},
	{ID: "4", EmailVerified: true, GivenName: "No", FamilyName: "Address"},
}

func newCustomers(r *rig.Rig, app client.Client) *customers {
	c := &customers{Rig: r, app: app}
	c.acme, c.beta, c.gamma, c.delta = r.Org("acme-corp", "acme.com"), r.Org("beta-corp", "beta.example"), r.Org("gamma", "gamma.example"), r.Org("delta")
	c.acmeIdP = r.Connect(c.acme, nil, acmePeople...)
	c.betaIdP = r.Connect(c.beta, func(k *sso.Connection) { k.Provider = sso.AzureAD },
		upstreamtest.Person{ID: "1", Email: "bea@beta.example", EmailVerified: true, GivenName: "Bea", FamilyName: "Beta"})
	c.una = r.User("una@acme.com", "Una Unsure", password)
	c.bob = r.User("bob@example.com", "Bob", password, app)
	c.gammaIdP = r.Connect(c.gamma, func(k *sso.Connection) { k.Enabled = false })
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := org.Claim(ctx, tx, c.delta.ID, "delta.example", r.Now())
		return err
	})
	return c
}

// signIn has somebody with a password sign in, in a browser of their own, and keeps the
// session under a name.
func (c *customers) signIn(client client.ID, email, as string) func(*testing.T, map[string]string) {
	return func(t *testing.T, vars map[string]string) {
		t.Helper()
		out, err := c.SignIn.Password(t.Context(), signin.PasswordIn{
			ClientID: client, Email: email, Password: password, Visitor: signin.Visitor{IP: "192.0.2.7", UserAgent: "transcript", Base: rig.Base},
		})
		if err != nil {
			t.Fatal(err)
		}
		vars[as] = out.SignedIn.Session
	}
}

// hooks are what transcripts do at the providers and to the organizations.
func (c *customers) hooks() map[string]func(*testing.T, map[string]string) {
	choose := func(fake *upstreamtest.Fake, person string, deny bool) func(*testing.T, map[string]string) {
		return func(t *testing.T, vars map[string]string) {
			t.Helper()
			back, _, err := fake.Choose(vars["location"], person, deny)
			if err != nil {
				t.Fatal(err)
			}
			vars["back"] = back
			delete(vars, "location")
		}
	}
	misbehave := func(trouble upstreamtest.Trouble) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) { c.acmeIdP.Behave(trouble) }
	}
	again := func(change func(*sso.Connection)) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) {
			k := c.Connection(c.acme)
			change(&k)
			c.SetConnection(k)
		}
	}
	all := map[string]func(*testing.T, map[string]string){
		"sign-in-ada": c.signIn(c.app.ID, "ada@example.com", "ada_session"),
		"sign-in-bob": c.signIn(c.app.ID, "bob@example.com", "bob_session"),
		"ann":         choose(c.acmeIdP, "1", false), "una": choose(c.acmeIdP, "2", false), "outsider": choose(c.acmeIdP, "3", false),
		"addressless": choose(c.acmeIdP, "4", false), "deny": choose(c.acmeIdP, "1", true), "bea": choose(c.betaIdP, "1", false),
		"behave":  misbehave(upstreamtest.None),
		"disable": again(func(k *sso.Connection) { k.Enabled = false }), "enable": again(func(k *sso.Connection) { k.Enabled = true }),
		"rename": func(_ *testing.T, vars map[string]string) {
			c.Write(func(ctx context.Context, tx *db.Tx) error {
				o, err := org.ByID(ctx, tx, c.acme.ID)
				if err == nil {
					o.Slug = "acme-inc"
					err = org.Update(ctx, tx, o, c.Now())
				}
				return err
			})
		},
		// The records that prove two domains are written into their zones.
		"prove-corp": func(_ *testing.T, vars map[string]string) {
			const text = "sallyport-domain-verification="
			c.Names.TXT("_sallyport-challenge.corp.example.com", text+vars["proof"])
			c.Names.TXT("_sallyport-challenge.acme.com", text+vars["acme_proof"])
		},
		"sign-in-una": c.signIn(c.app.ID, "una@acme.com", "una_session"),
		"una-joins": func(*testing.T, map[string]string) {
			c.Write(func(ctx context.Context, tx *db.Tx) error {
				_, _, err := org.Join(ctx, tx, c.acme.ID, c.una.ID, org.Member, c.Now())
				return err
			})
		},
		"ann-owns": func(_ *testing.T, vars map[string]string) {
			c.Write(func(ctx context.Context, tx *db.Tx) error {
				return org.SetRole(ctx, tx, c.acme.ID, identity.UserID(vars["ann"]), org.Owner, c.Now())
			})
		},
		"third-loses-scopes": func(_ *testing.T, vars map[string]string) {
			c.Write(func(ctx context.Context, tx *db.Tx) error {
				cl, err := client.ByID(ctx, tx, client.ID(vars["third"]))
				if err != nil {
					return err
				}
				cl.Policy.OAuth.Scopes = nil
				return client.Update(ctx, tx, cl, c.Now())
			})
		},
		"ada-waits": func(_ *testing.T, vars map[string]string) {
			c.Enrol(identity.User{ID: identity.UserID(vars["ada"])}, c.app, client.Suspended, "user")
		},
		"suspend-ann": func(_ *testing.T, vars map[string]string) {
			c.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, identity.UserID(vars["ann"]), identity.Suspended, c.Now())
			})
		},
		"ann-leaves": func(_ *testing.T, vars map[string]string) {
			c.Write(func(ctx context.Context, tx *db.Tx) error {
				return org.Leave(ctx, tx, c.acme.ID, identity.UserID(vars["ann"]))
			})
		},
		// What the provider is asked.
		"request": func(t *testing.T, vars map[string]string) {
			t.Helper()
			at, err := url.Parse(vars["location"])
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"response_type": "code", "redirect_uri": rig.Base + "/api/auth/sso/callback", "scope": "openid profile email", "code_challenge_method": "S256",
				"login_hint": "ann@acme.com", "client_id": upstreamtest.ClientID,
			} {
				if got := at.Query().Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			for name, least := range map[string]int{"state": 43, "nonce": 22, "code_challenge": 43} {
				if got := at.Query().Get(name); len(got) < least {
					t.Errorf("%s has %d characters", name, len(got))
				}
			}
		},
		// The code of acme's provider comes back with the state of a sign-in at beta's.
		"mixed-up": func(t *testing.T, vars map[string]string) {
			t.Helper()
			back, err := url.Parse(vars["back"])
			if err != nil {
				t.Fatal(err)
			}
			elsewhere, err := url.Parse(vars["location"])
			if err != nil {
				t.Fatal(err)
			}
			q := back.Query()
			q.Set("state", elsewhere.Query().Get("state"))
			back.RawQuery = q.Encode()
			vars["back"] = back.String()
			delete(vars, "location")
		},
	}
	for name, trouble := range map[string]upstreamtest.Trouble{
		"wrong-nonce": upstreamtest.WrongNonce, "wrong-audience": upstreamtest.WrongAudience, "wrong-issuer": upstreamtest.WrongIssuer,
		"unsigned": upstreamtest.Unsigned, "confused": upstreamtest.Confused, "wrong-iss": upstreamtest.WrongIss, "down": upstreamtest.Down, "bad-secret": upstreamtest.BadSecret,
	} {
		all[name] = misbehave(trouble)
	}
	return all
}
