package oidc_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
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

// Below a path the provider has documents of its own, and they are where RFC
// 8414 §3.1 and OpenID Connect Discovery §4 look for them.
func TestDocumentsBelowAPath(t *testing.T) {
	r := rig.New(t, dbtest.SQLite(t))
	api := newAPI(r)
	api.Prefix = "/api/auth"
	r.Mount(newAPI(r).Routes(), nil)
	r.Mount(api.Routes(), nil)
	s := httptest.NewServer(r.Handler())
	defer s.Close()
	read := func(path string) map[string]any {
		res, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var doc map[string]any
		if err := json.NewDecoder(res.Body).Decode(&doc); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, res.Status, err)
		}
		return doc
	}
	for _, path := range []string{
		"/api/auth/.well-known/openid-configuration", "/.well-known/openid-configuration/api/auth", "/.well-known/oauth-authorization-server/api/auth",
	} {
		doc := read(path)
		if doc["issuer"] != rig.Base+"/api/auth" || doc["token_endpoint"] != rig.Base+"/api/auth/oauth2/token" || doc["jwks_uri"] != rig.Base+"/api/auth/.well-known/jwks.json" {
			t.Errorf("%s: %v", path, doc)
		}
	}
	if doc := read("/.well-known/oauth-protected-resource/api/auth"); doc["resource"] != rig.Base+"/api/auth" {
		t.Errorf("resource: %v", doc)
	}
	if doc := read("/.well-known/openid-configuration"); doc["issuer"] != rig.Base {
		t.Errorf("the root's issuer: %v", doc["issuer"])
	}
	for _, path := range []string{"/api/auth/jwks", "/api/auth/.well-known/jwks.json"} {
		if keys, ok := read(path)["keys"].([]any); !ok || len(keys) == 0 {
			t.Errorf("%s has no keys", path)
		}
	}
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
