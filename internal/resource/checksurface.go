package resource

import (
	"slices"

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
	if v := s.Snooplytics; v != nil {
		c.snooplytics("surfaces.snooplytics", v)
	}
	if v := s.Tofu; v != nil {
		c.tofu("surfaces.tofu", v)
	}
	if v := s.HackIllinois; v != nil {
		c.hackIllinois("surfaces.hackillinois", v)
	}
}

func or(v, instead string) string {
	if v == "" {
		return instead
	}
	return v
}
