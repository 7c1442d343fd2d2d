package resource

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/outbound"
)

func (c *checker) tenant(path string, t *Tenant) {
	if c.required(path+".slug", t.Slug) {
		if !slug(t.Slug) {
			c.wrong(path+".slug", slugRule)
		}
		if first, dup := c.tenants[t.Slug]; dup && first != t {
			c.wrong(path+".slug", "%q is the slug of another tenant in this file", t.Slug)
		} else {
			c.tenants[t.Slug] = t
		}
	}
	if c.required(path+".name", t.Name) {
		c.text(path+".name", t.Name)
	}
	c.passwordPolicy(path+".password", &t.Password)
}

func (c *checker) passwordPolicy(path string, p *PasswordPolicy) {
	if path += ".min_length"; c.doc.Has(path) && p.MinLength < client.MinPassword {
		c.wrong(path, "must be at least %d", client.MinPassword)
	}
	if p.MinLength > maxMinLength {
		c.wrong(path, "must be at most %d", maxMinLength)
	}
	c.greatest(strings.TrimSuffix(path, "min_length")+"max_length", p)
}

// maxMinLength keeps a policy from asking for passwords that nobody has.
const maxMinLength = 128

func (c *checker) client(path string, cl *Client, ids map[string]string) {
	c.clientName(path, cl, ids)
	c.surfaceDefaults(path, cl)
	signs := c.clientSecrets(path, cl)

	c.oneOf(path+".registration", cl.Registration, string(client.Open), string(client.Approval), string(client.Invite))
	c.domains(path+".allowed_domains", cl)
	if cl.Org != "" {
		c.namedOrg(path+".org", cl.Org)
	}
	c.oneOf(path+".second_factor", cl.SecondFactor, client.FactorOptional, client.FactorRequired)
	c.oneOf(path+".linking", cl.Linking, "verified_email", "never")
	c.oneOf(path+".profile", cl.Profile, "default", "fapi2")
	c.oneOf(path+".pkce", cl.PKCE, client.PKCERequired, client.PKCEOptional, client.PKCEPlain)
	if cl.PKCE == "optional" && !cl.provesItself() {
		c.wrong(path+".pkce", "only a client that authenticates may go without PKCE")
	}
	if cl.PKCE != "" && cl.PKCE != client.PKCERequired && cl.Profile == "fapi2" {
		c.wrong(path+".pkce", "the profile fapi2 requires PKCE with S256")
	}
	c.passwordPolicy(path+".password", &cl.Password)
	c.lifetimes(path, cl)
	c.cookie(path+".access_token.cookie", cl.AccessToken.Cookie)
	c.cookie(path+".refresh_token.cookie", cl.RefreshToken.Cookie)
	if k := cl.RefreshToken.Cookie; k != nil && k.Open {
		c.wrong(path+".refresh_token.cookie.open", "scripts must not read a refresh token")
	}
	c.methods(path+".methods", cl)
	c.roles(path+".roles", &cl.Roles)
	c.grants(path+".grants", cl)
	c.uris(path, cl)
	c.provider(path, cl)
	c.branding(path+".branding", &cl.Branding)
	if cl.Audience != "" {
		c.text(path+".audience", cl.Audience)
	}
	if !signs && cl.AccessToken.Alg == jwks.HS256 {
		why := ""
		if name := c.bound[cl.Key]; name != "" && !c.doc.Has(path+".access_token.alg") {
			why = ", which the surface " + name + " has unless another alg is named,"
		}
		c.wrong(path+".access_token", "HS256%s needs access_token.secret, which signs the tokens", why)
	}
}

func (c *checker) clientName(path string, cl *Client, ids map[string]string) {
	if cl.ID != "" {
		id, ok := identity.ParseID(cl.ID)
		if !ok {
			c.wrong(path+".id", "must be a UUID such as 7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11")
		}
		cl.ID = id
		c.unique(path+".id", id, ids)
	}
	if c.required(path+".key", cl.Key) {
		if !slug(cl.Key) {
			c.wrong(path+".key", slugRule)
		} else if _, isID := identity.ParseID(cl.Key); isID && cl.Key != cl.ID {
			c.wrong(path+".key", "a key that is a UUID must be the client's own id")
		}
		if first, dup := c.clients[cl.Key]; dup && first != cl {
			c.wrong(path+".key", "%q is the key of another client in this file", cl.Key)
		} else {
			c.clients[cl.Key] = cl
		}
	}
	if c.required(path+".name", cl.Name) {
		c.text(path+".name", cl.Name)
	}
	if cl.Tenant != "" && c.tenants[cl.Tenant] == nil {
		c.wrong(path+".tenant", "no tenant in this file has the slug %q", cl.Tenant)
	}
	if cl.Console && cl.Tenant == "" {
		c.wrong(path+".console", "only a tenant has a console; name the tenant")
	}
	if cl.BundleID != nil {
		c.text(path+".bundle_id", *cl.BundleID)
	}
}

// clientSecrets judges both secrets of a client and reports whether it has one
// to sign with.
func (c *checker) clientSecrets(path string, cl *Client) (signs bool) {
	if c.secret(path+".secret", &cl.Secret) && len(cl.Secret.Reveal()) < minSecret {
		c.warn(path+".secret", "is short; a client's secret should have %d characters or more", minSecret)
	}
	at, p := &cl.AccessToken, path+".access_token"
	c.oneOf(p+".alg", at.Alg, jwks.RS256, jwks.ES256, jwks.EdDSA, jwks.HS256)
	if at.Secret.IsZero() {
		if !at.PreviousSecret.IsZero() {
			c.wrong(p+".previous_secret", "stands beside access_token.secret, which is missing")
		}
		return false
	}
	if at.Alg != jwks.HS256 {
		c.wrong(p+".secret", "only HS256 signs with a secret")
	}
	c.signing(p+".secret", &at.Secret)
	c.signing(p+".previous_secret", &at.PreviousSecret)
	if !at.PreviousSecret.IsZero() && at.PreviousSecret.text == at.Secret.text && at.Secret.Given() {
		c.wrong(p+".previous_secret", "is the secret itself; leave it out")
	}
	return true
}

// signing judges a secret that signs, or signed, with HS256: whoever guesses it
// makes any token they like.
func (c *checker) signing(path string, s *Secret) {
	switch {
	case !c.secret(path, s):
	case len(s.Reveal()) < jwks.MinSecret:
		c.wrong(path, "must have at least %d bytes to sign with HS256", jwks.MinSecret)
	case jwks.InSource([]byte(s.Reveal())):
		c.wrong(path, "is the SECRET_KEY that Django wrote into settings.py, and whoever has read that could sign in as anybody; "+
			"SECRET_KEY can stay: make a key for tokens alone with: openssl rand -base64 48, write it here, and in the backend as SIMPLE_JWT[\"SIGNING_KEY\"]")
	case jwks.WellKnown([]byte(s.Reveal())):
		c.wrong(path, "is a secret that everybody knows; make one with: openssl rand -base64 48")
	}
}

// minSecret is the length below which a client's secret is warned about.
const minSecret = 16

// The bounds of lifetimes.
const (
	leastLifetime = time.Second
	shortLifetime = time.Minute
	mostLifetime  = 10 * 365 * 24 * time.Hour
)

func (c *checker) lifetimes(path string, cl *Client) {
	c.lifetime(path+".access_token.lifetime", cl.AccessToken.Lifetime, false)
	c.lifetime(path+".refresh_token.lifetime", cl.RefreshToken.Lifetime, false)
	c.lifetime(path+".refresh_token.idle", cl.RefreshToken.Idle, true)
	c.lifetime(path+".refresh_token.max_age", cl.RefreshToken.MaxAge, true)
	// While the old token is still answered, its theft goes unnoticed.
	if g := cl.RefreshToken.ReuseGrace.D(); g > shortLifetime {
		c.warn(path+".refresh_token.reuse_grace", "a stolen refresh token works beside the real one for %s", g)
	} else if g > 0 && g < leastLifetime {
		c.wrong(path+".refresh_token.reuse_grace", "must be 0s or at least 1s")
	}
}

func (c *checker) lifetime(path string, d client.Duration, zero bool) {
	switch v := d.D(); {
	case v == 0 && (zero || !c.doc.Has(path)):
	case v < leastLifetime:
		c.wrong(path, "must be at least 1s")
	case v > mostLifetime:
		c.wrong(path, "must be at most 3650d")
	case v < shortLifetime:
		c.warn(path, "%s is less than a minute", v)
	}
}

func (c *checker) methods(path string, cl *Client) {
	if !c.doc.Has(path) && cl.Methods == nil {
		cl.Methods = []string{client.MethodPassword}
	}
	own := []string{client.MethodPassword, client.MethodMagicLink, client.MethodEmailCode, client.MethodPasskey}
	c.list(path, cl.Methods, func(p, v string) {
		switch {
		case slices.Contains(own, v):
		case !slug(v):
			c.wrong(p, "must be one of our own methods (%s) or the key of an upstream", strings.Join(own, ", "))
		default:
			c.knownUpstream(p, v)
		}
	})
}

func (c *checker) roles(path string, r *Roles) {
	if !c.doc.Has(path+".available") && r.Available == nil {
		r.Available = []string{"user", "manager", "admin"}
	}
	if !c.doc.Has(path+".default") && slices.Contains(r.Available, "user") {
		r.Default = []string{"user"}
	}
	c.list(path+".available", r.Available, c.text)
	c.list(path+".default", r.Default, func(p, v string) { c.role(p, v, r) })
}

// role wants a role that r has available.
func (c *checker) role(path, v string, r *Roles) {
	if !slices.Contains(r.Available, v) {
		c.wrong(path, "%q is not one of the available roles (%s)", v, strings.Join(r.Available, ", "))
	}
}

func (c *checker) grants(path string, cl *Client) {
	known := []string{"authorization_code", "refresh_token", "client_credentials"}
	c.list(path, cl.Grants, func(p, v string) {
		if !slices.Contains(known, v) && !urn.MatchString(v) {
			c.wrong(p, "must be %s, or the full URN of another grant type", orList(known))
		}
		if v == "client_credentials" && !cl.provesItself() {
			c.wrong(p, "a client that signs in for itself needs a secret, or a token_endpoint_auth_method without one")
		}
	})
}

var (
	urn   = regexp.MustCompile(`^urn:[a-z0-9][a-z0-9-]{0,31}:[!-~]+$`) // RFC 8141 §2, in lower case
	color = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)
)

func (c *checker) uris(path string, cl *Client) {
	redirect := func(p, v string) {
		if err := client.CheckRedirectURI(v); err != nil {
			c.wrong(p, "must be an absolute URI without fragment: https, http on a loopback host, or an application's own scheme with a dot")
		}
	}
	c.list(path+".redirect_uris", cl.RedirectURIs, redirect)
	c.list(path+".post_logout_redirect_uris", cl.PostLogoutRedirectURIs, redirect)
	c.list(path+".allowed_origins", cl.AllowedOrigins, func(p, v string) {
		if !webURL(v) || client.Origin(v) != strings.ToLower(v) {
			c.wrong(p, "must be an origin such as https://app.example.com, without a path")
		}
	})
	c.page(path+".links.magic_link", cl.Links.MagicLink)
	c.page(path+".links.reset_password", cl.Links.ResetPassword)
	c.page(path+".links.verify_email", cl.Links.VerifyEmail)
	c.page(path+".links.invite", cl.Links.Invite)
	if cl.Issuer != "" && (!webURL(cl.Issuer) || strings.ContainsAny(cl.Issuer, "?#")) {
		c.wrong(path+".issuer", "must be an https URL without query and fragment (http on a loopback host)")
	}
	c.endpoint(path+".jwks_uri", cl.JWKSURI)
	c.endpoint(path+".backchannel_logout_uri", cl.BackchannelLogoutURI)
}

// page wants the address of a page of the application. One that routes by
// fragment is fine: parameters go before it.
func (c *checker) page(path, v string) {
	if page, _, _ := strings.Cut(v, "#"); v != "" && client.CheckRedirectURI(page) != nil {
		c.wrong(path, "must be the address of a page: https, http on a loopback host, or an application's own scheme with a dot")
	}
}

// webURL reports whether v is an https URL, or http on a loopback host.
func webURL(v string) bool {
	u, err := url.Parse(v)
	return err == nil && client.CheckRedirectURI(v) == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// endpoint wants an address that we are to call.
func (c *checker) endpoint(path, v string) {
	if v == "" {
		return
	}
	_, err := outbound.CheckURL(v, c.o.Outbound)
	if refused, ok := errors.AsType[*outbound.Refused](err); ok {
		c.wrong(path, "is in a private network (%s); outbound_allow must cover it", refused.Addr)
	} else if err != nil {
		c.wrong(path, "must be an https URL without user information and fragment (http on a loopback host that outbound_allow covers)")
	}
}

func (c *checker) branding(path string, b *Branding) {
	if b.Color != "" && !color.MatchString(b.Color) {
		c.wrong(path+".color", "must be a colour such as \"#2d5bff\"")
	}
	// A path of ours is an uploaded logo, as pull writes it.
	if b.LogoURL != "" && !strings.HasPrefix(b.LogoURL, "/apps/") && !webURL(b.LogoURL) {
		c.wrong(path+".logo_url", "must be an https URL (http on a loopback host)")
	}
	if b.LogoHeight < 0 || b.LogoHeight > 1000 {
		c.wrong(path+".logo_height", "must be 1 to 1000 pixels")
	}
}
