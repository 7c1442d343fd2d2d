package tofu_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/session"
	"sallyport/internal/surface/tofu"
	"sallyport/internal/token"
)

// TestUsersOfOtherClientsHaveNoAccountHere: only WorkOS makes accounts (contract
// §8). Who signed up for another client of this server is nobody to this one,
// even where its door is open, which it is for WorkOS.
func TestUsersOfOtherClientsHaveNoAccountHere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, func(c *client.Client) { c.Policy.Registration = client.Open })
		other := s.Client("Other", nil)
		nina := s.User("new@example.com", "Nina New", password, other)
		if res := send(t, at, post("/api/token/", `{"email":"new@example.com","password":"`+password+`"}`)); res.status != 401 ||
			res.body != `{"detail":"No active account found with the given credentials"}` {
			t.Errorf("by password: %d %s", res.status, res.body)
		}
		for _, key := range []string{"google", "okta"} {
			code := s.code(t, key, "4", returnURI, "", "")
			res := send(t, at, post("/api/core/auth/"+key+"/login/", fmt.Sprintf(`{"code":"%s","redirect_uri":"%s"}`, code, returnURI)))
			if res.status != 404 || res.body != `{"detail":"No account found for this user.","code":"user_not_found"}` {
				t.Errorf("by %s: %d %s", key, res.status, res.body)
			}
		}
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			standing, err := client.StandingOf(ctx, tx, nina.ID, s.client.ID)
			if links, _ := identity.Links(ctx, tx, nina.ID); standing.Enrolment != "" || len(links) != 0 {
				t.Errorf("a place %q and links %v", standing.Enrolment, links)
			}
			return err
		})
		code := s.code(t, "workos", "4", returnURI, "", "")
		if res := send(t, at, post("/api/core/auth/workos/callback/", `{"code":"`+code+`"}`)); res.status != 200 {
			t.Fatalf("by WorkOS: %d %s", res.status, res.body)
		}
		if res := send(t, at, post("/api/token/", `{"email":"new@example.com","password":"`+password+`"}`)); res.status != 200 {
			t.Errorf("by password afterwards: %d %s", res.status, res.body)
		}
	})
}

// workOSTokens are those of Jane's sign-in by WorkOS.
func workOSTokens(t *testing.T, s *site, at string) (access, refresh string) {
	t.Helper()
	res := send(t, at, post("/api/core/auth/workos/callback/", `{"code":"`+s.code(t, "workos", "1", returnURI, "", "")+`"}`))
	var in struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(res.body), &in); err != nil || in.Access == "" {
		t.Fatalf("sign-in: %d %s", res.status, res.body)
	}
	return in.Access, in.Refresh
}

// signedOut asks for a sign-out, and fails unless it leads to WorkOS.
func signedOut(t *testing.T, what, at, access string) {
	t.Helper()
	res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+access))
	if res.status != 200 || !strings.Contains(res.body, "sessions/logout?") || !strings.Contains(res.body, `"redirect_to":"/signin"`) {
		t.Errorf("%s: %d %s, want the way out of WorkOS", what, res.status, res.body)
	}
}

// TestASignOutLeadsToWorkOSAsLongAsATokenLives: else AuthKit would sign the
// browser in again (contract §8.4).
func TestASignOutLeadsToWorkOSAsLongAsATokenLives(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		renew := func(token string) (access, refresh string) {
			t.Helper()
			var pair struct{ Access, Refresh string }
			res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+token+`"}`))
			if err := json.Unmarshal([]byte(res.body), &pair); err != nil || pair.Access == "" {
				t.Fatalf("refresh: %d %s", res.status, res.body)
			}
			return pair.Access, pair.Refresh
		}
		_, refresh := workOSTokens(t, s, at)
		s.Advance(24*time.Hour - time.Second)
		access, _ := renew(refresh)
		s.Advance(time.Minute)
		signedOut(t, "after the refresh token has expired", at, access)

		s.set(func(s *tofu.Settings) { s.RotateRefresh = true })
		_, first := workOSTokens(t, s, at)
		_, second := renew(first)
		s.Advance(24*time.Hour - time.Second)
		access, _ = renew(second)
		s.Advance(time.Minute)
		if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+first+`"}`)); !strings.Contains(res.body, "Token is expired") {
			t.Errorf("the first: %d %s", res.status, res.body)
		}
		signedOut(t, "after a rotation", at, access)

		access, first = workOSTokens(t, s, at)
		_, second = renew(first)
		for _, token := range []string{first, second} {
			if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+token+`"}`)); !strings.Contains(res.body, "Token is blacklisted") {
				t.Errorf("a replay: %d %s", res.status, res.body)
			}
		}
		signedOut(t, "after a replay", at, access)
		signedOut(t, "and again", at, access)
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			live, err := session.ByUser(ctx, tx, s.people["jane"].ID, s.Now())
			if len(live) != 0 {
				t.Errorf("%d sessions are left", len(live))
			}
			return err
		})
	})
}

// TestASignOutIsNotUndoneByARefreshAtOnce: whichever is first, the session is
// closed, stays known, and nobody is told of a thief.
func TestASignOutIsNotUndoneByARefreshAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, at := serve(t, d, nil)
		s.set(func(s *tofu.Settings) { s.RotateRefresh = true })
		for range 8 {
			access, refresh := workOSTokens(t, s, at)
			race(2, func(i int) reply {
				if i == 0 {
					return send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+access))
				}
				return send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`))
			})
			signedOut(t, "again", at, access)
			if res := send(t, at, post("/api/token/refresh/", `{"refresh":"`+refresh+`"}`)); !strings.Contains(res.body, "Token is blacklisted") {
				t.Errorf("a refresh afterwards: %d %s", res.status, res.body)
			}
		}
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			n, err := db.One(ctx, tx, func(r db.Row) (n int, err error) { err = r.Scan(&n); return n, err }, `SELECT COUNT(*) FROM audit WHERE action = $1`, audit.RefreshReused)
			if n != 0 {
				t.Errorf("%d replays were told of", n)
			}
			return err
		})
	})
}

// TestARefreshLeavesNoCookieOfAnotherSitesMaking: in proxy mode a refresh sets the
// cookie, and a form of another site could sign somebody in as its author.
func TestARefreshLeavesNoCookieOfAnotherSitesMaking(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), nil)
	_, refresh := signIn(t, at)
	s.set(func(s *tofu.Settings) { s.ProxyMode = true })
	for _, c := range []struct {
		origin string
		want   int
	}{{"https://evil.example", 403}, {"null", 403}, {"", 200}, {"https://chrome.example.com", 200}} {
		q := ask{"POST", "/api/token/refresh/", []string{"Content-Type: application/x-www-form-urlencoded"}, "refresh=" + refresh}
		if c.origin != "" {
			q.headers = append(q.headers, "Origin: "+c.origin)
		}
		res := send(t, at, q)
		if res.status != c.want || (res.header.Get("Set-Cookie") != "") != (c.want == 200) {
			t.Errorf("from %q: %d %s, cookie %q", c.origin, res.status, res.body, res.header.Get("Set-Cookie"))
		}
	}
}

// TestServerKeysSignForOthersToo: where tokens are signed with the server's key,
// those of other surfaces and clients are none of ours.
func TestServerKeysSignForOthersToo(t *testing.T) {
	t.Parallel()
	s, at := serve(t, dbtest.SQLite(t), func(c *client.Client) { c.Policy.AccessToken.Alg = jwks.RS256 })
	key, err := s.Keys.Active(jwks.RS256, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ typ, more string }{
		"a user's, of another client": {"JWT", `"sub":"1","aud":"other","roles":[]`},
		"a client's own":              {"JWT", `"sub":"1","token_type":"service"`},
		"a second factor's":           {"JWT", `"sub":"1","token_type":"totp_session"`},
		"an access token of OAuth":    {"at+jwt", `"sub":"1","token_type":"access"`},
	} {
		payload := fmt.Sprintf(`{"exp":%d,"jti":"x","user_id":"1",%s}`, s.Now().Unix()+300, c.more)
		raw, err := token.Sign(key, c.typ, json.RawMessage(payload))
		if err != nil {
			t.Fatal(err)
		}
		if res := send(t, at, post("/api/token/verify/", `{"token":"`+raw+`"}`)); res.status != 401 || res.body != `{"detail":"Token is invalid","code":"token_not_valid"}` {
			t.Errorf("%s: verify: %d %s", name, res.status, res.body)
		}
		if res := send(t, at, post("/api/core/auth/logout/", "", "Authorization: Bearer "+raw)); res.status != 401 || !strings.Contains(res.body, "Token is invalid") {
			t.Errorf("%s: logout: %d %s", name, res.status, res.body)
		}
	}
}

// TestABodyThatEndsEarlyIsNotOurMistake: whoever hangs up or counts wrong does not
// fill our log with errors.
func TestABodyThatEndsEarlyIsNotOurMistake(t *testing.T) {
	t.Parallel()
	_, at := serve(t, dbtest.SQLite(t), nil)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /api/token/ HTTP/1.1\r\nHost: auth.example.com\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nnonsense\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, want 400", res.StatusCode)
	}
}
