package oauth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
	"sallyport/internal/outbound"
	"sallyport/internal/rig"
)

// site is somebody else's server: documents by path, which a test may change.
type site struct {
	url   string
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	hits  map[string]int
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{pages: map[string]http.HandlerFunc{}, hits: map[string]int{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.hits[r.URL.Path]++
		page := s.pages[r.URL.Path]
		s.mu.Unlock()
		if page == nil {
			page = http.NotFound
		}
		page(w, r)
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *site) at(path string, page http.HandlerFunc) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
	return s.url + path
}

func (s *site) hit(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[path]
}

// json answers with a JSON document; <self> stands for its address.
func (s *site) json(path, body string) string {
	body = strings.ReplaceAll(body, "<self>", s.url+path)
	return s.at(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=300")
		io.WriteString(w, body)
	})
}

// loopbackOnly is where sites are.
var loopbackOnly = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// describing is a rig where documents make clients, with a site that has some.
func describing(t testing.TB, d *db.DB) (*rig.Rig, *site) {
	t.Helper()
	r := rig.New(t, d)
	r.Settings = oauth.Settings{ClientDocuments: true, Scopes: []string{"notes:read"}}
	return r, newSite(t)
}

const notes = `{"client_id":"<self>","client_name":"Notes","redirect_uris":["https://notes.example/callback","http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"],"jwks_uri":"https://notes.example/jwks"}`

func TestDocumentIsAClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		for range 3 {
			cl, err := r.OAuth.ClientByID(t.Context(), id, visitor)
			if err != nil {
				t.Fatal(err)
			}
			p := cl.Policy
			if string(cl.ID) != id || cl.Name != "Notes" || cl.Source != client.Document || !cl.Active || cl.Confidential() || !cl.AsksConsent() {
				t.Errorf("got %+v", cl)
			}
			if p.OAuth.TokenEndpointAuth != client.AuthNone || p.OAuth.ApplicationType != "native" || p.JWKSURI != "https://notes.example/jwks" ||
				!slices.Equal(p.RedirectURIs, []string{"https://notes.example/callback", "http://127.0.0.1/callback"}) ||
				!slices.Equal(p.OAuth.Scopes, []string{"notes:read"}) || p.Registration != client.Open || p.MayUse(client.GrantClientCredentials) {
				t.Errorf("policy %+v", p)
			}
		}
		if n := s.hit("/client"); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		// What the document says later counts, once the old one is no longer to be kept.
		s.json("/client", `{"client_id":"<self>","redirect_uris":["https://new.example/callback"]}`)
		r.Advance(6 * time.Minute)
		cl, err := r.OAuth.ClientByID(t.Context(), id, visitor)
		if err != nil || cl.Name != "new.example" || !slices.Equal(cl.Policy.RedirectURIs, []string{"https://new.example/callback"}) {
			t.Errorf("later: %+v, %v", cl, err)
		}
	})
}

func TestDocumentsThatAreNoClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		s.json("/mismatch", `{"client_id":"https://other.example/client","redirect_uris":["https://notes.example/callback"]}`)
		s.json("/slash", `{"client_id":"<self>/","redirect_uris":["https://notes.example/callback"]}`)
		s.json("/nameless", `{"redirect_uris":["https://notes.example/callback"]}`)
		s.json("/twice", `{"client_id":"https://other.example/","client_id":"<self>","redirect_uris":["https://notes.example/callback"]}`)
		s.json("/case", `{"CLIENT_ID":"<self>","redirect_uris":["https://notes.example/callback"]}`)
		s.json("/secret", `{"client_id":"<self>","client_secret":"x","redirect_uris":["https://notes.example/callback"]}`)
		s.json("/secretmethod", `{"client_id":"<self>","token_endpoint_auth_method":"client_secret_basic","redirect_uris":["https://notes.example/callback"]}`)
		s.json("/private", `{"client_id":"<self>","redirect_uris":["https://notes.example/callback"],"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}}`)
		s.json("/nowhere", `{"client_id":"<self>"}`)
		s.json("/script", `{"client_id":"<self>","redirect_uris":["javascript:alert(1)"]}`)
		s.json("/inside", `{"client_id":"<self>","redirect_uris":["https://notes.example/callback"],"jwks_uri":"https://10.0.0.1/"}`)
		s.json("/machine", `{"client_id":"<self>","redirect_uris":["https://notes.example/callback"],"grant_types":["client_credentials"]}`)
		s.json("/list", `[{"client_id":"<self>"}]`)
		s.json("/huge", `{"client_id":"<self>","redirect_uris":["https://notes.example/callback"],"pad":"`+strings.Repeat("x", 20_000)+`"}`)
		s.json("/big/../path", notes)
		s.at("/upload", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, strings.ReplaceAll(notes, "<self>", s.url+"/upload"))
		})
		s.at("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/client", http.StatusFound) })
		s.json("/client", notes)
		for _, id := range []string{
			s.url + "/mismatch", s.url + "/slash", s.url + "/nameless", s.url + "/twice", s.url + "/case", s.url + "/secret", s.url + "/secretmethod",
			s.url + "/private", s.url + "/nowhere", s.url + "/script", s.url + "/inside", s.url + "/machine", s.url + "/list", s.url + "/huge",
			s.url + "/upload", s.url + "/moved", s.url + "/missing",
			s.url, s.url + "/client#x", s.url + "/a/../client", s.url + "/./client", s.url + "/%2e%2e/client", s.url + "/" + strings.Repeat("x", 512),
			"http://notes.example/client", "https://user@notes.example/client", "https://NOTES.example/client", "https:///client", "https:client",
			"https://10.0.0.1/client", "https://169.254.169.254/latest/meta-data", "https://[::1]/client", "https://2130706433/client",
			"http://0.0.0.0/client", "https://x.localhost@evil.example/", "https://notes.example/\x00", "https://notes.example/ ",
			"https://notes.example/\xff", "https://m\u00fcnchen.example/client",
		} {
			r.Advance(time.Minute)
			_, err := r.OAuth.ClientByID(t.Context(), id, visitor)
			if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != oauth.InvalidClient {
				t.Errorf("%q: %v", id, err)
			}
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			all, _, err := client.List(ctx, tx, client.Filter{})
			if len(all) > 0 {
				t.Errorf("%d clients were stored", len(all))
			}
			return err
		})
	})
}

// The network is ours, the address a stranger's.
func TestDocumentOfOurOwnNetworkIsNotRead(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		closed := outbound.NewDocuments(outbound.Options{}, r.Now)
		defer closed.Close()
		r.OAuth.Documents = closed
		for _, u := range []string{id, strings.Replace(id, "127.0.0.1", "localhost", 1), strings.Replace(id, "http:", "https:", 1)} {
			if _, err := r.OAuth.ClientByID(t.Context(), u, visitor); err == nil {
				t.Errorf("%s was read", u)
			}
		}
		if n := s.hit("/client"); n != 0 {
			t.Errorf("%d requests reached us", n)
		}
	})
}

func TestDocumentsAreOffUnlessTheOperatorWantsThem(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		if _, err := r.OAuth.ClientByID(t.Context(), id, visitor); err != nil {
			t.Fatal(err)
		}
		for _, registration := range []string{"open", "token", "off", ""} {
			r.Settings = oauth.Settings{Registration: registration}
			if _, err := r.OAuth.ClientByID(t.Context(), id, visitor); err == nil {
				t.Errorf("registration %q: the document is a client", registration)
			}
		}
	})
}

// A client that the operator has switched off, or made, is not brought back by
// its document.
func TestDocumentDoesNotOverruleTheOperator(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		cl, err := r.OAuth.ClientByID(t.Context(), id, visitor)
		if err != nil {
			t.Fatal(err)
		}
		cl.Active = false
		r.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, cl, r.Now()) })
		s.json("/client", `{"client_id":"<self>","client_name":"Other","redirect_uris":["https://new.example/callback"]}`)
		r.Advance(time.Hour)
		if cl, err = r.OAuth.ClientByID(t.Context(), id, visitor); err != nil || cl.Active || cl.Name != "Other" {
			t.Errorf("got %+v, %v", cl, err)
		}
		own := s.json("/own", notes)
		r.Client("Own", func(c *client.Client) { c.ID = client.ID(own) })
		if cl, err = r.OAuth.ClientByID(t.Context(), own, visitor); err != nil || cl.Name != "Own" || cl.Source != client.Operator {
			t.Errorf("the operator's own: %+v, %v", cl, err)
		}
	})
}

// A publisher that is down for an hour does not lock its people out, on any
// node; one that withdraws the document does.
func TestStoredDocumentStandsInForADay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		if _, err := r.OAuth.ClientByID(t.Context(), id, visitor); err != nil {
			t.Fatal(err)
		}
		status := 503
		s.at("/client", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for _, step := range []struct {
			pass   time.Duration
			status int
			ok     bool
		}{{time.Hour, 503, true}, {22 * time.Hour, 500, true}, {time.Minute, 404, false}, {time.Minute, 503, true}, {time.Hour, 503, false}} {
			r.Advance(step.pass)
			status = step.status
			other := outbound.NewDocuments(outbound.Options{Allow: loopbackOnly}, r.Now) // of a node that has just started
			r.OAuth.Documents = other
			if _, err := r.OAuth.ClientByID(t.Context(), id, visitor); (err == nil) != step.ok {
				t.Errorf("%s later, %d: %v", step.pass, step.status, err)
			}
			other.Close()
		}
	})
}

// Nobody makes us ask any number of servers.
func TestNewDocumentsAreLimitedByNetwork(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		known := s.json("/client", notes)
		if _, err := r.OAuth.ClientByID(t.Context(), known, oauth.Visitor{IP: "198.51.100.1"}); err != nil {
			t.Fatal(err)
		}
		limited := 0
		for range 30 {
			if _, err := r.OAuth.ClientByID(t.Context(), s.url+"/missing", visitor); fault.Is(err, fault.RateLimited) {
				limited++
			}
		}
		if limited != 10 {
			t.Errorf("%d of 30 were limited, want 10", limited)
		}
		if _, err := r.OAuth.ClientByID(t.Context(), known, visitor); err != nil {
			t.Errorf("one that is known: %v", err)
		}
		if _, err := r.OAuth.ClientByID(t.Context(), s.json("/other", notes), oauth.Visitor{IP: "198.51.100.1"}); err != nil {
			t.Errorf("from another network: %v", err)
		}
	})
}

func TestManyVisitorsOfOneDocumentMakeOneClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				v := oauth.Visitor{IP: "198.51." + string(rune('0'+i%10)) + "." + string(rune('0'+i/10))}
				if cl, err := r.OAuth.ClientByID(context.Background(), id, v); err != nil || string(cl.ID) != id {
					t.Errorf("got %v, %v", cl.ID, err)
				}
			})
		}
		wg.Wait()
		if n := s.hit("/client"); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// Strangers' clients that nobody uses do not stay for ever.
func TestUnusedDocumentClientsAreSwept(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		ids := map[string]client.Client{}
		for _, name := range []string{"/unused", "/enrolled", "/consented", "/granted", "/fresh"} {
			if name == "/fresh" {
				r.Advance(48 * time.Hour)
			}
			cl, err := r.OAuth.ClientByID(t.Context(), s.json(name, notes), visitor)
			if err != nil {
				t.Fatal(err)
			}
			ids[name] = cl
		}
		own := r.Client("Own", nil)
		u := r.User("jane@example.com", "Jane", "", ids["/enrolled"])
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			if err := grant.PutConsent(ctx, tx, grant.Consent{UserID: u.ID, ClientID: ids["/consented"].ID}, r.Now()); err != nil {
				return err
			}
			return grant.Create(ctx, tx, grant.Grant{ID: grant.NewID(), ClientID: ids["/granted"].ID, UserID: u.ID, CreatedAt: r.Now(), ExpiresAt: r.Now().Add(time.Hour)}, nil)
		})
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			n, err := client.SweepDocuments(ctx, tx, r.Now().Add(-24*time.Hour), 10)
			if n != 1 {
				t.Errorf("%d were swept, want 1", n)
			}
			return err
		})
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := client.ByID(ctx, tx, own.ID); err != nil {
				t.Errorf("the operator's own: %v", err)
			}
			if _, err := client.ByID(ctx, tx, ids["/unused"].ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("the unused one: %v", err)
			}
			return nil
		})
	})
}

func TestClientByIDKnowsTheOperators(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, _ := describing(t, d)
		own := r.Client("Own", nil)
		for _, id := range []string{string(own.ID), strings.ToUpper(string(own.ID))} {
			if cl, err := r.OAuth.ClientByID(t.Context(), id, visitor); err != nil || cl.ID != own.ID {
				t.Errorf("%s: %v, %v", id, cl.ID, err)
			}
		}
		for _, id := range []string{"", "x", "00000000-0000-7000-8000-000000000000", "ftp://notes.example/client", "javascript:alert(1)"} {
			_, err := r.OAuth.ClientByID(t.Context(), id, visitor)
			if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != oauth.InvalidClient {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}
