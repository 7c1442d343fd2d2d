package snooplytics

import (
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/dns"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// identifyRoutes tell a login form where somebody signs in (contract §3, §4). What
// they say depends on the domain of an address alone.
func (a *API) identifyRoutes() []route {
	return []route{
		{method: "POST", path: "/api/auth/identify", limit: identifyLimit, do: (*API).identify},
		{method: "GET", path: "/api/auth/sso/discover", limit: discoverLimit, do: (*API).discover},
	}
}

// method is how an address signs in.
type method struct {
	Method    string `json:"method"`
	Provider  string `json:"ssoProvider,omitempty"`
	Redirect  string `json:"ssoRedirectUrl,omitempty"`
	Passkey   bool   `json:"hasPasskey"`
	MagicLink bool   `json:"allowMagicLink"`
}

// identify is POST /api/auth/identify.
func (a *API) identify(w http.ResponseWriter, r *http.Request, c *call) error {
	email := c.email()
	if err := c.err(); err != nil {
		return err
	}
	got, err := a.SignIn.Identify(r.Context(), signin.IdentifyIn{ClientID: c.client, Email: email, Passkeys: c.set.RevealPasskeys})
	if err != nil {
		return err
	}
	out := method{Method: got.Method, Passkey: got.Passkey, MagicLink: got.MagicLink}
	if got.Method == signin.MethodSSO {
		out.Provider = got.Routed.Provider
		out.Redirect = wire.WithQuery(loginURL(r, got.Routed.Slug), "login_hint", email)
	}
	return done(w, out)
}

// discovered is where the people of a domain sign in.
type discovered struct {
	Slug     string `json:"organizationSlug"`
	Name     string `json:"organizationName"`
	Provider string `json:"ssoProvider"`
	LoginURL string `json:"loginUrl"`
}

// discover is GET /api/auth/sso/discover. It takes an address for its domain.
func (a *API) discover(w http.ResponseWriter, r *http.Request, c *call) error {
	given := c.text("domain", wire.Required, wire.Max(maxEmail))
	if err := c.err(); err != nil {
		return err
	}
	domain, ok := dns.Name(strings.TrimSpace(given[strings.LastIndexByte(given, '@')+1:]))
	if !ok {
		c.wrong("domain", "Invalid domain")
		return c.err()
	}
	to, err := a.SignIn.Discover(r.Context(), domain)
	if fault.Is(err, fault.SSODisabled) {
		return refuse("NOT_FOUND").saying("No SSO configuration found for this domain").because(err)
	} else if err != nil {
		return err
	}
	return done(w, discovered{to.Slug, to.Name, to.Provider, loginURL(r, to.Slug)})
}

// loginURL is where a browser begins the single sign-on of an organization. It is
// made of the mount's own address, never of what the request says that is.
func loginURL(r *http.Request, slug string) string {
	return base(r.Context()) + "/auth/sso/" + url.PathEscape(slug) + "/login"
}
