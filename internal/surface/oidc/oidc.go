// Package oidc serves the OAuth 2.1 authorization server and OpenID provider:
// authorization, tokens, userinfo, introspection, revocation, pushed requests,
// devices, registration, logout, discovery and keys. It reads requests, makes
// tokens of what the core granted, and words refusals as the RFCs do; what may
// be granted is package oauth's to decide. The pages a person sees are package
// pages'.
package oidc

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// API is the surface. Prefix stands before every path and ends the issuer: ""
// at the root, "/api/auth" where an API puts the provider below its own. Cookie
// is the name of the session cookie of the pages. Message shows a page that only
// says something, for what may not go back to a client. ClientCert is the header
// in which a trusted proxy names the client's certificate, or "".
type API struct {
	OAuth      *oauth.Core
	Keys       *jwks.Ring
	Tokens     *token.Cache
	Now        func() time.Time
	Log        *slog.Logger
	Prefix     string
	Issuers    []string
	Cookie     string
	ClientCert string
	Message    func(w http.ResponseWriter, r *http.Request, status int, title, text string)
	// Connect takes authorization requests that name the upstream to sign in at
	// (contract accountmaker §7); nil leaves the choice to the person.
	Connect http.HandlerFunc
	// Refresh takes refresh tokens that are no grant's, of a client that has proved
	// itself, and reports whether it has answered (contract accountmaker §7).
	Refresh func(w http.ResponseWriter, r *http.Request, id client.ID, raw string) bool
	// Lend is the session that a browser has, of an API whose people are signed in by
	// a cookie of its own; it gives it to the pages, whose cookie has the name. Nil
	// knows of no other than the pages' (contract snooplytics §13).
	Lend func(w http.ResponseWriter, r *http.Request, name string) (string, error)
}

// Routes lists every route of the surface; there are no others.
func (a *API) Routes() []wire.Route {
	return slices.Concat(a.authorizeRoutes(), a.tokenRoutes(), a.deviceRoutes(), a.registerRoutes(), a.logoutRoutes(), a.documentRoutes())
}

// issuer is the base URL of the mount, with the prefix (RFC 8414 §2).
func (a *API) issuer(ctx context.Context) string { return wire.MountOf(ctx).Base + a.Prefix }

// visitor is who asks, as the core wants it.
func (a *API) visitor(r *http.Request) oauth.Visitor {
	o := wire.OriginOf(r.Context())
	return oauth.Visitor{IP: o.IP, UserAgent: o.UserAgent, RequestID: o.RequestID, Base: a.issuer(r.Context())}
}
