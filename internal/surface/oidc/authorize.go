package oidc

import (
	"net/http"
	"net/url"

	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// authorizeRoutes are those that a browser visits on its way from a client to
// the pages and back, and the one by which a client announces it.
func (a *API) authorizeRoutes() []wire.Route {
	routes := []wire.Route{
		{Method: "GET", Pattern: a.Prefix + "/oauth2/authorize", Handler: a.visit(a.getAuthorize)},
		{Method: "POST", Pattern: a.Prefix + "/oauth2/authorize", Handler: a.postAuthorize},
		{Method: "GET", Pattern: a.Prefix + "/oauth2/continue", Handler: a.visit(a.resume)},
	}
	return append(routes, a.open().Routes([]wire.Route{{Method: "POST", Pattern: a.Prefix + "/oauth2/par", Handler: a.push}})...)
}

// visit keeps a look from counting as a visit: HEAD gets no code, nor does a
// browser that fetches ahead, before anybody clicked.
func (a *API) visit(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
		case wire.Prefetch(r):
			a.Message(w, r, http.StatusServiceUnavailable, "Sign in", "Not available for prefetch.")
		default:
			next(w, r)
		}
	}
}

// getAuthorize is GET /oauth2/authorize (RFC 6749 §3.1).
func (a *API) getAuthorize(w http.ResponseWriter, r *http.Request) {
	vals, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		a.refusePage(w, r, badRequest("the query is not form-encoded"))
		return
	}
	if vals.Has("connection") && a.Connect != nil {
		a.Connect(w, r)
		return
	}
	cookie, err := a.session(w, r)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	a.authorize(w, r, oauth.AuthorizeIn{Params: spelt(oauth.Params(vals)), Cookie: cookie})
}

// session is the cookie of the browser's session, "" for none.
func (a *API) session(w http.ResponseWriter, r *http.Request) (string, error) {
	if a.Lend != nil {
		return a.Lend(w, r, a.Cookie)
	}
	return wire.Cookie(r, a.Cookie), nil
}

// postAuthorize is the same by a form, which brings no cookie along from another
// site (SameSite=Lax): the browser is sent to come again.
func (a *API) postAuthorize(w http.ResponseWriter, r *http.Request) {
	p, err := formParams(w, r)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	a.authorize(w, r, oauth.AuthorizeIn{Params: spelt(p), Park: true})
}

func (a *API) authorize(w http.ResponseWriter, r *http.Request, in oauth.AuthorizeIn) {
	if len(in.Params) > maxParams {
		a.refusePage(w, r, badRequest("too many parameters"))
		return
	}
	in.Visitor = a.visitor(r)
	d, err := a.OAuth.Authorize(r.Context(), in)
	a.proceed(w, r, d, err)
}

// resume is GET /oauth2/continue: where the pages send a browser that has done
// what was asked of it.
func (a *API) resume(w http.ResponseWriter, r *http.Request) {
	cookie, err := a.session(w, r)
	if err != nil {
		a.refusePage(w, r, err)
		return
	}
	d, err := a.OAuth.Continue(r.Context(), r.URL.Query().Get("request"), cookie, a.visitor(r))
	a.proceed(w, r, d, err)
}

// proceed answers with what comes next.
func (a *API) proceed(w http.ResponseWriter, r *http.Request, d oauth.Decision, err error) {
	pages := wire.MountOf(r.Context()).Path
	switch {
	case err != nil:
		a.refusePage(w, r, err)
	case d.Reply != nil:
		a.Reply(w, r, *d.Reply)
	case d.Login != nil && d.Login.Create:
		redirect(w, r, pages+"/signup?request="+d.Login.Handle)
	case d.Login != nil:
		redirect(w, r, pages+"/login?request="+d.Login.Handle)
	case d.Consent != "":
		redirect(w, r, pages+"/consent?request="+d.Consent)
	case d.Device != "":
		redirect(w, r, pages+"/device?request="+d.Device)
	default:
		redirect(w, r, pages+a.Prefix+"/oauth2/continue?request="+d.Continue)
	}
}

// refusePage shows a refusal that may not go back to the client, since nobody
// knows where that is: the person learns what is wrong, the operator's log where
// exactly (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
func (a *API) refusePage(w http.ResponseWriter, r *http.Request, err error) {
	e, status := refusal(err)
	a.note(r, e, status, err)
	a.answerHeaders(w, r, e)
	title, text := "This request is not valid", "The application that sent you here made a mistake: "+printable(e.Description)+"."
	switch {
	case status >= http.StatusInternalServerError:
		title, text = "Something went wrong", "Please go back to the application and try again."
	case status == http.StatusTooManyRequests:
		title, text = "Too many attempts", "Please wait a little, go back to the application and try again."
	case r.URL.Path == a.Prefix+"/oauth2/continue":
		// Nobody made a mistake: a page was left open too long, or gone back to.
		title, text = "This did not work", "Please go back to the application and start again: "+printable(e.Description)+"."
	case status == http.StatusUnauthorized:
		status = http.StatusBadRequest
	}
	a.Message(w, r, status, title, text)
}

// redirect sends a browser on, by GET whatever it came by: what it posted is not
// posted again (RFC 9700 §4.12).
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Location", to)
	if r.Method == http.MethodGet {
		w.WriteHeader(http.StatusFound)
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}
