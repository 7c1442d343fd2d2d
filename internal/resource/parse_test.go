package resource

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/reference"
	"sallyport/internal/yaml"
)

// parsed parses text with the tests' environment and returns every line that
// was said, mistakes or else warnings.
func parsed(t *testing.T, text string, dev bool) (mistakes, warnings string) {
	t.Helper()
	source := reference.Source{
		Getenv:   func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		ReadFile: func(string) ([]byte, error) { return nil, errors.New("no such file") },
	}
	f, err := Parse("r.yaml", []byte(text), ParseOptions{Secrets: source, Dev: dev})
	if err != nil {
		if _, ok := errors.AsType[*yaml.Mistakes](err); !ok {
			t.Fatalf("got %v, want *yaml.Mistakes", err)
		}
		return err.Error(), ""
	}
	var lines []string
	for _, w := range f.Warnings {
		lines = append(lines, w.String())
	}
	return "", strings.Join(lines, "\n")
}

func TestParseReportsEveryMistakeByLine(t *testing.T) {
	t.Parallel()
	const text = `tenants:
  - {slug: "a b", name: ""}
  - {slug: acme, name: Acme, password: {min_length: 4}}
  - {slug: acme, name: Acme}
clientz: []
clients:
  - key: a
    name: A
    redirect_uris: [http://example.com/cb, https://a.example/cb#x, https://a.example/cb, https://a.example/cb]
    post_logout_redirect_uris: [/out]
    allowed_origins: [https://a.example/path, "*"]
    registration: sometimes
    methods: [password, "two words"]
    second_factor: maybe
    access_token: {lifetime: 0s, alg: none}
    refresh_token: {lifetime: soon, idle: 500ms, reuse_grace: 1ms}
    linking: always
    issuer: http://issuer.example
    links: {magic_link: "javascript:alert(1)", invite: /join}
    roles: {available: [user, user], default: [boss]}
    grants: [implicit, client_credentials]
    profile: mine
    pkce: optional
    jwks_uri: http://a.example/jwks
    backchannel_logout_uri: https://192.168.1.1/out
    branding: {color: blue, logo_url: "data:image/png,x"}
    password: {min_length: 7}
    colour: red
  - {key: a, id: not-a-uuid}
  - {key: 7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11, name: B, grants: [client_credentials]}
  - {key: c, name: C, access_token: {alg: HS256}}
  - {key: d, name: D, access_token: {alg: HS256, secret: short}, tenant: nobody, console: true}
  - {key: e, name: E, access_token: {alg: RS256, secret: "0123456789abcdef0123456789abcdef"}, secret: env:NOT_SET}
  - {key: f, name: F, secret: file:/nowhere, jwks: {keys: []}}
  - {key: g, name: 12, secret: ""}
users:
  - {email: nobody}
  - {email: jane@example.com, password: short, password_hash: "$2b$04$x"}
  - {email: Jane@example.com, password_hash: "md5$x", totp_secret: "not base32!", status: gone}
  - email: otto@example.com
    enrolments: [{client: zzz}, {client: a, roles: [boss], status: lost}, {client: a}]
    memberships: [{org: acme, role: king}, {org: nowhere}]
  - {email_verified: "yes"}
invites:
  - {client: a, email: x@example.com, role: boss}
  - {client: c, email: y@example.com}
  - {client: c, email: Y@example.com}
  - {org: globex, email: z@example.com, role: boss}
surfaces:
  oidc: {registration: maybe, resources: [not-a-url]}
  keymaster: {console_client: nobody}
  accountmaker: {}
  snooplytics: {client: a, completion_url: ftp://x, cookie_prefix: "a b", key_prefix: ba, error_profile: loud}
  tofu: {client: who, google: "two words"}
  hackillinois: {client: whom, login: no, linkedin: x, legacy_tokens_until: soon, staff_domain: "-", admins: [Nobody]}
upstreams:
  - {key: google, kind: google}
orgs:
  - {slug: acme, parent: b2}
  - {slug: -x, name: X, status: gone, picture: "http://x.example/p", parent: zzz, tenant: zzz, domains: [{name: "no domain"}, {name: acme.com}, {name: Acme.com, verified: true}]}
  - {slug: b2, name: B, parent: acme, tenant: acme, policy: {sign_in: never}, sso: {kind: oidc}, domains: [{name: acme.com, verified: true}]}
  - {slug: acme, name: A}
`
	const want = `r.yaml:2: tenants[0].slug: must be 1 to 64 letters, digits, '-', '_' or '.', and begin with a letter or digit
r.yaml:2: tenants[0].name: is missing
r.yaml:3: tenants[1].password.min_length: must be at least 8
r.yaml:4: tenants[2].slug: "acme" is the slug of another tenant in this file
r.yaml:5: clientz: unknown key; did you mean "clients"?
r.yaml:9: clients[0].redirect_uris[0]: must be an absolute URI without fragment: https, http on a loopback host, or an application's own scheme with a dot
r.yaml:9: clients[0].redirect_uris[1]: must be an absolute URI without fragment: https, http on a loopback host, or an application's own scheme with a dot
r.yaml:9: clients[0].redirect_uris[3]: "https://a.example/cb" is on line 9 already
r.yaml:10: clients[0].post_logout_redirect_uris[0]: must be an absolute URI without fragment: https, http on a loopback host, or an application's own scheme with a dot
r.yaml:11: clients[0].allowed_origins[0]: must be an origin such as https://app.example.com, without a path
r.yaml:11: clients[0].allowed_origins[1]: must be an origin such as https://app.example.com, without a path
r.yaml:12: clients[0].registration: must be open, approval or invite, not "sometimes"
r.yaml:13: clients[0].methods[1]: must be one of our own methods (password, magic_link, email_code, passkey) or the key of an upstream
r.yaml:14: clients[0].second_factor: must be optional or required, not "maybe"
r.yaml:15: clients[0].access_token.alg: must be RS256, ES256, EdDSA or HS256, not "none"
r.yaml:15: clients[0].access_token.lifetime: must be at least 1s
r.yaml:16: clients[0].refresh_token.lifetime: duration "soon": write it like 90s, 15m, 720h or 30d
r.yaml:16: clients[0].refresh_token.idle: must be at least 1s
r.yaml:16: clients[0].refresh_token.reuse_grace: must be 0s or at least 1s
r.yaml:17: clients[0].linking: must be verified_email or never, not "always"
r.yaml:18: clients[0].issuer: must be an https URL without query and fragment (http on a loopback host)
r.yaml:19: clients[0].links.magic_link: must be the address of a page: https, http on a loopback host, or an application's own scheme with a dot
r.yaml:19: clients[0].links.invite: must be the address of a page: https, http on a loopback host, or an application's own scheme with a dot
r.yaml:20: clients[0].roles.available[1]: "user" is on line 20 already
r.yaml:20: clients[0].roles.default[0]: "boss" is not one of the available roles (user, user)
r.yaml:21: clients[0].grants[0]: must be authorization_code, refresh_token or client_credentials, or the full URN of another grant type
r.yaml:21: clients[0].grants[1]: a client that signs in for itself needs a secret, or a token_endpoint_auth_method without one
r.yaml:22: clients[0].profile: must be default or fapi2, not "mine"
r.yaml:23: clients[0].pkce: only a client that authenticates may go without PKCE
r.yaml:24: clients[0].jwks_uri: must be an https URL without user information and fragment (http on a loopback host that outbound_allow covers)
r.yaml:25: clients[0].backchannel_logout_uri: is in a private network (192.168.1.1); outbound_allow must cover it
r.yaml:26: clients[0].branding.color: must be a colour such as "#2d5bff"
r.yaml:26: clients[0].branding.logo_url: must be an https URL (http on a loopback host)
r.yaml:27: clients[0].password.min_length: must be at least 8
r.yaml:28: clients[0].colour: unknown key
r.yaml:29: clients[1].id: must be a UUID such as 7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11
r.yaml:29: clients[1].key: "a" is the key of another client in this file
r.yaml:29: clients[1].name: is missing
r.yaml:30: clients[2].key: a key that is a UUID must be the client's own id
r.yaml:30: clients[2].grants[0]: a client that signs in for itself needs a secret, or a token_endpoint_auth_method without one
r.yaml:31: clients[3].access_token: HS256 needs access_token.secret, which signs the tokens
r.yaml:32: clients[4].tenant: no tenant in this file has the slug "nobody"
r.yaml:32: clients[4].access_token.secret: must have at least 32 bytes to sign with HS256
r.yaml:33: clients[5].secret: the environment variable NOT_SET is not set
r.yaml:33: clients[5].access_token.secret: only HS256 signs with a secret
r.yaml:34: clients[6].secret: cannot read a secret's file: no such file
r.yaml:35: clients[7].name: must be text; put 12 in quotes
r.yaml:35: clients[7].secret: is empty; leave the key out, or name the secret as in env:NAME
r.yaml:37: users[0].email: "nobody" is not an e-mail address
r.yaml:38: users[1].password_hash: stands beside password; leave one of them out
r.yaml:38: users[1].password: must have at least 8 characters
r.yaml:38: users[1].password_hash: is of no known format, or costs more than is taken
r.yaml:39: users[2].email: "jane@example.com" is on line 38 already
r.yaml:39: users[2].status: must be active, suspended or disabled, not "gone"
r.yaml:39: users[2].password_hash: is of no known format, or costs more than is taken
r.yaml:39: users[2].totp_secret: must be base32 (A to Z and 2 to 7) of 10 to 64 bytes
r.yaml:41: users[3].enrolments[0].client: no client in this file has the key "zzz"
r.yaml:41: users[3].enrolments[1].status: must be active, pending or suspended, not "lost"
r.yaml:41: users[3].enrolments[1].roles[0]: "boss" is not one of the available roles (user, user)
r.yaml:41: users[3].enrolments[2].client: "a" is on line 41 already
r.yaml:42: users[3].memberships[0].role: must be owner, admin, member or viewer, not "king"
r.yaml:42: users[3].memberships[1].org: no organization in this file has the slug "nowhere"
r.yaml:43: users[4].email_verified: must be true or false, not text
r.yaml:43: users[4].email: is missing
r.yaml:45: invites[0].role: "boss" is not one of the available roles (user, user)
r.yaml:47: invites[2]: "c y@example.com" is on line 46 already
r.yaml:48: invites[3].role: must be owner, admin, member or viewer, not "boss"
r.yaml:48: invites[3].org: no organization in this file has the slug "globex"
r.yaml:50: surfaces.oidc.registration: must be open, token or off, not "maybe"
r.yaml:50: surfaces.oidc.resources[0]: must be an https URL without fragment (http on a loopback host)
r.yaml:51: surfaces.keymaster.console_client: no client in this file has the key "nobody"
r.yaml:52: surfaces.accountmaker.default_client: is missing
r.yaml:53: surfaces.snooplytics.completion_url: must be an https URL without fragment (http on a loopback host)
r.yaml:53: surfaces.snooplytics.cookie_prefix: must be up to 40 letters, digits, - and _
r.yaml:53: surfaces.snooplytics.key_prefix: must be 1 to 15 letters and digits, and _ at the end
r.yaml:53: surfaces.snooplytics.error_profile: must be reference or guide, not "loud"
r.yaml:54: surfaces.tofu.client: no client in this file has the key "who"
r.yaml:54: surfaces.tofu.google: must be 1 to 64 letters, digits, '-', '_' or '.', and begin with a letter or digit
r.yaml:55: surfaces.hackillinois.client: no client in this file has the key "whom"
r.yaml:55: surfaces.hackillinois.login: must be brokered or pass_through, not "no"
r.yaml:55: surfaces.hackillinois.linkedin: must be openid or legacy, not "x"
r.yaml:55: surfaces.hackillinois.legacy_tokens_until: must be a date such as 2026-01-31
r.yaml:55: surfaces.hackillinois.staff_domain: must be a domain such as example.com
r.yaml:55: surfaces.hackillinois.admins[0]: must be an e-mail address in lower case
r.yaml:57: upstreams[0].client_id: is missing, or has white space at an end
r.yaml:57: upstreams[0].client_secret: is missing
r.yaml:59: orgs[0].name: is missing
r.yaml:59: orgs[0].parent: is above itself
r.yaml:60: orgs[1].slug: must be 2 to 63 lower-case letters, digits and single hyphens between them
r.yaml:60: orgs[1].picture: must be an https URL (http on a loopback host)
r.yaml:60: orgs[1].status: must be active, trial, past_due, suspended or closed, not "gone"
r.yaml:60: orgs[1].parent: no organization in this file has the slug "zzz"
r.yaml:60: orgs[1].tenant: no tenant in this file has the slug "zzz"
r.yaml:60: orgs[1].tenant: stands beside parent; leave one of them out
r.yaml:60: orgs[1].domains[0].name: "no domain" is not a domain that mail is sent to
r.yaml:60: orgs[1].domains[2].name: "acme.com" is on line 60 already
r.yaml:61: orgs[2].tenant: stands beside parent; leave one of them out
r.yaml:61: orgs[2].policy.sign_in: must be any, mfa or sso, not "never"
r.yaml:61: orgs[2].sso.issuer: is missing
r.yaml:61: orgs[2].sso.client_id: is missing, or has white space at an end
r.yaml:61: orgs[2].sso.client_secret: is missing
r.yaml:61: orgs[2].domains[0].name: "acme.com" is on line 60 already
r.yaml:61: orgs[2].parent: is above itself
r.yaml:62: orgs[3].slug: "acme" is on line 59 already`
	got, _ := parsed(t, text, true)
	if got == want {
		return
	}
	has, wants := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(has), len(wants)) {
		h, w := "", ""
		if i < len(has) {
			h = has[i]
		}
		if i < len(wants) {
			w = wants[i]
		}
		if h != w {
			t.Fatalf("line %d:\ngot  %s\nwant %s\n\nall:\n%s", i+1, h, w, got)
		}
	}
}

func TestParseWarns(t *testing.T) {
	t.Parallel()
	const text = `clients:
  - {key: a, name: A, secret: tiny, methods: [google], access_token: {lifetime: 30s}, refresh_token: {reuse_grace: 2m}, password: {require_digit: true}}
  - {key: h, name: H, access_token: {alg: HS256, secret: env:HACK_SECRET}, roles: {available: [user]}}
users:
  - {email: jane@example.com, password: a-long-password-without-number, enrolments: [{client: a}]}
  - {email: otto@example.com, password: password123}
surfaces: {keymaster: {console_client: h}}
`
	const want = `r.yaml:2: clients[0].secret: the secret stands in the file; write env:NAME or file:PATH instead
r.yaml:2: clients[0].secret: is short; a client's secret should have 16 characters or more
r.yaml:2: clients[0].access_token.lifetime: 30s is less than a minute
r.yaml:2: clients[0].refresh_token.reuse_grace: a stolen refresh token works beside the real one for 2m0s
r.yaml:2: clients[0].methods[0]: no upstream has the key "google"; nobody is signed in by it
r.yaml:5: users[0].password: the secret stands in the file; write env:NAME or file:PATH instead
r.yaml:5: users[0].password: does not meet the password policy of the user's clients
r.yaml:6: users[1].password: the secret stands in the file; write env:NAME or file:PATH instead
r.yaml:6: users[1].password: is a common or breached password, or the user's own name or address
r.yaml:7: surfaces.keymaster.console_client: the client "h" has no role admin, so nobody can become an operator`
	mistakes, warnings := parsed(t, text, false)
	if mistakes != "" || warnings != want {
		t.Errorf("mistakes:\n%s\nwarnings:\n%s\nwant:\n%s", mistakes, warnings, want)
	}
	if _, warnings := parsed(t, text, true); strings.Contains(warnings, "stands in the file") {
		t.Errorf("a playground was warned of literal secrets:\n%s", warnings)
	}
}

func TestParseCountsThePolicyOfTheUsersClients(t *testing.T) {
	t.Parallel()
	const text = `tenants: [{slug: t, name: T, password: {min_length: 20}}]
clients: [{key: a, name: A, tenant: t, password: {min_length: 10}}]
users:
  - {email: jane@example.com, password: fifteen-letters, enrolments: [{client: a}]}
  - {email: otto@example.com, password: fifteen-letters}
`
	const want = `r.yaml:4: users[0].password: must have at least 20 characters`
	if got, _ := parsed(t, text, true); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestParseOfNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "clients: []\nupstreams: []\norgs:\n"} {
		if got, _ := parsed(t, text, false); got != "" {
			t.Errorf("%q: got %s", text, got)
		}
	}
	if got, _ := parsed(t, "- a list\n", false); !strings.Contains(got, "must be a mapping") {
		t.Errorf("a list: got %s", got)
	}
	if got, _ := parsed(t, strings.Repeat("#", MaxFile+1), false); !strings.Contains(got, "larger than") {
		t.Errorf("a huge file: got %s", got)
	}
}

// FuzzParse wants mistakes or a file, never a panic, and no mistake that shows
// a secret.
func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add("clients: [{key: a, name: A, secret: hidden-literal}]\nusers: [{email: a@b.example, password: hidden-literal}]")
	f.Add("users: [{email: a@b.example, totp_secret: [x], password: {a: b}}]")
	f.Fuzz(func(t *testing.T, text string) {
		source := reference.Source{Getenv: func(string) (string, bool) { return "hidden-in-the-environment", true },
			ReadFile: func(string) ([]byte, error) { return []byte("hidden-in-a-file"), nil }}
		_, err := Parse("r.yaml", []byte(text), ParseOptions{Secrets: source})
		if err == nil {
			return
		}
		if _, ok := errors.AsType[*yaml.Mistakes](err); !ok {
			t.Fatalf("got %v, want *yaml.Mistakes", err)
		}
		if !strings.Contains(text, "hidden") && strings.Contains(err.Error(), "hidden-in") {
			t.Fatalf("shows a secret: %v", err)
		}
	})
}
