// Package tofu serves the API of the Tofu backend (contract tofu): tokens for an
// e-mail address and a password, sign-in by WorkOS, Google and Okta with a code
// that a web page got, sign-out. The original is made of Django, Django REST
// Framework and SimpleJWT, and its clients see all three: so the answers here are
// theirs to the byte, mistakes in a body and methods that a path does not have
// included. It turns requests into operations of the core and decides nothing
// about people or secrets itself.
//
// A request passes, as it does in the original:
//
//	path        unknown: Django's page; without its slash: 301           (django.go)
//	Accept      404 or 406                                               (accept.go)
//	user        401, where a view wants one                              (bearer.go)
//	method      405, OPTIONS                                             (view.go)
//	body        415, 400                                                 (body.go, json.go)
//	the view's own
//
// Tokens are SimpleJWT's: both are JWTs, and neither is stored. What is kept is a
// session, which both name as sid: a refresh token is good as long as it lives.
package tofu

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// Settings are the contract's tofu.* and which upstreams the three providers are;
// one that is empty is not there. ReturnTo is where WorkOS sends a browser after
// sign-out, "" for what is registered there.
type Settings struct {
	Client                client.ID
	Google, Okta, WorkOS  string
	Serve                 bool // append_slash=serve: no redirects to the path with its slash
	RotateRefresh         bool
	LogoutRevokesRefresh  bool
	ProxyMode             bool
	PasswordRequiresNoMFA bool
	RequireVerifiedEmail  bool
	Impersonation         bool
	RequirePKCE           bool
	ReturnTo              string
}

// API is the surface. SignIn is the core it calls, Keys sign its tokens and Tokens
// verifies them; Settings may change while it serves.
type API struct {
	SignIn   *signin.Core
	Keys     *jwks.Ring
	Tokens   *token.Cache
	Settings func() Settings
	Now      func() time.Time
	Log      *slog.Logger
}

// views are all there are, by path.
var views = map[string]view{
	"/api/token/": {
		name:        "Token Obtain Pair",
		description: "Takes a set of user credentials and returns an access and refresh JSON web\ntoken pair to prove the authentication of those credentials.",
		fields:      []field{{"email", false}, {"password", false}},
		post:        (*API).obtain,
	},
	"/api/token/refresh/": {
		name:        "Token Refresh",
		description: "Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.",
		fields:      []field{{"refresh", false}, {"access", true}},
		post:        (*API).refresh,
	},
	"/api/token/verify/": {
		name:        "Token Verify",
		description: "Takes a token and indicates if it is valid.  This view provides no\ninformation about a token's fitness for a particular use.",
		fields:      []field{{"token", false}},
		post:        (*API).verify,
	},
	"/api/core/auth/workos/callback/": {
		name:        "WorkOS Callback",
		description: "Signs in with an authorization code of WorkOS.",
		fields:      []field{{"code", false}},
		there:       func(s Settings) bool { return s.WorkOS != "" },
		post:        (*API).workOS,
	},
	"/api/core/auth/google/login/": {
		name:        "Google Login",
		description: "Signs a user who has an account in with an authorization code of Google.",
		fields:      []field{{"code", false}, {"redirect_uri", false}},
		there:       func(s Settings) bool { return s.Google != "" },
		post:        (*API).google,
	},
	"/api/core/auth/okta/login/": {
		name:        "Okta Login",
		description: "Signs a user who has an account in with an authorization code of Okta.",
		fields:      []field{{"code", false}, {"redirect_uri", false}},
		there:       func(s Settings) bool { return s.Okta != "" },
		post:        (*API).okta,
	},
	"/api/core/auth/logout/": {
		name:        "Logout",
		description: "Logs the current user out.",
		user:        true,
		post:        (*API).logout,
	},
}

// paths are those of the views, in the order of the contract.
var paths = []string{
	"/api/core/auth/workos/callback/", "/api/core/auth/google/login/", "/api/core/auth/okta/login/",
	"/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/core/auth/logout/",
}

// Routes lists every route of the surface, with and without its slash; there are
// no others. All methods of a path come to one handler, by MethodNotAllowed if
// not by a route.
func (a *API) Routes() []wire.Route {
	var routes []wire.Route
	for _, path := range paths {
		short := path[:len(path)-1]
		routes = append(routes,
			wire.Route{Method: http.MethodPost, Pattern: path, Handler: a.serve},
			wire.Route{Method: http.MethodOptions, Pattern: path, Handler: a.serve},
			wire.Route{Method: http.MethodPost, Pattern: short, Handler: a.unslashed},
		)
	}
	return routes
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: base(r.Context())}
}

func base(ctx context.Context) string { return wire.MountOf(ctx).Base }
