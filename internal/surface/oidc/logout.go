package oidc

import (
	"net/http"
	"net/url"
	"slices"

	"sallyport/internal/wire"
)

func (a *API) logoutRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: a.Prefix + "/oauth2/end-session", Handler: a.visit(a.endSession)},
		{Method: "POST", Pattern: a.Prefix + "/oauth2/end-session", Handler: a.postEndSession},
	}
}

// endSession is the end session endpoint (RP-Initiated Logout 1.0 §2). The
// parameter request, ours, is what a POST left.
func (a *API) endSession(w http.ResponseWriter, r *http.Request) {
	p, err := queryParams(r)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	handle := p.Get("request")
	if handle == "" {
		if handle, err = a.OAuth.AskLogout(r.Context(), p, a.issuer(r.Context())); err != nil {
			a.refusePage(w, r, err)
			return
		}
	}
	cookies, err := a.cookies(w, r)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	out, err := a.OAuth.Leaving(r.Context(), handle, cookies)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	if out.Ask {
		redirect(w, r, wire.MountOf(r.Context()).Path+"/logout?request="+url.QueryEscape(handle))
		return
	}
	if err := a.OAuth.Leave(r.Context(), out.Client, cookies, a.visitor(r)); err != nil {
		a.refusePage(w, r, err)
		return
	}
	if len(cookies) > 0 {
		wire.ClearCookie(w, r, a.Cookie)
	}
	if to := out.Destination(); to != "" {
		redirect(w, r, to)
		return
	}
	a.Message(w, r, http.StatusOK, "Signed out", "You are signed out of this browser.")
}

// postEndSession is the same by POST. A browser does not send its session cookie
// along with another site's form (SameSite=Lax), so it is sent round once more,
// where it does; the hint stays out of its history.
func (a *API) postEndSession(w http.ResponseWriter, r *http.Request) {
	p, err := a.params(w, r)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	handle, err := a.OAuth.AskLogout(r.Context(), p, a.issuer(r.Context()))
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	redirect(w, r, wire.MountOf(r.Context()).Path+a.Prefix+"/oauth2/end-session?request="+url.QueryEscape(handle))
}

// cookies are the values of the session cookie: there may be several, of paths
// that hold one another; and that of the session which is lent.
func (a *API) cookies(w http.ResponseWriter, r *http.Request) (all []string, err error) {
	for _, c := range r.CookiesNamed(a.Cookie) {
		if c.Value != "" {
			all = append(all, c.Value)
		}
	}
	lent, err := a.session(w, r)
	if lent != "" && !slices.Contains(all, lent) {
		all = append(all, lent)
	}
	return all, err
}
