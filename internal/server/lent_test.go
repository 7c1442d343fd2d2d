package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
)

// The buttons of the pages lead somewhere on every mount that has the pages, with
// or without the rest of the API whose routes they are.
func TestPagesBringTheirUpstreams(t *testing.T) {
	for name, root := range map[string][]string{"with keymaster": {"keymaster"}, "without": {"accountmaker"}} {
		c := testConfig("")
		c.Root = root
		s, _ := newServer(t, Options{Config: c, DB: dbtest.SQLite(t)})
		t.Cleanup(func() { s.Close() })
		h := s.Handler()
		for _, path := range []string{"", "/keymaster", "/accountmaker"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"/oauth/google/start?request=gone", nil))
			if to := w.Header().Get("Location"); w.Code != http.StatusFound || to != path+"/login?request=gone" {
				t.Errorf("%s, %s: %d to %q", name, path, w.Code, to)
			}
			w = httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"/login?request=gone", nil))
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "this sign-in has expired") {
				t.Errorf("%s, %s: the page is %d", name, path, w.Code)
			}
		}
	}
}
