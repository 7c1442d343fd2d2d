package accountmaker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/org"
	"sallyport/internal/rig"
)

// The vendor's own tests sign in some twenty times from one address after five
// wrong passwords, two of them at once, and want tokens that differ (contract, "What
// the vendor's client leans on").
func TestVendorsClientIsNotThrottled(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		demo := r.Client("Demo", func(c *client.Client) { policy(&c.Policy) })
		api := newAPI(t, r, func() client.ID { return demo.ID })
		r.Mount(api.Routes(), api.MethodNotAllowed)
		r.User("ada@example.com", "Ada", password, demo)
		srv := httptest.NewServer(r.Handler())
		defer srv.Close()
		for range 5 {
			if status, _ := post(t, srv.URL+"/auth/sign-in", map[string]string{"email": "ada@example.com", "password": "wrong-password-123"}); status != http.StatusUnauthorized {
				t.Fatalf("a wrong password: %d, want 401", status)
			}
		}
		var mu sync.Mutex
		seen := map[string]bool{}
		signIn := func() {
			status, out := post(t, srv.URL+"/auth/sign-in", map[string]string{"email": "ada@example.com", "password": password})
			if status != http.StatusOK {
				t.Errorf("sign-in: %d %v", status, out)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, name := range []string{"access_token", "refresh_token"} {
				raw := out["tokens"].(map[string]any)[name].(string)
				if seen[raw] {
					t.Errorf("%s was given twice", name)
				}
				seen[raw] = true
			}
		}
		for range 10 {
			var both sync.WaitGroup
			both.Go(signIn)
			both.Go(signIn)
			both.Wait()
		}
	})
}

// The host of a request names the client where an account has shown the host to be
// its own (contract §1.2, 5).
func TestHostNamesTheClient(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		demo := r.Client("Demo", func(c *client.Client) { policy(&c.Policy) })
		acme := r.Client("Acme", func(c *client.Client) { c.Policy.Methods = []string{client.MethodMagicLink} })
		api := newAPI(t, r, func() client.ID { return demo.ID })
		r.Mount(api.Routes(), api.MethodNotAllowed)
		ada := r.User("ada@example.com", "Ada", password, demo)
		h := r.Handler()
		methods := func(host string) string {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+"/auth/login-methods", strings.NewReader("{}"))
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return w.Body.String()
		}
		var owner org.ID
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			seat, err := org.Found(ctx, tx, org.Org{Name: "Acme", Status: org.Active}, ada.ID, r.Now())
			if err != nil {
				return err
			}
			owner = seat.OrgID
			if _, err := org.Claim(ctx, tx, seat.OrgID, "auth.acme.example", r.Now()); err != nil {
				return err
			}
			return org.SetDomainClient(ctx, tx, seat.OrgID, "auth.acme.example", acme.ID)
		})
		if got := methods("auth.acme.example"); !strings.Contains(got, "password") {
			t.Errorf("a host that is only claimed: %s, want the default client's methods", got)
		}
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.Verify(ctx, tx, owner, "auth.acme.example", r.Now())
		})
		if got := methods("AUTH.acme.example:443"); strings.Contains(got, "password") || !strings.Contains(got, "magic_link") {
			t.Errorf("a host that was shown to be Acme's: %s, want its client's methods", got)
		}
		if got := methods("auth.example.com"); !strings.Contains(got, "password") {
			t.Errorf("the public host: %s, want the default client's methods", got)
		}
	})
}
