package snooplytics

import (
	"net/http"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/org"
	"sallyport/internal/wire"
)

// access says who a route is for.
type access int

const (
	public    access = iota // everybody; a credential is not looked at
	byVisitor               // everybody; the session counts, if there is one
	bySession               // who has the session cookie
	byPartial               // the same, also one that still owes a second factor
	byAny                   // who has any of the three credentials
)

// route is one endpoint. Limit is its own, beside the global one. Scope is what a
// token or key must have for it; a session has them all. Bare takes no body, form one
// that the endpoint reads itself.
type route struct {
	method, path string
	wants        access
	scope        string
	limit        bucket
	bare, form   bool
	do           func(a *API, w http.ResponseWriter, r *http.Request, c *call) error
}

// call is a request on its way to its operation.
type call struct {
	*input
	set    Settings
	client client.ID // the surface's
	who    *caller   // nil for nobody

	org  org.ID // of the path, and the caller's place there, of a route of one
	seat org.Seat
}

// reads reports whether a method changes nothing.
func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// serve puts around an endpoint what all of them pass.
func (a *API) serve(e route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		set := a.Settings()
		c := &call{set: set, client: set.Client}
		err := a.enter(w, r, e, c)
		if err == nil {
			err = e.do(a, w, r, c)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	}
}

func (a *API) enter(w http.ResponseWriter, r *http.Request, e route, c *call) error {
	headers(w, r)
	allowed, err := a.share(w, r, c.client)
	if err != nil {
		return err
	}
	if err := a.count(w, r, e); err != nil {
		return err
	}
	if !reads(r.Method) && !e.form { // what other sites' pages post has a guard of its own
		if err := a.guard(r, e, c.set, allowed); err != nil {
			return err
		}
	}
	if c.who, err = a.callerOf(w, r, e, c.set); err != nil {
		return err
	}
	switch {
	case e.form:
		c.input = &input{at: "body"}
	case reads(r.Method) || r.Method == http.MethodDelete && r.ContentLength == 0:
		c.input = &input{query: wire.Query(r), at: "query"}
	case e.bare:
		c.input, err = optionalBody(w, r)
	default:
		c.input, err = readBody(w, r)
	}
	return err
}

// headers are those that every answer has (contract §1.1).
func headers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if wire.MountOf(r.Context()).Secure {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

// may refuses a caller whose token or key has none of the scope.
func (c *caller) may(scope string) error {
	switch {
	case scope == "" && (c.by != byToken || len(c.Scopes) > 0), c.by == byCookie, slices.Contains(c.Scopes, scope):
		return nil
	case c.by == byToken && len(c.Scopes) == 0:
		return refuse("NO_SCOPES_AVAILABLE")
	case c.by == byKey:
		return refuse("API_KEY_MISSING_SCOPES").with(missing(scope))
	}
	return refuse("INSUFFICIENT_PERMISSIONS").with(missing(scope))
}

type scopes struct {
	Required []string `json:"requiredScopes"`
	Missing  []string `json:"missingScopes"`
}

func missing(scope string) scopes { return scopes{[]string{scope}, []string{scope}} }
