package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/org"
)

// A directory is served below the root and below every mount that has the pages, and is
// told of addresses there. Elsewhere there is none.
func TestDirectoryIsWhereThePagesAre(t *testing.T) {
	c := testConfig("")
	c.Hosts = map[string]string{"auth.acme.example": "accountmaker", "tofu.example": "tofu"}
	s, _ := newServer(t, Options{Config: c, DB: dbtest.SQLite(t)})
	t.Cleanup(func() { s.Close() })
	h, token := s.Handler(), ""
	err := s.db.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
		o, err := org.Create(ctx, tx, org.Org{Slug: "acme"}, now)
		if err == nil {
			token, _, err = directory.MakeToken(ctx, tx, o.ID, now)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host, path string, named bool) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"/scim/v2/ServiceProviderConfig", nil)
		if host != "" {
			r.Host = host
		}
		if named {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		h.ServeHTTP(w, r)
		return w
	}
	for _, at := range [][2]string{{"", ""}, {"", "/keymaster"}, {"", "/accountmaker"}, {"", "/snooplytics"}, {"auth.acme.example", ""}} {
		base := c.PublicURL + at[1]
		if at[0] != "" {
			base = hostURL(at[0], strings.HasPrefix(c.PublicURL, "https:"))
		}
		if w := ask(at[0], at[1], true); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"location":"`+base+`/scim/v2/ServiceProviderConfig"`) {
			t.Errorf("%v: %d %s", at, w.Code, w.Body)
		}
		if w := ask(at[0], at[1], false); w.Code != http.StatusUnauthorized || w.Header().Get("Content-Type") != "application/scim+json" {
			t.Errorf("%v without a token: %d %s", at, w.Code, w.Body)
		}
	}
	for _, at := range [][2]string{{"", "/tofu"}, {"tofu.example", ""}} {
		if w := ask(at[0], at[1], true); w.Code != http.StatusNotFound {
			t.Errorf("%v: %d %s", at, w.Code, w.Body)
		}
	}
}
