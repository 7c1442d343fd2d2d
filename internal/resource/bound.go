package resource

import (
	"regexp"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/upstream"
)

// bind notes which clients are bound to a surface whose contract says how its
// one client behaves. Tokens of two such surfaces must not be good at each
// other, so each has a client, and with it a secret, of its own.
func (c *checker) bind() {
	for _, one := range c.file.Surfaces.all() {
		if one.client == nil || *one.client == "" || one.name == "keymaster" || one.name == "snooplytics" {
			continue
		}
		if other := c.bound[*one.client]; other != "" {
			c.wrong("surfaces."+one.name+"."+one.clientKey, "the client %q is bound to the surface %s; give each a client of its own", *one.client, other)
			continue
		}
		c.bound[*one.client] = one.name
	}
}

// surfaceDefaults fills in, for a client that is bound to a surface, what that
// surface's contract has where the file says nothing.
func (c *checker) surfaceDefaults(path string, cl *Client) {
	if v := c.file.Surfaces.Snooplytics; v != nil && v.Client == cl.Key {
		// Everybody has an organization of their own, and nobody comes in by a password
		// whose address is not proved (contract snooplytics §11).
		yes(&cl.Accounts, true)
		yes(&cl.VerifiedEmail, true)
		if !c.doc.Has(path + ".password") {
			cl.Password = PasswordPolicy{MinLength: client.MinPassword, MaxLength: 128}
		}
	}
	switch c.bound[cl.Key] {
	case "accountmaker":
		c.accountDefaults(path, cl)
	case "tofu":
		v := c.file.Surfaces.Tofu
		c.durationDefault(path+".access_token.lifetime", &cl.AccessToken.Lifetime, 5*time.Minute)
		c.durationDefault(path+".refresh_token.lifetime", &cl.RefreshToken.Lifetime, 24*time.Hour)
		c.boundDefaults(path, cl, client.MethodPassword, v.Google, v.Okta, v.WorkOS)
	case "hackillinois":
		c.durationDefault(path+".access_token.lifetime", &cl.AccessToken.Lifetime, 168*time.Hour)
		c.boundDefaults(path, cl, c.hackUpstreams(path, cl)...)
		cl.Linking = or(cl.Linking, "never")
		if !c.doc.Has(path + ".roles") {
			cl.Roles = Roles{Available: []string{"Admin", "Staff", "Mentor", "Applicant", "Attendee", "User", "Sponsor", "Blobstore"}, Default: []string{"User"}}
		}
	}
}

// boundDefaults are what Tofu and HackIllinois share: whoever proves themselves
// is let in, and tokens are signed with a secret.
func (c *checker) boundDefaults(path string, cl *Client, methods ...string) {
	cl.Registration = or(cl.Registration, string(client.Open))
	cl.AccessToken.Alg = or(cl.AccessToken.Alg, jwks.HS256)
	if !c.doc.Has(path + ".methods") {
		cl.Methods = slices.DeleteFunc(methods, func(m string) bool { return m == "" })
	}
}

// accountDefaults are AccountMaker's (contract accountmaker §2.5, §3.9, §3.12, §6).
func (c *checker) accountDefaults(path string, cl *Client) {
	c.durationDefault(path+".access_token.lifetime", &cl.AccessToken.Lifetime, time.Hour)
	c.durationDefault(path+".refresh_token.lifetime", &cl.RefreshToken.Lifetime, 14*24*time.Hour)
	c.durationDefault(path+".refresh_token.reuse_grace", &cl.RefreshToken.ReuseGrace, 10*time.Second)
	for _, on := range []**bool{&cl.Accounts, &cl.MagicLinkExisting, &cl.MagicLinkNewest} {
		if *on == nil {
			*on = new(true)
		}
	}
	if !c.doc.Has(path + ".password") {
		cl.Password = PasswordPolicy{
			MinLength: client.MinPassword, MaxLength: 128,
			RequireUppercase: true, RequireLowercase: true, RequireDigit: true, RequireSymbol: true, RefuseEmail: true,
		}
	}
}

// durationDefault fills in a duration that the file does not say; one that it
// says and nobody could read is reported already.
func (c *checker) durationDefault(path string, d *client.Duration, instead time.Duration) {
	if !c.doc.Has(path) {
		*d = client.Duration(instead)
	}
}

// hackUpstreams are the upstreams of the surface hackillinois: those it names,
// and for a provider it leaves out the one of that kind, among the client's
// methods if it says which.
func (c *checker) hackUpstreams(path string, cl *Client) (keys []string) {
	for _, p := range c.file.Surfaces.HackIllinois.providers() {
		for _, u := range c.file.Upstreams {
			if *p.key == "" && u.Kind == p.kind && (!c.doc.Has(path+".methods") || slices.Contains(cl.Methods, u.Key)) {
				*p.key = u.Key
			}
		}
		keys = append(keys, *p.key)
	}
	return keys
}

// provider is one provider of a contract and the upstream that it is here.
type provider struct {
	name string
	kind upstream.Kind
	key  *string
}

func (v *HackIllinois) providers() []provider {
	return []provider{
		{"github", upstream.GitHub, &v.Upstreams.GitHub},
		{"google", upstream.Google, &v.Upstreams.Google},
		{"linkedin", upstream.LinkedIn, &v.Upstreams.LinkedIn},
	}
}

// boundUpstream wants the key of an upstream of a kind, which the client takes
// for a method.
func (c *checker) boundUpstream(path, key, clientKey string, kind upstream.Kind) {
	if key == "" {
		return
	}
	got, there := c.brokers[key]
	cl := c.clients[clientKey]
	switch {
	case !slug(key):
		c.wrong(path, slugRule)
	case !there:
		c.wrong(path, "no upstream in this file has the key %q", key)
	case got != kind:
		c.wrong(path, "the upstream %q is of kind %s, not %s", key, got, kind)
	case cl != nil && !slices.Contains(cl.Methods, key):
		c.wrong(path, "the client %q does not have %q among its methods", clientKey, key)
	}
}

func (c *checker) tofu(path string, v *Tofu) {
	c.boundUpstream(path+".google", v.Google, v.Client, upstream.Google)
	c.boundUpstream(path+".okta", v.Okta, v.Client, upstream.Okta)
	c.boundUpstream(path+".workos", v.WorkOS, v.Client, upstream.WorkOS)
	v.AppendSlash, v.PKCE = or(v.AppendSlash, "redirect"), or(v.PKCE, "optional")
	c.oneOf(path+".append_slash", v.AppendSlash, "redirect", "serve")
	c.oneOf(path+".pkce", v.PKCE, "optional", "required")
	if v.ReturnTo != "" && !webURL(v.ReturnTo) {
		c.wrong(path+".return_to", "must be an https URL without fragment (http on a loopback host)")
	}
	yes(&v.PasswordRequiresNoMFA, true)
	yes(&v.RequireVerifiedEmail, true)
	yes(&v.LogoutRevokesRefresh, !v.ProxyMode)
}

func (c *checker) snooplytics(path string, v *Snooplytics) {
	for key, u := range map[string]string{"app_url": v.AppURL, "completion_url": v.CompletionURL, "error_url": v.ErrorURL} {
		if u != "" && !webURL(u) {
			c.wrong(path+"."+key, "must be an https URL without fragment (http on a loopback host)")
		}
	}
	v.CookiePrefix, v.KeyPrefix, v.ErrorProfile = or(v.CookiePrefix, "better-auth"), or(v.KeyPrefix, "ba_"), or(v.ErrorProfile, "reference")
	if !cookiePrefix.MatchString(v.CookiePrefix) {
		c.wrong(path+".cookie_prefix", "must be up to 40 letters, digits, - and _")
	}
	if !keyPrefix.MatchString(v.KeyPrefix) {
		c.wrong(path+".key_prefix", "must be 1 to 15 letters and digits, and _ at the end")
	}
	if v.PasskeyDomain != "localhost" {
		c.domain(path+".passkey_domain", v.PasskeyDomain)
	}
	c.oneOf(path+".error_profile", v.ErrorProfile, "reference", "guide")
	yes(&v.BindBrowser, true)
}

var (
	cookiePrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
	keyPrefix    = regexp.MustCompile(`^[A-Za-z0-9]{1,15}_$`)
)

// yes fills in a choice that was not made.
func yes(choice **bool, instead bool) {
	if *choice == nil {
		*choice = &instead
	}
}

func (c *checker) hackIllinois(path string, v *HackIllinois) {
	if cl := c.clients[v.Client]; cl != nil && len(cl.RedirectURIs) == 0 {
		c.wrong(path+".client", "the client %q needs redirect_uris, of which the first is the default", v.Client)
	}
	if cl := c.clients[v.Client]; cl != nil && cl.AccessToken.Alg != jwks.HS256 {
		c.wrong(path+".client", "the client %q must sign with HS256: whoever verifies these tokens knows nothing else", v.Client)
	}
	for _, p := range v.providers() {
		c.boundUpstream(path+".upstreams."+p.name, *p.key, v.Client, p.kind)
	}
	v.Login, v.LinkedIn = or(v.Login, "brokered"), or(v.LinkedIn, "openid")
	c.oneOf(path+".login", v.Login, "brokered", "pass_through")
	c.oneOf(path+".linkedin", v.LinkedIn, "openid", "legacy")
	names := func(p, name string) { c.oneOf(p, name, "github", "google", "linkedin") }
	c.list(path+".pass_through", v.PassThrough, names)
	if len(v.PassThrough) > 0 && v.Login == "pass_through" {
		c.wrong(path+".pass_through", "login is pass_through for every provider already")
	}
	if v.LegacyTokensUntil != "" {
		if _, err := time.Parse(time.DateOnly, v.LegacyTokensUntil); err != nil {
			c.wrong(path+".legacy_tokens_until", "must be a date such as 2026-01-31")
		}
	}
	if !c.doc.Has(path + ".grant_by") {
		v.GrantBy = []string{"github", "google"}
	}
	c.list(path+".grant_by", v.GrantBy, names)
	c.domain(path+".staff_domain", v.StaffDomain)
	c.domain(path+".hosted_domain", v.HostedDomain)
	c.list(path+".admins", v.Admins, func(p, a string) {
		if normal, err := identity.NormalizeEmail(a); err != nil || normal != a {
			c.wrong(p, "must be an e-mail address in lower case")
		}
	})
	c.list(path+".services", v.Services, func(p, key string) {
		if cl := c.named(p, key); cl != nil && cl.Secret.IsZero() {
			c.wrong(p, "the client %q has no secret to prove itself by", key)
		}
	})
	yes(&v.Impersonation, true)
	yes(&v.DropGrants, true)
	c.durationDefault(path+".renew_for", &v.RenewFor, 30*24*time.Hour)
	c.lifetime(path+".renew_for", v.RenewFor, false)
}

func (c *checker) domain(path, v string) {
	if v == "" {
		return
	}
	if _, err := identity.NormalizeEmail("x@" + v); err != nil {
		c.wrong(path, "must be a domain such as example.com")
	}
}
