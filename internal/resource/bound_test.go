package resource

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// bare says as little as the surfaces tofu and hackillinois work with.
const bare = `
clients:
  - {key: tofu, name: Tofu, access_token: {secret: env:TOFU_SECRET}}
  - {key: hack, name: HackIllinois, redirect_uris: [https://hack.example.com/auth/], access_token: {secret: env:HACK_SECRET}}
  - {key: am, name: AccountMaker}
upstreams:
  - {key: gh, kind: github, client_id: x, client_secret: env:UPSTREAM}
  - {key: goog, kind: google, client_id: x, client_secret: env:UPSTREAM}
  - {key: okta, kind: okta, issuer: https://acme.okta.example, client_id: x, client_secret: env:UPSTREAM}
surfaces:
  tofu: {client: tofu, google: goog}
  hackillinois: {client: hack}
  accountmaker: {default_client: am}
`

// A client that is bound to a surface behaves as that surface's contract says
// where the file says nothing (tofu §3, §8; hackillinois §2.1, §3, §5.4, §9).
func TestBoundClientsBehaveAsTheContractSays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(bare, Options{})
		tofu, hack, am := s.client("tofu").Policy, s.client("hack").Policy, s.client("am").Policy
		for _, c := range []struct{ got, want any }{
			{tofu.AccessToken, client.AccessToken{Lifetime: client.Duration(5 * time.Minute), Alg: jwks.HS256}},
			{tofu.RefreshToken.Lifetime, client.Duration(24 * time.Hour)},
			{tofu.Methods, []string{"password", "goog"}},
			{tofu.Registration, client.Open},
			{tofu.Linking, ""},
			{hack.AccessToken, client.AccessToken{Lifetime: client.Duration(168 * time.Hour), Alg: jwks.HS256}},
			{hack.Methods, []string{"gh", "goog"}},
			{hack.Registration, client.Open},
			{hack.Linking, "never"},
			{hack.Roles.Default, []string{"User"}},
			{len(hack.Roles.Available), 8},
			{am.RefreshToken, client.RefreshToken{Lifetime: client.Duration(14 * 24 * time.Hour), ReuseGrace: client.Duration(10 * time.Second)}},
			{am.AccessToken.Lifetime, client.Duration(time.Hour)},
			{[]bool{am.Accounts, am.MagicLinkExisting, am.MagicLinkNewest, am.StrictCSRF}, []bool{true, true, true, false}},
			{am.Password, client.PasswordPolicy{
				MinLength: 8, MaxLength: 128, RequireUppercase: true, RequireLowercase: true, RequireDigit: true, RequireSymbol: true, RefuseEmail: true,
			}},
		} {
			if !reflect.DeepEqual(c.got, c.want) {
				t.Errorf("got %+v, want %+v", c.got, c.want)
			}
		}
		var got Surfaces
		s.read(func(ctx context.Context, tx *db.Tx) (err error) { got, err = SurfacesOf(ctx, tx); return err })
		if want := (Tofu{Client: string(s.byKey("tofu")), Google: "goog", AppendSlash: "redirect", LogoutRevokesRefresh: new(true),
			PasswordRequiresNoMFA: new(true), RequireVerifiedEmail: new(true), PKCE: "optional"}); !reflect.DeepEqual(*got.Tofu, want) {
			t.Errorf("tofu: got %s", marshal(got.Tofu))
		}
		if want := (HackIllinois{Client: string(s.byKey("hack")), Upstreams: HackUpstreams{GitHub: "gh", Google: "goog"}, Login: "brokered",
			Impersonation: new(true), LinkedIn: "openid", GrantBy: []string{"github", "google"}, DropGrants: new(true),
			RenewFor: client.Duration(30 * 24 * time.Hour)}); !reflect.DeepEqual(*got.HackIllinois, want) {
			t.Errorf("hackillinois: got %s", marshal(got.HackIllinois))
		}
		s.settled("what the surfaces filled in")
	})
}

// What is written wins over what a surface would have.
func TestWrittenWinsOverWhatASurfaceHas(t *testing.T) {
	t.Parallel()
	s := newStage(t, dbtest.SQLite(t))
	s.apply(strings.NewReplacer(
		"secret: env:TOFU_SECRET}", "alg: EdDSA, lifetime: 15m}, registration: invite, methods: [password, goog]",
		"hack.example.com/auth/],", "hack.example.com/auth/], linking: verified_email, methods: [gh], roles: {available: [a], default: []},",
		"name: AccountMaker", "name: AccountMaker, accounts: false, magic_link_newest: false, refresh_token: {reuse_grace: 0s}, password: {min_length: 10}",
	).Replace(bare), Options{})
	tofu, hack := s.client("tofu").Policy, s.client("hack").Policy
	if tofu.AccessToken.Alg != jwks.EdDSA || tofu.AccessToken.Lifetime.D() != 15*time.Minute || tofu.Registration != client.Invite {
		t.Errorf("tofu: got %+v", tofu)
	}
	if hack.Linking != "verified_email" || !reflect.DeepEqual(hack.Methods, []string{"gh"}) || !reflect.DeepEqual(hack.Roles.Available, []string{"a"}) {
		t.Errorf("hack: got %+v", hack)
	}
	if am := s.client("am").Policy; am.Accounts || am.MagicLinkNewest || !am.MagicLinkExisting || am.RefreshToken.ReuseGrace != 0 ||
		am.Password != (client.PasswordPolicy{MinLength: 10}) {
		t.Errorf("am: got %+v", am)
	}
	s.settled("what was written")
}

func TestParseRefusesSurfacesThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new, want string }{
		{"secret: env:TOFU_SECRET", "lifetime: 5m", `r.yaml:3: clients[0].access_token: HS256, which the surface tofu has unless another alg is named, needs access_token.secret, which signs the tokens`},
		{"env:HACK_SECRET", "too-short-to-sign", `r.yaml:4: clients[1].access_token.secret: must have at least 32 bytes to sign with HS256`},
		{"env:HACK_SECRET", "secret_string_secret_string_secret_string", `r.yaml:4: clients[1].access_token.secret: is a secret that everybody knows; make one with: openssl rand -base64 48`},
		{"env:TOFU_SECRET", "django-insecure-h3k1j5h13kj5h13kj5h1k3j5h1k3j5h", `r.yaml:3: clients[0].access_token.secret: is the SECRET_KEY that Django wrote into settings.py, and whoever has read that could sign in as anybody; ` +
			`SECRET_KEY can stay: make a key for tokens alone with: openssl rand -base64 48, write it here, and in the backend as SIMPLE_JWT["SIGNING_KEY"]`},
		{"env:HACK_SECRET", "env:HACK_SECRET, previous_secret: short", `r.yaml:4: clients[1].access_token.previous_secret: must have at least 32 bytes to sign with HS256`},
		{"env:HACK_SECRET", "env:HACK_SECRET, previous_secret: env:HACK_SECRET", `r.yaml:4: clients[1].access_token.previous_secret: is the secret itself; leave it out`},
		{"{secret: env:HACK_SECRET}", "{alg: ES256, previous_secret: env:HACK_OLD}", `r.yaml:4: clients[1].access_token.previous_secret: stands beside access_token.secret, which is missing`},
		{"redirect_uris: [https://hack.example.com/auth/], ", "", `r.yaml:12: surfaces.hackillinois.client: the client "hack" needs redirect_uris, of which the first is the default`},
		{"google: goog", "google: nobody", `r.yaml:11: surfaces.tofu.google: no upstream in this file has the key "nobody"`},
		{"google: goog", "okta: goog", `r.yaml:11: surfaces.tofu.okta: the upstream "goog" is of kind google, not okta`},
		{"name: Tofu,", "name: Tofu, methods: [password],", `r.yaml:11: surfaces.tofu.google: the client "tofu" does not have "goog" among its methods`},
		{"client: hack", "client: tofu", `r.yaml:12: surfaces.hackillinois.client: the client "tofu" is bound to the surface tofu; give each a client of its own`},
		{"client: hack", "client: hack, upstreams: {linkedin: gh}", `r.yaml:12: surfaces.hackillinois.upstreams.linkedin: the upstream "gh" is of kind github, not linkedin`},
		{"client: hack", "client: hack, login: pass_through, pass_through: [google]", `r.yaml:12: surfaces.hackillinois.pass_through: login is pass_through for every provider already`},
		{"client: hack", "client: hack, services: [nobody]", `r.yaml:12: surfaces.hackillinois.services[0]: no client in this file has the key "nobody"`},
		{"client: hack", "client: hack, services: [am]", `r.yaml:12: surfaces.hackillinois.services[0]: the client "am" has no secret to prove itself by`},
		{"{secret: env:HACK_SECRET}", "{alg: ES256}", `r.yaml:12: surfaces.hackillinois.client: the client "hack" must sign with HS256: whoever verifies these tokens knows nothing else`},
		{"client: hack", "client: hack, pass_through: [apple]", `r.yaml:12: surfaces.hackillinois.pass_through[0]: must be github, google or linkedin, not "apple"`},
		{"client: hack", "client: hack, grant_by: [okta]", `r.yaml:12: surfaces.hackillinois.grant_by[0]: must be github, google or linkedin, not "okta"`},
		{"client: hack", "client: hack, hosted_domain: '@'", `r.yaml:12: surfaces.hackillinois.hosted_domain: must be a domain such as example.com`},
		{"client: hack", "client: hack, renew_for: 1ms", `r.yaml:12: surfaces.hackillinois.renew_for: must be at least 1s`},
		{"client: hack", "client: hack, debug: true", `r.yaml:12: surfaces.hackillinois.debug: unknown key`},
		{"google: goog", "google: goog, append_slash: never", `r.yaml:11: surfaces.tofu.append_slash: must be redirect or serve, not "never"`},
		{"google: goog", "google: goog, return_to: nowhere", `r.yaml:11: surfaces.tofu.return_to: must be an https URL without fragment (http on a loopback host)`},
		{"google: goog", "google: goog, pkce: maybe", `r.yaml:11: surfaces.tofu.pkce: must be optional or required, not "maybe"`},
	} {
		text := strings.TrimPrefix(strings.Replace(bare, c.old, c.new, 1), "\n")
		// The first line is a comment's place, so that numbers are those of bare.
		if got, _ := parsed(t, "#\n"+text, true); !strings.Contains(got+"\n", c.want+"\n") {
			t.Errorf("%s:\ngot  %s\nwant %s", c.new, got, c.want)
		}
	}
	if got, _ := parsed(t, bare, true); got != "" {
		t.Errorf("bare: got %s", got)
	}
}

// A secret that signed before is good as long as the file names it.
func TestPreviousSecretComesAndGoes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		with := strings.Replace(bare, "env:HACK_SECRET", "env:HACK_SECRET, previous_secret: env:HACK_OLD", 1)
		retired := func() (n int) {
			s.read(func(ctx context.Context, tx *db.Tx) error {
				keys, err := jwks.Load(ctx, tx, s.Key)
				for _, k := range keys {
					if k.State == jwks.Retired && k.ClientID == s.byKey("hack") {
						n++
					}
				}
				return err
			})
			return n
		}
		for _, step := range []struct {
			file string
			want int
		}{{bare, 0}, {with, 1}, {with, 1}, {bare, 0}} {
			s.apply(step.file, Options{})
			if got := retired(); got != step.want {
				t.Errorf("previous secrets: got %d, want %d", got, step.want)
			}
			s.settled("previous secret")
		}
	})
}
