package resource

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
)

// acmeSSO is the organization of the design, with an own provider and a mapped role.
const acmeSSO = `clients: [{key: demo, name: Demo, roles: {available: [user, manager], default: [user]}}]
orgs:
  - slug: acme-corp
    name: Acme Corporation
    domains: [{name: acme.com, verified: true}]
    sso: {kind: oidc, provider: okta, issuer: "https://acme.okta.example", client_id: x, client_secret: env:ACME,
      roles: [{claim: groups, value: chiefs, role: admin, client: demo, client_role: manager}]}
    policy: {sign_in: sso, break_glass: false}
`

func ssoStage(t *testing.T, d *db.DB) *stage {
	s := newStage(t, d)
	s.env["ACME"], s.env["OTHER"] = "acme-secret", "other-secret"
	return s
}

// connection reads an organization with its connection, nil for none.
func (s *stage) connection(slug string) (o org.Org, c *sso.Connection) {
	s.t.Helper()
	s.read(func(ctx context.Context, tx *db.Tx) error {
		var err error
		if o, err = org.BySlug(ctx, tx, slug); err != nil {
			return err
		}
		if stored, err := sso.ByOrg(ctx, tx, s.Key, o.ID); err == nil {
			c = &stored
		}
		return nil
	})
	return o, c
}

func TestConnectionOfAFile(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := ssoStage(t, d)
		s.apply(acmeSSO, Options{})
		o, c := s.connection("acme-corp")
		if o.SignIn != org.SignInSSO || o.BreakGlass {
			t.Errorf("policy: %+v", o)
		}
		if c == nil || !c.Enabled || !c.JIT || c.Kind != sso.OIDC || c.Provider != sso.Okta || c.Issuer != "https://acme.okta.example" || c.Secret != "acme-secret" ||
			!slices.Equal(c.Scopes, []string{"openid", "profile", "email"}) {
			t.Fatalf("connection: %+v", c)
		}
		if want := (sso.RoleRule{Claim: "groups", Value: "chiefs", Role: org.Admin, Client: s.client("demo").ID, ClientRole: "manager"}); !slices.Equal(c.Roles, []sso.RoleRule{want}) {
			t.Errorf("roles: %+v", c.Roles)
		}
		s.settled("all of it")
		s.apply(acmeSSO, Options{}) // once more changes nothing
		if _, again := s.connection("acme-corp"); again.Revision != 1 || !again.UpdatedAt.Equal(c.UpdatedAt) {
			t.Errorf("applied again: %+v", again)
		}
		if text := s.pull(); !strings.Contains(text, "client_secret: env:ACME") || !strings.Contains(text, "client_role: manager") || strings.Contains(text, "acme-secret") {
			t.Errorf("pulled:\n%s", text)
		}

		// Another secret, and then one that is not named any more.
		s.apply(strings.ReplaceAll(acmeSSO, "env:ACME", "env:OTHER"), Options{})
		if _, c := s.connection("acme-corp"); c.Secret != "other-secret" || c.Revision != 1 {
			t.Errorf("another secret: %+v", c)
		}
		s.apply(strings.ReplaceAll(acmeSSO, "env:ACME", "stored"), Options{})
		s.refused(strings.ReplaceAll(strings.ReplaceAll(acmeSSO, "env:ACME", "stored"), "acme.okta", "evil.okta"), false,
			"orgs[0].sso.client_secret: there is no stored secret for this issuer")

		s.refused(strings.ReplaceAll(acmeSSO, "kind: oidc", "enabled: false, kind: oidc"), false, "orgs[0].policy.sign_in: needs an sso that is on")

		// What the file names no more stays, unless pruned; so does the policy.
		bare := "clients: [{key: demo, name: Demo}]\norgs: [{slug: acme-corp, name: Acme Corporation, domains: [{name: acme.com, verified: true}]}]\n"
		s.apply(bare, Options{})
		if o, c := s.connection("acme-corp"); c == nil || o.SignIn != org.SignInSSO {
			t.Errorf("left out: %+v %+v", o, c)
		}
		s.refused(bare, true, "orgs[0].policy.sign_in: is sso")
		s.apply(strings.Replace(bare, "name: Acme Corporation", "name: Acme Corporation, policy: {sign_in: any}", 1), Options{Prune: true})
		if _, c := s.connection("acme-corp"); c != nil {
			t.Errorf("pruned: %+v", c)
		}
	})
}

func TestConnectionThatSomebodyElseMadeIsNotPruned(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := ssoStage(t, d)
		const bare = "orgs: [{slug: acme-corp, name: Acme}]\n"
		s.apply(bare, Options{})
		o, _ := s.connection("acme-corp")
		s.write(func(ctx context.Context, tx *db.Tx) error {
			_, err := sso.Set(ctx, tx, s.Key, sso.Connection{OrgID: o.ID, Kind: sso.OIDC, Provider: sso.Okta, Issuer: "https://theirs.example", ClientID: "x", Secret: "theirs"}, s.Now())
			return err
		})
		s.apply(bare, Options{Prune: true})
		if _, c := s.connection("acme-corp"); c == nil {
			t.Error("a connection that the file never had is gone")
		}
		s.settled("a connection of somebody else's")
	})
}

func TestSAMLConnectionOfAFile(t *testing.T) {
	t.Parallel()
	pair, err := saml.NewKeyPair("idp", time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	file := `orgs:
  - slug: acme
    name: Acme
    sso:
      kind: saml
      provider: adfs
      enabled: false
      issuer: urn:acme:idp
      sign_on_url: https://idp.acme.example/sso
      sign_on_binding: post
      logout_url: https://idp.acme.example/slo
      certificates: ["` + base64.StdEncoding.EncodeToString(pair.Certificate) + `"]
      attributes: {email: mail, groups: memberOf}
      sign_requests: true
`
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := ssoStage(t, d)
		s.apply(file, Options{})
		_, c := s.connection("acme")
		if c == nil || c.Kind != sso.SAML || c.Enabled || c.SignOnBinding != saml.Post || len(c.Certificates) != 1 || c.Attributes.Groups != "memberOf" || len(c.Keys) != 1 {
			t.Fatalf("connection: %+v", c)
		}
		s.settled("a SAML connection")
		s.apply(strings.ReplaceAll(file, "/slo", "/logout"), Options{})
		if _, again := s.connection("acme"); again.LogoutURL != "https://idp.acme.example/logout" || len(again.Keys) != 1 || !slices.Equal(again.Keys[0].Certificate, c.Keys[0].Certificate) {
			t.Errorf("our keys changed with their address: %+v", again)
		}
	})
}

func TestConnectionMistakes(t *testing.T) {
	t.Parallel()
	const head = "clients: [{key: demo, name: Demo, roles: {available: [user], default: [user]}}]\norgs:\n"
	entry := func(s string) string { return head + "  - {slug: acme, name: A, sso: {" + s + "}}\n" }
	const good = `kind: oidc, issuer: "https://i.example", client_id: x, client_secret: s`
	s := ssoStage(t, dbtest.SQLite(t))
	for text, want := range map[string]string{
		entry(`provider: okta`):                                                                    "orgs[0].sso.kind: is missing",
		entry(`kind: ldap, issuer: "https://i.example"`):                                           "orgs[0].sso.kind: must be oidc or saml",
		entry(`kind: oidc, client_id: x, client_secret: s`):                                        "orgs[0].sso.issuer: is missing",
		entry(`kind: oidc, issuer: "https://i.example"`):                                           "orgs[0].sso.client_id: is missing",
		entry(good + `, scopes: [email]`):                                                          "orgs[0].sso.scopes: must have openid among them",
		entry(good + `, sign_on_url: "https://x.example"`):                                         "orgs[0].sso.sign_on_url: is not for kind oidc",
		entry(good + `, provider: "Not a name"`):                                                   "orgs[0].sso.provider: must be a short name",
		entry(good + `, roles: [{claim: groups}]`):                                                 "orgs[0].sso.roles[0].value: is missing",
		entry(good + `, roles: [{claim: a, value: b}]`):                                            "orgs[0].sso.roles[0]: gives neither role nor client_role",
		entry(good + `, roles: [{claim: a, value: b, role: owner}]`):                               "orgs[0].sso.roles[0].role: must be admin, member or viewer",
		entry(good + `, roles: [{claim: a, value: b, client_role: user}]`):                         "orgs[0].sso.roles[0].client_role: stands beside client",
		entry(good + `, roles: [{claim: a, value: b, client: nobody, client_role: user}]`):         "orgs[0].sso.roles[0].client: no client in this file has the key \"nobody\"",
		entry(good + `, roles: [{claim: a, value: b, client: demo, client_role: king}]`):           "orgs[0].sso.roles[0].client_role: the client has no role \"king\"",
		entry(`kind: oidc, issuer: "https://accounts.google.com", client_id: x, client_secret: s`): "orgs[0].sso.provider: must be google for this issuer",
		entry(`kind: oidc, provider: azure_ad, issuer: "https://login.microsoftonline.com/common/v2.0", client_id: x, client_secret: s`): "orgs[0].sso.issuer: must be that of one tenant",
		entry(`kind: oidc, issuer: "https://login.microsoftonline.com/t/v2.0", client_id: x, client_secret: s`):                          "orgs[0].sso.provider: must be azure_ad for this issuer",
		entry(`kind: saml, issuer: "urn:x", certificates: [AAAA]`):                                                                       "orgs[0].sso.sign_on_url: is missing",
		entry(`kind: saml, issuer: "urn:x", sign_on_url: "https://x.example"`):                                                           "orgs[0].sso.certificates: is missing",
		entry(`kind: saml, issuer: "urn:x", sign_on_url: "https://x.example", certificates: [AAAA]`):                                     "orgs[0].sso.certificates[0]: is not a certificate",
		entry(`kind: saml, issuer: "urn:x", sign_on_url: "https://x.example", client_id: x`):                                             "orgs[0].sso.client_id: is not for kind saml",
		head + "  - {slug: acme, name: A, policy: {sign_in: never}}\n":                                                                   "orgs[0].policy.sign_in: must be any, mfa or sso",
		head + "  - {slug: acme, name: A, policy: {sign_in: sso}}\n":                                                                     "orgs[0].policy.sign_in: needs an sso that is on and a domain that is verified",
		head + "  - {slug: acme, name: A, policy: {sign_in: sso}, sso: {" + good + "}}\n":                                                "orgs[0].policy.sign_in: needs an sso that is on and a domain that is verified",
	} {
		s.refused(text, false, want)
	}
}
