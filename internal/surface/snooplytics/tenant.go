package snooplytics

import (
	"net/http"
	"strings"
	"unicode"

	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/wire"
)

// tenantPath is where the routes of one organization are.
const tenantPath = "/api/user/organizations/{organizationId}"

// handler is what a route does.
type handler func(a *API, w http.ResponseWriter, r *http.Request, c *call) error

// within puts before a route of an organization what all of them begin with: the key is
// not one of another organization's, the caller is a member with at least a role, and
// their sign-in is one that the organization takes. Whose the organization is not, gets
// the same answer as for one that there is not.
func within(least org.Role, do handler) handler {
	return tenant(func(a *API, w http.ResponseWriter, r *http.Request, c *call) error {
		seat, err := a.Enterprise.Enter(r.Context(), c.actor(r), c.org, least)
		if err != nil {
			return err
		}
		c.seat = seat
		return do(a, w, r, c)
	})
}

// tenant is within for an operation that judges the member itself.
func tenant(do handler) handler {
	return func(a *API, w http.ResponseWriter, r *http.Request, c *call) error {
		id, ok := identity.ParseID(r.PathValue("organizationId"))
		c.org = org.ID(id)
		switch {
		case c.who.Org != "" && c.who.Org != c.org:
			return fault.New(fault.KeyPinned)
		case !ok:
			return refuse("TENANT_VIOLATION")
		}
		err := do(a, w, r, c)
		if f, ok := fault.From(err); ok && f.Code == fault.ProofRequired {
			return notFresh(err)
		}
		return as(err, tenantCodes)
	}
}

// tenantCodes are what a member lacks there (contract §1.3, §9).
var tenantCodes = map[fault.Code]string{fault.Forbidden: "INSUFFICIENT_PERMISSIONS"}

// actor is the caller as package enterprise wants them.
func (c *call) actor(r *http.Request) enterprise.Actor {
	return enterprise.Actor{UserID: c.who.UserID, Session: c.who.Session, IP: c.who.IP, RequestID: c.who.RequestID, Base: base(r.Context())}
}

// line reads a name: one line of text, "" for none.
func (in *input) line(name string, rules ...wire.Rule) string {
	s := in.text(name, append(rules, wire.Max(maxName))...)
	out := strings.TrimSpace(s)
	if s != "" && out == "" || strings.ContainsFunc(out, unicode.IsControl) {
		in.wrong(name, "Invalid "+name)
	}
	return out
}
