package resource

import (
	"sallyport/internal/client"
	"sallyport/internal/identity"
)

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
