// Package snooplytics serves the Snooplytics API (contract snooplytics): one
// envelope around every answer, a session cookie, personal access tokens and
// OAuth access tokens, sign-in by every method that there is, single sign-on of
// organizations, and what their owners may do to them. It turns requests into
// operations of the core and outcomes into Snooplytics' words.
//
// Every route is one row of a table (route.go), and a request passes, in this order:
//
//	share    which pages may read the answer                      (guard.go)
//	count    500 requests in 15 minutes, and the route's own      (limits.go)
//	caller   session cookie, else X-Api-Key, else bearer token    (caller.go)
//	guard    a change by a cookie comes from a page of ours       (guard.go)
//	read     a JSON object; what is wrong with it is listed       (input.go)
//	do       the operation
//
// Everything that is refused is an envelope with one of the codes of errors.go.
package snooplytics

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/enterprise"
	"sallyport/internal/limit"
	"sallyport/internal/oauth"
	"sallyport/internal/secret"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// Settings are what the resource file says of the surface. AppURL is the
// application's own base URL: where relative addresses of it lead, and where single
// sign-on ends unless CompletionURL and ErrorURL say otherwise. Guide names the
// code of a missing credential as the error guide does (contract §17.1).
type Settings struct {
	Client         client.ID
	AppURL         string
	CompletionURL  string
	ErrorURL       string
	CookiePrefix   string // "" is "better-auth"
	KeyPrefix      string // of personal access tokens; "" is "ba_"
	Guide          bool
	RevealPasskeys bool // identify tells who has one
	AnyBrowser     bool // a handle is good in another browser than the one that began
	ResetEndsKeys  bool
	PasskeyDomain  string // "" is the host of AppURL, or of the mount
}

// API is the surface. SignIn and the others are the cores it calls; Issuers are the
// base URLs of all mounts of this installation. CSRF guards our own page. Granted judges an access token of
// the provider's as one that came with a request to it. Settings may change while it
// serves. Signed, which may be nil, answers a browser that came back from an
// organization's provider from a sign-in that was not begun here.
type API struct {
	SignIn     *signin.Core
	Self       *self.Core
	Enterprise *enterprise.Core
	Key        *secret.Key
	CSRF       *wire.CSRF
	Now        func() time.Time
	Log        *slog.Logger
	Issuers    []string
	Settings   func() Settings
	Granted    func(r *http.Request, raw string) (oauth.Live, oauth.AccessToken, error)
	Signed     func(http.ResponseWriter, *http.Request, signin.SSOReturned, error)

	purse limit.Purse
}

// endpoints lists every route of the surface; there are no others.
func (a *API) endpoints() []route {
	return slices.Concat(a.signInRoutes(), a.sessionRoutes(), a.identifyRoutes(), a.ssoRoutes(), a.keyRoutes(), a.meRoutes(), a.orgRoutes(),
		a.memberRoutes(), a.ssoSettingRoutes(), a.policyRoutes(), a.auditRoutes())
}

// Endpoints are the routes at the paths that the contract gives them.
func (a *API) Endpoints() []wire.Route {
	var all []wire.Route
	for _, e := range a.endpoints() {
		all = append(all, wire.Route{Method: e.method, Pattern: e.path, Handler: a.serve(e)})
	}
	return all
}

// Routes are the endpoints, the same with a slash at the end (contract §1.1), and
// what browsers ask before they let a page call.
func (a *API) Routes() []wire.Route {
	all := a.Endpoints()
	for _, e := range slices.Clone(all) {
		all = append(all, wire.Route{Method: e.Method, Pattern: e.Pattern + "/", Handler: e.Handler})
	}
	var patterns []string
	for _, e := range all {
		if !slices.Contains(patterns, e.Pattern) {
			patterns = append(patterns, e.Pattern)
		}
	}
	for _, p := range patterns {
		all = append(all, wire.Route{Method: http.MethodOptions, Pattern: p, Handler: a.preflight})
	}
	return all
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{
		IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: base(r.Context()),
		Manner: signin.Manner{Session: sessionLife, Challenge: challengeLife, AsksForCodes: true, OwnOrg: "{name}'s organization"},
	}
}

// base is the URL of the mount that the request came by.
func base(ctx context.Context) string { return wire.MountOf(ctx).Base }

func (s Settings) cookiePrefix() string { return cmp.Or(s.CookiePrefix, "better-auth") }
