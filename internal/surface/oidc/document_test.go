package oidc_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/wire"
)

// What the metadata names is there: no client is sent to a path that we do not
// have (RFC 8414 §2).
func TestMetadataNamesOurRoutes(t *testing.T) {
	r := rig.New(t, dbtest.SQLite(t))
	r.Settings = oauth.Settings{Registration: oauth.RegistrationOpen}
	api := newAPI(r)
	mux := &wire.Mux{}
	mux.Add(api.Routes(), nil)
	r.Mount(api.Routes(), nil)
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/openid-configuration", nil))
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	named := 0
	for name, v := range doc {
		url, ok := v.(string)
		if !ok || name == "issuer" {
			continue
		}
		named++
		path, ours := strings.CutPrefix(url, rig.Base)
		_, get := mux.Match(http.MethodGet, path)
		_, post := mux.Match(http.MethodPost, path)
		if !ours || !get && !post {
			t.Errorf("%s: %s is no route", name, url)
		}
	}
	if named != 10 {
		t.Errorf("%d endpoints", named)
	}
}

// Documents are asked for by everybody at once, and change under them.
func TestDocumentsAreSafeToShare(t *testing.T) {
	r := rig.New(t, dbtest.SQLite(t))
	var mu sync.Mutex
	settings := oauth.Settings{}
	r.OAuth.Settings = func() oauth.Settings {
		mu.Lock()
		defer mu.Unlock()
		return settings
	}
	r.Mount(newAPI(r).Routes(), nil)
	h := r.Handler()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i%10 == 0 {
				mu.Lock()
				settings.Registration = []string{"open", "off"}[i/10%2]
				mu.Unlock()
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/openid-configuration", nil))
			if body, err := io.ReadAll(w.Body); err != nil || !json.Valid(body) || w.Code != http.StatusOK {
				t.Errorf("%d %s, %v", w.Code, body, err)
			}
		})
	}
	wg.Wait()
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
