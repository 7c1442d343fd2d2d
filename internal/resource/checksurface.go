package resource

import (
	"slices"
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/yaml"
)

func (c *checker) surfaces() {
	s := &c.file.Surfaces
	for _, one := range s.all() {
		if one.client == nil {
			continue
		}
		path := "surfaces." + one.name + "." + one.clientKey
		if cl := c.named(path, *one.client); cl != nil && one.name == "keymaster" && !slices.Contains(cl.Roles.Available, "admin") {
			c.warn(path, "the client %q has no role admin, so nobody can become an operator", cl.Key)
		}
	}
	if v := s.OIDC; v != nil {
		v.Registration = or(v.Registration, "token")
		c.oneOf("surfaces.oidc.registration", v.Registration, "open", "token", "off")
		if v.ClientDocuments == nil {
			v.ClientDocuments = new(v.Registration == "open")
		}
		c.scopes("surfaces.oidc.scopes", v.Scopes)
		if i := slices.Index(v.Scopes, "clients:register"); i >= 0 {
			c.wrong(yaml.Index("surfaces.oidc.scopes", i), "by this scope clients are registered; give it to a client of this file")
		}
		// RFC 8707 §2: absolute, without fragment.
		c.list("surfaces.oidc.resources", v.Resources, func(p, r string) {
			if !webURL(r) {
				c.wrong(p, "must be an https URL without fragment (http on a loopback host)")
			}
		})
	}
	if v := s.Snooplytics; v != nil && v.CompletionURL != "" && !webURL(v.CompletionURL) {
		c.wrong("surfaces.snooplytics.completion_url", "must be an https URL without fragment (http on a loopback host)")
	}
	if v := s.Tofu; v != nil {
		c.upstream("surfaces.tofu.google", v.Google)
		c.upstream("surfaces.tofu.okta", v.Okta)
		c.upstream("surfaces.tofu.workos", v.WorkOS)
	}
	if v := s.HackIllinois; v != nil {
		c.hackIllinois("surfaces.hackillinois", v)
	}
}

// upstream takes the key of an upstream.
func (c *checker) upstream(path, v string) {
	switch {
	case v == "":
	case !slug(v):
		c.wrong(path, slugRule)
	default:
		c.knownUpstream(path, v)
	}
}

func (c *checker) hackIllinois(path string, v *HackIllinois) {
	v.Login, v.LinkedIn = or(v.Login, "brokered"), or(v.LinkedIn, "openid")
	c.oneOf(path+".login", v.Login, "brokered", "pass_through")
	c.oneOf(path+".linkedin", v.LinkedIn, "openid", "legacy")
	if v.LegacyTokensUntil != "" {
		if _, err := time.Parse(time.DateOnly, v.LegacyTokensUntil); err != nil {
			c.wrong(path+".legacy_tokens_until", "must be a date such as 2026-01-31")
		}
	}
	if v.StaffDomain != "" {
		if _, err := identity.NormalizeEmail("x@" + v.StaffDomain); err != nil {
			c.wrong(path+".staff_domain", "must be a domain such as example.com")
		}
	}
	c.list(path+".admins", v.Admins, func(p, a string) {
		if normal, err := identity.NormalizeEmail(a); err != nil || normal != a {
			c.wrong(p, "must be an e-mail address in lower case")
		}
	})
}

func or(v, instead string) string {
	if v == "" {
		return instead
	}
	return v
}
