package hackillinois

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"

	"sallyport/internal/wire"
)

// What every handled answer says, whatever it is (contract §1.4).
const (
	contentType = "application/json; charset=UTF-8"
	takes       = "Accept, Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization"
)

// handled is what all handlers have in common: what is no route in the original
// is none here, even where a segment of dots fits one, and any page may read the
// answer. No cookie of ours means anything to these routes but the callback,
// which answers no page.
func (a *API) handled(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead || slashed(r) || cleaned(r.URL.Path) != r.URL.Path || a.Settings().Client == "" {
			a.NotFound(w, r)
			return
		}
		crossOrigin(w, r)
		h(w, r)
	}
}

// slashed reports whether a slash is hidden in a segment: the original decodes
// the path before it looks for a route, so such a path has none (§1.2).
func slashed(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2f")
}

// crossOrigin lets pages of any origin read the answer, never with cookies
// (§1.4, §9 W21).
func crossOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if o := r.Header.Get("Origin"); o != "" {
		h.Set("Access-Control-Allow-Origin", o)
	}
	h.Set("Access-Control-Allow-Methods", r.Method)
	h.Set("Access-Control-Allow-Headers", takes)
}

// preflight answers OPTIONS on any path, routes or not (§1.4).
func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT")
	h.Set("Access-Control-Allow-Headers", takes+", Origin, Content-Disposition")
	empty(w, http.StatusOK)
}

// answer writes v as the original's encoder does: compact, with "<", ">" and "&"
// escaped, and a newline at the end.
func answer(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic(fmt.Errorf("hackillinois: encode response: %w", err)) // texts and lists of them always encode
	}
	wire.Write(w, status, contentType, b.Bytes())
}

// redirect sends the browser on, in the original's way: no words, and the type
// of an answer that would have had some (§4.1).
func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", contentType)
	empty(w, http.StatusFound)
}

// forbid is the gate's answer, which says nothing (§1.4). The headers that let a
// page read it stay: a page whose token has ended must be able to see that.
func forbid(w http.ResponseWriter) { empty(w, http.StatusForbidden) }

// empty answers without a word, and says so for HEAD too.
func empty(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

// lives is the probe of the original's test runner (§7.1).
func (a *API) lives(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		a.MethodNotAllowed(w, r)
		return
	}
	wire.Write(w, http.StatusOK, "text/plain; charset=utf-8", []byte("The API Gateway Lives"))
}

// NotFound answers what no route has (§1.2): a path written with doubled slashes
// or dots is sent to the clean one.
func (a *API) NotFound(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	if to := cleaned(r.URL.Path); to != r.URL.Path && !slashed(r) {
		u := *r.URL
		u.Path, u.RawPath = wire.MountOf(r.Context()).Path+to, ""
		w.Header().Set("Location", u.RequestURI())
		empty(w, http.StatusMovedPermanently)
		return
	}
	empty(w, http.StatusMethodNotAllowed)
}

// cleaned is a path without doubled slashes and dots; a slash at the end stays.
func cleaned(p string) string {
	if !strings.HasPrefix(p, "/") {
		return p
	}
	c := path.Clean(p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}

// MethodNotAllowed answers a method that a path does not have: nothing (§1.2).
func (a *API) MethodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	empty(w, http.StatusMethodNotAllowed)
}

// Crash answers what nobody expected (§1.4).
func (a *API) Crash(w http.ResponseWriter, _ *http.Request) {
	empty(w, http.StatusInternalServerError)
}
