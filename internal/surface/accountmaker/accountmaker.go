// Package accountmaker serves the AccountMaker API (contract accountmaker): sign-in
// by password and mailed link, sign-up, tokens in bodies and cookies, accounts and
// their members, waitlists, and the management of clients. It turns requests into
// operations of the core and outcomes into AccountMaker's words. What AccountMaker
// does otherwise than the other APIs is a client's policy, not this package's.
//
// A request that changes something passes, in this order:
//
//	read     a JSON body; nothing else is taken (form.go)
//	resolve  which client it is for (resolve.go)
//	guard    where it comes from: Origin, CSRF token, cookies (guard.go)
//	do       the operation, whose limits are in limits.go
//
// Everything that is refused is a problem document (problem.go, RFC 9457).
package accountmaker

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/secret"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// API is the surface. SignIn and the others are the cores it calls; Keys signs its
// tokens and Tokens verifies them; Issuers are the base URLs of all mounts of this
// installation, the public one first. Key makes the CSRF tokens of pages of other
// origins, CSRF guards our own. DefaultClient is the client of requests that name
// none, "" for none. Session is the name of the provider's session cookie, and
// Reply answers its clients by other ways than a query. Granted judges an access
// token of the provider's as one that came with a request to it.
type API struct {
	SignIn        *signin.Core
	Self          *self.Core
	OAuth         *oauth.Core
	Keys          *jwks.Ring
	Tokens        *token.Cache
	Key           *secret.Key
	CSRF          *wire.CSRF
	Now           func() time.Time
	Log           *slog.Logger
	Issuers       []string
	DefaultClient func() client.ID
	Session       string
	Reply         func(http.ResponseWriter, *http.Request, oauth.Reply)
	Granted       func(r *http.Request, raw string) (oauth.Live, oauth.AccessToken, error)

	known guards
}

// Routes lists every route of the surface; there are no others.
func (a *API) Routes() []wire.Route {
	public := wire.CORS{}
	return append(a.withPreflight(slices.Concat(a.visitorRoutes(), a.userRoutes(), a.memberRoutes(), a.manageRoutes())), public.Routes([]wire.Route{
		{Method: "GET", Pattern: "/.well-known/jwks.json", Handler: a.jwks},
	})...)
}

// visitorRoutes are open to everybody.
func (a *API) visitorRoutes() []wire.Route {
	named, login, link := a.named, a.byLogin, a.byMail
	return []wire.Route{
		{Method: "POST", Pattern: "/auth/check-email", Handler: a.post(named, a.checkEmail)},
		{Method: "GET", Pattern: "/auth/csrf-session", Handler: a.get(nil, a.csrfSession)},
		{Method: "GET", Pattern: "/auth/csrf-token", Handler: a.get(nil, a.csrfToken)},
		{Method: "POST", Pattern: "/auth/login-methods", Handler: a.post(named, a.loginMethods)},
		{Method: "POST", Pattern: "/auth/sign-in", Handler: a.post(named, a.signIn)},
		{Method: "POST", Pattern: "/auth/sign-up", Handler: a.post(named, a.signUp)},
		{Method: "POST", Pattern: "/auth/refresh", Handler: a.post(a.byRefresh, a.refresh)},
		{Method: "POST", Pattern: "/auth/send-magic-link", Handler: a.post(named, a.sendMagicLink)},
		{Method: "GET", Pattern: "/auth/sign-in-with-token", Handler: a.get(login, a.openLoginToken)},
		{Method: "POST", Pattern: "/auth/sign-in-with-token", Handler: a.post(login, a.signInWithToken)},
		{Method: "POST", Pattern: "/auth/sign-in-with-token/confirm", Handler: a.confirmLoginToken},
		{Method: "GET", Pattern: "/auth/accept-invite", Handler: a.get(login, a.openInvite)},
		{Method: "POST", Pattern: "/auth/accept-invite", Handler: a.post(login, a.acceptInvite)},
		{Method: "POST", Pattern: "/auth/send-password-reset", Handler: a.post(named, a.sendPasswordReset)},
		{Method: "POST", Pattern: "/auth/reset-password", Handler: a.post(link, a.resetPassword)},
		{Method: "GET", Pattern: "/auth/verify", Handler: a.get(link, a.openVerification)},
		{Method: "GET", Pattern: "/auth/{provider}/authorize", Handler: a.authorize},
		{Method: "GET", Pattern: "/auth/{provider}/callback", Handler: a.returned},
		{Method: "POST", Pattern: "/auth/{provider}/callback", Handler: a.posted},
		{Method: "GET", Pattern: "/oauth2/callback/{provider}", Handler: a.returned},
		{Method: "POST", Pattern: "/oauth2/callback/{provider}", Handler: a.posted},
		{Method: "POST", Pattern: "/auth/verify", Handler: a.post(link, a.verify)},
	}
}

// userRoutes are for who shows an access token.
func (a *API) userRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/auth/me", Handler: a.asUser(a.me)},
		{Method: "GET", Pattern: "/auth/user/{id}", Handler: a.asUser(a.user)},
		{Method: "POST", Pattern: "/auth/send-verification-email", Handler: a.asUser(a.sendVerification)},
		{Method: "POST", Pattern: "/auth/send-email-verification", Handler: a.asUser(a.sendVerification)},
		{Method: "POST", Pattern: "/auth/switch-accounts", Handler: a.asUser(a.switchAccounts)},
		{Method: "GET", Pattern: "/auth/waitlist", Handler: a.asUser(a.listWaitlist)},
		{Method: "GET", Pattern: "/auth/waitlist/{feature}", Handler: a.asUser(a.checkWaitlist)},
		{Method: "PUT", Pattern: "/auth/waitlist/{feature}", Handler: a.asUser(a.joinWaitlist)},
		{Method: "DELETE", Pattern: "/auth/waitlist/{feature}", Handler: a.asUser(a.leaveWaitlist)},
	}
}

// visitor is who asks, as the core wants it.
func visitor(r *http.Request) signin.Visitor {
	o := wire.OriginOf(r.Context())
	return signin.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: base(r.Context())}
}

// base is the URL of the mount that the request came by: the issuer, unless the
// client names another.
func base(ctx context.Context) string { return wire.MountOf(ctx).Base }

// withPreflight lets pages ask of every route whether they may call it.
func (a *API) withPreflight(routes []wire.Route) []wire.Route {
	var patterns []string
	for _, r := range routes {
		if !slices.Contains(patterns, r.Pattern) {
			patterns = append(patterns, r.Pattern)
		}
	}
	for _, p := range patterns {
		routes = append(routes, wire.Route{Method: http.MethodOptions, Pattern: p, Handler: a.preflight})
	}
	return routes
}
