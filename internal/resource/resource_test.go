package resource

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/password"
	"sallyport/internal/reference"
	"sallyport/internal/secret"
	"sallyport/internal/yaml"
)

// stage is a Core over one database, with a clock that the test moves and an
// environment that it fills.
type stage struct {
	*Core
	t   testing.TB
	at  atomic.Int64
	env map[string]string
}

// cheap makes hashing cost nothing that a test would notice.
var cheap = password.Params{Memory: 64, Time: 1, Threads: 1}

func newStage(t testing.TB, d *db.DB) *stage {
	t.Helper()
	k, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, env: maps.Clone(environment)}
	s.at.Store(time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC).UnixMicro())
	s.Core = &Core{DB: d, Now: func() time.Time { return time.UnixMicro(s.at.Load()).UTC() }, Key: k,
		Passwords: password.NewPool(password.PoolOptions{Params: cheap, Queue: 1 << 10, Wait: time.Minute})}
	return s
}

func (s *stage) pass(d time.Duration) { s.at.Add(d.Microseconds()) }

// source is where the stage's files find their secrets.
func (s *stage) source() reference.Source {
	return reference.Source{
		Getenv:   func(name string) (string, bool) { v, ok := s.env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) { return nil, os.ErrNotExist },
	}
}

func (s *stage) parse(text string) *File {
	s.t.Helper()
	f, err := Parse("resources.yaml", []byte(text), ParseOptions{Secrets: s.source(), Dev: true})
	if err != nil {
		s.t.Fatalf("parse:\n%v\nof:\n%s", err, text)
	}
	return f
}

// apply applies a file and reports the changes that were made.
func (s *stage) apply(text string, o Options) []Change {
	s.t.Helper()
	if o.BaseURL == "" {
		o.BaseURL = "https://auth.example.com"
	}
	r, err := s.Apply(s.t.Context(), s.parse(text), o)
	if err != nil {
		s.t.Fatalf("apply: %v\nof:\n%s", err, text)
	}
	return made(r.Changes)
}

func (s *stage) plan(text string, prune bool) []Change {
	s.t.Helper()
	changes, err := s.Plan(s.t.Context(), s.parse(text), prune)
	if err != nil {
		s.t.Fatalf("plan: %v\nof:\n%s", err, text)
	}
	return made(changes)
}

func (s *stage) pull() string {
	s.t.Helper()
	text, err := s.Pull(s.t.Context())
	if err != nil {
		s.t.Fatalf("pull: %v", err)
	}
	return string(text)
}

// refused wants a file to be refused, by Parse or by the database, in words
// that hold each of want.
func (s *stage) refused(text string, prune bool, want ...string) {
	s.t.Helper()
	f, err := Parse("resources.yaml", []byte(text), ParseOptions{Secrets: s.source()})
	if err == nil {
		_, err = s.Plan(s.t.Context(), f, prune)
	}
	if _, ok := errors.AsType[*yaml.Mistakes](err); !ok {
		s.t.Fatalf("got %v, want *yaml.Mistakes", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			s.t.Errorf("got:\n%v\nwant in it: %s", err, w)
		}
	}
}

func (s *stage) read(fn func(ctx context.Context, tx *db.Tx) error) {
	s.t.Helper()
	if err := s.DB.Read(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) write(fn func(ctx context.Context, tx *db.Tx) error) {
	s.t.Helper()
	if err := s.DB.Write(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) client(key string) (c client.Client) {
	s.t.Helper()
	s.read(func(ctx context.Context, tx *db.Tx) (err error) { c, err = client.ByKey(ctx, tx, key); return err })
	return c
}

func (s *stage) user(email string) (u identity.User) {
	s.t.Helper()
	s.read(func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = identity.ByEmail(ctx, tx, email)
		return err
	})
	return u
}

func (s *stage) enrolment(email, key string) (e client.Enrolment) {
	s.t.Helper()
	s.read(func(ctx context.Context, tx *db.Tx) (err error) {
		u, err := identity.ByEmail(ctx, tx, email)
		if err != nil {
			return err
		}
		c, err := client.ByKey(ctx, tx, key)
		if err != nil {
			return err
		}
		e, err = client.EnrolmentOf(ctx, tx, u.ID, c.ID)
		if errors.Is(err, db.ErrNotFound) {
			err = nil
		}
		return err
	})
	return e
}

func (s *stage) passwordIs(email, plain string) bool {
	s.t.Helper()
	ok, _, err := s.Passwords.Verify(s.t.Context(), s.user(email).PasswordHash, plain)
	if err != nil {
		s.t.Fatal(err)
	}
	return ok
}

// count counts the rows of a table.
func (s *stage) count(table string) (n int64) {
	s.t.Helper()
	s.read(func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM `+table)
		return err
	})
	return n
}

// actions are what the audit log says happened, oldest first.
func (s *stage) actions() []string {
	s.t.Helper()
	var all []string
	s.read(func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = db.All(ctx, tx, db.Text, `SELECT action FROM audit ORDER BY id`)
		return err
	})
	return all
}

// tables are all that an apply may write to.
var tables = []string{"tenants", "clients", "client_origins", "users", "emails", "enrolments", "totp", "signing_keys", "invites", "jobs", "audit", "settings"}

func made(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Action == None })
}

// shown is a list of changes as text, for comparing and for messages.
func shown(changes []Change) string {
	b, err := json.MarshalIndent(changes, "", " ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// brief is one line a change: "create client demo".
func brief(changes []Change) string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, string(c.Action)+" "+c.Kind+" "+c.Name)
	}
	return strings.Join(lines, "\n")
}

func wantNothing(t testing.TB, what string, changes []Change) {
	t.Helper()
	if len(changes) != 0 {
		t.Fatalf("%s changes something:\n%s", what, shown(changes))
	}
}

// environment is what the files of the tests refer to.
var environment = map[string]string{
	"DEMO_SECRET":   "the-secret-of-demo-0123456789",
	"HACK_SECRET":   "a-secret-that-signs-tokens-of-hackillinois",
	"HACK_OLD":      "the-secret-that-signed-before-at-hackillinois",
	"TOFU_SECRET":   "a-secret-that-signs-the-tokens-of-tofu",
	"UPSTREAM":      "a-secret-of-ours-at-a-provider",
	"JWT_SECRET":    "a-secret-that-signs-the-assertions-of-signer",
	"JANE_PASSWORD": "jane-keeps-this-to-herself",
	"JANE_TOTP":     "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
	"OLD_HASH":      "$2b$04$abcdefghijklmnopqrstuuWdLOXOHPTyFm1Xxl8vKPLdDKvMhKQ4m",
}

// everything is a file with every key that this version takes.
const everything = `
tenants:
  - {slug: acme, name: Acme Corporation, password: {min_length: 12, require_digit: true}}
clients:
  - key: console
    name: Console
    methods: [password]
    redirect_uris: [https://console.example.com/callback]
    roles: {available: [admin], default: []}
  - key: demo
    id: 7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11
    name: Demo
    tenant: acme
    secret: env:DEMO_SECRET
    redirect_uris: [http://localhost:3000/callback, "com.example.demo:/cb"]
    post_logout_redirect_uris: [http://localhost:3000/]
    allowed_origins: [http://localhost:3000]
    registration: open
    methods: [password, magic_link, email_code, passkey, google, github]
    second_factor: optional
    password: {min_length: 10, require_uppercase: false}
    access_token: {lifetime: 15m, alg: RS256}
    refresh_token: {lifetime: 720h, idle: 24h, reuse_grace: 10s}
    linking: verified_email
    issuer: https://auth.example.com
    audience: demo-api
    links:
      magic_link: https://demo.example.com/magic
      reset_password: https://demo.example.com/#/reset
      verify_email: https://demo.example.com/verify
      invite: https://demo.example.com/join?from=mail
    roles: {available: [user, manager, admin], default: [user]}
    grants: [authorization_code, refresh_token, client_credentials, "urn:ietf:params:oauth:grant-type:device_code"]
    profile: default
    pkce: optional
    jwks_uri: https://demo.example.com/jwks.json
    magic_link_button: true
    backchannel_logout_uri: https://demo.example.com/logout
    branding: {logo_url: https://demo.example.com/logo.png, color: "#9392c7", logo_height: 64}
    bundle_id: com.example.demo
    active: true
    notifications: true
  - key: rooms
    name: Rooms
    password: {min_length: 8, require_uppercase: true, require_lowercase: true, require_digit: true, require_symbol: true, max_length: 128, refuse_email: true}
    access_token: {lifetime: 1h, cookie: {}}
    refresh_token: {lifetime: 14d, reuse_grace: 10s, max_age: 90d, cookie: {name: am_refresh, same_site: none}}
    pkce: plain
    magic_link_existing: true
    magic_link_newest: true
    accounts: true
    verified_email: true
    verify_later: true
    reset_verified: true
    strict_csrf: true
    keep_upstream_tokens: true
    scopes: [upstream_token]
  - key: acme-console
    name: Acme's console
    tenant: acme
    console: true
    roles: {available: [admin], default: []}
  - key: hack
    name: HackIllinois
    redirect_uris: [https://hack.example.com/auth/]
    registration: approval
    methods: [gh, linkedin]
    second_factor: required
    linking: never
    access_token: {lifetime: 1d, alg: HS256, secret: env:HACK_SECRET, previous_secret: env:HACK_OLD}
    pkce: required
  - key: bank
    name: Bank
    redirect_uris: [https://bank.example.com/callback, https://www.bank.example.com/callback]
    access_token: {format: opaque}
    grants: [authorization_code, refresh_token, client_credentials]
    profile: fapi2
    token_endpoint_auth_method: private_key_jwt
    token_endpoint_auth_signing_alg: ES256
    tls_client_auth_subject_dn: CN=bank
    jwks:
      keys:
        - {kty: EC, crv: P-256, kid: "1", use: sig, x: f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU, y: x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0}
    scopes: [accounts:read, payments]
    consent: required
    id_token_signed_response_alg: ES256
    userinfo_signed_response_alg: ES256
    authorization_signed_response_alg: EdDSA
    introspection_signed_response_alg: RS256
    request_object_signing_alg: PS256
    require_signed_request_object: true
    require_pushed_authorization_requests: true
    request_uris: ["https://bank.example.com/request.jwt#abc"]
    subject_type: pairwise
    sector_identifier_uri: https://bank.example.com/sector.json
    dpop_bound_access_tokens: true
    tls_client_certificate_bound_access_tokens: true
    default_max_age: 0
    require_auth_time: true
    default_acr_values: ["2", "1"]
    backchannel_logout_uri: https://bank.example.com/logout
    backchannel_logout_session_required: true
    application_type: web
    client_uri: https://bank.example.com/
    policy_uri: https://bank.example.com/privacy
    tos_uri: https://bank.example.com/terms
    initiate_login_uri: https://bank.example.com/start
  - {key: jwt, name: Signer, secret: env:JWT_SECRET, token_endpoint_auth_method: client_secret_jwt}
  - {key: am, name: AccountMaker}
  - {key: snoop, name: Snooplytics}
  - {key: tofu, name: Tofu, access_token: {secret: env:TOFU_SECRET}}
upstreams:
  - {key: gh, kind: github, client_id: x, client_secret: env:UPSTREAM}
  - {key: google, kind: google, client_id: x, client_secret: env:UPSTREAM, hosted_domains: [example.com]}
  - {key: linkedin, kind: linkedin, client_id: x, client_secret: env:UPSTREAM}
  - {key: okta, kind: okta, issuer: https://acme.okta.example, client_id: x, client_secret: env:UPSTREAM}
  - {key: workos, kind: workos, client_id: x, client_secret: env:UPSTREAM}
users:
  - email: Jane@Example.com
    email_verified: true
    display_name: Jane Mary Doe
    password: env:JANE_PASSWORD
    totp_secret: env:JANE_TOTP
    status: active
    enrolments:
      - {client: demo, roles: [admin], status: active}
      - {client: console, roles: [admin]}
  - email: otto@example.com
    display_name: Otto Normal
    given_name: Otto Karl
    family_name: von Normal
    password_hash: env:OLD_HASH
    status: suspended
    enrolments: [{client: hack, status: pending}]
  - {email: nina@example.com, status: disabled, password_hash: "!unusable"}
invites:
  - {client: demo, email: new@example.com, role: manager}
  - {client: hack, email: New@example.com}
surfaces:
  oidc: {registration: token, client_documents: true, scopes: [notes:read], resources: ["https://api.example.com"]}
  keymaster: {console_client: console}
  accountmaker: {default_client: am}
  snooplytics: {client: snoop, app_url: "https://app.example.com", completion_url: "http://localhost:3030/sso/done", error_url: "https://app.example.com/oops",
                cookie_prefix: snoop, key_prefix: tkn_, error_profile: guide, reveal_passkeys: true, bind_browser: false, reset_ends_keys: true, passkey_domain: example.com}
  tofu: {client: tofu, google: google, okta: okta, workos: workos, append_slash: serve, rotate_refresh: true, logout_revokes_refresh: false,
         proxy_mode: true, password_requires_no_mfa: false, require_verified_email: false, impersonation: true, pkce: required,
         return_to: https://tofu.example.com/bye}
  hackillinois: {client: hack, upstreams: {github: gh}, login: brokered, pass_through: [linkedin], impersonation: false, linkedin: legacy,
                 legacy_tokens_until: "2026-12-31", staff_domain: hackillinois.org, admins: [systems@hackillinois.org],
                 grant_by: [github], hosted_domain: example.com, drop_grants: false, renew_for: 60d, any_role: true, services: [demo]}
`
