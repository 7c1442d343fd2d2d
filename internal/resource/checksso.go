package resource

import (
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/org"
	"sallyport/internal/outbound"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
	"sallyport/internal/yaml"
)

// OrgSSO is how an organization signs its own people in. It is described completely: a
// key that is left out means its default. What the provider publishes is not looked
// at: of SAML the file has what its metadata say.
type OrgSSO struct {
	Kind     sso.Kind `yaml:"kind"`
	Provider string   `yaml:"provider,omitempty"`
	Enabled  *bool    `yaml:"enabled,omitempty"`
	JIT      *bool    `yaml:"jit,omitempty"`
	TrustMFA bool     `yaml:"trust_mfa,omitempty"`

	Issuer       string   `yaml:"issuer"` // of SAML the entity id
	ClientID     string   `yaml:"client_id,omitempty"`
	ClientSecret Secret   `yaml:"client_secret,omitempty"`
	Scopes       []string `yaml:"scopes,omitempty"`

	SignOnURL     string   `yaml:"sign_on_url,omitempty"`
	SignOnBinding string   `yaml:"sign_on_binding,omitempty"` // redirect or post
	LogoutURL     string   `yaml:"logout_url,omitempty"`
	LogoutBinding string   `yaml:"logout_binding,omitempty"`
	MetadataURL   string   `yaml:"metadata_url,omitempty"` // read again now and then
	Certificates  []string `yaml:"certificates,omitempty"` // PEM, or its Base64 alone
	IdPInitiated  bool     `yaml:"idp_initiated,omitempty"`
	SignRequests  bool     `yaml:"sign_requests,omitempty"`
	WantEncrypted bool     `yaml:"want_encrypted,omitempty"`
	NameIDFormat  string   `yaml:"name_id_format,omitempty"`

	Attributes sso.Attributes `yaml:"attributes,omitempty"`
	Roles      []OrgSSORole   `yaml:"roles,omitempty"`
}

// OrgSSORole is a rule that gives a role in the organization, or in a client of the
// file, to whoever the provider says a thing of.
type OrgSSORole struct {
	Claim      string   `yaml:"claim"`
	Value      string   `yaml:"value"`
	Role       org.Role `yaml:"role,omitempty"`
	Client     string   `yaml:"client,omitempty"`
	ClientRole string   `yaml:"client_role,omitempty"`
}

// The bindings by the names that the file has for them.
var bindings = map[string]string{"": "", "redirect": saml.Redirect, "post": saml.Post}

// sso checks the connection of an organization.
func (c *checker) sso(path string, s *OrgSSO) {
	if !c.required(path+".kind", string(s.Kind)) {
		return
	}
	c.oneOf(path+".kind", string(s.Kind), string(sso.OIDC), string(sso.SAML))
	s.Provider = or(s.Provider, string(s.Kind))
	if !slug(strings.ReplaceAll(s.Provider, "_", "-")) {
		c.wrong(path+".provider", "must be a short name in lower case, such as okta")
	}
	c.required(path+".issuer", s.Issuer)
	switch s.Kind {
	case sso.OIDC:
		c.ssoOIDC(path, s)
	case sso.SAML:
		c.ssoSAML(path, s)
	}
}

// ssoRoles checks the rules of all connections, once the clients are known.
func (c *checker) ssoRoles() {
	for i, o := range c.file.Orgs {
		if o.SSO == nil {
			continue
		}
		for n := range o.SSO.Roles {
			c.ssoRole(yaml.Index(yaml.Index("orgs", i)+".sso.roles", n), &o.SSO.Roles[n])
		}
	}
}

func (c *checker) ssoOIDC(path string, s *OrgSSO) {
	for field, given := range map[string]bool{
		"sign_on_url": s.SignOnURL != "", "logout_url": s.LogoutURL != "", "metadata_url": s.MetadataURL != "", "certificates": len(s.Certificates) > 0,
		"idp_initiated": s.IdPInitiated, "sign_requests": s.SignRequests, "want_encrypted": s.WantEncrypted, "name_id_format": s.NameIDFormat != "",
	} {
		if given {
			c.wrong(path+"."+field, "is not for kind oidc")
		}
	}
	c.endpoint(path+".issuer", s.Issuer)
	resolved := c.secret(path+".client_secret", &s.ClientSecret)
	draft := sso.Connection{Kind: sso.OIDC, Issuer: s.Issuer, ClientID: s.ClientID, Secret: s.ClientSecret.value, Scopes: s.Scopes}
	for _, m := range draft.Upstream().Check() {
		if m.Field == "client_secret" && !s.ClientSecret.IsZero() && !resolved || m.Field == "issuer" {
			continue
		}
		c.wrong(path+"."+m.Field, "%s", m.Text)
	}
	// Both sign in people of everybody, and there is more to be judged by.
	u, err := outbound.CheckURL(s.Issuer, c.o.Outbound)
	if err != nil {
		return // said
	}
	switch host := u.Hostname(); {
	case host == "accounts.google.com" && s.Provider != sso.Google:
		c.wrong(path+".provider", "must be google for this issuer")
	case strings.HasPrefix(host, "login.microsoftonline.") && s.Provider != sso.AzureAD:
		c.wrong(path+".provider", "must be azure_ad for this issuer")
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if s.Provider == sso.AzureAD && slices.Contains([]string{"common", "organizations", "consumers"}, tenant) {
		c.wrong(path+".issuer", "must be that of one tenant: https://login.microsoftonline.com/{tenant id}/v2.0")
	}
}

func (c *checker) ssoSAML(path string, s *OrgSSO) {
	for field, given := range map[string]bool{"client_id": s.ClientID != "", "client_secret": !s.ClientSecret.IsZero(), "scopes": len(s.Scopes) > 0} {
		if given {
			c.wrong(path+"."+field, "is not for kind saml")
		}
	}
	if c.required(path+".sign_on_url", s.SignOnURL) {
		c.endpoint(path+".sign_on_url", s.SignOnURL)
	}
	c.endpoint(path+".logout_url", s.LogoutURL)
	c.endpoint(path+".metadata_url", s.MetadataURL)
	c.oneOf(path+".sign_on_binding", s.SignOnBinding, "redirect", "post")
	c.oneOf(path+".logout_binding", s.LogoutBinding, "redirect", "post")
	c.oneOf(path+".name_id_format", s.NameIDFormat, saml.FormatPersistent, saml.FormatEmail, saml.FormatUnspecified)
	if len(s.Certificates) == 0 {
		c.wrong(path+".certificates", "is missing: nothing that the provider says could be verified")
	}
	for i, pasted := range s.Certificates {
		if _, err := saml.ParseCertificate(pasted); err != nil {
			c.wrong(yaml.Index(path+".certificates", i), "is not a certificate: %v", err)
		}
	}
}

func (c *checker) ssoRole(path string, r *OrgSSORole) {
	c.required(path+".claim", r.Claim)
	c.required(path+".value", r.Value)
	if r.Role != "" {
		c.oneOf(path+".role", string(r.Role), string(org.Admin), string(org.Member), string(org.Viewer))
	}
	switch {
	case r.Role == "" && r.ClientRole == "":
		c.wrong(path, "gives neither role nor client_role")
	case (r.Client == "") != (r.ClientRole == ""):
		c.wrong(path+".client_role", "stands beside client, and neither without the other")
	case r.Client == "":
	case c.clients[r.Client] == nil:
		c.wrong(path+".client", "no client in this file has the key %q", r.Client)
	case !slices.Contains(c.clients[r.Client].Roles.Available, r.ClientRole):
		c.wrong(path+".client_role", "the client has no role %q", r.ClientRole)
	}
}

// record is the connection as it is stored, but for what only the database knows: the
// secret and our keys.
func (s *OrgSSO) record(id org.ID, clients map[string]client.Client) sso.Connection {
	c := sso.Connection{
		OrgID: id, Kind: s.Kind, Provider: s.Provider, Enabled: s.Enabled == nil || *s.Enabled, JIT: s.JIT == nil || *s.JIT, TrustMFA: s.TrustMFA,
		Issuer: s.Issuer, ClientID: s.ClientID, Scopes: s.Scopes, SignOnURL: s.SignOnURL, SignOnBinding: bindings[s.SignOnBinding],
		LogoutURL: s.LogoutURL, LogoutBinding: bindings[s.LogoutBinding], MetadataURL: s.MetadataURL, IdPInitiated: s.IdPInitiated,
		SignRequests: s.SignRequests, WantEncrypted: s.WantEncrypted, NameIDFormat: s.NameIDFormat, Attributes: s.Attributes,
	}
	c.Scopes = ssoScopes(c)
	for _, pasted := range s.Certificates {
		if der, err := saml.ParseCertificate(pasted); err == nil { // it was checked
			c.Certificates = append(c.Certificates, der)
		}
	}
	for _, r := range s.Roles {
		c.Roles = append(c.Roles, sso.RoleRule{Claim: r.Claim, Value: r.Value, Role: r.Role, Client: clients[r.Client].ID, ClientRole: r.ClientRole})
	}
	return c
}

// ssoScopes are what a provider is asked for, by default everything that a sign-in can
// make use of.
func ssoScopes(c sso.Connection) []string {
	if c.Kind == sso.OIDC && len(c.Scopes) == 0 {
		return []string{"openid", "profile", "email"}
	}
	return c.Scopes
}
