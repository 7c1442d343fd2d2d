package snooplytics

import (
	"errors"
	"net/http"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/wire"
)

// credential is what a caller showed: the first that a request has, in this order
// (contract §1.4). They are never combined.
type credential int

const (
	byCookie credential = iota
	byKey
	byToken
)

// caller is who asks. A cookie's scopes are all there are and are not listed.
// Standing is set for a cookie.
type caller struct {
	self.Caller
	by       credential
	standing client.Standing
}

// callerOf finds out who asks, as far as the route wants to know, and whether they
// may use it.
func (a *API) callerOf(w http.ResponseWriter, r *http.Request, e route, set Settings) (*caller, error) {
	if e.wants == public {
		return nil, nil
	}
	c := &call{set: set, client: set.Client}
	who, err := a.shown(w, r, c)
	switch {
	case e.wants == byVisitor && (err == nil || fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.EnrolmentSuspended)):
		if err != nil || who == nil || who.by != byCookie {
			return nil, nil
		}
		return who, nil
	case err != nil:
		return nil, err
	case who == nil && set.Guide:
		return nil, refuse("AUTHENTICATION_REQUIRED")
	case who == nil:
		return nil, refuse("UNAUTHORIZED")
	case e.wants != byAny && who.by != byCookie:
		return nil, refuse("FORBIDDEN")
	case e.wants != byPartial && who.Session.Partial:
		return nil, refuse("MFA_REQUIRED")
	}
	return who, who.may(e.scope)
}

// shown is who the request's first credential is of; nil if it has none.
func (a *API) shown(w http.ResponseWriter, r *http.Request, c *call) (*caller, error) {
	cookie := c.cookie(r, sessionCookie)
	keys := r.Header["X-Api-Key"]
	given := r.Header["Authorization"]
	switch {
	case cookie != "":
		return a.byCookie(w, r, c, cookie)
	case len(keys) > 0:
		return a.byKey(r, c, strings.Join(keys, ","))
	case len(given) > 0:
		return a.byToken(w, r, c, given)
	}
	return nil, nil
}

// byCookie is who has a session, which is renewed when it is due. A cookie that
// opens nothing is taken back.
func (a *API) byCookie(w http.ResponseWriter, r *http.Request, c *call, cookie string) (*caller, error) {
	o := wire.OriginOf(r.Context())
	s, err := a.Self.Sitting(r.Context(), self.SittingIn{
		ClientID: c.client, Cookie: cookie, Life: sessionLife, RenewAfter: sessionRenew, IP: o.IP, RequestID: o.RequestID,
	})
	if fault.Is(err, fault.Unauthenticated) {
		c.signOut(w, r)
	}
	if err != nil {
		return nil, err
	}
	if s.Renewed && c.cookie(r, forgetCookie) == "" {
		c.setCookie(w, r, sessionCookie, cookie, sessionLife)
	}
	return &caller{Caller: s.Caller, by: byCookie, standing: s.Standing}, nil
}

// byToken is who an access token of the provider's is of. A key is none.
func (a *API) byToken(w http.ResponseWriter, r *http.Request, c *call, given []string) (*caller, error) {
	scheme, raw, _ := strings.Cut(given[0], " ")
	raw = strings.TrimSpace(raw)
	if raw == "" && (given[0] == "" || strings.EqualFold(scheme, "Bearer")) {
		return nil, refuse("NO_TOKEN_PROVIDED")
	}
	void := func(err error) error {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		return refuse("INVALID_OR_EXPIRED_TOKEN").because(err)
	}
	if len(given) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, void(nil)
	}
	live, t, err := a.Granted(r, raw)
	if _, bad := errors.AsType[*oauth.Error](err); bad {
		return nil, void(err)
	} else if err != nil {
		return nil, err
	}
	if live.User.ID == "" {
		return nil, void(nil) // a client's own: these routes are people's
	}
	if err := a.Self.ActsIn(r.Context(), live.User.ID, c.client); err != nil {
		return nil, err
	}
	o := wire.OriginOf(r.Context())
	// How somebody signed in, and not when: an application holds the token, and what wants
	// them to have just signed in (contract §9) is not its to do.
	s := session.Session{UserID: live.User.ID, AMR: live.Grant.AMR, Upstream: live.Grant.Upstream}
	return &caller{
		Caller: self.Caller{UserID: live.User.ID, Session: s, Scopes: append([]string{}, t.Scope...), IP: o.IP, RequestID: o.RequestID},
		by:     byToken,
	}, nil
}
