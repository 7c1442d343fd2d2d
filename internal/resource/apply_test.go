package resource

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/jwks"
	"sallyport/internal/mail"
	"sallyport/internal/totp"
)

func TestApplyStoresEveryKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(everything, Options{})

		demo := s.client("demo")
		want := client.Client{
			ID: "7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11", Key: "demo", Name: "Demo", Active: true, BundleID: "com.example.demo",
			SecretHash: client.HashSecret(s.Key, environment["DEMO_SECRET"]), CreatedAt: s.Now(), UpdatedAt: s.Now(), Tenant: demo.Tenant,
			Policy: client.Policy{
				RedirectURIs:           []string{"http://localhost:3000/callback", "com.example.demo:/cb"},
				PostLogoutRedirectURIs: []string{"http://localhost:3000/"},
				AllowedOrigins:         []string{"http://localhost:3000"},
				Registration:           client.Open,
				Methods:                []string{"password", "magic_link", "email_code", "passkey", "google", "github"},
				SecondFactor:           client.FactorOptional,
				Password:               client.PasswordPolicy{MinLength: 10},
				AccessToken:            client.AccessToken{Lifetime: client.Duration(15 * time.Minute), Alg: "RS256"},
				RefreshToken: client.RefreshToken{Lifetime: client.Duration(720 * time.Hour), Idle: client.Duration(24 * time.Hour),
					ReuseGrace: client.Duration(10 * time.Second)},
				Linking: "verified_email", Issuer: "https://auth.example.com", Audience: "demo-api",
				Links: client.Links{MagicLink: "https://demo.example.com/magic", ResetPassword: "https://demo.example.com/#/reset",
					VerifyEmail: "https://demo.example.com/verify", Invite: "https://demo.example.com/join?from=mail"},
				Roles:                client.Roles{Available: []string{"user", "manager", "admin"}, Default: []string{"user"}},
				Grants:               []string{"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"},
				Profile:              "default",
				PKCE:                 "optional",
				MagicLinkButton:      true,
				JWKSURI:              "https://demo.example.com/jwks.json",
				BackchannelLogoutURI: "https://demo.example.com/logout",
				Branding:             client.Branding{LogoURL: "https://demo.example.com/logo.png", Color: "#9392c7", LogoHeight: 64},
				Notifications:        true,
			},
		}
		if !reflect.DeepEqual(demo, want) {
			t.Errorf("client:\ngot  %+v\nwant %+v", demo, want)
		}
		if got, want := demo.Tenant.Password, (client.PasswordPolicy{MinLength: 12, RequireDigit: true}); demo.Tenant.Slug != "acme" || got != want {
			t.Errorf("tenant: got %+v", demo.Tenant)
		}
		if c := s.client("acme-console"); !c.Console || c.Tenant.ID != demo.Tenant.ID || c.Confidential() {
			t.Errorf("the tenant's console: got %+v", c)
		}
		hack := s.client("hack").Policy
		if hack.Registration != client.Approval || hack.SecondFactor != client.FactorRequired || hack.Linking != "never" || !slices.Equal(hack.Methods, []string{"gh", "linkedin"}) ||
			hack.AccessToken != (client.AccessToken{Lifetime: client.Duration(24 * time.Hour), Alg: "HS256"}) {
			t.Errorf("hack: got %+v", hack)
		}
		if am := s.client("am").Policy; !reflect.DeepEqual(am.Methods, []string{"password"}) || am.Registration != client.Invite ||
			!reflect.DeepEqual(am.Roles, client.Roles{Available: []string{"user", "manager", "admin"}, Default: []string{"user"}}) {
			t.Errorf("defaults of a client: got %+v", am)
		}
		if diff := cmp.Diff(roomsPolicy, s.client("rooms").Policy); diff != "" {
			t.Errorf("rooms (-want +got):\n%s", diff)
		}
		s.wantPeople()
		s.wantSurfaces()
		s.read(func(ctx context.Context, tx *db.Tx) error {
			keys, err := jwks.Load(ctx, tx, s.Key)
			for name, owner := range map[string]string{"HACK_SECRET": "hack active", "HACK_OLD": "hack retired", "JWT_SECRET": "jwt active"} {
				key, state, _ := strings.Cut(owner, " ")
				if !slices.ContainsFunc(keys, func(k jwks.Key) bool {
					return k.ClientID == s.byKey(key) && string(k.State) == state && string(k.Private().([]byte)) == environment[name]
				}) {
					t.Errorf("signing keys: got %v", keys)
				}
			}
			return err
		})
	})
}

// byKey is the id of a client, without a transaction of its own.
func (s *stage) byKey(key string) client.ID {
	s.t.Helper()
	all, err := s.ListClients(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range all {
		if c.Key == key {
			return c.ID
		}
	}
	s.t.Fatalf("no client %s", key)
	return ""
}

func (s *stage) wantPeople() {
	t := s.t
	t.Helper()
	jane, otto, nina := s.user("jane@example.com"), s.user("otto@example.com"), s.user("nina@example.com")
	for _, c := range []struct{ got, want identity.User }{
		{jane, identity.User{Email: "jane@example.com", EmailVerified: true, DisplayName: "Jane Mary Doe", GivenName: "Jane", FamilyName: "Mary Doe", Status: identity.Active}},
		{otto, identity.User{Email: "otto@example.com", DisplayName: "Otto Normal", GivenName: "Otto Karl", FamilyName: "von Normal", Status: identity.Suspended}},
		{nina, identity.User{Email: "nina@example.com", Status: identity.Disabled}},
	} {
		c.want.ID, c.want.PasswordHash, c.want.CreatedAt, c.want.UpdatedAt = c.got.ID, c.got.PasswordHash, s.Now(), s.Now()
		if c.got != c.want {
			t.Errorf("user:\ngot  %+v\nwant %+v", c.got, c.want)
		}
	}
	if !s.passwordIs("jane@example.com", environment["JANE_PASSWORD"]) || otto.PasswordHash != environment["OLD_HASH"] || nina.HasPassword() {
		t.Errorf("passwords: got %q, %q, %q", jane.PasswordHash, otto.PasswordHash, nina.PasswordHash)
	}
	s.read(func(ctx context.Context, tx *db.Tx) error {
		got, err := totp.Export(ctx, tx, s.Key, jane.ID)
		if got != environment["JANE_TOTP"] {
			t.Errorf("second factor: got %q", got)
		}
		return err
	})
	for _, c := range []struct{ email, client, want string }{
		{"jane@example.com", "demo", "active [admin]"}, {"jane@example.com", "console", "active [admin]"}, {"otto@example.com", "hack", "pending [User]"},
	} {
		if got := enrolmentText(s.enrolment(c.email, c.client)); got != c.want {
			t.Errorf("%s in %s: got %s, want %s", c.email, c.client, got, c.want)
		}
	}
}

func (s *stage) wantSurfaces() {
	t := s.t
	t.Helper()
	var got Surfaces
	s.read(func(ctx context.Context, tx *db.Tx) (err error) { got, err = SurfacesOf(ctx, tx); return err })
	want := Surfaces{
		OIDC:         &OIDC{Registration: "token", ClientDocuments: new(true), Scopes: []string{"notes:read"}, Resources: []string{"https://api.example.com"}},
		Keymaster:    &Keymaster{ConsoleClient: string(s.byKey("console"))},
		AccountMaker: &AccountMaker{DefaultClient: string(s.byKey("am"))},
		Snooplytics: &Snooplytics{
			Client: string(s.byKey("snoop")), AppURL: "https://app.example.com", CompletionURL: "http://localhost:3030/sso/done", ErrorURL: "https://app.example.com/oops",
			CookiePrefix: "snoop", KeyPrefix: "tkn_", ErrorProfile: "guide", RevealPasskeys: true, BindBrowser: new(false), ResetEndsKeys: true,
			PasskeyDomain: "example.com",
		},
		Tofu: &Tofu{Client: string(s.byKey("tofu")), Google: "google", Okta: "okta", WorkOS: "workos", AppendSlash: "serve", RotateRefresh: true,
			LogoutRevokesRefresh: new(false), ProxyMode: true, PasswordRequiresNoMFA: new(false), RequireVerifiedEmail: new(false),
			Impersonation: true, PKCE: "required", ReturnTo: "https://tofu.example.com/bye"},
		HackIllinois: &HackIllinois{Client: string(s.byKey("hack")), Upstreams: HackUpstreams{GitHub: "gh", LinkedIn: "linkedin"},
			Login: "brokered", PassThrough: []string{"linkedin"}, Impersonation: new(false), LinkedIn: "legacy",
			LegacyTokensUntil: "2026-12-31", StaffDomain: "hackillinois.org", Admins: []string{"systems@hackillinois.org"},
			GrantBy: []string{"github"}, HostedDomain: "example.com", DropGrants: new(false), RenewFor: client.Duration(60 * 24 * time.Hour), AnyRole: true, Services: []string{"demo"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("surfaces: got %s, want %s", marshal(got), marshal(want))
	}
}

func TestApplyTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		if got := len(s.apply(everything, Options{})); got != 27 {
			t.Errorf("first apply: got %d changes, want 22", got)
		}
		before := s.dump()
		s.pass(time.Hour)
		wantNothing(t, "a plan after the apply", s.plan(everything, true))
		wantNothing(t, "a second apply", s.apply(everything, Options{Prune: true}))
		if after := s.dump(); after != before {
			t.Errorf("a second apply wrote something:\ngot  %s\nwant %s", after, before)
		}
	})
}

// dump is how many rows there are of everything, and what the file owns.
func (s *stage) dump() string {
	s.t.Helper()
	counts := map[string]int64{}
	for _, table := range tables {
		counts[table] = s.count(table)
	}
	var owned string
	s.read(func(ctx context.Context, tx *db.Tx) (err error) { owned, err = readOwned(ctx, tx); return err })
	return marshal(counts) + " " + owned
}

// TestApplyIsAllOrNothing cuts an apply short at each of its steps.
func TestApplyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken on purpose")
	dbtest.EachURL(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		left := -1 // steps before the fault; negative for none
		d, err := db.OpenWith(t.Context(), url, db.Options{Fault: func(db.Step) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == -1 {
				return broken
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if _, err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := newStage(t, d)
		f, empty := s.parse(everything), s.dump()
		cut := 0
		for n := 0; ; n += 3 {
			mu.Lock()
			left = n
			mu.Unlock()
			_, err := s.Apply(t.Context(), f, Options{BaseURL: "https://auth.example.com"})
			if err == nil {
				break
			}
			if !errors.Is(err, broken) {
				t.Fatalf("cut after %d steps: got %v", n, err)
			}
			if got := s.dump(); got != empty && !strings.Contains(got, `"version":1`) {
				t.Fatalf("cut after %d steps: got %s, want %s", n, got, empty)
			}
			if s.count("users") != 0 {
				break // the step was the one after the commit
			}
			cut++
		}
		if cut < 10 {
			t.Errorf("cut short %d times, want many", cut)
		}
		mu.Lock()
		left = -1
		mu.Unlock()
		s.apply(everything, Options{})
		s.wantPeople()
	})
}

func TestApplyRefusesTwoEntriesForOneUser(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply("users:\n  - {email: jane@example.com}\n", Options{})
		s.write(func(ctx context.Context, tx *db.Tx) error {
			u, err := identity.ByEmail(ctx, tx, "jane@example.com")
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO emails (address, user_id, is_primary, created_at) VALUES ('j@example.org', $1, $2, 0)`, u.ID, false)
			return err
		})
		text := "clients: [{key: a, name: A}]\nusers:\n  - {email: new@example.com}\n  - {email: jane@example.com}\n  - {email: j@example.org}\n"
		s.refused(text, false, "resources.yaml:5: users[2].email: jane@example.com and j@example.org are addresses of one user")
		if _, err := s.Apply(t.Context(), s.parse(text), Options{}); err == nil {
			t.Error("applied")
		}
		if got := s.count("users"); got != 1 || s.count("clients") != 0 {
			t.Errorf("got %d users, want the one of before and no client", got)
		}
		wantNothing(t, "a secondary address", s.plan("users: [{email: j@example.org}]", false))
	})
}

func TestSecretsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	secrets := []string{"literal-client-secret-abc", "literal-hs256-secret-that-is-long-enough", "literal-password-xyz", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", environment["OLD_HASH"]}
	text := `
clients:
  - {key: a, name: A, secret: literal-client-secret-abc}
  - {key: h, name: H, access_token: {alg: HS256, secret: literal-hs256-secret-that-is-long-enough}}
users:
  - {email: jane@example.com, password: literal-password-xyz, totp_secret: GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ}
  - {email: otto@example.com, password_hash: env:OLD_HASH}
invites: [{client: a, email: new@example.com}]
`
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		var seen strings.Builder
		f := s.parse(text)
		changes, err := s.Plan(t.Context(), f, false)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Apply(t.Context(), f, Options{NoMail: true, BaseURL: "https://auth.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		seen.WriteString(shown(changes) + shown(r.Changes) + s.pull())
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(b)
		s.read(func(ctx context.Context, tx *db.Tx) error {
			for _, query := range []string{`SELECT detail FROM audit`, `SELECT value FROM settings`, `SELECT policy FROM clients`} {
				rows, err := db.All(ctx, tx, db.Text, query)
				if err != nil {
					return err
				}
				seen.WriteString(strings.Join(rows, "\n"))
			}
			return nil
		})
		if len(r.Invited) != 1 || !strings.Contains(r.Invited[0].Link.Reveal(), "https://auth.example.com/invite?app_id=") {
			t.Fatalf("invited: got %+v", r.Invited)
		}
		_, code, _ := strings.Cut(r.Invited[0].Link.Reveal(), "code=")
		for _, secret := range append(secrets, code) {
			if strings.Contains(seen.String(), secret) {
				t.Errorf("%q is in:\n%s", secret, seen.String())
			}
		}
	})
}

// TestInvitesAreMailedOnce also reads the mail.
func TestInvitesAreMailedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(everything, Options{BaseURL: "https://auth.example.com"})
		var payloads [][]byte
		s.read(func(ctx context.Context, tx *db.Tx) (err error) {
			payloads, err = db.All(ctx, tx, func(r db.Row) (b []byte, err error) { err = r.Scan(&b); return b, err }, `SELECT payload FROM jobs WHERE kind = $1 ORDER BY id`, job.Mail)
			return err
		})
		if len(payloads) != 2 {
			t.Fatalf("got %d mails, want 2", len(payloads))
		}
		for i, want := range []string{
			"https://demo.example.com/join?from=mail&app_id=7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11&code=",
			"https://auth.example.com/invite?app_id=" + string(s.byKey("hack")) + "&code=",
		} {
			m, err := mail.Unpack(s.Key, payloads[i])
			if err != nil {
				t.Fatal(err)
			}
			if m.To != "new@example.com" || !strings.Contains(m.Text, want) {
				t.Errorf("mail %d to %s: got\n%s\nwant in it: %s", i, m.To, m.Text, want)
			}
		}
	})
}

// roomsPolicy is that of the client rooms, which has what others leave out.
var roomsPolicy = client.Policy{
	Registration: client.Invite, Methods: []string{client.MethodPassword}, SecondFactor: client.FactorOptional,
	Password: client.PasswordPolicy{
		MinLength: 8, MaxLength: 128, RequireUppercase: true, RequireLowercase: true, RequireDigit: true, RequireSymbol: true, RefuseEmail: true,
	},
	AccessToken: client.AccessToken{Lifetime: client.Duration(time.Hour), Cookie: &client.Cookie{}},
	RefreshToken: client.RefreshToken{
		Lifetime: client.Duration(14 * 24 * time.Hour), ReuseGrace: client.Duration(10 * time.Second), MaxAge: client.Duration(90 * 24 * time.Hour),
		Cookie: &client.Cookie{Name: "am_refresh", SameSite: "none"},
	},
	MagicLinkExisting: true, MagicLinkNewest: true, Accounts: true, VerifiedEmail: true, VerifyLater: true, ResetVerified: true, StrictCSRF: true,
	KeepUpstreamTokens: true, OAuth: client.OAuth{Scopes: []string{client.ScopeUpstream}},
	PKCE: client.PKCEPlain, Roles: client.Roles{Available: []string{"user", "manager", "admin"}, Default: []string{"user"}},
	Branding: client.Branding{Color: client.DefaultColor, LogoHeight: client.DefaultLogoHeight},
}
