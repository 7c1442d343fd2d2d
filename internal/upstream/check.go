package upstream

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/openid"
	"sallyport/internal/outbound"
)

// Mistake is what is wrong with one setting, by the name that JSON gives it, or
// with "kind" or "client_secret".
type Mistake struct{ Field, Text string }

// checker collects mistakes.
type checker struct {
	u    Upstream
	list []Mistake
}

// Check returns everything that is wrong with an upstream as an operator wrote
// it: nothing is asked of the network.
func (u Upstream) Check() []Mistake {
	c := &checker{u: u}
	if _, known := kinds[u.Kind]; !known || u.Kind == SAML {
		c.wrong("kind", "must be google, github, linkedin, microsoft, apple, okta, workos, oidc or oauth2")
		return c.list
	}
	c.strangers()
	c.common()
	switch u.Kind {
	case Microsoft:
		c.microsoft()
	case Apple:
		c.apple()
	case WorkOS:
		c.workOS()
	case OAuth2:
		c.oauth2()
	case Okta, OIDC:
		if u.Settings.Issuer == "" && u.Settings.BaseURL == "" {
			c.wrong("issuer", "is missing")
		}
	}
	return c.list
}

func (c *checker) wrong(field, format string, args ...any) {
	c.list = append(c.list, Mistake{field, fmt.Sprintf(format, args...)})
}

// strangers are settings that mean nothing to the kind, and so would be believed
// to do something that they do not.
func (c *checker) strangers() {
	s := c.u.Settings
	for _, one := range []struct {
		field string
		given bool
		of    []Kind
	}{
		{"hosted_domains", len(s.HostedDomains) > 0, []Kind{Google}},
		{"tenant", s.Tenant != "", []Kind{Microsoft}},
		{"tenants", len(s.Tenants) > 0, []Kind{Microsoft}},
		{"team_id", s.TeamID != "", []Kind{Apple}},
		{"key_id", s.KeyID != "", []Kind{Apple}},
		{"mode", s.Mode != "", []Kind{WorkOS}},
		{"provider", s.Provider != "", []Kind{WorkOS}},
		{"connection", s.Connection != "", []Kind{WorkOS}},
		{"organization", s.Organization != "", []Kind{WorkOS}},
		{"authorization_endpoint", s.AuthorizationEndpoint != "", []Kind{OAuth2}},
		{"token_endpoint", s.TokenEndpoint != "", []Kind{OAuth2}},
		{"userinfo_endpoint", s.UserinfoEndpoint != "", []Kind{OAuth2}},
		{"members", s.Members != Names{}, []Kind{OAuth2}},
		{"scopes", len(s.Scopes) > 0, []Kind{Google, GitHub, LinkedIn, Microsoft, Apple, Okta, OIDC, OAuth2}},
		{"issuer", s.Issuer != "", []Kind{Google, GitHub, LinkedIn, Apple, Okta, OIDC, OAuth2}},
		{"trust_email", s.TrustEmail, []Kind{Microsoft, Okta, WorkOS, OIDC, OAuth2}},
	} {
		if one.given && !slices.Contains(one.of, c.u.Kind) {
			c.wrong(one.field, "is not for kind %s", c.u.Kind)
		}
	}
}

func (c *checker) common() {
	s := c.u.Settings
	if s.ClientID == "" || strings.TrimSpace(s.ClientID) != s.ClientID {
		c.wrong("client_id", "is missing, or has white space at an end")
	}
	if c.u.Secret == "" {
		c.wrong("client_secret", "is missing")
	}
	if shown(s.Name) != s.Name {
		c.wrong("name", "must be one line of printable text of at most %d characters", maxShown)
	}
	c.address("base_url", s.BaseURL)
	c.address("issuer", s.Issuer)
	for i, scope := range s.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			c.wrong(fmt.Sprintf("scopes[%d]", i), "must be one scope (RFC 6749 §3.3)")
		}
	}
	if c.u.kind().openID && c.u.Kind != Apple && len(s.Scopes) > 0 && !slices.Contains(s.Scopes, "openid") {
		c.wrong("scopes", "must have openid among them")
	}
	c.domains("email_domains", s.EmailDomains)
	c.domains("hosted_domains", s.HostedDomains)
}

// address wants an https URL, or http on a loopback host, without query.
func (c *checker) address(field, raw string) {
	if raw == "" {
		return
	}
	u, err := outbound.CheckURL(raw, openid.Everywhere)
	if err != nil || strings.Contains(raw, "?") || u.String() != raw {
		c.wrong(field, "must be an https URL without query and fragment (http on a loopback host)")
	}
}

func (c *checker) domains(field string, list []string) {
	for i, d := range list {
		if normal, err := identity.NormalizeEmail("x@" + d); err != nil || normal != "x@"+d {
			c.wrong(fmt.Sprintf("%s[%d]", field, i), "must be a domain in lower case, such as example.com")
		}
	}
}

func (c *checker) microsoft() {
	s := c.u.Settings
	switch {
	case s.TrustEmail && len(s.EmailDomains) == 0:
		c.wrong("trust_email", "needs email_domains: any tenant may write any address")
	case s.TrustEmail && c.u.anyTenants():
		c.wrong("trust_email", "needs tenants, or one tenant: any other may write an address of these domains")
	}
	if s.Tenant != "" && url.PathEscape(s.Tenant) != s.Tenant {
		c.wrong("tenant", "must be common, organizations, consumers, a tenant's id, or its domain")
	}
	for i, t := range s.Tenants {
		if id, ok := identity.ParseID(t); !ok || id != t {
			c.wrong(fmt.Sprintf("tenants[%d]", i), "must be a tenant's id in lower case")
		}
	}
}

func (c *checker) apple() {
	s := c.u.Settings
	if s.TeamID == "" {
		c.wrong("team_id", "is missing")
	}
	if s.KeyID == "" {
		c.wrong("key_id", "is missing")
	}
	if _, err := appleKey(c.u.Secret.Reveal()); err != nil && c.u.Secret != "" {
		c.wrong("client_secret", "%v", err)
	}
}

func (c *checker) workOS() {
	s := c.u.Settings
	switch or(s.Mode, ModeUsers) {
	case ModeUsers:
	case ModeSSO:
		named := slices.DeleteFunc([]string{s.Connection, s.Organization, s.Provider}, func(v string) bool { return v == "" })
		if len(named) != 1 {
			c.wrong("mode", "sso needs one of connection, organization and provider")
		}
	default:
		c.wrong("mode", "must be user_management or sso")
	}
}

func (c *checker) oauth2() {
	s := c.u.Settings
	for _, one := range []struct{ field, raw string }{
		{"authorization_endpoint", s.AuthorizationEndpoint}, {"token_endpoint", s.TokenEndpoint}, {"userinfo_endpoint", s.UserinfoEndpoint},
	} {
		if one.raw == "" {
			c.wrong(one.field, "is missing")
		}
		c.address(one.field, one.raw)
	}
}
