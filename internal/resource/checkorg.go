package resource

import (
	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/yaml"
)

// Org is an organization, found by its slug. Status that is left out is active for
// a new one, and stays as it is for one that is there; so do the organization above
// it and the tenant it belongs to, and they are no others later: it does not move.
type Org struct {
	Slug    string      `yaml:"slug"`
	Name    string      `yaml:"name"`
	Picture string      `yaml:"picture,omitempty"`
	Parent  string      `yaml:"parent,omitempty"`
	Tenant  string      `yaml:"tenant,omitempty"`
	Status  string      `yaml:"status,omitempty"`
	Domains []OrgDomain `yaml:"domains,omitempty"`
	SSO     *OrgSSO     `yaml:"sso,omitempty"`
	Policy  OrgPolicy   `yaml:"policy,omitempty"`
}

// OrgDomain is a domain that an organization claims. One that the file says is
// verified is taken at its word. Client is the application that a host of that name
// is for, where a surface asks; what is left out stays as it is.
type OrgDomain struct {
	Name     string `yaml:"name"`
	Verified bool   `yaml:"verified,omitempty"`
	Client   string `yaml:"client,omitempty"`
}

// OrgPolicy is what an organization asks of its members. What is left out stays as it
// is.
type OrgPolicy struct {
	SignIn     string `yaml:"sign_in,omitempty"`
	BreakGlass *bool  `yaml:"break_glass,omitempty"` // an owner with a second factor comes in without its provider
}

// Membership is a user's place in an organization of the file.
type Membership struct {
	Org  string `yaml:"org"`
	Role string `yaml:"role,omitempty"`
}

func (c *checker) allOrgs() {
	slugs := map[string]string{}
	for i := range c.file.Orgs {
		o := &c.file.Orgs[i]
		path := yaml.Index("orgs", i)
		if c.required(path+".slug", o.Slug) && !org.Slug(o.Slug) {
			c.wrong(path+".slug", "must be 2 to 63 lower-case letters, digits and single hyphens between them")
		}
		c.unique(path+".slug", o.Slug, slugs)
		if c.orgs[o.Slug] == nil {
			c.orgs[o.Slug] = o
		}
	}
	verified := map[string]string{}
	for i := range c.file.Orgs {
		c.org(yaml.Index("orgs", i), &c.file.Orgs[i], verified)
	}
	c.orgCycles()
}

func (c *checker) org(path string, o *Org, verified map[string]string) {
	if c.required(path+".name", o.Name) {
		c.text(path+".name", o.Name)
	}
	if o.Picture != "" && !webURL(o.Picture) {
		c.wrong(path+".picture", "must be an https URL (http on a loopback host)")
	}
	var statuses []string
	for _, s := range org.Statuses {
		statuses = append(statuses, string(s))
	}
	c.oneOf(path+".status", o.Status, statuses...)
	if o.Parent != "" && c.orgs[o.Parent] == nil {
		c.wrong(path+".parent", "no organization in this file has the slug %q", o.Parent)
	}
	if o.Tenant != "" && c.tenants[o.Tenant] == nil {
		c.wrong(path+".tenant", "no tenant in this file has the slug %q", o.Tenant)
	}
	if o.Parent != "" && o.Tenant != "" {
		c.wrong(path+".tenant", "stands beside parent; leave one of them out")
	}
	c.oneOf(path+".policy.sign_in", o.Policy.SignIn, string(org.SignInAny), string(org.SignInMFA), string(org.SignInSSO))
	if o.SSO != nil {
		c.sso(path+".sso", o.SSO)
	}
	names := map[string]string{}
	for i := range o.Domains {
		d, p := &o.Domains[i], yaml.Index(path+".domains", i)+".name"
		if !c.required(p, d.Name) {
			continue
		}
		if name, ok := c.mailDomain(p, d.Name); ok {
			d.Name = name
			c.unique(p, name, names)
			if d.Verified {
				c.unique(p, name, verified)
			}
		}
	}
}

// domainClients refuses the clients of domains that the file does not have: clients
// are known after the organizations, to which they may belong.
func (c *checker) domainClients() {
	for i := range c.file.Orgs {
		for j, d := range c.file.Orgs[i].Domains {
			if d.Client != "" && c.clients[d.Client] == nil {
				c.wrong(yaml.Index(yaml.Index("orgs", i)+".domains", j)+".client", "no client in this file has the key %q", d.Client)
			}
		}
	}
}

// orgCycles refuses an organization that is above itself.
func (c *checker) orgCycles() {
	for i := range c.file.Orgs {
		at := &c.file.Orgs[i]
		for range c.file.Orgs {
			if at = c.orgs[at.Parent]; at == nil {
				break
			}
			if at == &c.file.Orgs[i] {
				c.wrong(yaml.Index("orgs", i)+".parent", "is above itself")
				break
			}
		}
	}
}

func (c *checker) memberships(path string, u *User) {
	joined := map[string]string{}
	for i := range u.Memberships {
		m, p := &u.Memberships[i], yaml.Index(path, i)
		m.Role = or(m.Role, string(org.Member))
		c.orgRole(p+".role", m.Role)
		c.namedOrg(p+".org", m.Org)
		c.unique(p+".org", m.Org, joined)
	}
}

func (c *checker) orgRole(path, role string) {
	c.oneOf(path, role, string(org.Owner), string(org.Admin), string(org.Member), string(org.Viewer))
}

func (c *checker) namedOrg(path, slug string) bool {
	if !c.required(path, slug) {
		return false
	}
	if c.orgs[slug] == nil {
		c.wrong(path, "no organization in this file has the slug %q", slug)
	}
	return c.orgs[slug] != nil
}

// orgInvite checks an invitation to an organization. The invited person comes into
// the client that it names, else into the one that accountmaker is bound to, else
// into whichever they accept it in.
func (c *checker) orgInvite(path string, in *Invite, invited map[string]string) {
	in.Role = or(in.Role, string(org.Member))
	c.orgRole(path+".role", in.Role)
	if in.Client == "" && c.file.Surfaces.AccountMaker != nil {
		in.Client = c.file.Surfaces.AccountMaker.DefaultClient
	} else if in.Client != "" {
		c.named(path+".client", in.Client)
	}
	if c.namedOrg(path+".org", in.Org) && in.Email != "" {
		c.unique(path, in.Org+" "+in.Email, invited)
	}
}

// domains brings the allowed domains of a client into the form of addresses.
func (c *checker) domains(path string, cl *Client) {
	for i, v := range cl.AllowedDomains {
		if d, ok := c.mailDomain(path, v); ok {
			cl.AllowedDomains[i] = d
		}
	}
	c.list(path, cl.AllowedDomains, func(string, string) {})
	if len(cl.AllowedDomains) > 0 && cl.Registration == string(client.Open) {
		c.warn(path, "changes nothing while registration is open")
	}
}

func (c *checker) mailDomain(path, v string) (string, bool) {
	d, ok := identity.NormalizeDomain(v)
	if !ok && v != "" {
		c.wrong(path, "%q is not a domain that mail is sent to", v)
	}
	return d, ok
}
