package resource

import (
	"context"
	"encoding/json"
	"fmt"

	"sallyport/internal/client"
	"sallyport/internal/db"
)

// Surfaces are the surfaces' own settings, nil where there are none. In the
// file they name clients by key; in the database, which is where SurfacesOf
// reads them, by id.
type Surfaces struct {
	OIDC         *OIDC         `yaml:"oidc,omitempty"`
	Keymaster    *Keymaster    `yaml:"keymaster,omitempty"`
	AccountMaker *AccountMaker `yaml:"accountmaker,omitempty"`
	Snooplytics  *Snooplytics  `yaml:"snooplytics,omitempty"`
	Tofu         *Tofu         `yaml:"tofu,omitempty"`
	HackIllinois *HackIllinois `yaml:"hackillinois,omitempty"`
}

// OIDC says who may register clients (open, token or off), whether a client id
// metadata document makes one (it does where registration is open, unless said
// otherwise), which scopes such clients may have besides OpenID Connect's, and
// which resources tokens may be asked for (RFC 8707).
type OIDC struct {
	Registration    string   `yaml:"registration,omitempty" json:"registration"`
	ClientDocuments *bool    `yaml:"client_documents,omitempty" json:"client_documents,omitempty"`
	Scopes          []string `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	Resources       []string `yaml:"resources,omitempty" json:"resources,omitempty"`
}

// Keymaster names the client whose administrators are the platform's.
type Keymaster struct {
	ConsoleClient string `yaml:"console_client" json:"console_client"`
}

// AccountMaker names the client of requests that name none.
type AccountMaker struct {
	DefaultClient string `yaml:"default_client" json:"default_client"`
}

// Snooplytics binds the surface to its client. AppURL is the application's own
// base URL; CompletionURL and ErrorURL are its pages where single sign-on ends,
// which are below it unless they are said. How people come in is the client's.
type Snooplytics struct {
	Client        string `yaml:"client" json:"client"`
	AppURL        string `yaml:"app_url,omitempty" json:"app_url,omitempty"`
	CompletionURL string `yaml:"completion_url,omitempty" json:"completion_url,omitempty"`
	ErrorURL      string `yaml:"error_url,omitempty" json:"error_url,omitempty"`

	CookiePrefix   string `yaml:"cookie_prefix,omitempty" json:"cookie_prefix"`               // better-auth
	KeyPrefix      string `yaml:"key_prefix,omitempty" json:"key_prefix"`                     // ba_
	ErrorProfile   string `yaml:"error_profile,omitempty" json:"error_profile"`               // reference or guide
	RevealPasskeys bool   `yaml:"reveal_passkeys,omitempty" json:"reveal_passkeys,omitempty"` // identify tells who has one
	BindBrowser    *bool  `yaml:"bind_browser,omitempty" json:"bind_browser"`                 // on
	ResetEndsKeys  bool   `yaml:"reset_ends_keys,omitempty" json:"reset_ends_keys,omitempty"`
	PasskeyDomain  string `yaml:"passkey_domain,omitempty" json:"passkey_domain,omitempty"` // else the host of app_url
}

// Tofu binds the surface to its client and its providers to upstreams; the rest
// are the settings that its contract names. How long tokens live and what signs
// them is the client's.
type Tofu struct {
	Client string `yaml:"client" json:"client"`
	Google string `yaml:"google,omitempty" json:"google,omitempty"`
	Okta   string `yaml:"okta,omitempty" json:"okta,omitempty"`
	WorkOS string `yaml:"workos,omitempty" json:"workos,omitempty"`

	AppendSlash           string `yaml:"append_slash,omitempty" json:"append_slash"` // redirect or serve
	RotateRefresh         bool   `yaml:"rotate_refresh,omitempty" json:"rotate_refresh,omitempty"`
	LogoutRevokesRefresh  *bool  `yaml:"logout_revokes_refresh,omitempty" json:"logout_revokes_refresh"` // unless proxy_mode
	ProxyMode             bool   `yaml:"proxy_mode,omitempty" json:"proxy_mode,omitempty"`
	PasswordRequiresNoMFA *bool  `yaml:"password_requires_no_mfa,omitempty" json:"password_requires_no_mfa"` // on
	RequireVerifiedEmail  *bool  `yaml:"require_verified_email,omitempty" json:"require_verified_email"`     // on
	Impersonation         bool   `yaml:"impersonation,omitempty" json:"impersonation,omitempty"`
	PKCE                  string `yaml:"pkce,omitempty" json:"pkce"` // optional or required
	// ReturnTo is where WorkOS sends a browser after sign-out; it must be registered
	// there. Empty is what is its default.
	ReturnTo string `yaml:"return_to,omitempty" json:"return_to,omitempty"`
}

// HackIllinois binds the surface to its client. Upstreams that are left out are
// those of the kind that the client's methods name. Login is for the providers
// that PassThrough does not name. LegacyTokensUntil is a date, or "" for never.
// Valid roles, the default role, redirect URIs, origins, the token's lifetime
// and its secret are the client's.
type HackIllinois struct {
	Client            string        `yaml:"client" json:"client"`
	Upstreams         HackUpstreams `yaml:"upstreams,omitempty" json:"upstreams"`
	Login             string        `yaml:"login,omitempty" json:"login"`
	PassThrough       []string      `yaml:"pass_through,omitempty" json:"pass_through,omitempty"`
	Impersonation     *bool         `yaml:"impersonation,omitempty" json:"impersonation"` // on
	LinkedIn          string        `yaml:"linkedin,omitempty" json:"linkedin"`
	LegacyTokensUntil string        `yaml:"legacy_tokens_until,omitempty" json:"legacy_tokens_until,omitempty"`

	// Who is made staff and administrator by their address, by which providers.
	StaffDomain  string   `yaml:"staff_domain,omitempty" json:"staff_domain,omitempty"`
	Admins       []string `yaml:"admins,omitempty" json:"admins,omitempty"`
	GrantBy      []string `yaml:"grant_by,omitempty" json:"grant_by,omitempty"`           // github and google
	HostedDomain string   `yaml:"hosted_domain,omitempty" json:"hosted_domain,omitempty"` // that Google must name beside
	DropGrants   *bool    `yaml:"drop_grants,omitempty" json:"drop_grants"`               // on

	RenewFor client.Duration `yaml:"renew_for,omitempty" json:"renew_for"` // since the sign-in
	AnyRole  bool            `yaml:"any_role,omitempty" json:"any_role,omitempty"`

	// Services are the clients of the sibling services, by key: each proves itself
	// by its secret on the private listener.
	Services []string `yaml:"services,omitempty" json:"services,omitempty"`
}

// HackUpstreams are the keys of the upstreams that the three providers of the
// contract are.
type HackUpstreams struct {
	GitHub   string `yaml:"github,omitempty" json:"github,omitempty"`
	Google   string `yaml:"google,omitempty" json:"google,omitempty"`
	LinkedIn string `yaml:"linkedin,omitempty" json:"linkedin,omitempty"`
}

// surfaceNames is every surface that has settings, in the order they are shown.
var surfaceNames = []string{"oidc", "keymaster", "accountmaker", "snooplytics", "tofu", "hackillinois"}

// surface is one surface's settings: where they are and what they name.
type surface struct {
	name      string
	value     any     // a pointer to the settings, or a nil one
	client    *string // the client it names, nil if it names none
	clientKey string  // and under which key
}

// all lists the settings that s has; the pointers lead into s.
func (s *Surfaces) all() []surface {
	var list []surface
	if v := s.OIDC; v != nil {
		list = append(list, surface{name: "oidc", value: v})
	}
	if v := s.Keymaster; v != nil {
		list = append(list, surface{"keymaster", v, &v.ConsoleClient, "console_client"})
	}
	if v := s.AccountMaker; v != nil {
		list = append(list, surface{"accountmaker", v, &v.DefaultClient, "default_client"})
	}
	if v := s.Snooplytics; v != nil {
		list = append(list, surface{"snooplytics", v, &v.Client, "client"})
	}
	if v := s.Tofu; v != nil {
		list = append(list, surface{"tofu", v, &v.Client, "client"})
	}
	if v := s.HackIllinois; v != nil {
		list = append(list, surface{"hackillinois", v, &v.Client, "client"})
	}
	return list
}

// slot makes the settings of a surface and returns the pointer to them, or nil
// for a surface that has none.
func (s *Surfaces) slot(name string) any {
	switch name {
	case "oidc":
		s.OIDC = &OIDC{}
		return s.OIDC
	case "keymaster":
		s.Keymaster = &Keymaster{}
		return s.Keymaster
	case "accountmaker":
		s.AccountMaker = &AccountMaker{}
		return s.AccountMaker
	case "snooplytics":
		s.Snooplytics = &Snooplytics{}
		return s.Snooplytics
	case "tofu":
		s.Tofu = &Tofu{}
		return s.Tofu
	case "hackillinois":
		s.HackIllinois = &HackIllinois{}
		return s.HackIllinois
	}
	return nil
}

// texts are the stored form of s, by surface, with each client's key replaced
// by rename.
func (s Surfaces) texts(rename func(key string) string) map[string]string {
	texts := map[string]string{}
	for _, one := range s.all() {
		texts[one.name] = marshal(one.value)
	}
	renamed, err := surfacesFrom(texts)
	if err != nil {
		panic(err) // what was marshalled a moment ago
	}
	for _, one := range renamed.all() {
		if one.client != nil {
			*one.client = rename(*one.client)
		}
		texts[one.name] = marshal(one.value)
	}
	return texts
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("resource: " + err.Error()) // texts, booleans and lists always marshal
	}
	return string(b)
}

// surfacesFrom reads what texts wrote. Unknown members, of a later release
// perhaps, are left alone.
func surfacesFrom(texts map[string]string) (Surfaces, error) {
	var s Surfaces
	for _, name := range surfaceNames {
		if text, ok := texts[name]; ok {
			if err := json.Unmarshal([]byte(text), s.slot(name)); err != nil {
				return s, fmt.Errorf("settings of surface %s: %w", name, err)
			}
		}
	}
	return s, nil
}

// SurfacesOf returns the settings of all surfaces, naming clients by id.
func SurfacesOf(ctx context.Context, tx *db.Tx) (Surfaces, error) {
	texts, err := surfaceTexts(ctx, tx)
	if err != nil {
		return Surfaces{}, err
	}
	return surfacesFrom(texts)
}

// clientIDs is the set of clients that s names.
func (s Surfaces) clientIDs() map[client.ID]string {
	ids := map[client.ID]string{}
	for _, one := range s.all() {
		if one.client != nil {
			ids[client.ID(*one.client)] = one.name
		}
	}
	return ids
}
