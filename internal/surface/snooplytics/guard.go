package snooplytics

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/signin"
)

// origins reports whether pages of a web origin may call us: our own and those that
// the client lists.
func (a *API) origins(r *http.Request, id client.ID, origin string) (bool, error) {
	if origin == "" || origin == "null" {
		return false, nil
	}
	if slices.ContainsFunc(a.Issuers, func(base string) bool { return client.Origin(base) == origin }) {
		return true, nil
	}
	cl, err := a.SignIn.ClientBy(r.Context(), signin.ClientRef{ID: id})
	if err != nil {
		return false, err
	}
	return allows(cl, origin), nil
}

func allows(cl client.Client, origin string) bool {
	return slices.ContainsFunc(cl.Policy.AllowedOrigins, func(o string) bool { return client.Origin(o) == origin })
}

// share lets the page that asks read the answer, if it may (contract §1.4), and
// reports whether it may.
func (a *API) share(w http.ResponseWriter, r *http.Request, id client.ID) (bool, error) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	allowed, err := a.origins(r, id, origin)
	if allowed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After")
	}
	return allowed, err
}

// guard judges where a change comes from that a cookie of ours may authorise. A
// browser says by Origin, or at least by Sec-Fetch-Site, whose page makes it; a
// route that a cookie opens wants to hear it (contract §1.4).
func (a *API) guard(r *http.Request, e route, set Settings, allowed bool) error {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	ours := site == "same-origin" || site == "same-site"
	switch {
	case allowed, origin == "" && ours, !carries(r, set):
		return nil
	case origin == "" && site != "cross-site" && e.wants == public:
		return nil
	}
	return refuse("FORBIDDEN")
}

// carries reports whether a request has a cookie of ours.
func carries(r *http.Request, set Settings) bool {
	return slices.ContainsFunc(r.Cookies(), func(k *http.Cookie) bool {
		return strings.HasPrefix(strings.TrimPrefix(k.Name, "__Secure-"), set.cookiePrefix()+".") || k.Name == flowCookie
	})
}

// flowCookie marks the browser that began a single sign-on, on every surface.
const flowCookie = "sso_flow"

// preflight answers what a browser asks before it lets a page call.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) {
	headers(w, r)
	allowed, err := a.share(w, r, a.Settings().Client)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if allowed {
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, X-Api-Key")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
