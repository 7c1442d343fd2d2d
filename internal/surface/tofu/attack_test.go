package tofu_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/session"
	"sallyport/internal/surface/tofu"
)

// serve is a site on a port of its own.
func serve(t *testing.T, d *db.DB, change func(*client.Client)) (*site, string) {
	t.Helper()
	s := newSite(t, d, change)
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return s, srv.Listener.Addr().String()
}

// signIn returns the tokens of Jane's sign-in.
func signIn(t *testing.T, at string) (access, refresh string) {
	t.Helper()
	var pair struct{ Access, Refresh string }
	res := send(t, at, post("/api/token/", fmt.Sprintf(`{"email":"jane@example.com","password":"%s"}`, password)))
	if err := json.Unmarshal([]byte(res.body), &pair); err != nil || pair.Access == "" {
		t.Fatalf("sign-in: %d %s", res.status, res.body)
	}
	return pair.Access, pair.Refresh
}

// TestOneOfManyPostsOfACodeSignsIn: under any race a code is exchanged once.
func TestOneOfManyPostsOfACodeSignsIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		code := s.code(t, "google", "1", returnURI, "", "")
		statuses := race(100, func(i int) reply {
			return send(t, at, post("/api/core/auth/google/login/", fmt.Sprintf(`{"code":"%s","redirect_uri":"%s"}`, code, returnURI), fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i)))
		})
		if statuses[200] != 1 || statuses[400] != 99 {
			t.Errorf("statuses %v, want one 200 and 99 of 400", statuses)
		}
		asked := 0
		for _, r := range s.fakes["google"].Requests() {
			if r == "POST /token" {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("Google was asked %d times, want once", asked)
		}
	})
}

// race runs n requests at once and counts the statuses.
func race(n int, one func(int) reply) map[int]int {
	var mu sync.Mutex
	var all sync.WaitGroup
	statuses := map[int]int{}
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			r := one(i)
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
		})
	}
	close(start)
	all.Wait()
	return statuses
}

// TestOneOfManyRotatesARefreshToken: the others are replays, and end the session.
func TestOneOfManyRotatesARefreshToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		s.set(func(s *tofu.Settings) { s.RotateRefresh = true })
		_, refresh := signIn(t, at)
		var mu sync.Mutex
		next := ""
		statuses := race(30, func(i int) reply {
			r := send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`, fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i)))
			var pair struct{ Refresh string }
			if r.status == 200 && json.Unmarshal([]byte(r.body), &pair) == nil {
				mu.Lock()
				defer mu.Unlock()
				next = pair.Refresh
			}
			return r
		})
		if statuses[200] != 1 || statuses[401] != 29 {
			t.Errorf("statuses %v, want one 200 and 29 of 401", statuses)
		}
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+next+`"}`)); !strings.Contains(res.body, "Token is blacklisted") {
			t.Errorf("the successor after a replay: %d %s", res.status, res.body)
		}
	})
}

// TestTokensOfAnotherAlgorithmAreRefused: with RS256 configured, a secret that
// everybody knows, the public key, signs nothing.
func TestTokensOfAnotherAlgorithmAreRefused(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), func(c *client.Client) { c.Policy.AccessToken.Alg = jwks.RS256 })
	access, refresh := signIn(t, at)
	head, _, _ := strings.Cut(access, ".")
	key, err := s.Keys.Active(jwks.RS256, s.client.ID)
	if err != nil {
		t.Fatal(err)
	}
	if want, _, _ := strings.Cut(sign(fmt.Sprintf(`{"alg":"RS256","kid":"%s","typ":"JWT"}`, key.ID), "{}", sha256.New, ""), "."); head != want {
		t.Errorf("header %s, want %s", head, want)
	}
	for _, token := range []string{access, refresh} {
		if res := send(t, at, post("/api/token/verify/", `{"token":"`+token+`"}`)); res.status != 200 {
			t.Errorf("our own token: %d %s", res.status, res.body)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	payload := fmt.Sprintf(`{"token_type":"access","exp":%d,"jti":"x","user_id":"1"}`, s.Now().Unix()+300)
	for name, token := range map[string]string{
		"HS256 by the public key":        sign(`{"alg":"HS256","typ":"JWT"}`, payload, sha256.New, public),
		"HS256 by the key's bytes":       sign(`{"alg":"HS256","typ":"JWT"}`, payload, sha256.New, string(der)),
		"HS256 with the kid":             sign(`{"alg":"HS256","kid":"`+key.ID+`","typ":"JWT"}`, payload, sha256.New, public),
		"HS256 by the client's own key":  sign(`{"alg":"HS256","typ":"JWT"}`, payload, sha256.New, secretKey),
		"RS256 in name":                  sign(`{"alg":"RS256","kid":"`+key.ID+`","typ":"JWT"}`, payload, sha256.New, public),
		"none":                           sign(`{"alg":"none"}`, payload, sha256.New, "x"),
		"a key of its own":               sign(`{"alg":"HS256","jwk":{"kty":"oct","k":"eA"}}`, payload, sha256.New, "x"),
		"with another's part":            access[:strings.LastIndexByte(access, '.')+1] + lastPart(refresh),
		"the refresh token's own header": strings.Replace(access, ".", "=.", 1),
	} {
		res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+token))
		if res.status != 401 || !strings.Contains(res.body, `"message":"Token is invalid"`) {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
}

// TestAlgorithmsByConfiguration: what the contract lets a deployment choose works.
func TestAlgorithmsByConfiguration(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{jwks.RS256, jwks.ES256} {
		_, at := serve(t, dbtest.SQLite(t), func(c *client.Client) { c.Policy.AccessToken.Alg = alg })
		access, refresh := signIn(t, at)
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`)); res.status != 200 {
			t.Errorf("%s: refresh: %d %s", alg, res.status, res.body)
		}
		if res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+access)); res.status != 200 {
			t.Errorf("%s: logout: %d %s", alg, res.status, res.body)
		}
	}
}

// TestNobodyIsTakenOverByTheirAddress: upstream accounts that name Jane's address
// without being hers leave nothing behind.
func TestNobodyIsTakenOverByTheirAddress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		login := func(key, id string, want int) {
			t.Helper()
			path, body := "/api/core/auth/"+key+"/login/", `{"code":"%s","redirect_uri":"%s"}`
			if key == "workos" {
				path = "/api/core/auth/workos/callback/"
			}
			code := s.code(t, key, id, returnURI, "", "")
			if res := send(t, at, post(path, fmt.Sprintf(body, code, returnURI))); res.status != want {
				t.Errorf("%s %s: got %d %s, want %d", key, id, res.status, res.body, want)
			}
		}
		links := func() (all []string) {
			s.Write(func(ctx context.Context, tx *db.Tx) error {
				ls, err := identity.Links(ctx, tx, s.people["jane"].ID)
				for _, l := range ls {
					all = append(all, l.Upstream+" "+l.Subject)
				}
				return err
			})
			slices.Sort(all)
			return all
		}
		_, refresh := signIn(t, at)
		login("google", "2", 403) // Google has not verified it
		login("google", "8", 403) // a mailbox that Google does not run
		login("okta", "2", 403)
		login("workos", "2", 403)
		if got := links(); len(got) != 0 {
			t.Errorf("links after unverified sign-ins: %v", got)
		}
		login("google", "1", 200)
		login("google", "3", 403) // a second subject of the address
		login("workos", "1", 200)
		login("workos", "3", 403)
		if got, want := links(), []string{"google 1", "workos user_1"}; !slices.Equal(got, want) {
			t.Errorf("links: %v, want %v", got, want)
		}
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`)); res.status != 200 {
			t.Errorf("Jane's own session: %d %s", res.status, res.body)
		}
		// Jane changes her address at WorkOS to Nora's: nobody is moved.
		people := slices.Clone(crowd)
		people[0].Email = "nora@example.com"
		s.fakes["workos"].SetPeople(people...)
		login("workos", "1", 403)
		// To one that is free, it follows.
		people[0].Email = "jane.doe@example.com"
		s.fakes["workos"].SetPeople(people...)
		login("workos", "1", 200)
		var jane identity.User
		s.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			jane, err = identity.ByID(ctx, tx, s.people["jane"].ID)
			return err
		})
		if jane.Email != "jane.doe@example.com" || !jane.EmailVerified {
			t.Errorf("Jane's address: %s, verified %v", jane.Email, jane.EmailVerified)
		}
	})
}

// TestUnverifiedAccountsAreNotHijacked: who made the account with Jane's address
// before her, with a password, is out when the owner of the mailbox comes.
func TestUnverifiedAccountsAreNotHijacked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		hash, err := s.Passwords.Hash(context.Background(), "the squatter's password")
		if err != nil {
			t.Fatal(err)
		}
		squatted := identity.User{ID: identity.NewUserID(), Email: "new@example.com", DisplayName: "Squatter", Status: identity.Active, PasswordHash: hash, CreatedAt: s.Now()}
		s.Write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, squatted) })
		s.Enrol(squatted, s.client, client.Active, "user")
		res := send(t, at, post("/api/token/", `{"email":"new@example.com","password":"the squatter's password"}`))
		var pair struct{ Access, Refresh string }
		if err := json.Unmarshal([]byte(res.body), &pair); err != nil || res.status != 200 {
			t.Fatalf("the squatter: %d %s", res.status, res.body)
		}
		code := s.code(t, "workos", "4", returnURI, "", "")
		if res := send(t, at, post("/api/core/auth/workos/callback/", `{"code":"`+code+`"}`)); res.status != 200 {
			t.Fatalf("the owner: %d %s", res.status, res.body)
		}
		if res := send(t, at, post("/api/token/", `{"email":"new@example.com","password":"the squatter's password"}`)); res.status != 401 {
			t.Errorf("the squatter's password afterwards: %d %s", res.status, res.body)
		}
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+pair.Refresh+`"}`)); res.status != 401 {
			t.Errorf("the squatter's refresh token afterwards: %d %s", res.status, res.body)
		}
	})
}

// TestNobodyLearnsWhoHasAnAccount: whatever is wrong, one answer to the byte, and
// the same work.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), nil)
	var first reply
	for i, q := range []struct{ email, password string }{
		{"jane@example.com", "wrong"}, {"nobody@example.com", "wrong"}, {"nora@example.com", "wrong"}, {"sue@example.com", "wrong"},
		{"sue@example.com", password}, {"tom@example.com", password}, {"no address", "wrong"},
	} {
		before := s.Passwords.Stats()
		res := send(t, at, post("/api/token/", fmt.Sprintf(`{"email":"%s","password":"%s"}`, q.email, q.password), fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i)))
		after := s.Passwords.Stats()
		if hashes, passes := after.Hashes-before.Hashes, after.Passes-before.Passes; hashes != 1 || passes != 64 {
			t.Errorf("%+v: %d hashes of %d passes, want 1 of 64", q, hashes, passes)
		}
		for _, name := range []string{"X-Request-Id", "Date"} {
			res.header.Del(name)
		}
		if i == 0 {
			first = res
		}
		if res.status != 401 || !reflect.DeepEqual(res, first) {
			t.Errorf("%+v: got %+v, want %+v", q, res, first)
		}
	}
}

// TestEndedSessionsRefreshNothing: what ends a session elsewhere ends its refresh
// token here.
func TestEndedSessionsRefreshNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		_, refresh := signIn(t, at)
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := session.EndAll(ctx, tx, s.people["jane"].ID, "")
			return err
		})
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`)); res.status != 401 || !strings.Contains(res.body, "Token is blacklisted") {
			t.Errorf("after the session ended: %d %s", res.status, res.body)
		}
		access, refresh := signIn(t, at)
		s.Enrol(s.people["jane"], s.client, client.Suspended, "user")
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`)); res.status != 401 || !strings.Contains(res.body, "No active account found for the given token.") {
			t.Errorf("refresh of somebody suspended: %d %s", res.status, res.body)
		}
		if res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+access)); res.status != 401 || !strings.Contains(res.body, "user_inactive") {
			t.Errorf("access of somebody suspended: %d %s", res.status, res.body)
		}
	})
}

// TestASessionIsTheUsersOwn: a token that names another user's session, which only
// who has the key can make, gets nothing of it.
func TestASessionIsTheUsersOwn(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), nil)
	code := s.code(t, "workos", "1", returnURI, "", "")
	res := send(t, at, post("/api/core/auth/workos/callback/", `{"code":"`+code+`"}`))
	var c struct{ Sid string }
	if err := json.Unmarshal([]byte(plainClaims(res.body)), &c); err != nil || c.Sid == "" {
		t.Fatalf("%v: %s", err, res.body)
	}
	mixed := func(kind string) string {
		return sign(`{"alg":"HS256","typ":"JWT"}`, fmt.Sprintf(`{"token_type":"%s","exp":%d,"jti":"x","user_id":"3","sid":"%s"}`, kind, s.Now().Unix()+300, c.Sid), sha256.New, secretKey)
	}
	if res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+mixed("access"))); res.body != `{"message":"Successfully logged out","workos_logout_url":null,"redirect_to":"/login"}` {
		t.Errorf("logout by another user: %s", res.body)
	}
	if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+mixed("refresh")+`"}`)); !strings.Contains(res.body, "Token is blacklisted") {
		t.Errorf("refresh by another user: %s", res.body)
	}
}

// TestWorkOSIsSentWhatTheContractNames: the body of the code exchange (§10.2, §14.8).
func TestWorkOSIsSentWhatTheContractNames(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), nil)
	var bodies []map[string]any
	var mu sync.Mutex
	spy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		bodies = append(bodies, body)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(spy.Close)
	u := s.fakes["workos"].Upstream("workos")
	u.Settings.BaseURL = spy.URL
	s.PutUpstream(u)
	res := send(t, at, post("/api/core/auth/workos/callback/", `{"code":"01E2"}`, "User-Agent: Mozilla/5.0", "X-Forwarded-For: 203.0.113.7"))
	if res.status != 502 || res.body != `{"detail":"Authentication provider is unavailable.","code":"provider_error"}` {
		t.Errorf("got %d %s", res.status, res.body)
	}
	want := map[string]any{"grant_type": "authorization_code", "client_id": u.Settings.ClientID, "client_secret": u.Secret.Reveal(), "code": "01E2",
		"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"}
	if len(bodies) != 1 || !reflect.DeepEqual(bodies[0], want) {
		t.Errorf("sent %v, want once %v", bodies, want)
	}
}

// TestNothingOfTheProviderIsPassedOn: neither its words nor its tokens.
func TestNothingOfTheProviderIsPassedOn(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), nil)
	s.fakes["workos"].Behave("unfinished")
	res := send(t, at, post("/api/core/auth/workos/callback/", `{"code":"`+url.QueryEscape(s.code(t, "workos", "1", returnURI, "", ""))+`"}`))
	if strings.Contains(res.body, "tok_") || strings.Contains(res.body, "pending") || res.status != 403 {
		t.Errorf("got %d %s", res.status, res.body)
	}
}
