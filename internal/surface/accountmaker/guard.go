package accountmaker

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// call is a request on its way to its operation.
type call struct {
	*form
	ref     signin.ClientRef
	allowed bool    // its Origin may call for the client
	who     *caller // who shows an access token, on the routes that want one
}

type handler func(w http.ResponseWriter, r *http.Request, c *call)

// post wraps a route that changes something and that nobody needs to be signed in
// for; of says whose request it is.
func (a *API) post(of source, next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readForm(w, r)
		c := &call{form: f}
		if err == nil {
			c.ref, err = of(r, f)
		}
		if err == nil {
			err = a.guard(w, r, c)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		next(w, r, c)
	}
}

// get wraps a route that only reads; of may be nil, where the client does not
// matter.
func (a *API) get(of source, next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		f, err := queryForm(r)
		c := &call{form: f}
		if err == nil && of != nil {
			c.ref, err = of(r, f)
		}
		if err == nil && r.Header.Get("Origin") != "" {
			c.allowed, err = a.admits(w, r, c.ref)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		next(w, r, c)
	}
}

// guard judges where a request that changes something comes from (contract §4,
// whose rules the numbers are), and lets pages that may call read the answer.
func (a *API) guard(w http.ResponseWriter, r *http.Request, c *call) error {
	var err error
	if c.allowed, err = a.admits(w, r, c.ref); err != nil {
		return err
	}
	origin := r.Header.Get("Origin")
	if !c.allowed && (origin != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site") { // 1, 4
		return refuse("origin-not-allowed")
	}
	valid := false
	if given := csrfGiven(r, c.form); given != "" { // 3
		if valid = a.csrfFits(r, given); !valid {
			return refuse("csrf-invalid")
		}
	}
	if _, bearer := authorization(r); bearer || valid { // 5
		return nil
	}
	if origin != "" && !carries(r, csrfCookie) && !a.byCookie(r, c) {
		return nil
	}
	cl, err := a.clientOf(r.Context(), c.ref)
	if err != nil && !unknownClient(err) {
		return err
	}
	switch {
	case origin == "" && cl.Policy.StrictCSRF: // 2
		return refuse("origin-not-allowed")
	case origin == "" && !carries(r, cookiesOf(cl)...):
		return nil
	case origin == "" || cl.Policy.StrictCSRF: // 2, 4
		return refuse("csrf-invalid")
	}
	return nil
}

// foreign reports whether a page that may not call for the client made the browser
// send a request by itself, as a script or an image; that somebody follows a link
// from there is no such thing.
func (c *call) foreign(r *http.Request) bool {
	if c.allowed || r.Header.Get("Origin") != "" {
		return !c.allowed
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && !navigates(r)
}

// byCookie reports whether a request is authorised by a cookie: a refresh token
// that is not in the body.
func (a *API) byCookie(r *http.Request, c *call) bool {
	given := c.raw("refresh_token")
	return r.Pattern == "/auth/refresh" && (given == nil || string(given) == `""`)
}

// admits reports whether the Origin of a request may call for the client: the auth
// host's own may, and those that the client lists. It tells the browser so.
func (a *API) admits(w http.ResponseWriter, r *http.Request, ref signin.ClientRef) (bool, error) {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "null" {
		return false, nil
	}
	allowed := slices.ContainsFunc(a.Issuers, func(base string) bool { return client.Origin(base) == origin })
	if !allowed {
		cl, err := a.clientOf(r.Context(), ref)
		switch {
		case err == nil:
			allowed = allows(cl, origin)
		case unknownClient(err) && ref.ID == "":
			// A token that is nobody's: whose pages these are cannot be told, and
			// the operation refuses the token.
			if allowed, err = a.SignIn.AllowsOrigin(r.Context(), origin); err != nil {
				return false, err
			}
		default:
			return false, err
		}
	}
	if allowed {
		share(w, origin)
	}
	return allowed, nil
}

func share(w http.ResponseWriter, origin string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "X-CSRF-Token, Retry-After")
}

// shareRefusal lets the pages of any client read a refusal that came before its
// client was known: one without a status is a lost connection to them.
func (a *API) shareRefusal(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "null" || w.Header().Get("Access-Control-Allow-Origin") != "" {
		return
	}
	if ok, err := a.SignIn.AllowsOrigin(r.Context(), origin); err == nil && ok {
		share(w, origin)
	}
}

// preflight answers what a browser asks before it lets a page call (contract
// §1.3). It names no client, so an origin of any will do.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	allowed := slices.ContainsFunc(a.Issuers, func(base string) bool { return client.Origin(base) == origin })
	if !allowed && origin != "" && origin != "null" {
		var err error
		if allowed, err = a.SignIn.AllowsOrigin(r.Context(), origin); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	if allowed {
		share(w, origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, X-CSRF-Token, X-Client-Id")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// navigates reports whether a browser shows the answer to a person, rather than a
// program reading it.
func navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// looks reports whether a request only looks at a link.
func looks(r *http.Request) bool { return wire.Looks(r) }
