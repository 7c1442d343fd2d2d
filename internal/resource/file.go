package resource

import (
	"sallyport/internal/client"
	"sallyport/internal/yaml"
)

// File is a resource file that Parse found no mistake in, with every default
// that does not depend on the database filled in. Warnings are for people.
type File struct {
	Tenants   []Tenant   `yaml:"tenants,omitempty"`
	Clients   []Client   `yaml:"clients,omitempty"`
	Upstreams []Upstream `yaml:"upstreams,omitempty"`
	Orgs      []Org      `yaml:"orgs,omitempty"`
	Users     []User     `yaml:"users,omitempty"`
	Invites   []Invite   `yaml:"invites,omitempty"`
	Surfaces  Surfaces   `yaml:"surfaces,omitempty"`

	Warnings []yaml.Mistake `yaml:"-"`

	doc  *yaml.Document
	name string
}

// Tenant owns clients, which name it by its slug.
type Tenant struct {
	Slug     string         `yaml:"slug"`
	Name     string         `yaml:"name"`
	Password PasswordPolicy `yaml:"password,omitempty"`
}

// Client is an application. Key is its stable name in the file; a client that
// has none of its own, because the file did not make it, is called by its id.
// Org is the organization whose admins look after it. Active, BundleID, Org, Notifications and Branding.LogoHeight stay as they are if
// they are left out.
type Client struct {
	Key                    string         `yaml:"key"`
	ID                     string         `yaml:"id,omitempty"`
	Name                   string         `yaml:"name"`
	Tenant                 string         `yaml:"tenant,omitempty"`
	Org                    string         `yaml:"org,omitempty"`
	Console                bool           `yaml:"console,omitempty"`
	Active                 *bool          `yaml:"active,omitempty"`
	BundleID               *string        `yaml:"bundle_id,omitempty"`
	Secret                 Secret         `yaml:"secret,omitempty"`
	RedirectURIs           []string       `yaml:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string       `yaml:"post_logout_redirect_uris,omitempty"`
	AllowedOrigins         []string       `yaml:"allowed_origins,omitempty"`
	Registration           string         `yaml:"registration,omitempty"`
	AllowedDomains         []string       `yaml:"allowed_domains,omitempty"`
	Methods                []string       `yaml:"methods"`
	SecondFactor           string         `yaml:"second_factor,omitempty"`
	Password               PasswordPolicy `yaml:"password,omitempty"`
	AccessToken            AccessToken    `yaml:"access_token,omitempty"`
	RefreshToken           RefreshToken   `yaml:"refresh_token,omitempty"`
	Linking                string         `yaml:"linking,omitempty"`
	Issuer                 string         `yaml:"issuer,omitempty"`
	Audience               string         `yaml:"audience,omitempty"`
	Links                  Links          `yaml:"links,omitempty"`
	MagicLinkButton        bool           `yaml:"magic_link_button,omitempty"`
	KeepUpstreamTokens     bool           `yaml:"keep_upstream_tokens,omitempty"`
	Conduct                `yaml:",inline"`
	Roles                  Roles    `yaml:"roles"`
	Grants                 []string `yaml:"grants,omitempty"`
	Profile                string   `yaml:"profile,omitempty"`
	PKCE                   string   `yaml:"pkce,omitempty"`
	JWKSURI                string   `yaml:"jwks_uri,omitempty"`
	BackchannelLogoutURI   string   `yaml:"backchannel_logout_uri,omitempty"`
	OAuth                  `yaml:",inline"`
	Branding               Branding `yaml:"branding,omitempty"`
	Notifications          *bool    `yaml:"notifications,omitempty"`
}

// PasswordPolicy is client.PasswordPolicy as the file writes it.
type PasswordPolicy struct {
	MinLength        int  `yaml:"min_length,omitempty"`
	RequireUppercase bool `yaml:"require_uppercase,omitempty"`
	RequireLowercase bool `yaml:"require_lowercase,omitempty"`
	RequireDigit     bool `yaml:"require_digit,omitempty"`
	RequireSymbol    bool `yaml:"require_symbol,omitempty"`
	MaxLength        int  `yaml:"max_length,omitempty"`
	RefuseEmail      bool `yaml:"refuse_email,omitempty"`
}

// AccessToken is client.AccessToken; Secret signs HS256, used as it is. What
// PreviousSecret signed is still good; it signs nothing.
type AccessToken struct {
	Lifetime client.Duration `yaml:"lifetime,omitempty"`
	Alg      string          `yaml:"alg,omitempty"`
	Format   string          `yaml:"format,omitempty"`
	Cookie   *Cookie         `yaml:"cookie,omitempty"`
	Secret   Secret          `yaml:"secret,omitempty"`

	PreviousSecret Secret `yaml:"previous_secret,omitempty"`
}

// RefreshToken is client.RefreshToken as the file writes it.
type RefreshToken struct {
	Lifetime   client.Duration `yaml:"lifetime,omitempty"`
	Idle       client.Duration `yaml:"idle,omitempty"`
	ReuseGrace client.Duration `yaml:"reuse_grace"`
	MaxAge     client.Duration `yaml:"max_age,omitempty"`
	Cookie     *Cookie         `yaml:"cookie,omitempty"`
}

// Links is client.Links as the file writes it.
type Links struct {
	MagicLink     string `yaml:"magic_link,omitempty"`
	ResetPassword string `yaml:"reset_password,omitempty"`
	VerifyEmail   string `yaml:"verify_email,omitempty"`
	Invite        string `yaml:"invite,omitempty"`
}

// Roles is client.Roles as the file writes it.
type Roles struct {
	Available []string `yaml:"available"`
	Default   []string `yaml:"default"`
}

// Branding is client.Branding as the file writes it.
type Branding struct {
	LogoURL    string `yaml:"logo_url,omitempty"`
	Color      string `yaml:"color,omitempty"`
	LogoHeight int    `yaml:"logo_height,omitempty"`
}

// User is a person, found by any of their addresses. What is left out stays as
// it is; a new user is active, without password and second factor.
type User struct {
	Email         string       `yaml:"email"`
	EmailVerified bool         `yaml:"email_verified,omitempty"`
	DisplayName   string       `yaml:"display_name,omitempty"`
	GivenName     *string      `yaml:"given_name,omitempty"`
	FamilyName    *string      `yaml:"family_name,omitempty"`
	Password      Secret       `yaml:"password,omitempty"`
	PasswordHash  Secret       `yaml:"password_hash,omitempty"`
	TOTPSecret    Secret       `yaml:"totp_secret,omitempty"`
	Status        string       `yaml:"status,omitempty"`
	Enrolments    []Enrolment  `yaml:"enrolments,omitempty"`
	Memberships   []Membership `yaml:"memberships,omitempty"`
}

// Enrolment is a user's place in a client. Roles and Status that are left out
// are the client's default roles and active for a new one, and stay as they are
// for one that is there. Alias is the id by which the client knows the user, where
// that is not ours: it came from another system with them, and never changes.
type Enrolment struct {
	Client string    `yaml:"client"`
	Roles  *[]string `yaml:"roles,omitempty"`
	Status string    `yaml:"status,omitempty"`
	Alias  string    `yaml:"alias,omitempty"`
}

// Invite is an invitation to a client, or with Org to an organization; Role left
// out means the client's default roles, and a member.
type Invite struct {
	Client string `yaml:"client,omitempty"`
	Email  string `yaml:"email"`
	Role   string `yaml:"role,omitempty"`
	Org    string `yaml:"org,omitempty"`
}
