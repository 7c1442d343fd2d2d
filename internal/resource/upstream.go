package resource

import (
	"context"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
	"sallyport/internal/yaml"
)

// Upstream is an outside identity provider. Clients name it by its key among
// their methods, surfaces in their settings. It is described completely: a key
// that is left out means its default. ClientSecret is the client secret, the API
// key of WorkOS, or the private key from Apple.
type Upstream struct {
	Key               string        `yaml:"key"`
	Kind              upstream.Kind `yaml:"kind"`
	ClientSecret      Secret        `yaml:"client_secret,omitempty"`
	upstream.Settings `yaml:",inline"`
}

// record is the upstream as it is stored, with the secret that it is to have.
func (u *Upstream) record(password secret.Value) upstream.Upstream {
	return upstream.Upstream{Key: u.Key, Kind: u.Kind, Settings: u.Settings, Secret: password}
}

func (c *checker) upstreams() {
	seen := map[string]string{}
	for i := range c.file.Upstreams {
		c.upstreamEntry(yaml.Index("upstreams", i), &c.file.Upstreams[i], seen)
	}
}

func (c *checker) upstreamEntry(path string, u *Upstream, seen map[string]string) {
	if c.required(path+".key", u.Key) {
		switch own := []string{client.MethodPassword, client.MethodMagicLink, client.MethodEmailCode, client.MethodPasskey}; {
		case !slug(u.Key):
			c.wrong(path+".key", slugRule)
		case slices.Contains(own, u.Key):
			c.wrong(path+".key", "%q is a method of our own; choose another key", u.Key)
		}
		c.unique(path+".key", u.Key, seen)
		c.brokers[u.Key] = u.Kind
	}
	resolved := c.secret(path+".client_secret", &u.ClientSecret)
	for _, m := range u.record(u.ClientSecret.value).Check() {
		if m.Field == "client_secret" && !u.ClientSecret.IsZero() && !resolved {
			continue // the stored one was judged when it came; what is wrong with another is said already
		}
		c.wrong(path+"."+m.Field, "%s", m.Text)
	}
}

// knownUpstream warns of the key of an upstream that is not in the file.
func (c *checker) knownUpstream(path, key string) {
	if _, there := c.brokers[key]; !there {
		c.warn(path, "no upstream has the key %q; nobody is signed in by it", key)
	}
}

func (s *state) loadUpstreams(ctx context.Context, tx *db.Tx, k *secret.Key) error {
	all, err := upstream.List(ctx, tx, k)
	s.upstreams = map[string]upstream.Upstream{}
	for _, u := range all {
		s.upstreams[u.Key] = u
	}
	return err
}

func (d *differ) upstream(path string, u *Upstream) {
	was, exists := d.s.upstreams[u.Key]
	next := u.record(u.ClientSecret.value)
	if u.ClientSecret.Stored() {
		if !exists || was.Kind != u.Kind {
			d.wrong(path+".client_secret", "there is no stored secret; name it as in env:NAME")
		}
		next.Secret = was.Secret
	} else {
		d.next.Upstreams[u.Key] = remember(u.ClientSecret, upstreamMark(d.core.Key, next))
	}
	var before []attr
	if exists {
		before = upstreamAttrs(was)
	}
	c := Change{Action: Update, Kind: "upstream", Name: u.Key, Fields: fieldsBetween(before, upstreamAttrs(next))}
	if !secret.Equal([]byte(was.Secret.Reveal()), []byte(next.Secret.Reveal())) {
		c.Fields = append(c.Fields, secretField("client_secret", exists))
	}
	e := audit.Event{Action: audit.UpstreamUpdated, Detail: map[string]any{"upstream": u.Key, "fields": names(c.Fields)}}
	if !exists {
		c.Action, e = Create, audit.Event{Action: audit.UpstreamCreated, Detail: map[string]any{"upstream": u.Key, "kind": string(u.Kind)}}
	}
	c.do = func(ctx context.Context, tx *db.Tx) error {
		if err := upstream.Put(ctx, tx, d.core.Key, next, d.now); err != nil {
			return err
		}
		return d.record(ctx, tx, e)
	}
	d.add(c)
}

// upstreamMark is what a secret is recognised by later.
func upstreamMark(k *secret.Key, u upstream.Upstream) string {
	return mark(k, "upstream "+u.Key, []byte(u.Secret.Reveal()))
}

// upstreamAttrs is everything about an upstream but its secret, by the names
// that the file has for it.
func upstreamAttrs(u upstream.Upstream) []attr {
	s := u.Settings
	return []attr{
		{"kind", string(u.Kind)},
		{"name", s.Name},
		{"client_id", s.ClientID},
		{"base_url", s.BaseURL},
		{"issuer", s.Issuer},
		{"scopes", joined(s.Scopes)},
		{"email_domains", joined(s.EmailDomains)},
		{"trust_email", yesNo(s.TrustEmail)},
		{"hosted_domains", joined(s.HostedDomains)},
		{"tenant", s.Tenant},
		{"tenants", joined(s.Tenants)},
		{"team_id", s.TeamID},
		{"key_id", s.KeyID},
		{"mode", s.Mode},
		{"provider", s.Provider},
		{"connection", s.Connection},
		{"organization", s.Organization},
		{"authorization_endpoint", s.AuthorizationEndpoint},
		{"token_endpoint", s.TokenEndpoint},
		{"userinfo_endpoint", s.UserinfoEndpoint},
		{"members.subject", s.Members.Subject},
		{"members.email", s.Members.Email},
		{"members.email_verified", s.Members.EmailVerified},
		{"members.name", s.Members.Name},
		{"members.username", s.Members.Username},
		{"members.picture", s.Members.Picture},
	}
}

// pruneUpstreams deletes the upstreams that the file does not name. Clients and
// surfaces that still do lose that way in; the links of people stay.
func (d *differ) pruneUpstreams() {
	for _, key := range inOrder(d.s.upstreams) {
		if slices.ContainsFunc(d.f.Upstreams, func(u Upstream) bool { return u.Key == key }) {
			continue
		}
		delete(d.next.Upstreams, key)
		d.remove("upstream", key, audit.Event{Action: audit.UpstreamDeleted, Detail: map[string]any{"upstream": key}},
			func(ctx context.Context, tx *db.Tx) error {
				there, err := upstream.Delete(ctx, tx, key)
				if err == nil && !there {
					return db.ErrNotFound
				}
				return err
			})
	}
}

func (p *puller) upstream(u upstream.Upstream) Upstream {
	ref := p.s.owned.Upstreams[u.Key].ref(upstreamMark(p.key, u))
	return Upstream{Key: u.Key, Kind: u.Kind, Settings: u.Settings, ClientSecret: p.secret(ref, "upstream %s: client_secret", u.Key)}
}
