package client

import (
	"slices"
	"strings"
)

// Door is the status of the place that somebody gets who comes by themselves, with
// the address that they have, verified or not; "" means that they need an
// invitation.
//
//	                        open     approval   invite
//	of an allowed domain,
//	  verified              active   active     active
//	  not yet               active   pending    pending
//	of another              active   pending    none
//
// Who is pending because of an address that is not verified is let in once it is.
func (p Policy) Door(email string, verified bool) Status {
	switch {
	case p.Registration == Open, p.LetsIn(email, verified):
		return Active
	case p.Registration == Approval, p.allows(email):
		return Pending
	}
	return ""
}

// LetsIn reports whether the address alone lets somebody in whom an operator would
// otherwise have to let in.
func (p Policy) LetsIn(email string, verified bool) bool { return verified && p.allows(email) }

// Closed reports whether nobody at all gets a place without an invitation.
func (p Policy) Closed() bool {
	return p.Registration != Open && p.Registration != Approval && len(p.AllowedDomains) == 0
}

func (p Policy) allows(email string) bool {
	_, domain, _ := strings.Cut(email, "@")
	return domain != "" && slices.Contains(p.AllowedDomains, domain)
}
