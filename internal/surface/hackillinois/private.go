package hackillinois

import (
	"net/http"
	"slices"

	"sallyport/internal/fault"
	"sallyport/internal/wire"
)

// identityHeader is the header by which a service says for whom it asks (contract
// §7.3). It means something on the private listener, and nowhere else.
const identityHeader = "HackIllinois-Identity"

// PrivateRoutes are what the services beside the original's auth service call,
// without a user's token, on a network of their own: registration gives Applicant,
// check-in gives Attendee, notifications ask who has a role. There, whoever
// reaches the port is believed; here, a service proves itself by its client's
// key and secret (RFC 7617), and is one of those that the settings name. Tokens
// are not given out: no service of theirs asks for one.
func (a *API) PrivateRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/auth/roles/", Handler: a.sibling(a.namedRoles)},
		{Method: "GET", Pattern: "/auth/roles/{id}/", Handler: a.sibling(a.rolesOf)},
		{Method: "PUT", Pattern: "/auth/roles/add/", Handler: a.sibling(a.addRole)},
		{Method: "PUT", Pattern: "/auth/roles/remove/", Handler: a.sibling(a.removeRole)},
		{Method: "GET", Pattern: "/auth/roles/list/", Handler: a.sibling(a.listRoles)},
		{Method: "GET", Pattern: "/auth/roles/list/{role}/", Handler: a.sibling(a.usersByRole)},
	}
}

// Private serves them. It says what the original's private port says of paths
// and methods that it has not.
func (a *API) Private() http.Handler {
	mux := &wire.Mux{NotFound: http.NotFound}
	mux.Add(a.PrivateRoutes(), a.MethodNotAllowed)
	return wire.Recover(a.Log, a.Crash, mux)
}

// sibling lets a service in. There are no headers for pages of other origins: no
// page asks here.
func (a *API) sibling(h func(http.ResponseWriter, *http.Request, caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := a.Settings()
		if r.Method == http.MethodHead || slashed(r) || s.Client == "" {
			a.MethodNotAllowed(w, r)
			return
		}
		key, plain, ok := r.BasicAuth()
		if !ok || !slices.Contains(s.Services, key) {
			forbid(w)
			return
		}
		cl, err := a.Admin.Sibling(r.Context(), key, plain)
		switch {
		case fault.Is(err, fault.ClientAuthFailed):
			forbid(w)
		case err != nil:
			a.report(r, err)
			a.Crash(w, r)
		default:
			h(w, r, caller{service: cl.ID, alias: named(r, identityHeader)})
		}
	}
}

// namedRoles is GET /auth/roles/ of whom the service names (§4.3).
func (a *API) namedRoles(w http.ResponseWriter, r *http.Request, c caller) {
	if c.alias == "" {
		refuse(w, noID)
		return
	}
	a.writeRoles(w, r, c.alias)
}
