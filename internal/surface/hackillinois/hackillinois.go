// Package hackillinois serves the API of HackIllinois' gateway and auth service
// (contract hackillinois): login by GitHub, Google and LinkedIn, roles, tokens,
// and the profile routes that a login needs. It turns requests into operations of
// the core and outcomes into that API's words.
//
//	GET  /auth/{provider}/           ── browser ──▶ provider
//	GET  /auth/callback/{provider}/  ◀─ browser ──  its code, spent there and then
//	         └─ browser ──▶ the application's page with a code of ours
//	POST /auth/code/{provider}/      the page's code against a token
//
// The route in the middle is ours: it is why a provider's code never leaves the
// server. A provider that is switched to pass-through has none, and answers the
// application itself (contract §9).
//
// A token is signed with the one secret of the client that the surface is bound
// to. What it says of roles is its upper bound: every call reads the session that
// it was made in and the roles that its owner has now.
package hackillinois

import (
	"log/slog"
	"net/http"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/jwks"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// API is the surface. Keys signs its tokens and Tokens verifies them; Issuers are
// the base URLs of all mounts of this installation, whose tokens are good here.
// Settings are asked for by every request, because they may change meanwhile.
type API struct {
	SignIn   *signin.Core
	Self     *self.Core
	Admin    *admin.Core
	Keys     *jwks.Ring
	Tokens   *token.Cache
	Now      func() time.Time
	Log      *slog.Logger
	Issuers  []string
	Settings func() Settings
}

// The roles that the gate asks for (contract §4). All others are the client's
// own affair.
const (
	roleUser  = "User"
	roleAdmin = "Admin"
)

// Routes lists every route of the contract; Alone has the ones that are only
// for a mount of this surface's own.
func (a *API) Routes() []wire.Route {
	return withPreflight([]wire.Route{
		{Method: "GET", Pattern: "/auth/{provider}/", Handler: a.handled(a.start)},
		{Method: "GET", Pattern: "/auth/callback/{provider}/", Handler: a.handled(a.callback)},
		{Method: "POST", Pattern: "/auth/code/{provider}/", Handler: a.handled(a.exchange)},
		{Method: "GET", Pattern: "/auth/roles/", Handler: a.gate(roleUser, a.ownRoles)},
		{Method: "GET", Pattern: "/auth/roles/{id}/", Handler: a.gate(roleAdmin, a.rolesOf)},
		{Method: "PUT", Pattern: "/auth/roles/add/", Handler: a.gate(roleAdmin, a.addRole)},
		{Method: "PUT", Pattern: "/auth/roles/remove/", Handler: a.gate(roleAdmin, a.removeRole)},
		{Method: "GET", Pattern: "/auth/token/refresh/", Handler: a.gate(roleUser, a.refresh)},
		{Method: "GET", Pattern: "/auth/roles/list/", Handler: a.gate(roleAdmin, a.listRoles)},
		{Method: "GET", Pattern: "/auth/roles/list/{role}/", Handler: a.gate(roleAdmin, a.usersByRole)},
		{Method: "GET", Pattern: "/user/", Handler: a.gate(roleUser, a.ownProfile)},
		{Method: "GET", Pattern: "/user/{id}/", Handler: a.gate(roleAdmin, a.anyProfile)},
		{Method: "GET", Pattern: "/user/filter/", Handler: a.gate(roleAdmin, a.profilesBy)},
		{Method: "POST", Pattern: "/user/", Handler: a.gate(roleAdmin, a.setProfile)},
	})
}

// Alone lists what a shared root has no room for: the probe that the original
// answers at its own (contract §7.1).
func (a *API) Alone() []wire.Route {
	return withPreflight([]wire.Route{{Method: "GET", Pattern: "/", Handler: a.lives}})
}

// withPreflight adds an OPTIONS route for every pattern; on a mount of its own,
// NotFound answers it for all other paths.
func withPreflight(routes []wire.Route) []wire.Route {
	all, seen := routes, map[string]bool{}
	for _, r := range routes {
		if !seen[r.Pattern] {
			seen[r.Pattern] = true
			all = append(all, wire.Route{Method: http.MethodOptions, Pattern: r.Pattern, Handler: preflight})
		}
	}
	return all
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: base(r)}
}

// base is the URL of the mount that the request came by.
func base(r *http.Request) string { return wire.MountOf(r.Context()).Base }
