package resource

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/reference"
	"sallyport/internal/upstream"
	"sallyport/internal/yaml"
)

// upstreams are one of each kind, with every setting in one of them.
const upstreams = `upstreams:
  - {key: google, kind: google, client_id: x, client_secret: env:GOOGLE_SECRET, hosted_domains: [acme.com]}
  - {key: github, kind: github, client_id: x, client_secret: env:GITHUB_SECRET, base_url: "http://localhost:4001", scopes: ["user:email"]}
  - {key: linkedin, kind: linkedin, client_id: x, client_secret: env:GITHUB_SECRET}
  - {key: microsoft, kind: microsoft, client_id: x, client_secret: env:GITHUB_SECRET, tenant: organizations,
     tenants: [72f988bf-86f1-41af-91ab-2d7cd011db47], trust_email: true, email_domains: [acme.com]}
  - {key: apple, kind: apple, client_id: x, client_secret: env:APPLE_KEY, team_id: TEAM123456, key_id: KEY1234567}
  - {key: okta, kind: okta, client_id: x, client_secret: env:GITHUB_SECRET, issuer: "https://acme.okta.example/oauth2/default"}
  - {key: workos, kind: workos, client_id: x, client_secret: env:GITHUB_SECRET, mode: sso, connection: conn_1}
  - {key: authkit, kind: workos, client_id: x, client_secret: env:GITHUB_SECRET, provider: authkit, organization: org_1}
  - {key: corp, kind: oidc, name: Corp, issuer: "https://login.corp.example", client_id: x, client_secret: env:CORP}
  - key: forge
    kind: oauth2
    client_id: x
    client_secret: env:GITHUB_SECRET
    authorization_endpoint: https://forge.example/oauth/authorize
    token_endpoint: https://forge.example/oauth/token
    userinfo_endpoint: https://forge.example/api/user
    members: {subject: id, email: mail, email_verified: confirmed, name: full_name, username: login, picture: avatar}
`

const appleKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIc3Xr0wEdqK/IME3
tX1uC/WmtueqZEOz1a0a8YbsTwehRANCAASMMrl1uQE36TxLypXJ3DcgjfXQSpIK
6tP1U7sne9ts1qnk68EPpoAmxxvVyPg1wyUQ6pchuCe71pwfd3FcicLG
-----END PRIVATE KEY-----
`

// upstreamStage is a stage that knows the secrets of the upstreams.
func upstreamStage(t *testing.T, d *db.DB) *stage {
	s := newStage(t, d)
	s.env["GOOGLE_SECRET"], s.env["GITHUB_SECRET"], s.env["CORP"], s.env["APPLE_KEY"] = "google-secret", "github-secret", "corp-secret", appleKey
	return s
}

func (s *stage) upstream(key string) upstream.Upstream {
	s.t.Helper()
	var u upstream.Upstream
	err := s.DB.Read(s.t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = upstream.ByKey(ctx, tx, s.Key, key)
		return err
	})
	if err != nil {
		s.t.Fatalf("upstream %s: %v", key, err)
	}
	return u
}

func TestUpstreamsArePlannedAppliedAndPulled(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := upstreamStage(t, d)
		if got := s.apply(upstreams, Options{}); len(got) != 10 || got[0].Action != Create || got[0].Kind != "upstream" {
			t.Errorf("apply: %+v", got)
		}
		text := s.settled("all kinds")
		for _, want := range []string{"client_secret: env:CORP", "hosted_domains:", "email_verified: confirmed", "team_id: TEAM123456", "base_url: http://localhost:4001"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
		if strings.Contains(text, "#   ") || strings.Contains(text, "corp-secret") {
			t.Errorf("pulled:\n%s", text)
		}
		if u := s.upstream("corp"); u.Kind != upstream.OIDC || u.Secret.Reveal() != "corp-secret" || u.Settings.Issuer != "https://login.corp.example" || u.Settings.Name != "Corp" {
			t.Errorf("stored %+v", u)
		}
		if n := strings.Count(strings.Join(s.actions(), " "), "upstream.created"); n != 10 {
			t.Errorf("audited %v", s.actions())
		}
	})
}

// A change is told by the names of the file, a secret by that it is another; and
// a secret is nowhere in the database as it is.
func TestUpstreamChanges(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := upstreamStage(t, d)
		s.apply(upstreams, Options{})
		for _, c := range []struct {
			old, next string
			want      []Field
		}{
			{"name: Corp", "name: Corporation", []Field{{"name", "Corp", "Corporation"}}},
			{"hosted_domains: [acme.com]", "hosted_domains: [acme.com, acme.org]", []Field{{"hosted_domains", "acme.com", "acme.com, acme.org"}}},
			{"tenants: [72f988bf-86f1-41af-91ab-2d7cd011db47], trust_email: true, ", "", []Field{{"trust_email", "true", "false"}, {"tenants", "72f988bf-86f1-41af-91ab-2d7cd011db47", ""}}},
			{"picture: avatar", "picture: face", []Field{{"members.picture", "avatar", "face"}}},
			{"client_secret: env:CORP", "client_secret: env:GOOGLE_SECRET", []Field{{"client_secret", "(set)", "(another)"}}},
		} {
			got := s.plan(strings.Replace(upstreams, c.old, c.next, 1), false)
			if len(got) != 1 || got[0].Action != Update || !slices.Equal(got[0].Fields, c.want) {
				t.Errorf("%s: got %+v, want %+v", c.next, got, c.want)
			}
		}
		s.apply(strings.Replace(upstreams, "env:CORP", "env:GOOGLE_SECRET", 1), Options{})
		if u := s.upstream("corp"); u.Secret.Reveal() != "google-secret" {
			t.Error("the secret was not changed")
		}
		audited, err := json.Marshal(s.apply(upstreams, Options{}))
		if err != nil || strings.Contains(string(audited), "corp-secret") {
			t.Errorf("the change shows the secret: %s, %v", audited, err)
		}
	})
}

// One that its file called by no reference is pulled as the stored one, which
// stays; another kind is not given it.
func TestStoredSecretOfAnUpstream(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := upstreamStage(t, d)
		const literal = "upstreams: [{key: corp, kind: oidc, issuer: \"https://login.corp.example\", client_id: x, client_secret: hush-hush}]\n"
		s.apply(literal, Options{})
		text := s.settled("a literal secret")
		if !strings.Contains(text, "client_secret: stored") || strings.Contains(text, "hush") {
			t.Errorf("pulled:\n%s", text)
		}
		if u := s.upstream("corp"); u.Secret.Reveal() != "hush-hush" {
			t.Error("the stored secret is gone")
		}
		for _, other := range []string{
			strings.Replace(text, "kind: oidc", "kind: okta", 1),
			strings.Replace(text, "key: corp", "key: other", 1),
		} {
			if _, err := s.Plan(s.t.Context(), s.parse(other), false); err == nil || !strings.Contains(err.Error(), "there is no stored secret") {
				t.Errorf("got %v for\n%s", err, other)
			}
		}
	})
}

func TestUpstreamsArePruned(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := upstreamStage(t, d)
		s.apply(upstreams, Options{})
		wantNothing(t, "without the option", s.apply("", Options{}))
		got := s.apply("upstreams: [{key: google, kind: google, client_id: x, client_secret: env:GOOGLE_SECRET, hosted_domains: [acme.com]}]", Options{Prune: true})
		if len(got) != 9 || slices.ContainsFunc(got, func(c Change) bool { return c.Action != Delete || c.Name == "google" }) {
			t.Errorf("got %+v", got)
		}
		if s.upstream("google").Key != "google" {
			t.Error("the one that is named is gone")
		}
		s.settled("after pruning")
	})
}

func TestParseTellsMistakesOfUpstreams(t *testing.T) {
	t.Parallel()
	const text = `clients: [{key: a, name: A}]
upstreams:
  - {key: google, kind: google, client_id: x, client_secret: s, tenant: common, mode: sso, members: {subject: id}}
  - {key: google, kind: gogle, client_id: x, client_secret: s}
  - {key: password, kind: github, client_id: x, client_secret: s, issuer: "http://example.com"}
  - {key: "two words", kind: oidc, client_secret: env:NOT_THERE}
  - {key: ms, kind: microsoft, client_id: x, client_secret: s, trust_email: true, tenants: [acme], tenant: a/b}
  - {key: apple, kind: apple, client_id: x, client_secret: s}
  - {key: wo, kind: workos, client_id: x, client_secret: s, mode: sso}
  - {key: wo2, kind: workos, client_id: x, client_secret: s, mode: saml}
  - {key: o2, kind: oauth2, client_id: x, client_secret: s, authorization_endpoint: "https://a/?x=1"}
  - {key: corp, kind: oidc, issuer: "https://a.example", client_id: x, client_secret: s, scopes: [email, "a b"], email_domains: [Acme.com], name: " x"}
  - {kind: okta, client_id: x, client_secret: s}
  - {key: ms2, kind: microsoft, client_id: x, client_secret: s, trust_email: true, email_domains: [acme.com], tenant: organizations}
`
	const want = `r.yaml:3: upstreams[0].tenant: is not for kind google
r.yaml:3: upstreams[0].mode: is not for kind google
r.yaml:3: upstreams[0].members: is not for kind google
r.yaml:4: upstreams[1].key: "google" is on line 3 already
r.yaml:4: upstreams[1].kind: must be google, github, linkedin, microsoft, apple, okta, workos, oidc or oauth2
r.yaml:5: upstreams[2].key: "password" is a method of our own; choose another key
r.yaml:5: upstreams[2].issuer: must be an https URL without query and fragment (http on a loopback host)
r.yaml:6: upstreams[3].key: must be 1 to 64 letters, digits, '-', '_' or '.', and begin with a letter or digit
r.yaml:6: upstreams[3].client_id: is missing, or has white space at an end
r.yaml:6: upstreams[3].issuer: is missing`
	got, _ := parsed(t, text, true)
	lines := strings.Split(got, "\n")
	if !strings.HasPrefix(got, want[:strings.Index(want, "r.yaml:6")]) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, one := range append(strings.Split(want, "\n"),
		"r.yaml:7: upstreams[4].trust_email: needs email_domains: any tenant may write any address",
		"r.yaml:7: upstreams[4].tenants[0]: must be a tenant's id in lower case",
		"r.yaml:7: upstreams[4].tenant: must be common, organizations, consumers, a tenant's id, or its domain",
		"r.yaml:8: upstreams[5].team_id: is missing",
		"r.yaml:8: upstreams[5].key_id: is missing",
		"r.yaml:8: upstreams[5].client_secret: must be the private key from Apple: PKCS #8 in PEM, ECDSA on P-256",
		"r.yaml:9: upstreams[6].mode: sso needs one of connection, organization and provider",
		"r.yaml:10: upstreams[7].mode: must be user_management or sso",
		"r.yaml:11: upstreams[8].authorization_endpoint: must be an https URL without query and fragment (http on a loopback host)",
		"r.yaml:11: upstreams[8].token_endpoint: is missing",
		"r.yaml:11: upstreams[8].userinfo_endpoint: is missing",
		"r.yaml:12: upstreams[9].scopes: must have openid among them",
		"r.yaml:12: upstreams[9].scopes[1]: must be one scope (RFC 6749 §3.3)",
		"r.yaml:12: upstreams[9].email_domains[0]: must be a domain in lower case, such as example.com",
		"r.yaml:12: upstreams[9].name: must be one line of printable text of at most 200 characters",
		"r.yaml:13: upstreams[10].key: is missing",
		"r.yaml:13: upstreams[10].issuer: is missing",
		"r.yaml:14: upstreams[11].trust_email: needs tenants, or one tenant: any other may write an address of these domains",
	) {
		if !slices.Contains(lines, one) {
			t.Errorf("missing: %s", one)
		}
	}
	if n := len(lines); n != 10+18+1 { // and the secret that is not there
		t.Errorf("%d mistakes:\n%s", n, got)
	}
	if _, err := Parse("r.yaml", []byte("upstreams: {}"), ParseOptions{}); err == nil {
		t.Error("a mapping is no list")
	} else if _, ok := errors.AsType[*yaml.Mistakes](err); !ok {
		t.Errorf("got %v", err)
	}
}

func TestParseWarnsOfUpstreamsThatAreNotThere(t *testing.T) {
	t.Parallel()
	const text = `clients: [{key: a, name: A, methods: [google, nobody]}]
upstreams: [{key: google, kind: google, client_id: x, client_secret: s}]
`
	const want = `r.yaml:1: clients[0].methods[1]: no upstream has the key "nobody"; nobody is signed in by it`
	if mistakes, warnings := parsed(t, text, true); mistakes != "" || warnings != want {
		t.Errorf("mistakes:\n%s\nwarnings:\n%s\nwant:\n%s", mistakes, warnings, want)
	}
}

// A client that no longer wants tokens kept has none kept; one that asks for half
// of what it takes is told.
func TestKeptTokensGoWithTheWish(t *testing.T) {
	t.Parallel()
	_, warnings := parsed(t, `clients:
  - {key: a, name: A, keep_upstream_tokens: true}
  - {key: b, name: B, scopes: [upstream_token]}
  - {key: c, name: C, scopes: [upstream_token], keep_upstream_tokens: true}
`, true)
	if n := strings.Count(warnings, "keep_upstream_tokens: tokens of upstreams"); n != 2 {
		t.Errorf("%d warnings:\n%s", n, warnings)
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := upstreamStage(t, d)
		const text = upstreams + `clients: [{key: app, name: App, methods: [google], scopes: [upstream_token], keep_upstream_tokens: true}]
users: [{email: jane@example.com, email_verified: true, display_name: Jane Doe}]
`
		s.apply(text, Options{})
		jane := s.user("jane@example.com").ID
		s.write(func(ctx context.Context, tx *db.Tx) error {
			p := upstream.Profile{Upstream: "google", Issuer: "https://accounts.google.com", Subject: "1", Tokens: upstream.Tokens{Access: "at"}}
			if err := identity.AddLink(ctx, tx, identity.Link{Issuer: p.Issuer, Subject: p.Subject, UserID: jane, Upstream: "google"}); err != nil {
				return err
			}
			return upstream.Keep(ctx, tx, s.Key, s.byKey("app"), jane, p, s.Now())
		})
		s.apply(strings.Replace(text, "name: App", "name: My app", 1), Options{})
		if n := s.count("kept_tokens"); n != 1 {
			t.Errorf("%d sets of tokens after another change", n)
		}
		s.apply(strings.Replace(text, ", keep_upstream_tokens: true", "", 1), Options{})
		if n := s.count("kept_tokens"); n != 0 {
			t.Errorf("%d sets of tokens that nobody wants", n)
		}
	})
}

// The examples of docs/upstreams.md are files that can be applied.
func TestExamplesOfThePage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/upstreams.md")
	if err != nil {
		t.Fatal(err)
	}
	source := reference.Source{
		Getenv:   func(string) (string, bool) { return "a-secret-of-the-example", true },
		ReadFile: func(string) ([]byte, error) { return []byte(appleKey), nil },
	}
	examples := strings.Split(string(raw), "```yaml\n")[1:]
	for _, e := range examples {
		text, _, _ := strings.Cut(e, "```")
		f, err := Parse("page.yaml", []byte(text), ParseOptions{Secrets: source})
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		for _, w := range f.Warnings {
			t.Errorf("%s in\n%s", w, text)
		}
	}
	if len(examples) < len(upstream.Kinds()) {
		t.Errorf("%d examples", len(examples))
	}
}
