package resource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/jwks"
	"sallyport/internal/totp"
)

// settled wants what Pull writes to change nothing, also when pruned by, and to
// be the same the next time. It returns what Pull wrote.
func (s *stage) settled(when string) string {
	s.t.Helper()
	text := s.pull()
	wantNothing(s.t, when+": a plan of\n"+text, s.plan(text, true))
	wantNothing(s.t, when+": an apply of\n"+text, s.apply(text, Options{Prune: true}))
	if again := s.pull(); again != text {
		s.t.Fatalf("%s: pulled differently after an apply:\ngot\n%s\nwant\n%s", when, again, text)
	}
	return text
}

func TestPullThenPlanChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		if got := s.settled("nothing"); got != "" {
			t.Errorf("an empty database: got %q", got)
		}
		s.apply(everything, Options{})
		text := s.settled("everything")
		for _, want := range []string{
			"secret: env:DEMO_SECRET", "secret: env:HACK_SECRET", "password: env:JANE_PASSWORD", "password_hash: env:OLD_HASH",
			"totp_secret: env:JANE_TOTP", "console_client: console", "key: acme-console", "given_name: Otto Karl",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
		if strings.Contains(text, "#   ") {
			t.Errorf("something was left out of:\n%s", text)
		}
	})
}

// TestPullCarriesToAnotherDatabase applies what was pulled elsewhere: there it
// makes the same things, and pulls the same again.
func TestPullCarriesToAnotherDatabase(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		from, to := newStage(t, dbtest.SQLite(t)), newStage(t, d)
		from.apply(everything, Options{})
		text := from.pull()
		to.apply(text, Options{})
		if got := to.settled("another database"); got != text {
			t.Errorf("got\n%s\nwant\n%s", got, text)
		}
		if got := to.enrolment("jane@example.com", "demo"); enrolmentText(got) != "active [admin]" {
			t.Errorf("enrolment: got %s", enrolmentText(got))
		}
	})
}

// TestPullOfLiteralSecrets wants them left out, named in a comment, and kept.
func TestPullOfLiteralSecrets(t *testing.T) {
	t.Parallel()
	const literal = `
clients:
  - {key: a, name: A, secret: literal-client-secret-abc}
  - {key: h, name: H, access_token: {alg: HS256, secret: literal-hs256-secret-that-is-long-enough}}
users:
  - {email: jane@example.com, password: literal-password-xyz, totp_secret: GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ}
  - {email: otto@example.com, password_hash: "$2b$04$abcdefghijklmnopqrstuuWdLOXOHPTyFm1Xxl8vKPLdDKvMhKQ4m"}
`
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(literal, Options{})
		before := s.client("a")
		text := s.settled("literals")
		for _, want := range []string{"#   client a: secret\n", "#   client h: access_token.secret\n", "#   user jane@example.com: password\n",
			"#   user jane@example.com: totp_secret\n", "#   user otto@example.com: password\n", "secret: stored"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
		if after := s.client("a"); !after.VerifySecret(s.Key, "literal-client-secret-abc") || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("the client's secret was touched")
		}
		if !s.passwordIs("jane@example.com", "literal-password-xyz") {
			t.Error("the password was touched")
		}
		empty := newStage(t, dbtest.SQLite(t))
		empty.refused(text, false, "clients[0].secret: there is no stored secret", "clients[1].access_token.secret: there is no stored secret")
	})
}

// TestPullOfWhatOthersMade wants clients and tenants of the admin API in the
// file, by their ids, and nothing that the file did not bring of people.
func TestPullOfWhatOthersMade(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(everything, Options{})
		other := client.Client{ID: client.NewID(), Name: "Other", Active: false, SecretHash: client.HashSecret(s.Key, "other"), CreatedAt: s.Now(),
			Tenant: client.Tenant{ID: client.TenantID(identity.NewID())},
			Policy: client.Policy{Methods: nil, Roles: client.Roles{Available: []string{"Two words", "a,b", "a, b"}}, Branding: client.Branding{LogoHeight: 12}}}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			err := client.CreateTenant(ctx, tx, client.Tenant{ID: other.Tenant.ID, Slug: "others", Name: "Others", CreatedAt: s.Now()})
			if err != nil {
				return err
			}
			if err := client.Create(ctx, tx, other); err != nil {
				return err
			}
			u := identity.User{ID: identity.NewUserID(), Email: "own@example.com", Status: identity.Active, CreatedAt: s.Now()}
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			jane, err := identity.ByEmail(ctx, tx, "jane@example.com")
			if err != nil {
				return err
			}
			_, err = client.Enrol(ctx, tx, client.Enrolment{UserID: jane.ID, ClientID: other.ID, Status: client.Pending, Roles: []string{"gone", "Two words"}, CreatedAt: s.Now()})
			return err
		})
		text := s.settled("others")
		for _, want := range []string{"key: " + string(other.ID), "slug: others", "#   client " + string(other.ID) + ": secret", "active: false"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
		if strings.Contains(text, "own@example.com") {
			t.Errorf("a user of their own making is in:\n%s", text)
		}
		// An operator takes it over by giving it a key.
		text = strings.Replace(text, "key: "+string(other.ID), "key: other", 1)
		text = strings.ReplaceAll(text, "client: "+string(other.ID), "client: other")
		if got, want := shown(s.apply(text, Options{})), shown([]Change{{Action: Update, Kind: "client", Name: "other", Fields: []Field{{"key", "", "other"}}}}); got != want {
			t.Errorf("taking over: got %s, want %s", got, want)
		}
		s.settled("taken over")
	})
}

// TestPullAfterLifeWentOn changes behind the file's back what people and the
// admin API change.
func TestPullAfterLifeWentOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(everything, Options{})
		demo, jane, otto := s.byKey("demo"), s.user("jane@example.com"), s.user("otto@example.com")
		s.write(func(ctx context.Context, tx *db.Tx) error {
			for _, step := range []func() error{
				func() error { return client.SetSecret(ctx, tx, demo, client.HashSecret(s.Key, "regenerated"), s.Now()) },
				func() error {
					_, err := jwks.SetClientSecret(ctx, tx, s.Key, hackOf(ctx, tx), []byte("another secret of thirty-two bytes or more"), s.Now())
					return err
				},
				func() error {
					return identity.ReplacePassword(ctx, tx, jane.ID, "$2b$04$abcdefghijklmnopqrstuuWdLOXOHPTyFm1Xxl8vKPLdDKvMhKQ4m", s.Now())
				},
				func() error { return identity.ReplacePassword(ctx, tx, otto.ID, "", s.Now()) },
				func() error { return totp.Import(ctx, tx, s.Key, jane.ID, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", s.Now()) },
				func() error { return identity.SetName(ctx, tx, otto.ID, "", "Otto", "", s.Now()) },
				func() error { return identity.SetName(ctx, tx, jane.ID, " a\u202eb ", "a", "b", s.Now()) },
				func() error { return client.SetRoles(ctx, tx, jane.ID, demo, nil, s.Now()) },
				func() error { return client.Remove(ctx, tx, otto.ID, hackOf(ctx, tx)) },
			} {
				if err := step(); err != nil {
					return err
				}
			}
			return nil
		})
		text := s.settled("life")
		if strings.Contains(text, "DEMO_SECRET") || strings.Contains(text, "HACK_SECRET") || strings.Contains(text, "JANE_") {
			t.Errorf("a reference to what is no longer stored is in:\n%s", text)
		}
		s.pass(8 * 24 * time.Hour)
		if strings.Contains(s.settled("expired invitations"), "invites:") {
			t.Error("expired invitations were pulled")
		}
	})
}

func hackOf(ctx context.Context, tx *db.Tx) client.ID {
	c, _ := client.ByKey(ctx, tx, "hack")
	return c.ID
}

// TestRandomFilesSettle applies files at random, one over the other: each is
// idempotent, and what is pulled after it changes nothing.
func TestRandomFilesSettle(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		for seed := range uint64(40) {
			g := generator{rand.New(rand.NewPCG(seed, 1))}
			text, prune := g.file(), g.chance(2)
			planned := s.plan(text, prune)
			done := s.apply(text, Options{Prune: prune})
			if brief(done) != brief(planned) {
				t.Fatalf("seed %d: applied\n%s\nplanned\n%s", seed, brief(done), brief(planned))
			}
			wantNothing(t, fmt.Sprintf("seed %d: a second apply of\n%s", seed, text), s.apply(text, Options{Prune: prune}))
			s.settled(fmt.Sprintf("seed %d", seed))
			s.pass(time.Hour)
		}
	})
}

// generator makes files out of few names, so that they meet each other.
type generator struct{ *rand.Rand }

func (g generator) chance(n int) bool { return g.IntN(n) == 0 }

func (g generator) some(all ...string) string {
	var list []string
	for _, v := range all {
		if g.chance(2) {
			list = append(list, v)
		}
	}
	g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return "[" + strings.Join(list, ", ") + "]"
}

func (g generator) one(all ...string) string { return all[g.IntN(len(all))] }

func (g generator) file() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	maybe := func(format string, args ...any) {
		if g.chance(2) {
			line(format, args...)
		}
	}
	clients := []string{"a", "b", "c", "d"}[g.IntN(4):]
	line("tenants: [{slug: t, name: %s}]\nclients:", g.one("One", "Two"))
	for _, key := range clients {
		line("  - key: %s\n    name: %s", key, g.one("One", `"2 & more: #x"`, "\"\u00fcber\""))
		if key == "a" {
			line("    tenant: t")
		}
		maybe("    secret: %s", g.one("env:DEMO_SECRET", "env:HACK_SECRET", "literal-client-secret"))
		maybe("    methods: %s", g.some("password", "magic_link", "google"))
		maybe("    redirect_uris: %s", g.some("https://a.example/cb", "http://localhost:1/cb", `"com.example:/x"`))
		maybe("    access_token: %s", g.one("{lifetime: 5m}", "{alg: HS256, secret: env:HACK_SECRET}", "{alg: HS256, secret: literal-secret-of-thirty-two-bytes-ok}", "{alg: ES256}"))
		maybe("    refresh_token: {lifetime: %s, reuse_grace: %s}", g.one("1h", "90s", "30d"), g.one("0s", "10s"))
		line("    roles: {available: [user, admin, x], default: %s}", g.some("user", "x"))
		maybe("    registration: %s", g.one("open", "approval", "invite"))
		maybe("    scopes: %s", g.some("read", "write"))
		maybe("    consent: %s", g.one("required", "implicit"))
		maybe("    default_max_age: %s", g.one("0", "3600"))
		maybe("    %s", g.one("jwks: {keys: []}", "jwks_uri: https://a.example/jwks", "jwks: {keys: [{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo, unknown: [1, 2.5, true, null]}]}"))
		maybe("    active: %s", g.one("true", "false"))
		maybe("    branding: {color: %s}", g.one(`"#fff"`, `"#102030"`))
	}
	var orgs []string
	line("orgs:")
	for _, slug := range []string{"o1", "o2", "o3"}[:g.IntN(4)] {
		line("  - slug: %s\n    name: %s", slug, g.one("One", "Two"))
		if slug == "o3" {
			line("    parent: o1")
		}
		maybe("    picture: %s", "https://a.example/o.png")
		maybe("    status: %s", g.one("active", "trial", "suspended"))
		maybe("    domains: [{name: %s.example, verified: %s}, {name: both.example}]", slug, g.one("true", "false"))
		orgs = append(orgs, slug)
	}
	line("users:")
	for _, name := range []string{"u1", "u2", "u3", "u4", "u5"}[g.IntN(5):] {
		line("  - email: %s@example.com", name)
		maybe("    display_name: %s", g.one("One", "One Two Three", `"0"`))
		maybe("    given_name: %s", g.one("Un", `""`))
		maybe("    status: %s", g.one("active", "suspended"))
		maybe("    email_verified: true")
		maybe("    %s", g.one("password: env:JANE_PASSWORD", "password: literal-password", "password_hash: env:OLD_HASH", `password_hash: "!"`))
		maybe("    totp_secret: %s", g.one("env:JANE_TOTP", "GEZDGNBVGY3TQOJQ"))
		line("    enrolments:")
		for _, key := range clients {
			maybe("      - {client: %s, roles: %s, status: %s}", key, g.some("user", "admin", "x"), g.one("active", "pending", "suspended"))
		}
		line("    memberships:")
		for _, slug := range orgs {
			maybe("      - {org: %s, role: %s}", slug, g.one("admin", "member", "viewer"))
		}
	}
	line("invites:")
	for _, key := range clients {
		maybe("  - {client: %s, email: u2@example.com, role: admin}", key)
		maybe("  - {client: %s, email: new@example.com}", key)
	}
	for _, slug := range orgs {
		maybe("  - {org: %s, email: %s@example.com, role: %s}", slug, g.one("u2", "new"), g.one("owner", "member"))
		maybe("  - {org: %s, client: %s, email: newer@example.com}", slug, clients[0])
	}
	line("surfaces:\n  keymaster: {console_client: %s}", clients[0])
	maybe("  snooplytics: {client: %s}", clients[len(clients)-1])
	return b.String()
}

func TestPullWritesPendingInvitesOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply("clients: [{key: a, name: A}]\ninvites: [{client: a, email: x@example.com, role: admin}, {client: a, email: y@example.com}]\n", Options{})
		if text := s.settled("both"); !strings.Contains(text, "x@example.com") || !strings.Contains(text, "role: admin") || !strings.Contains(text, "y@example.com") {
			t.Errorf("got\n%s", text)
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			id, err := db.One(ctx, tx, db.Text, `SELECT id FROM invites WHERE email = 'x@example.com'`)
			if err != nil {
				return err
			}
			return invite.Revoke(ctx, tx, id)
		})
		if text := s.settled("one revoked"); strings.Contains(text, "x@example.com") {
			t.Errorf("got\n%s", text)
		}
	})
}
