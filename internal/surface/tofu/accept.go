package tofu

import (
	"net/http"
	"strconv"
	"strings"
)

// renders are the media types that an answer may have. DRF's second is a page for
// people, which there is none of: who asks for that is given JSON.
var renders = []string{"application/json", "text/html"}

// negotiate judges what the client wants to be answered with (contract §2.5).
func negotiate(r *http.Request) error {
	if format := r.URL.Query().Get("format"); format != "" && format != "json" && format != "api" {
		return refuse(http.StatusNotFound, "Not found.", "")
	}
	for _, given := range accepts(r) {
		for _, ours := range renders {
			if full, _ := mediaType(given); matches(ours, full) {
				return nil
			}
		}
	}
	return refuse(http.StatusNotAcceptable, "Could not satisfy the request Accept header.", "")
}

func accepts(r *http.Request) []string {
	given, there := r.Header["Accept"]
	if !there {
		return []string{"*/*"}
	}
	return strings.Split(strings.Join(given, ","), ",")
}

// maxIndent is as far as DRF indents.
const maxIndent = 8

// indentOf is how far the client wants JSON to be indented: Accept:
// application/json; indent=4.
func indentOf(r *http.Request) int {
	if !strings.Contains(strings.Join(r.Header["Accept"], ","), "indent") {
		return 0
	}
	for _, given := range accepts(r) {
		full, params := mediaType(given)
		if n, err := strconv.Atoi(params["indent"]); err == nil && full == "application/json" {
			return max(min(n, maxIndent), 0)
		}
	}
	return 0
}
