package accountmaker_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// Two processes with nothing in common but the database agree on a refresh token
// (contract §3.9): what is shown to both at once is good at both, within the grace,
// and what is replayed at one ends the family at the other.
func TestNodesAgreeOnARefreshToken(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		open := func() *db.DB {
			d, err := db.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			return d
		}
		d := open()
		if _, err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := rig.New(t, d)
		demo := r.Client("Demo", func(c *client.Client) { policy(&c.Policy) })
		r.User("ada@example.com", "Ada", password, demo)
		var nodes []string
		for range 2 {
			api := newAPI(t, r, func() client.ID { return demo.ID })
			api.SignIn = &signin.Core{DB: open(), Now: r.Now, Key: r.Key, Passwords: r.Passwords, Broker: r.Broker}
			mux := &wire.Mux{}
			mux.Add(api.Routes(), api.MethodNotAllowed)
			at := wire.Mount{Base: rig.Base, Secure: true}
			srv := httptest.NewServer(wire.Requests{Now: r.Now}.Wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				mux.ServeHTTP(w, req.WithContext(wire.WithMount(req.Context(), at)))
			})))
			t.Cleanup(srv.Close)
			nodes = append(nodes, srv.URL)
		}
		status, in := post(t, nodes[0]+"/auth/sign-in", map[string]string{"email": "ada@example.com", "password": password})
		if status != http.StatusOK {
			t.Fatal(status, in)
		}
		first, _ := in["tokens"].(map[string]any)["refresh_token"].(string)
		store := &shared{}
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				status, out := post(t, nodes[i%2]+"/auth/refresh", map[string]string{"refresh_token": first})
				if next, ok := out["refresh_token"].(string); ok && status == http.StatusOK {
					store.write(next)
				} else {
					t.Errorf("node %d: %d %v", i%2, status, out)
				}
			})
		}
		all.Wait()
		current := store.read()
		for i := range 6 { // one node after the other
			status, out := post(t, nodes[i%2]+"/auth/refresh", map[string]string{"refresh_token": current})
			if status != http.StatusOK {
				t.Fatalf("node %d: %d %v", i%2, status, out)
			}
			current, _ = out["refresh_token"].(string)
		}
		r.Advance(11 * time.Second)
		for i, token := range []string{first, current, current} {
			if status, _ := post(t, nodes[(i+1)%2]+"/auth/refresh", map[string]string{"refresh_token": token}); status != http.StatusUnauthorized {
				t.Errorf("step %d of a replay: %d, want 401", i, status)
			}
		}
	})
}
