package tofu

import (
	"net/http"
	"strings"

	"sallyport/internal/wire"
)

// notFoundPage is Django's, with the empty line that it begins with.
const notFoundPage = `
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
`

// pageType is what Django calls its pages.
const pageType = "text/html; charset=utf-8"

// middleware are the headers that Django's default middleware gives every answer
// (contract §2.5), beside those that the server sets already.
func middleware(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// NotFound answers a path that the surface does not have.
func (a *API) NotFound(w http.ResponseWriter, _ *http.Request) {
	middleware(w)
	wire.Write(w, http.StatusNotFound, pageType, []byte(notFoundPage))
}

// MethodNotAllowed answers the methods that Routes does not list: the views judge
// them in their own order.
func (a *API) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	w.Header().Del("Allow")
	if strings.HasSuffix(r.URL.Path, "/") {
		a.serve(w, r)
		return
	}
	a.unslashed(w, r)
}

// unslashed answers a path that lacks its slash (contract §2.1): Django sends the
// browser on, whatever the method.
func (a *API) unslashed(w http.ResponseWriter, r *http.Request) {
	s := a.Settings()
	path := r.URL.Path + "/"
	switch v := views[path]; {
	case !v.on(s):
		a.NotFound(w, r)
	case s.Serve:
		a.view(w, r, v)
	default:
		middleware(w)
		to := wire.MountOf(r.Context()).Path + path
		if r.URL.RawQuery != "" {
			to += "?" + quoted(r.URL.RawQuery)
		}
		h := w.Header()
		h.Set("Content-Type", pageType)
		h.Set("Location", to)
		w.WriteHeader(http.StatusMovedPermanently)
	}
}

// quoted escapes what may not stand in a query, as Django's iri_to_uri does; what
// is escaped already stays.
func quoted(query string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(string(latin1([]byte(query)))) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/#%[]=:;$&()+,!?*@'", c) >= 0:
			out.WriteByte(c)
		default:
			out.WriteByte('%')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		}
	}
	return out.String()
}
