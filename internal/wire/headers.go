package wire

import (
	"context"
	"net/http"
	"time"
)

// SecurityHeaders sets what every answer carries: types are not guessed,
// addresses (which may hold tokens) are not passed on as referrers, nothing of
// ours is framed or runs scripts. Pages set a wider policy with PageHeaders.
// secure says that the public URL is https; only then is HSTS sent.
func SecurityHeaders(secure bool, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := w.Header()
		set["X-Content-Type-Options"] = []string{"nosniff"}
		set["Referrer-Policy"] = []string{"no-referrer"}
		set["X-Frame-Options"] = []string{"DENY"}
		set["Content-Security-Policy"] = []string{"default-src 'none'; frame-ancestors 'none'"}
		if secure {
			set["Strict-Transport-Security"] = []string{"max-age=31536000"}
		}
		h.ServeHTTP(w, r)
	})
}

// PageHeaders sets the headers of an HTML page: policy is its
// Content-Security-Policy without the directives that every page of ours has.
// A policy that restricts form-action also restricts where the answer to a form
// may redirect (CSP3 §6.4.2), which sign-in pages cannot have.
func PageHeaders(w http.ResponseWriter, policy string) {
	set := w.Header()
	set.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "+policy)
	set.Set("Cache-Control", "no-store")
	set.Set("Referrer-Policy", "no-referrer")
	set.Set("X-Frame-Options", "DENY")
	set.Set("X-Content-Type-Options", "nosniff")
}

// LimitBody fails the reading of any body at limit bytes, whoever reads it. It
// stands behind the limits that handlers give themselves.
func LimitBody(limit int64, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		h.ServeHTTP(w, r)
	})
}

// Deadline ends a request's context after d, so that nothing waits for a
// database or a hash longer than a client would.
func Deadline(d time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}
