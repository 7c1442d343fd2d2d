// Package upstream owns the outside identity providers that people may sign in
// with: which there are, how each is asked, and what of its answer is believed.
// It does not decide who the person is here, links nothing and starts no
// session; the caller keeps the Attempt between the two halves, behind a
// single-use state that is bound to the browser.
//
//	Begin   ── authorization URL: state, nonce, PKCE S256        → browser → provider
//	Finish  ── iss (RFC 9207) → code exchange → ID token or API  → Profile
//	Exchange── the second half alone, for a code whose first half somebody else made
//
// How a server is asked is package openid's, failures too; here it is said which,
// what for, and what of its answer is believed, after RFC 7636, RFC 9207 and RFC
// 9700. Which provider has which of these, and where it is unlike the others, is
// the table in kinds.go. A new provider is one file, one entry there, and one
// stand-in in upstreamtest.
package upstream

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/saml"
	"sallyport/internal/secret"
)

// Kind is what sort of provider an upstream is.
type Kind string

// The kinds. OIDC and OAuth2 are for providers that have none of their own.
const (
	Google    Kind = "google"
	GitHub    Kind = "github"
	LinkedIn  Kind = "linkedin"
	Microsoft Kind = "microsoft"
	Apple     Kind = "apple"
	Okta      Kind = "okta"
	WorkOS    Kind = "workos"
	OIDC      Kind = "oidc"
	OAuth2    Kind = "oauth2"
	SAML      Kind = "saml" // an organization's alone (package sso), never the operator's
)

// Kinds are all there are.
func Kinds() []Kind {
	return []Kind{Google, GitHub, LinkedIn, Microsoft, Apple, Okta, WorkOS, OIDC, OAuth2}
}

// Upstream is one provider as the operator configured it. Key names it in
// clients' methods and in URLs. Secret is what we prove ourselves with: the
// client secret, of WorkOS the API key, of Apple the private key in PEM.
//
// Guarded is an organization's own (package sso): whoever administers that chose its
// addresses, so that nothing inside our network is asked for it.
type Upstream struct {
	Key       string
	Kind      Kind
	Guarded   bool
	SAML      saml.Peer // of that kind, beside Settings
	Settings  Settings
	Secret    secret.Value
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Settings are what an upstream has beside its secret, under the names that the
// operator writes; Check says which kind takes which.
type Settings struct {
	Name     string   `json:"name,omitempty" yaml:"name,omitempty"` // on the button; empty is the kind's own
	ClientID string   `json:"client_id" yaml:"client_id"`
	BaseURL  string   `json:"base_url,omitempty" yaml:"base_url,omitempty"` // in place of the scheme and host of all endpoints
	Issuer   string   `json:"issuer,omitempty" yaml:"issuer,omitempty"`
	Scopes   []string `json:"scopes,omitempty" yaml:"scopes,omitempty"` // in place of the kind's own

	// EmailDomains are the domains that the upstream may speak for; empty leaves
	// it to the kind. TrustEmail takes an address for verified where the upstream
	// says nothing about it, for a provider that is the operator's own.
	EmailDomains []string `json:"email_domains,omitempty" yaml:"email_domains,omitempty"`
	TrustEmail   bool     `json:"trust_email,omitempty" yaml:"trust_email,omitempty"`

	HostedDomains []string `json:"hosted_domains,omitempty" yaml:"hosted_domains,omitempty"` // Google: only accounts of these
	Tenant        string   `json:"tenant,omitempty" yaml:"tenant,omitempty"`                 // Microsoft: common, organizations, consumers, or a tenant
	Tenants       []string `json:"tenants,omitempty" yaml:"tenants,omitempty"`               // Microsoft: only accounts of these
	TeamID        string   `json:"team_id,omitempty" yaml:"team_id,omitempty"`               // Apple
	KeyID         string   `json:"key_id,omitempty" yaml:"key_id,omitempty"`                 // Apple
	Mode          string   `json:"mode,omitempty" yaml:"mode,omitempty"`                     // WorkOS: ModeUsers or ModeSSO
	Provider      string   `json:"provider,omitempty" yaml:"provider,omitempty"`             // WorkOS
	Connection    string   `json:"connection,omitempty" yaml:"connection,omitempty"`         // WorkOS
	Organization  string   `json:"organization,omitempty" yaml:"organization,omitempty"`     // WorkOS

	// OAuth2 has no discovery and no claims that all agree on.
	AuthorizationEndpoint string `json:"authorization_endpoint,omitempty" yaml:"authorization_endpoint,omitempty"`
	TokenEndpoint         string `json:"token_endpoint,omitempty" yaml:"token_endpoint,omitempty"`
	UserinfoEndpoint      string `json:"userinfo_endpoint,omitempty" yaml:"userinfo_endpoint,omitempty"`
	Members               Names  `json:"members,omitzero" yaml:"members,omitempty"`
}

// Names are the members of an OAuth2 upstream's user information, each a path
// of member names with dots; Names.WithDefaults has those of OpenID Connect.
type Names struct {
	Subject       string `json:"subject,omitempty"       yaml:"subject,omitempty"`
	Email         string `json:"email,omitempty"         yaml:"email,omitempty"`
	EmailVerified string `json:"email_verified,omitempty" yaml:"email_verified,omitempty"`
	Name          string `json:"name,omitempty"          yaml:"name,omitempty"`
	Username      string `json:"username,omitempty"      yaml:"username,omitempty"`
	Picture       string `json:"picture,omitempty"       yaml:"picture,omitempty"`
}

// WithDefaults fills in what n leaves out.
func (n Names) WithDefaults() Names {
	for _, one := range []struct {
		at  *string
		std string
	}{
		{&n.Subject, "sub"}, {&n.Email, "email"}, {&n.EmailVerified, "email_verified"},
		{&n.Name, "name"}, {&n.Username, "preferred_username"}, {&n.Picture, "picture"},
	} {
		if *one.at == "" {
			*one.at = one.std
		}
	}
	return n
}

// The modes of a WorkOS upstream.
const (
	ModeUsers = "user_management" // AuthKit: WorkOS keeps the users
	ModeSSO   = "sso"             // WorkOS only connects a customer's provider
)

// Title is what a button says.
func (u Upstream) Title() string {
	if u.Settings.Name != "" {
		return u.Settings.Name
	}
	return u.kind().title
}

// PostsBack reports whether the provider answers by a form that its page posts
// to us: a cross-site POST, which carries no cookie that is SameSite=Lax.
func (u Upstream) PostsBack() bool { return u.kind().formPost }

func (u Upstream) kind() kind { return kinds[u.Kind] }

// at is where an endpoint of the provider is: as it names it, or, with a base
// URL, at the same path below that.
func (u Upstream) at(endpoint string) string {
	base := strings.TrimSuffix(u.Settings.BaseURL, "/")
	if base == "" || endpoint == "" || endpoint == base || strings.HasPrefix(endpoint, base+"/") {
		return endpoint
	}
	return base + pathOf(endpoint)
}

// pathOf is an absolute URL without scheme and host.
func pathOf(raw string) string {
	_, rest, ok := strings.Cut(raw, "://")
	i := strings.IndexByte(rest, '/')
	if !ok || i < 0 {
		return ""
	}
	return rest[i:]
}

// Issuer is what links to the accounts of this upstream are kept under, but for
// Microsoft, where each tenant is an issuer. An upstream that is pointed
// elsewhere is another issuer: its accounts are not the real provider's.
func (u Upstream) Issuer() string {
	switch s := u.Settings; {
	case u.Kind == SAML:
		return u.SAML.EntityID
	case s.Issuer != "":
		return s.Issuer
	case s.BaseURL != "":
		return strings.TrimSuffix(s.BaseURL, "/") + u.issuerPath()
	case u.Kind == OAuth2:
		return strings.TrimSuffix(s.AuthorizationEndpoint, pathOf(s.AuthorizationEndpoint))
	}
	return u.kind().base + u.issuerPath()
}

func (u Upstream) issuerPath() string {
	if u.Kind == Microsoft {
		return "/" + or(u.Settings.Tenant, "common") + "/v2.0"
	}
	return u.kind().issuerPath
}

func (u Upstream) scopes() []string {
	if len(u.Settings.Scopes) > 0 {
		return u.Settings.Scopes
	}
	return slices.Clone(u.kind().scopes)
}

func or(v, instead string) string {
	if v == "" {
		return instead
	}
	return v
}
