package oidc_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
)

// publisher is a server of somebody else's that documents are read from, by
// path. What it says can be changed by a test.
type publisher struct {
	url   string
	pages map[string]page
	hits  map[string]int
}

type page struct {
	status      int
	kind, cache string
	body        string
}

// newPublisher serves pages; <self> in a body stands for the publisher's URL.
func newPublisher(t testing.TB) *publisher {
	t.Helper()
	p := &publisher{pages: map[string]page{}, hits: map[string]int{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hits[r.URL.Path]++
		doc, ok := p.pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", doc.kind)
		w.Header().Set("Location", "/elsewhere")
		if doc.cache != "" {
			w.Header().Set("Cache-Control", doc.cache)
		}
		w.WriteHeader(doc.status)
		io.WriteString(w, doc.body)
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

func (p *publisher) put(path string, status int, kind, body string) {
	p.pages[path] = page{status: status, kind: kind, body: strings.ReplaceAll(body, "<self>", p.url)}
}

// registrations are the hooks and values of the transcripts about clients that
// register themselves.
func registrations(t testing.TB, r *rig.Rig, vars map[string]string) map[string]func(*testing.T, map[string]string) {
	p := newPublisher(t)
	vars["publisher"] = p.url
	const callback = `"https://app.example.com/callback"`
	p.put("/sector.json", 200, "application/json", `["https://app.example.com/callback","https://www.example.com/callback"]`)
	p.put("/short.json", 200, "application/json", `[`+callback+`]`)
	p.put("/object.json", 200, "application/json", `{"redirect_uris":[`+callback+`]}`)
	p.put("/moved.json", 302, "application/json", `[`+callback+`]`)
	p.put("/large.json", 200, "application/json", `[`+callback+`,"`+strings.Repeat("x", 40_000)+`"]`)
	p.put("/client", 200, "application/json", `{"client_id":"<self>/client","client_name":"Tool","redirect_uris":["http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"]}`)
	p.put("/other", 200, "application/json", `{"client_id":"<self>/client","redirect_uris":["http://127.0.0.1/callback"]}`)
	p.put("/upload", 200, "text/plain", `{"client_id":"<self>/upload","redirect_uris":["http://127.0.0.1/callback"]}`)
	p.put("/hidden", 302, "application/json", `{"client_id":"<self>/hidden","redirect_uris":["http://127.0.0.1/callback"]}`)
	p.put("/leaks", 200, "application/json", `{"client_id":"<self>/leaks","client_secret":"x","redirect_uris":["http://127.0.0.1/callback"]}`)
	p.put("/script", 200, "application/json", `{"client_id":"<self>/script","redirect_uris":["javascript:alert(1)"]}`)
	registrar := r.Client("Registrar", func(c *client.Client) {
		c.SecretHash = client.HashSecret(r.Key, "registrar-secret")
		c.Policy.Grants = []string{client.GrantClientCredentials}
		c.Policy.OAuth.Scopes = []string{oauth.ScopeRegister, "reports:read"}
	})
	vars["registrar"] = string(registrar.ID)
	set := func(to string) func(*testing.T, map[string]string) {
		return func(*testing.T, map[string]string) {
			r.Settings.Registration, r.Settings.Scopes = to, []string{"notes:read", oauth.ScopeRegister}
		}
	}
	return map[string]func(*testing.T, map[string]string){
		"registration-open": set("open"), "registration-token": set("token"), "registration-off": set("off"),
		"documents-on": func(*testing.T, map[string]string) {
			r.Settings.Registration, r.Settings.ClientDocuments = "open", true
		},
		"switch-off": func(_ *testing.T, v map[string]string) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE clients SET active = $2 WHERE id = $1`, v["id"], false)
				return err
			})
		},
	}
}
