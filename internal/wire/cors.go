package wire

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// CORS lets pages of other origins read answers (WHATWG Fetch §3.2), always
// without credentials: a page is let in by a token it holds, never by a cookie.
type CORS struct {
	// Allow says whether pages of an origin, such as "https://app.example.com",
	// may read. nil means that anybody may, which is for public documents.
	Allow func(ctx context.Context, origin string) (bool, error)
	// Headers are the request headers that pages may send.
	Headers []string
	// Expose are the response headers that pages may read.
	Expose []string
	// Fail answers when Allow fails. It must be set when Allow is.
	Fail func(http.ResponseWriter, *http.Request, error)
}

// Routes wraps the handlers of routes, and adds an OPTIONS route for each of
// their patterns that answers preflights.
func (c CORS) Routes(routes []Route) []Route {
	out := make([]Route, 0, 2*len(routes))
	methods := map[string][]string{}
	var patterns []string
	for _, r := range routes {
		if methods[r.Pattern] == nil {
			patterns = append(patterns, r.Pattern)
		}
		methods[r.Pattern] = append(methods[r.Pattern], r.Method)
		out = append(out, Route{r.Method, r.Pattern, c.wrap(r.Handler)})
	}
	for _, p := range patterns {
		if !slices.Contains(methods[p], http.MethodOptions) {
			out = append(out, Route{http.MethodOptions, p, c.preflight(methods[p])})
		}
	}
	return out
}

func (c CORS) wrap(h http.HandlerFunc) http.HandlerFunc {
	expose := strings.Join(c.Expose, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		allowed, ok := c.grant(w, r)
		if !ok {
			return
		}
		if allowed && expose != "" {
			w.Header().Set("Access-Control-Expose-Headers", expose)
		}
		h(w, r)
	}
}

func (c CORS) preflight(methods []string) http.HandlerFunc {
	if slices.Contains(methods, http.MethodGet) && !slices.Contains(methods, http.MethodHead) {
		methods = append(slices.Clip(methods), http.MethodHead)
	}
	allow := strings.Join(methods, ", ")
	headers := strings.Join(c.Headers, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		allowed, ok := c.grant(w, r)
		if !ok {
			return
		}
		h := w.Header()
		h.Set("Allow", allow+", OPTIONS")
		if allowed && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", allow)
			if headers != "" {
				h.Set("Access-Control-Allow-Headers", headers)
			}
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// grant sets the headers that let the request's origin read the answer. It
// reports whether they were set, and false for ok when Fail has answered.
func (c CORS) grant(w http.ResponseWriter, r *http.Request) (allowed, ok bool) {
	h := w.Header()
	if c.Allow == nil {
		h.Set("Access-Control-Allow-Origin", "*")
		return true, true
	}
	// Said whether or not there is an origin: a cache must not give one
	// origin's answer to another.
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "null" {
		return false, true
	}
	allowed, err := c.Allow(r.Context(), origin)
	if err != nil {
		c.Fail(w, r, err)
		return false, false
	}
	if allowed {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	return allowed, true
}
