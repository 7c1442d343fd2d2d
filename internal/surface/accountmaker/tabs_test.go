package accountmaker_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
)

// post asks the server as a program does.
func post(t testing.TB, url string, body map[string]string) (int, map[string]any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return send(t, req)
}

// program is who asks: one with a deadline.
var program = &http.Client{Timeout: time.Minute}

func send(t testing.TB, req *http.Request) (int, map[string]any) {
	t.Helper()
	resp, err := program.Do(req)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var out map[string]any
	if err == nil && len(text) > 0 && text[0] == '{' {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, out
}

// shared is the storage that all tabs of a browser have in common.
type shared struct {
	mu    sync.Mutex
	token string
	old   []string // every token that was ever stored
}

func (s *shared) read() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

func (s *shared) write(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.old = token, append(s.old, token)
}

// The contract's grace (§3.9) is for tabs that share one stored token: whatever
// they do at once, none of them signs the person out, and a token that is shown
// past its grace ends the family.
func TestTabsShareARefreshToken(t *testing.T) {
	t.Parallel()
	const tabs, rounds = 50, 5
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		demo := r.Client("Demo", func(c *client.Client) { policy(&c.Policy) })
		api := newAPI(t, r, func() client.ID { return demo.ID })
		r.Mount(api.Routes(), api.MethodNotAllowed)
		r.User("ada@example.com", "Ada", password, demo)
		srv := httptest.NewServer(r.Handler())
		defer srv.Close()
		for family := range 4 {
			status, in := post(t, srv.URL+"/auth/sign-in", map[string]string{"email": "ada@example.com", "password": password})
			if status != http.StatusOK {
				t.Fatalf("sign-in: %d %v", status, in)
			}
			store := &shared{}
			store.write(in["tokens"].(map[string]any)["refresh_token"].(string))
			var all sync.WaitGroup
			for tab := range tabs {
				all.Go(func() { useTab(t, r, srv.URL, store, rand.New(rand.NewPCG(uint64(family), uint64(tab))), rounds) })
			}
			all.Wait()
			replay(t, r, srv.URL, store)
		}
	})
}

// useTab refreshes some times, with delays, and with answers that get lost on the
// way and are asked for again.
func useTab(t *testing.T, r *rig.Rig, url string, store *shared, random *rand.Rand, rounds int) {
	for range rounds {
		token := store.read()
		time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
		for {
			status, out := post(t, url+"/auth/refresh", map[string]string{"refresh_token": token})
			r.Advance(time.Duration(random.IntN(15)) * time.Millisecond)
			if status != http.StatusOK {
				t.Errorf("a tab was signed out: %d %v", status, out)
				return
			}
			if random.IntN(5) == 0 {
				continue // the answer was lost
			}
			store.write(out["refresh_token"].(string))
			break
		}
	}
}

// replay shows a token of long ago, which ends what it belongs to.
func replay(t *testing.T, r *rig.Rig, url string, store *shared) {
	t.Helper()
	if status, _ := post(t, url+"/auth/refresh", map[string]string{"refresh_token": store.token}); status != http.StatusOK {
		t.Errorf("the current token: %d, want 200", status)
	}
	r.Advance(11 * time.Second)
	if status, _ := post(t, url+"/auth/refresh", map[string]string{"refresh_token": store.old[0]}); status != http.StatusUnauthorized {
		t.Errorf("a replay: %d, want 401", status)
	}
	if status, _ := post(t, url+"/auth/refresh", map[string]string{"refresh_token": store.token}); status != http.StatusUnauthorized {
		t.Errorf("the family of a replayed token: %d, want 401", status)
	}
}
