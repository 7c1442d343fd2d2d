// Package keymaster serves the Keymaster API (contract keymaster §2–§9): sign-in
// by password, magic link and invitation, TOTP, tokens, the account and admin
// APIs, webhooks' management, JWKS and discovery. It turns requests into
// operations of the core and outcomes into Keymaster's words, and decides
// nothing about people or secrets itself. The pages a person sees are package
// pages'.
package keymaster

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// API is the surface. SignIn and the others are the cores it calls; Keys signs
// its tokens and Tokens verifies them; Issuers are the base URLs of all mounts of this
// installation, whose tokens are good here.
type API struct {
	SignIn  *signin.Core
	OAuth   *oauth.Core
	Self    *self.Core
	Admin   *admin.Core
	Keys    *jwks.Ring
	Tokens  *token.Cache
	Now     func() time.Time
	Log     *slog.Logger
	Issuers []string
}

// Routes lists every route of the surface; there are no others.
func (a *API) Routes() []wire.Route {
	open := wire.CORS{Headers: []string{"Content-Type"}, Allow: a.SignIn.AllowsOrigin, Fail: a.fail}
	public := wire.CORS{}
	routes := open.Routes([]wire.Route{
		{Method: "POST", Pattern: "/auth/login", Handler: a.login},
		{Method: "POST", Pattern: "/auth/totp/verify", Handler: a.totpVerify},
		{Method: "POST", Pattern: "/auth/signup", Handler: a.signup},
		{Method: "POST", Pattern: "/auth/accept-invite", Handler: a.acceptInvite},
		{Method: "POST", Pattern: "/auth/forgot-password", Handler: a.forgotPassword},
		{Method: "POST", Pattern: "/auth/reset-password", Handler: a.resetPassword},
		{Method: "POST", Pattern: "/auth/magic-link/request", Handler: a.magicLinkRequest},
		{Method: "POST", Pattern: "/auth/logout", Handler: a.logout},
		{Method: "POST", Pattern: "/token/refresh", Handler: a.refresh},
		{Method: "POST", Pattern: "/token/revoke", Handler: a.revoke},
		{Method: "POST", Pattern: "/token/verify", Handler: a.verify},
		{Method: "POST", Pattern: "/auth/token", Handler: a.serviceToken},
		{Method: "POST", Pattern: "/oauth/invite-accept", Handler: a.oauthInviteAccept},
	})
	routes = append(routes, wire.Route{Method: "GET", Pattern: "/auth/magic-link/verify", Handler: a.magicLinkVerify})
	routes = append(routes, a.UpstreamRoutes()...)
	routes = append(routes, a.accountRoutes()...)
	routes = append(routes, a.adminRoutes()...)
	routes = append(routes, public.Routes([]wire.Route{
		{Method: "GET", Pattern: "/.well-known/jwks.json", Handler: a.jwks},
		{Method: "GET", Pattern: "/.well-known/openid-configuration", Handler: a.discovery},
	})...)
	return routes
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: base(r.Context())}
}

// base is the URL of the mount that the request came by: the issuer, unless
// the client names another.
func base(ctx context.Context) string { return wire.MountOf(ctx).Base }
