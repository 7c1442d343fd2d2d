package admin_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/surface/admin"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/token"
	"sallyport/internal/waitlist"
	"sallyport/internal/wire/transcript"
)

// newAPI is the surface over a rig, beside the one that judges its tokens.
func newAPI(r *rig.Rig) (*admin.API, *keymaster.API) {
	log := slog.New(slog.DiscardHandler)
	km := &keymaster.API{
		SignIn: r.SignIn, OAuth: r.OAuth, Self: r.Self, Admin: r.Admin, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: log, Issuers: []string{rig.Base},
	}
	return &admin.API{Admin: r.Admin, Enterprise: r.Enterprise, Caller: km.AdminCaller, Log: log}, km
}

// stage is the platform with its console, a tenant with its own, a client of that
// tenant and one of nobody, and those who wait: pia and pat for a place in board, bea
// there for a feature, sam for a place in the tenant's shop.
func stage(t *testing.T, d *db.DB) transcript.Stage {
	r := rig.New(t, d)
	api, km := newAPI(r)
	r.Mount(api.Routes(), api.MethodNotAllowed)
	r.Mount(km.Routes(), km.MethodNotAllowed)
	r.NotFound(api.NotFound)

	acme := client.Tenant{ID: client.TenantID(identity.NewID()), Name: "Acme", Slug: "acme", CreatedAt: r.Now()}
	r.Write(func(ctx context.Context, tx *db.Tx) error { return client.CreateTenant(ctx, tx, acme) })
	approval := func(c *client.Client) { c.Policy.Registration = client.Approval }
	console, board := r.Client("Console", nil), r.Client("Board", approval)
	acmeConsole := r.Client("Acme Console", func(c *client.Client) { c.Tenant, c.Console = acme, true })
	shop := r.Client("Shop", func(c *client.Client) { c.Tenant = acme })
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ('surface:keymaster', $1, 0)`, `{"console_client":"`+string(console.ID)+`"}`)
		return err
	})
	v := map[string]string{"console": string(console.ID), "board": string(board.ID), "shop": string(shop.ID), "nowhere": identity.NewID()}
	people := map[string]identity.User{}
	for _, p := range []struct {
		name   string
		in     client.Client
		status client.Status
		role   string
	}{
		{"root", console, client.Active, "admin"},
		{"tess", acmeConsole, client.Active, "admin"},
		{"amy", board, client.Active, "admin"},
		{"max", board, client.Active, "manager"},
		{"uma", board, client.Active, "user"},
		{"rob", console, client.Active, "user"}, // of the console, but nothing there
		{"ann", shop, client.Active, "admin"},
		{"pia", board, client.Pending, "user"},
		{"pat", board, client.Pending, "user"},
		{"sam", shop, client.Pending, "user"},
	} {
		u := r.User(p.name+"@example.com", strings.ToUpper(p.name[:1])+p.name[1:], "")
		r.Advance(time.Second)
		r.Enrol(u, p.in, p.status, p.role)
		people[p.name], v[p.name] = u, string(u.ID)
		v[p.name+"_token"] = sign(t, r, nil, string(u.ID), string(p.in.ID))
	}
	v["bea"], v["bea_entry"] = listed(r, board)
	elsewhere := r.Org("elsewhere")
	r.Connect(elsewhere, nil)
	v["acme"], v["issuer"] = string(r.Org("acme-corp").ID), r.Connection(elsewhere).Issuer
	admins := map[string]client.Client{"root": console, "amy": board}
	s := transcript.Stage{Host: r, Vars: v, Hooks: map[string]func(*testing.T, map[string]string){}}
	for name, c := range admins {
		s.Hooks["suspend-"+name] = func(*testing.T, map[string]string) { r.Enrol(people[name], c, client.Suspended, "admin") }
		s.Hooks["demote-"+name] = func(*testing.T, map[string]string) { r.Enrol(people[name], c, client.Active, "user") }
	}
	s.Hooks["suspend-root-everywhere"] = func(*testing.T, map[string]string) {
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, people["root"].ID, identity.Suspended, r.Now())
		})
	}
	s.Hooks["forgeries"] = func(t *testing.T, v map[string]string) {
		root, aud := v["root"], v["console"]
		v["expired"] = sign(t, r, map[string]any{"exp": r.Now().Unix()}, root, aud)
		v["elsewhere"] = sign(t, r, map[string]any{"iss": "https://evil.example"}, root, aud)
		v["id_token"] = sign(t, r, map[string]any{"roles": nil}, root, aud)
		v["service"] = sign(t, r, map[string]any{"token_type": "service", "scope": "users:read"}, aud, aud)
		v["nobody"] = sign(t, r, nil, v["nowhere"], aud)
		v["amy_in_shop"] = sign(t, r, nil, v["amy"], v["shop"])
		v["amy_in_console"] = sign(t, r, nil, v["amy"], aud)
		v["tampered"] = v["root_token"][:len(v["root_token"])-8] + "AAAAAAAA"
	}
	s.Hooks["publish"] = func(_ *testing.T, v map[string]string) { r.Names.TXT(v["record"], v["value"]) }
	s.Hooks["long"] = func(_ *testing.T, v map[string]string) {
		v["long"] = strings.Repeat("x", 70000)
		v["many"] = `"` + strings.Join(make([]string, 501), `x","`) + `x"`
	}
	return s
}

// listed is somebody who waits for the feature "beta" of a client.
func listed(r *rig.Rig, c client.Client) (user, entry string) {
	u := r.User("bea@example.com", "Bea_100%", "")
	r.Advance(time.Second)
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		s, _, err := org.Own(ctx, tx, u.ID, "", r.Now())
		if err != nil {
			return err
		}
		e, _, err := waitlist.Join(ctx, tx, waitlist.Entry{OrgID: s.OrgID, UserID: u.ID, Feature: "beta", ClientID: c.ID}, r.Now())
		entry = e.ID
		return err
	})
	return string(u.ID), entry
}

// sign is an access token as Keymaster makes them, with some claims changed. It says
// that everybody is an administrator, which nobody is to believe.
func sign(t *testing.T, r *rig.Rig, change map[string]any, sub, aud string) string {
	t.Helper()
	key, err := r.Keys.Active("RS256", "")
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{
		"sub": sub, "aud": aud, "iss": rig.Base, "iat": r.Now().Unix(), "exp": r.Now().Add(15 * time.Minute).Unix(),
		"roles": []string{"admin"}, "jti": identity.NewID(),
	}
	for name, val := range change {
		if c[name] = val; val == nil {
			delete(c, name)
		}
	}
	s, err := token.Sign(key, "JWT", c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.SQLite(t)) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.Postgres(t)) })
	})
}

func TestEveryRouteHasATranscript(t *testing.T) {
	api, _ := newAPI(rig.New(t, dbtest.SQLite(t)))
	transcript.Coverage(t, api.Routes(), "testdata")
}

func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		if !admin.Answers(c) {
			t.Errorf("fault %q has no status and words on this surface", c)
		}
	}
}
