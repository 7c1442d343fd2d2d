package tofu_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/emulator"
	"sallyport/internal/rig"
	"sallyport/internal/secret"
)

// startWorkOS runs WorkOS' own emulator.
func startWorkOS(t *testing.T) (base, key string) {
	t.Helper()
	var at struct{ URL, APIKey string }
	emulator.Start(t, &at, "testdata/workos.mjs")
	return at.URL, at.APIKey
}

// TestCallbackWithTheEmulatorOfWorkOS is the three cases of the callback and the
// sign-out, with codes, tokens and keys that WorkOS' own program made.
func TestCallbackWithTheEmulatorOfWorkOS(t *testing.T) {
	t.Parallel()
	base, key := startWorkOS(t)
	s, at := serve(t, dbtest.SQLite(t), nil)
	s.Advance(time.Since(rig.Start)) // it lives in our time
	u := s.fakes["workos"].Upstream("workos")
	u.Settings.BaseURL, u.Settings.ClientID, u.Secret = base, "sallyport", secret.Value(key)
	s.PutUpstream(u)

	login := func(email string) reply {
		t.Helper()
		q := url.Values{"response_type": {"code"}, "client_id": {"sallyport"}, "redirect_uri": {"http://localhost:9/callback"}, "provider": {"authkit"}, "login_hint": {email}}
		res := follow(t, base+"/user_management/authorize?"+q.Encode())
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil || to.Query().Get("code") == "" {
			t.Fatalf("authorize: %d %v", res.StatusCode, res.Header)
		}
		s.Advance(time.Since(s.Now()) + time.Second)
		return send(t, at, post("/api/core/auth/workos/callback/", `{"code":"`+to.Query().Get("code")+`"}`))
	}
	var jane struct {
		AccessToken string `json:"access_token"`
	}
	known := login("jane@example.com")
	if err := json.Unmarshal([]byte(known.body), &jane); err != nil || !strings.HasSuffix(known.body, `"user":{"id":1,"email":"jane@example.com","first_name":"Janet","last_name":"Doe"}}`) {
		t.Fatalf("somebody known here: %d %s", known.status, known.body)
	}
	for range 2 { // made, and then known
		if made := login("nina@example.com"); made.status != 200 || !strings.HasSuffix(made.body, `"user":{"id":5,"email":"nina@example.com","first_name":"Nina","last_name":"New"}}`) {
			t.Errorf("somebody new: %d %s", made.status, made.body)
		}
	}
	var out struct {
		URL string `json:"workos_logout_url"`
		To  string `json:"redirect_to"`
	}
	res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+jane.AccessToken))
	if err := json.Unmarshal([]byte(res.body), &out); err != nil || out.To != "/signin" || !strings.HasPrefix(out.URL, base+"/user_management/sessions/logout?session_id=session_") {
		t.Fatalf("logout: %d %s", res.status, res.body)
	}
	if bye := follow(t, out.URL); bye.StatusCode >= 400 {
		t.Errorf("WorkOS says to the logout URL: %d", bye.StatusCode)
	}
}

// follow asks for an address and follows nothing.
func follow(t *testing.T, address string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}
