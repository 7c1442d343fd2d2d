package scim_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/sso"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/surface/scim"
	"sallyport/internal/wire"
	"sallyport/internal/wire/transcript"
)

const (
	password = "correct horse battery staple" // everybody's
	secret   = "shop-secret"
	// verifier and challenge are those of RFC 7636 appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// site is a Sallyport with the surface beside Keymaster and the provider, which tell who
// can still come in; two organizations with directories; and a few people.
//
//	acme   has verified acme.com and contoso.example; boss owns it, jane is in it, and so
//	       is guest, whose address is elsewhere
//	evil   has verified evil.example, and claims acme.com
type site struct {
	*rig.Rig
	api        *scim.API
	shop       client.Client
	acme, evil org.ID
	people     map[string]identity.User
	tokens     map[string]string
}

func newSite(t testing.TB, d *db.DB) *site {
	t.Helper()
	r := rig.New(t, d)
	log := slog.New(slog.DiscardHandler)
	s := &site{Rig: r, api: &scim.API{Provision: r.Provision, Log: log}, people: map[string]identity.User{}, tokens: map[string]string{}}
	s.shop = r.Client("Shop", func(c *client.Client) { c.SecretHash = client.HashSecret(r.Key, secret) })
	km := &keymaster.API{
		SignIn: r.SignIn, OAuth: r.OAuth, Self: r.Self, Admin: r.Admin, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: log, Issuers: []string{rig.Base},
	}
	op := &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: log, Issuers: []string{rig.Base}, Cookie: keymaster.Cookie,
		Message: func(w http.ResponseWriter, _ *http.Request, status int, title, text string) {
			wire.Write(w, status, "text/plain", []byte(title+"\n"+text))
		},
	}
	r.Mount(s.api.Routes(), s.api.MethodNotAllowed)
	r.Mount(op.Routes(), nil)
	r.Mount(km.Routes(), km.MethodNotAllowed)
	r.NotFound(s.api.NotFound)

	for name, email := range map[string]string{
		"boss": "boss@acme.com", "jane": "jane@acme.com", "guest": "guest@elsewhere.example", "mallory": "mallory@evil.example", "bob": "bob@other.example",
	} {
		s.people[name] = r.User(email, name, password, s.shop)
	}
	s.acme = s.found("acme", "boss", "acme.com", "contoso.example")
	s.evil = s.found("evil", "mallory", "evil.example")
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		for _, name := range []string{"jane", "guest"} {
			if _, _, err := org.Join(ctx, tx, s.acme, s.people[name].ID, org.Member, r.Now()); err != nil {
				return err
			}
		}
		_, err := org.Claim(ctx, tx, s.evil, "acme.com", r.Now())
		return err
	})
	s.tokens["acme"], s.tokens["evil"] = s.token(s.acme), s.token(s.evil)
	return s
}

// found makes an organization with an owner and verified domains.
func (s *site) found(slug, owner string, domains ...string) (id org.ID) {
	s.Write(func(ctx context.Context, tx *db.Tx) error {
		seat, err := org.Found(ctx, tx, org.Org{Slug: slug, Name: slug}, s.people[owner].ID, s.Now())
		if err != nil {
			return err
		}
		id = seat.OrgID
		for _, name := range domains {
			if _, err := org.Claim(ctx, tx, id, name, s.Now()); err != nil {
				return err
			}
			if err := org.Verify(ctx, tx, id, name, s.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return id
}

func (s *site) token(id org.ID) (raw string) {
	s.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		raw, _, err = directory.MakeToken(ctx, tx, id, s.Now())
		return err
	})
	return raw
}

// rules gives acme a connection whose rules give roles for groups.
func (s *site) rules() {
	s.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := sso.Set(ctx, tx, s.Key, sso.Connection{
			OrgID: s.acme, Kind: sso.OIDC, Provider: sso.Okta, Enabled: true, Issuer: "https://acme.okta.example", ClientID: "x",
			Roles: []sso.RoleRule{
				{Claim: "groups", Value: "Administrators", Role: org.Admin},
				{Claim: "groups", Value: "Managers", Client: s.shop.ID, ClientRole: "manager"},
				{Claim: "department", Value: "sales", Role: org.Member},
			},
		}, s.Now())
		return err
	})
}

func (s *site) stage(*testing.T) transcript.Stage {
	vars := map[string]string{
		"acme": s.tokens["acme"], "evil": s.tokens["evil"], "password": password, "secret": secret, "verifier": verifier, "challenge": challenge,
		"shop": string(s.shop.ID), "base": rig.Base,
	}
	for name, u := range s.people {
		vars[name] = string(u.ID)
	}
	return transcript.Stage{Host: s, Vars: vars, Hooks: s.hooks()}
}

// hooks are what "@ run" calls.
func (s *site) hooks() map[string]func(*testing.T, map[string]string) {
	do := func(fn func(context.Context, *db.Tx) error) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) { s.Write(fn) }
	}
	hooks := map[string]func(*testing.T, map[string]string){
		"rules":           func(*testing.T, map[string]string) { s.rules() },
		"switch evil off": do(func(ctx context.Context, tx *db.Tx) error { return directory.Disable(ctx, tx, s.evil) }),
		"lose the domain": do(func(ctx context.Context, tx *db.Tx) error { return org.Disclaim(ctx, tx, s.acme, "acme.com") }),
		"a minute's requests": do(func(ctx context.Context, tx *db.Tx) error { // each costs 20 ms (package limit)
			_, err := tx.Exec(ctx, `UPDATE limits SET tat = $1`, db.At(s.Now().Add(time.Minute)))
			return err
		}),
		"suspend the organization": do(func(ctx context.Context, tx *db.Tx) error {
			o, err := org.ByID(ctx, tx, s.acme)
			if err != nil {
				return err
			}
			o.Status = org.Suspended
			return org.Update(ctx, tx, o, s.Now())
		}),
	}
	for name, want := range map[string][]string{
		"jane": {"admin user", "admin user manager", "member user manager", "none user", "member user"}, "boss": {"owner user"},
	} {
		for _, roles := range want {
			hooks["role of "+name+" is "+roles] = func(t *testing.T, _ map[string]string) {
				if got := s.roles(name); got != roles {
					t.Fatalf("%s is %s, want %s", name, got, roles)
				}
			}
		}
	}
	return hooks
}

// roles are somebody's role in acme, or none, and those in the shop.
func (s *site) roles(name string) string {
	all := "none"
	s.Write(func(ctx context.Context, tx *db.Tx) error {
		u := s.people[name].ID
		if m, err := org.MembershipOf(ctx, tx, s.acme, u); err == nil {
			all = string(m.Role)
		} else if !errors.Is(err, db.ErrNotFound) {
			return err
		}
		places, err := client.EnrolmentsOf(ctx, tx, u)
		for _, e := range places[u] {
			all += " " + strings.Join(e.Roles, " ")
		}
		return err
	})
	return all
}

func TestTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return newSite(t, dbtest.SQLite(t)).stage(t) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return newSite(t, dbtest.Postgres(t)).stage(t) })
	})
}

func TestEveryRouteHasATranscript(t *testing.T) {
	transcript.Coverage(t, new(scim.API).Routes(), "testdata")
}
