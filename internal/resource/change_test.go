package resource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/session"
	"sallyport/internal/token"
	"sallyport/internal/totp"
)

// signIn gives a user a session, a refresh token and an API key in a client.
func (s *stage) signIn(email, key string) {
	s.t.Helper()
	u, c := s.user(email), s.client(key)
	s.write(func(ctx context.Context, tx *db.Tx) error {
		in, _, err := session.Start(ctx, tx, session.Session{UserID: u.ID, AuthenticatedAt: s.Now(), CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)})
		if err != nil {
			return err
		}
		_, err = token.Issue(ctx, tx, s.Key, token.Family{UserID: u.ID, ClientID: c.ID, SessionID: in.ID, CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}, s.Now())
		if err != nil {
			return err
		}
		_, _, err = apikey.Create(ctx, tx, "ba_", apikey.Key{UserID: u.ID, ClientID: c.ID, Name: "Nightly", Metadata: []byte("{}")}, s.Now())
		return err
	})
}

// signedIn is how many sessions, refresh tokens and API keys there are.
func (s *stage) signedIn() string {
	s.t.Helper()
	return fmt.Sprintf("%d sessions, %d families, %d keys", s.count("sessions"), s.count("refresh_families"), s.count("api_keys"))
}

func TestPlanShowsWhatChanges(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(`
clients: [{key: a, name: A, methods: [password], redirect_uris: [https://a.example/cb], secret: env:DEMO_SECRET}]
users: [{email: jane@example.com, display_name: Jane, password: first-password, enrolments: [{client: a}]}]
surfaces: {keymaster: {console_client: a}}
`, Options{})
		text := `
clients:
  - {key: a, name: Ah, methods: [password, magic_link], redirect_uris: [https://a.example/cb]}
  - {key: b, name: B}
users: [{email: jane@example.com, display_name: Jane Doe, password: second-password, totp_secret: env:JANE_TOTP, enrolments: [{client: a, roles: [admin], status: suspended}]}]
surfaces: {keymaster: {console_client: b}}
`
		want := shown([]Change{
			{Action: Update, Kind: "client", Name: "a", Fields: []Field{{"name", "A", "Ah"}, {"methods", "password", "password, magic_link"}, {"secret", "(set)", ""}}},
			{Action: Create, Kind: "client", Name: "b", Fields: s.plan(text, false)[1].Fields},
			{Action: Update, Kind: "surface", Name: "keymaster", Fields: []Field{{"console_client", "a", "b"}}},
			{Action: Update, Kind: "user", Name: "jane@example.com", Fields: []Field{
				{"display_name", "Jane", "Jane Doe"}, {"family_name", "", "Doe"}, {"password", "(set)", "(another)"}, {"totp_secret", "", "(set)"},
				{"enrolments.a", "active [user]", "suspended [admin]"}}},
		})
		before := s.dump()
		if got := shown(s.plan(text, false)); got != want {
			t.Errorf("plan: got %s, want %s", got, want)
		}
		if after := s.dump(); after != before {
			t.Errorf("a plan wrote something: got %s, want %s", after, before)
		}
		if got := shown(s.apply(text, Options{})); got != want {
			t.Errorf("apply: got %s, want %s", got, want)
		}
		if s.client("a").Confidential() || !s.passwordIs("jane@example.com", "second-password") {
			t.Error("a secret is not what the file says")
		}
	})
}

func TestApplyIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		seen := 0
		for _, c := range []struct{ text, want string }{
			{"tenants: [{slug: t, name: T}]\nclients: [{key: a, name: A}]\nusers: [{email: jane@example.com, enrolments: [{client: a}]}]\ninvites: [{client: a, email: x@example.com}]\n",
				"tenant.created client.created user.created user.enrolled invite.created resources.applied"},
			{"tenants: [{slug: t, name: Tee}]\nclients: [{key: a, name: Ah, active: false, secret: env:DEMO_SECRET}]\nusers: [{email: jane@example.com, status: suspended, email_verified: true, password: some-password, totp_secret: env:JANE_TOTP, enrolments: [{client: a, roles: [admin], status: suspended}]}]\n",
				"tenant.updated client.deactivated client.secret_changed user.updated user.suspended user.email_verified user.password_reset user.totp_enabled user.role_changed user.suspended invite.revoked resources.applied"},
			{"tenants: [{slug: t, name: Tee}]\nclients: [{key: a, name: Ah, active: true, secret: env:DEMO_SECRET}]\nusers: [{email: jane@example.com, status: active, enrolments: [{client: a, status: active}]}]\n",
				"client.updated user.updated user.unsuspended user.totp_disabled user.unsuspended resources.applied"},
			{"clients: [{key: a, name: Ah, secret: env:DEMO_SECRET}]\nusers: [{email: jane@example.com}]\n",
				"user.updated user.deleted tenant.deleted resources.applied"},
			{"", "user.deleted client.deleted resources.applied"},
		} {
			s.apply(c.text, Options{Prune: true})
			all := s.actions()
			if got := strings.Join(all[seen:], " "); got != c.want {
				t.Errorf("after\n%s\ngot  %s\nwant %s", c.text, got, c.want)
			}
			seen = len(all)
		}
		var actors []string
		s.read(func(ctx context.Context, tx *db.Tx) (err error) {
			actors, err = db.All(ctx, tx, db.Text, `SELECT DISTINCT actor FROM audit`)
			return err
		})
		if !slices.Equal(actors, []string{"operator:apply"}) {
			t.Errorf("actors: got %v", actors)
		}
	})
}

// TestApplyAnnouncesToWebhooks wants what happens in a client with webhooks to
// be announced, and nothing else.
func TestApplyAnnouncesToWebhooks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		const clients = "clients: [{key: a, name: A}, {key: b, name: B}]\n"
		s.apply(clients+"users: [{email: jane@example.com, enrolments: [{client: a}, {client: b}]}]\n", Options{})
		s.write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE clients SET has_webhooks = $1 WHERE key = 'a'`, true)
			return err
		})
		s.apply(clients+"users: [{email: jane@example.com, enrolments: [{client: a, roles: [admin], status: suspended}, {client: b, roles: [admin]}]}]\n", Options{})
		s.apply(clients, Options{Prune: true})
		var got []string
		s.read(func(ctx context.Context, tx *db.Tx) (err error) {
			got, err = db.All(ctx, tx, db.Text, `SELECT action FROM audit WHERE announce ORDER BY id`)
			return err
		})
		if want := []string{"user.role_changed", "user.suspended", "user.deleted"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestPasswordOfTheFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		const text = "clients: [{key: a, name: A}]\nusers: [{email: jane@example.com, password: env:JANE_PASSWORD}]\n"
		s.apply(text, Options{})
		hash := s.user("jane@example.com").PasswordHash
		s.signIn("jane@example.com", "a")
		s.apply("clients: [{key: a, name: A}]\nusers: [{email: jane@example.com, password: env:JANE_PASSWORD, display_name: Jane}]\n", Options{})
		if got := s.user("jane@example.com").PasswordHash; got != hash || s.signedIn() != "1 sessions, 1 families, 1 keys" {
			t.Errorf("the same password was hashed anew, or signed out: %s", s.signedIn())
		}
		s.env["JANE_PASSWORD"] = "another-password-of-jane"
		s.apply(text, Options{})
		if !s.passwordIs("jane@example.com", "another-password-of-jane") || s.signedIn() != "0 sessions, 0 families, 0 keys" {
			t.Errorf("another password: got %s", s.signedIn())
		}
		// A file that says nothing of a password leaves it.
		s.apply("users: [{email: jane@example.com}]\n", Options{})
		if !s.passwordIs("jane@example.com", "another-password-of-jane") {
			t.Error("the password was taken away")
		}
	})
}

// TestPasswordHashOfTheFile follows a hash that is brought once, while its owner
// goes on.
func TestPasswordHashOfTheFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		const text = "users: [{email: jane@example.com, password_hash: env:OLD_HASH}]\n"
		s.apply(text, Options{})
		rewritten, err := s.Passwords.Hash(t.Context(), "chosen-by-jane")
		if err != nil {
			t.Fatal(err)
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			return identity.ReplacePassword(ctx, tx, s.id(ctx, tx, "jane@example.com"), rewritten, s.Now())
		})
		wantNothing(t, "after a sign-in rewrote the hash", s.plan(text, false))
		wantNothing(t, "an apply", s.apply(text, Options{}))
		s.env["OLD_HASH"] = "$2b$04$abcdefghijklmnopqrstuu0000000000000000000000000000000"
		if got := brief(s.apply(text, Options{})); got != "update user jane@example.com" || s.user("jane@example.com").PasswordHash != s.env["OLD_HASH"] {
			t.Errorf("another hash in the file: got %q", got)
		}
		s.apply("users: [{email: jane@example.com, password_hash: \"!\"}]\n", Options{})
		if s.user("jane@example.com").HasPassword() {
			t.Error("\"!\" left a password")
		}
	})
}

// id is the id of a user, inside a transaction.
func (s *stage) id(ctx context.Context, tx *db.Tx, email string) identity.UserID {
	u, err := identity.ByEmail(ctx, tx, email)
	if err != nil {
		s.t.Error(err)
	}
	return u.ID
}

func TestSecondFactorOfTheFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		enabled := func() (on bool) {
			s.read(func(ctx context.Context, tx *db.Tx) (err error) {
				on, err = totp.Enabled(ctx, tx, s.id(ctx, tx, "jane@example.com"))
				return err
			})
			return on
		}
		own := func() {
			s.write(func(ctx context.Context, tx *db.Tx) error {
				return totp.Import(ctx, tx, s.Key, s.id(ctx, tx, "jane@example.com"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", s.Now())
			})
		}
		const with, without = "users: [{email: jane@example.com, totp_secret: env:JANE_TOTP}]\n", "users: [{email: jane@example.com}]\n"
		s.apply(without, Options{})
		own()
		wantNothing(t, "a file without a second factor", s.apply(without, Options{}))
		if !enabled() {
			t.Error("the user's own second factor was taken away")
		}
		s.apply(with, Options{})
		s.env["JANE_TOTP"] = "jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp"
		wantNothing(t, "the same secret written otherwise", s.plan(with, false))
		s.apply(without, Options{})
		if enabled() {
			t.Error("the second factor that the file had brought stayed when the file dropped it")
		}
		s.apply(with, Options{})
		own()
		wantNothing(t, "a file that drops what its owner has replaced", s.apply(without, Options{}))
		if !enabled() {
			t.Error("the user's own second factor was taken away with the file's")
		}
	})
}

// TestFileLeavesPeopleAlone wants what a file does not say of a user to stay.
func TestFileLeavesPeopleAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		const text = "clients: [{key: a, name: A}, {key: b, name: B}]\nusers: [{email: jane@example.com, enrolments: [{client: a}]}]\n"
		s.apply(text, Options{})
		u, b := s.user("jane@example.com"), s.byKey("b")
		a := s.byKey("a")
		s.write(func(ctx context.Context, tx *db.Tx) error {
			if err := identity.SetName(ctx, tx, u.ID, "Jane Doe", "Jay", "Dee", s.Now()); err != nil {
				return err
			}
			if err := identity.SetStatus(ctx, tx, u.ID, identity.Suspended, s.Now()); err != nil {
				return err
			}
			if _, err := identity.VerifyEmail(ctx, tx, u.ID, u.Email, s.Now()); err != nil {
				return err
			}
			if err := client.SetRoles(ctx, tx, u.ID, a, []string{"admin"}, s.Now()); err != nil {
				return err
			}
			_, err := client.Enrol(ctx, tx, client.Enrolment{UserID: u.ID, ClientID: b, Status: client.Active, CreatedAt: s.Now()})
			return err
		})
		wantNothing(t, "the file", s.apply(text, Options{Prune: true}))
		wantNothing(t, "the display name that is there", s.apply(strings.Replace(text, "enrolments", "display_name: Jane Doe, email_verified: false, enrolments", 1), Options{}))
	})
}

func TestSuspensionSignsOut(t *testing.T) {
	t.Parallel()
	const base = "clients: [{key: a, name: A}, {key: b, name: B}]\nusers:\n  - {email: jane@example.com, status: %s, enrolments: [{client: a, status: %s}, {client: b}]}\n"
	for name, c := range map[string]struct{ user, enrolment, want string }{
		"of the user":         {"suspended", "active", "0 sessions, 0 families, 0 keys"},
		"disabling the user":  {"disabled", "active", "0 sessions, 0 families, 0 keys"},
		"of the enrolment":    {"active", "suspended", "2 sessions, 2 families, 2 keys"}, // kept to be told why
		"pending once more":   {"active", "pending", "2 sessions, 1 families, 2 keys"},
		"nothing of the kind": {"active", "active", "2 sessions, 2 families, 2 keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				s := newStage(t, d)
				s.apply(fmt.Sprintf(base, "active", "active"), Options{})
				s.signIn("jane@example.com", "a")
				s.signIn("jane@example.com", "b")
				s.apply(fmt.Sprintf(base, c.user, c.enrolment), Options{})
				if got := s.signedIn(); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestClientsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply("tenants: [{slug: t, name: T}, {slug: u, name: U}]\nclients: [{key: a, name: A, tenant: t}, {key: b, name: B}]\n", Options{})
		a := s.byKey("a")
		const tenants = "tenants: [{slug: t, name: T}, {slug: u, name: U}]\n"
		s.refused(tenants+"clients: [{key: a, id: "+string(client.NewID())+", name: A, tenant: t}]\n", false,
			"resources.yaml:2: clients[0].id: the client \"a\" has the id "+string(a)+", which cannot be changed")
		s.refused(tenants+"clients: [{key: a, name: A, tenant: u}, {key: b, name: B, tenant: t, console: true}]\n", false,
			"clients[0].tenant: a client stays with its tenant; it is with t", "clients[1].tenant: a client stays with its tenant; it is with none",
			"clients[1].console: whether a client is its tenant's console")
		s.refused(tenants+"clients: [{key: a, name: A, tenant: t, secret: stored}]\n", false, "clients[0].secret: there is no stored secret")
		// With its id a client can get another key.
		if got, want := brief(s.apply("clients: [{key: z, id: "+string(a)+", name: A, tenant: t}, {key: b, name: B}]\n"+tenants, Options{Prune: true})), "update client z"; got != want || s.byKey("z") != a {
			t.Errorf("another key: got %q, want %q", got, want)
		}
	})
}

func TestInvitesOfTheFile(t *testing.T) {
	t.Parallel()
	const clients = "clients: [{key: a, name: A}]\n"
	const text = clients + "invites: [{client: a, email: x@example.com, role: user}]\n"
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(text, Options{})
		if got := s.apply(strings.Replace(text, "role: user", "role: admin", 1), Options{}); brief(got) != "update invite a x@example.com" || !slices.Equal(got[0].Fields, []Field{{"roles", "user", "admin"}}) {
			t.Errorf("another role: got %s", shown(got))
		}
		wantNothing(t, "no role", s.apply(clients+"invites: [{client: a, email: x@example.com}]\n", Options{}))
		s.pass(InviteLifetime)
		if got := brief(s.apply(text, Options{})); got != "create invite a x@example.com" {
			t.Errorf("an expired invitation: got %q", got)
		}
		if got := s.count("jobs"); got != 3 {
			t.Errorf("mails: got %d, want 3", got)
		}
		pending := func(ctx context.Context, tx *db.Tx) string {
			id, err := db.One(ctx, tx, db.Text, `SELECT id FROM invites WHERE status = 'pending'`)
			if err != nil {
				t.Error(err)
			}
			return id
		}
		s.write(func(ctx context.Context, tx *db.Tx) error { return invite.Revoke(ctx, tx, pending(ctx, tx)) })
		wantNothing(t, "a revoked invitation", s.apply(text, Options{}))
		s.apply(clients, Options{Prune: true})
		if got := brief(s.apply(text, Options{})); got != "create invite a x@example.com" {
			t.Errorf("dropped and named again: got %q", got)
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			u := identity.User{ID: identity.NewUserID(), Email: "x@example.com", Status: identity.Active, CreatedAt: s.Now()}
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			return invite.Accept(ctx, tx, pending(ctx, tx), u.ID, s.Now())
		})
		wantNothing(t, "an accepted invitation", s.apply(text, Options{}))
		// Whoever is in is not invited, however they came.
		s.apply(clients+"users: [{email: y@example.com, enrolments: [{client: a}]}]\ninvites: [{client: a, email: y@example.com}]\n", Options{})
		wantNothing(t, "somebody who is in", s.apply(clients+"invites: [{client: a, email: y@example.com}]\n", Options{}))
		if got := s.count("jobs"); got != 4 {
			t.Errorf("mails: got %d, want 4", got)
		}
	})
}
