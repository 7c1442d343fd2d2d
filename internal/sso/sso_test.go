package sso_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
	"sallyport/internal/upstream"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, d *db.DB, fn func(ctx context.Context, tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestConnectionIsKeptWhole(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		key := newKey(t)
		in := sso.Connection{
			Kind: sso.SAML, Provider: sso.Okta, Enabled: true, JIT: true, TrustMFA: true, Issuer: "https://idp.example/entity",
			ClientID: "x", Secret: "hidden", Scopes: []string{"openid"}, SignOnURL: "https://idp.example/sso", SignOnBinding: "post",
			LogoutURL: "https://idp.example/slo", MetadataURL: "https://idp.example/metadata", Certificates: [][]byte{{1, 2}}, IdPInitiated: true,
			SignRequests: true, WantEncrypted: true, NameIDFormat: "persistent",
			Keys:       []sso.KeyPair{{Key: "key one", Certificate: []byte{3}, CreatedAt: now}, {Key: "key two", Certificate: []byte{4}, CreatedAt: now}},
			Attributes: sso.Attributes{Email: "mail"}, Roles: []sso.RoleRule{{Claim: "groups", Value: "staff", Role: org.Admin}},
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			o, err := org.Create(ctx, tx, org.Org{Slug: "acme", Name: "Acme"}, now)
			if err != nil {
				return err
			}
			in.OrgID = o.ID
			first, err := sso.Set(ctx, tx, key, in, now)
			if err != nil {
				return err
			}
			want := in
			want.Revision, want.CreatedAt, want.UpdatedAt = 1, now, now
			if diff := cmp.Diff(want, first); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			in.Secret = "another"
			same, err := sso.Set(ctx, tx, key, in, now.Add(time.Minute))
			if err != nil || same.Revision != 1 || same.Secret != "another" || !same.CreatedAt.Equal(now) || !same.UpdatedAt.Equal(now.Add(time.Minute)) {
				t.Errorf("another secret: %+v, %v", same, err)
			}
			in.Issuer = "https://other.example"
			moved, err := sso.Set(ctx, tx, key, in, now)
			if err != nil || moved.Revision != 2 || moved.Keys[1].Key != "key two" {
				t.Errorf("another issuer: %+v, %v", moved, err)
			}
			if _, c, err := sso.BySlug(ctx, tx, key, "acme"); err != nil || c.Issuer != in.Issuer {
				t.Errorf("by slug: %+v, %v", c, err)
			}
			if all, err := sso.List(ctx, tx, key, "", 10); err != nil || len(all) != 1 {
				t.Errorf("all: %v, %v", all, err)
			}
			if _, err := sso.Set(ctx, tx, key, sso.Connection{OrgID: org.NewID(), Kind: sso.OIDC}, now); !errors.Is(err, db.ErrReference) {
				t.Errorf("of no organization: %v", err)
			}
			if err := sso.Remove(ctx, tx, o.ID); err != nil {
				return err
			}
			if _, err := sso.ByOrg(ctx, tx, key, o.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("removed: %v", err)
			}
			if err := sso.Remove(ctx, tx, o.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("removed twice: %v", err)
			}
			return nil
		})
	})
}

func TestRouteWantsAVerifiedDomainOfAnOpenOrganizationWhoseConnectionIsOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		key := newKey(t)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			o, err := org.Create(ctx, tx, org.Org{Slug: "acme", Name: "Acme Corporation"}, now)
			if err != nil {
				return err
			}
			c := sso.Connection{OrgID: o.ID, Kind: sso.OIDC, Provider: sso.Okta, Enabled: true, Issuer: "https://acme.okta.example"}
			steps := []struct {
				about string
				do    func() error
				want  bool
			}{
				{"nothing", func() error { return nil }, false},
				{"claimed", func() error { _, err := org.Claim(ctx, tx, o.ID, "acme.com", now); return err }, false},
				{"connected", func() error { _, err := sso.Set(ctx, tx, key, c, now); return err }, false},
				{"verified", func() error { return org.Verify(ctx, tx, o.ID, "acme.com", now) }, true},
				{"off", func() error { c.Enabled = false; _, err := sso.Set(ctx, tx, key, c, now); return err }, false},
				{"on", func() error { c.Enabled = true; _, err := sso.Set(ctx, tx, key, c, now); return err }, true},
				{"suspended", func() error { o.Status = org.Suspended; return org.Update(ctx, tx, o, now) }, false},
			}
			for _, step := range steps {
				if err := step.do(); err != nil {
					return err
				}
				got, err := sso.Route(ctx, tx, "acme.com")
				if step.want != (err == nil) || !step.want && !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s: %+v, %v", step.about, got, err)
				}
				want := sso.Routed{OrgID: o.ID, Slug: "acme", Name: "Acme Corporation", SignIn: org.SignInAny, Kind: sso.OIDC, Provider: sso.Okta}
				if step.want && got != want {
					t.Errorf("%s: %+v, want %+v", step.about, got, want)
				}
			}
			return nil
		})
	})
}

func TestRulesNeverMakeAnOwner(t *testing.T) {
	t.Parallel()
	p := upstream.Profile{Groups: []string{"Staff"}, Attributes: map[string][]string{"department": {"it", "ops"}}}
	app, other := client.ID("app"), client.ID("other")
	for _, c := range []struct {
		about string
		rules []sso.RoleRule
		role  org.Role
		roles []string
	}{
		{"none", nil, "", nil},
		{"by group", []sso.RoleRule{{Claim: "groups", Value: "Staff", Role: org.Member}}, org.Member, nil},
		{"another case", []sso.RoleRule{{Claim: "groups", Value: "staff", Role: org.Member}}, "", nil},
		{"the highest", []sso.RoleRule{{Claim: "groups", Value: "Staff", Role: org.Admin}, {Claim: "department", Value: "it", Role: org.Viewer}}, org.Admin, nil},
		{"owner", []sso.RoleRule{{Claim: "department", Value: "it", Role: org.Owner}}, "", nil},
		{"no such role", []sso.RoleRule{{Claim: "department", Value: "it", Role: "king"}}, "", nil},
		{"empty value", []sso.RoleRule{{Claim: "nothing", Role: org.Admin}}, "", nil},
		{"in the client", []sso.RoleRule{{Claim: "department", Value: "ops", Client: app, ClientRole: "manager"}}, "", []string{"manager"}},
		{"in another client", []sso.RoleRule{{Claim: "department", Value: "ops", Client: other, ClientRole: "manager"}}, "", nil},
		{"in no client", []sso.RoleRule{{Claim: "department", Value: "ops", ClientRole: "manager"}}, "", nil},
	} {
		role, roles := sso.Connection{Roles: c.rules}.RolesOf(p, app)
		if role != c.role || !slices.Equal(roles, c.roles) {
			t.Errorf("%s: %q %v, want %q %v", c.about, role, roles, c.role, c.roles)
		}
	}
}

func TestProfileIsReadUnderTheOrganization(t *testing.T) {
	t.Parallel()
	const claims = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	for _, c := range []struct {
		about    string
		conn     sso.Connection
		in, want upstream.Profile
	}{
		{"OpenID Connect as it stands", sso.Connection{OrgID: "1", Kind: sso.OIDC},
			upstream.Profile{Upstream: "x", Issuer: "https://i", Subject: "s", Email: "ann@acme.com", EmailVerified: true, Name: "Ann Lee", GivenName: "Ann", FamilyName: "Lee"},
			upstream.Profile{Upstream: "sso:1", Issuer: "org:1:https://i", Subject: "s", Email: "ann@acme.com", EmailVerified: true, EmailTrusted: true, Name: "Ann Lee", GivenName: "Ann", FamilyName: "Lee"}},
		{"a provider that does not vouch", sso.Connection{OrgID: "1", Kind: sso.OIDC},
			upstream.Profile{Issuer: "i", Email: "ann@acme.com"},
			upstream.Profile{Upstream: "sso:1", Issuer: "org:1:i", Email: "ann@acme.com"}},
		{"Entra without a mailbox", sso.Connection{OrgID: "1", Kind: sso.OIDC, Provider: sso.AzureAD},
			upstream.Profile{Issuer: "i", Attributes: map[string][]string{"preferred_username": {"Ann@Acme.com"}}},
			upstream.Profile{Upstream: "sso:1", Issuer: "org:1:i", Email: "ann@acme.com", EmailVerified: true, EmailTrusted: true}},
		{"SAML by Microsoft's names", sso.Connection{OrgID: "1", Kind: sso.SAML},
			upstream.Profile{Issuer: "i", Attributes: map[string][]string{claims + "emailaddress": {"ann@acme.com"}, claims + "givenname": {"Ann"}, claims + "surname": {"Lee"}, "memberOf": {"a", "b"}}},
			upstream.Profile{Upstream: "sso:1", Issuer: "org:1:i", Email: "ann@acme.com", EmailVerified: true, EmailTrusted: true, Name: "Ann Lee", GivenName: "Ann", FamilyName: "Lee", Groups: []string{"a", "b"}}},
		{"names of its own", sso.Connection{OrgID: "1", Kind: sso.SAML, Attributes: sso.Attributes{Email: "m", GivenName: "g", FamilyName: "f", Name: "n", Groups: "r"}},
			upstream.Profile{Issuer: "i", Email: "other@acme.com", Attributes: map[string][]string{"m": {" ann@acme.com "}, "g": {"Ann"}, "f": {"Lee"}, "n": {"Ann\nB. Lee"}, "r": {"x"}, "groups": {"y"}}},
			upstream.Profile{Upstream: "sso:1", Issuer: "org:1:i", Email: "ann@acme.com", EmailVerified: true, EmailTrusted: true, Name: "Ann B. Lee", GivenName: "Ann", FamilyName: "Lee", Groups: []string{"x"}}},
		{"no address", sso.Connection{OrgID: "1", Kind: sso.SAML, Attributes: sso.Attributes{Email: "m"}},
			upstream.Profile{Issuer: "i", Email: "other@acme.com", Attributes: map[string][]string{"m": {"nothing"}}},
			upstream.Profile{Upstream: "sso:1", Issuer: "org:1:i", EmailVerified: true}},
	} {
		got := c.conn.Read(c.in)
		got.Attributes = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.about, diff)
		}
	}
}

func TestTwoFactorsBySayingOrByTrust(t *testing.T) {
	t.Parallel()
	for amr, want := range map[string]bool{"": false, "pwd": false, "mfa": true, "hwk": true, "https://refeds.org/profile/mfa": true} {
		if got := (sso.Connection{}).TwoFactors(upstream.Profile{AMR: []string{amr}}); got != want {
			t.Errorf("%q: %v", amr, got)
		}
	}
	if !(sso.Connection{TrustMFA: true}).TwoFactors(upstream.Profile{}) {
		t.Error("trusted, and not counted")
	}
}

func TestKeysNameTheirOrganization(t *testing.T) {
	t.Parallel()
	if id, ok := sso.OrgOf(sso.Key("7")); !ok || id != "7" {
		t.Errorf("%q, %v", id, ok)
	}
	if _, ok := sso.OrgOf("google"); ok {
		t.Error("an upstream of the operator's is an organization's")
	}
	if sso.LinkIssuer("1", "https://i") == sso.LinkIssuer("2", "https://i") {
		t.Error("two organizations share the accounts of an issuer")
	}
}
