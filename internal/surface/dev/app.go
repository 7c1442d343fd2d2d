package dev

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/wire"
)

// AppPath is a page that stands for the application that people are sent back
// to: it shows what that was given. AppPath/code answers with the code alone.
const AppPath = "/dev/app"

// app shows the parameters that the application was given: to a browser as a
// page, else as JSON.
func (d *Dev) app(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wantsPage(r) {
		given := map[string]string{}
		for name := range q {
			given[name] = q.Get(name)
		}
		w.Header().Set("Cache-Control", "no-store")
		wire.WriteJSON(w, http.StatusOK, given)
		return
	}
	var given [][2]string
	for name := range q {
		given = append(given, [2]string{name, q.Get(name)})
	}
	slices.SortFunc(given, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	show(w, "app", "style-src 'unsafe-inline'", map[string]any{"Title": "The application", "Given": given, "Failed": q.Has("error")})
}

// appCode answers with the code that the application was given, as one line, or
// with the error.
func (d *Dev) appCode(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if code := q.Get("code"); code != "" {
		w.Header().Set("Cache-Control", "no-store")
		wire.Write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(code+"\n"))
		return
	}
	fail(w, http.StatusBadRequest, "there is no code, but this: "+q.Encode())
}
