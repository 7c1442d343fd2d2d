package hackillinois

import (
	"slices"
	"time"

	"sallyport/internal/client"
)

// Settings are the surface's line of the resource file. What the client has is
// not here: its redirect URIs (the first is the default), its roles (those that
// may be given, and the one of a first login), the secret that signs, and how long
// a token lives.
type Settings struct {
	Client client.ID // the surface is bound to; "" switches it off

	Upstreams      map[string]string // which upstream a provider is, by its key; one that is not here is switched off
	PassThrough    []string          // providers that answer the application itself
	LinkedInLegacy bool              // LinkedIn before OpenID Connect, for applications that have its scopes

	RenewWithin   time.Duration // how long after a login its tokens are renewed (§9 W7)
	LegacyUntil   time.Time     // until when tokens of the original, which have no jti, are good; zero: never
	Impersonation bool          // an administrator may have tokens of others

	AnyRole     bool     // roles that are not on the client's list may be given
	StaffDomain string   // addresses of this domain are given the role Staff
	StaffHosted string   // and Google's, only if the account is of this Workspace
	Admins      []string // addresses that are given the role Admin
	GrantBy     []string // by which providers (contract §9 W12); by none if it is empty
	KeepGrants  bool     // roles given by a rule stay when it holds no more

	Services []string // keys of the clients that the private listener serves (§7.3)
}

// Lifetime is how long a token of the original lives (contract §2.1).
const Lifetime = 168 * time.Hour

// Providers are the names that the contract has. Each is also the beginning of the
// ids of its users, and none is the beginning of another (§5.4).
var Providers = []string{"github", "google", "linkedin"}

// upstream is the key of the one that a provider is, "" if there is none. Names
// are lower case only (§4.1).
func (s Settings) upstream(provider string) string {
	if !slices.Contains(Providers, provider) {
		return ""
	}
	return s.Upstreams[provider]
}

// passes reports whether the provider answers the application itself.
func (s Settings) passes(provider string) bool { return slices.Contains(s.PassThrough, provider) }

// legacy reports whether the provider is LinkedIn as it was.
func (s Settings) legacy(provider string) bool { return s.LinkedInLegacy && provider == "linkedin" }

// rules give roles at a login, Staff before Admin (contract §6). The list is never
// nil: what the last rule gave ends with it.
func (s Settings) rules() []client.RoleRule {
	all := []client.RoleRule{}
	for _, p := range s.GrantBy {
		key := s.upstream(p)
		if key == "" {
			continue
		}
		staff := client.RoleRule{Role: "Staff", Domain: s.StaffDomain, Upstreams: []string{key}}
		if p == "google" {
			staff.Hosted = s.StaffHosted
		}
		all = append(all, staff, client.RoleRule{Role: roleAdmin, Emails: s.Admins, Upstreams: []string{key}})
	}
	return all
}
