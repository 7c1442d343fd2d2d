package snooplytics

import (
	"net/http"
)

// sessionRoutes are for who is signed in, by the session (contract §10, §11).
func (a *API) sessionRoutes() []route {
	return []route{
		{method: "POST", path: "/api/auth/sign-out", wants: byVisitor, bare: true, do: (*API).leave},
		{method: "GET", path: "/api/auth/get-session", wants: byVisitor, do: (*API).getSession},
	}
}

// leave is POST /sign-out. It never fails: a session that is none is over.
func (a *API) leave(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.SignIn.SignOut(r.Context(), c.cookie(r, sessionCookie), true, visitor(r)); err != nil {
		return err
	}
	c.signOut(w, r)
	return done(w, map[string]bool{"success": true})
}

// current is who is signed in.
type current struct {
	Session sitting `json:"session"`
	User    user    `json:"user"`
}

// getSession is GET /get-session: null for nobody.
func (a *API) getSession(w http.ResponseWriter, r *http.Request, c *call) error {
	if c.who == nil || c.who.Session.Partial {
		return done(w, nil)
	}
	p, err := a.Self.Me(r.Context(), c.who.Caller)
	if err != nil {
		return err
	}
	return done(w, current{sittingOf(c.who.Session), userOf(p.User, c.who.standing.Factor)})
}
