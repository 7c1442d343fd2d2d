package oidc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/jwks"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/token"
)

// serve is the world over HTTP.
func (w *world) serve() *httptest.Server {
	srv := httptest.NewServer(w.Handler())
	w.t.Cleanup(srv.Close)
	return srv
}

// send asks with a form, or without a body, and returns status and body.
func send(t testing.TB, srv *httptest.Server, method, path, authorization string, form url.Values) (int, string) {
	t.Helper()
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

type got struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// redeem gets tokens for a client by a code of Jane's.
func (w *world) redeem(srv *httptest.Server, name string, change func(*grant.Grant)) (g got) {
	w.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {w.code(name, change)}, "code_verifier": {verifier}, "client_id": {string(w.clients[name].ID)}}
	if w.clients[name].Confidential() {
		form.Set("client_secret", secret)
	}
	status, body := send(w.t, srv, "POST", "/oauth2/token", "", form)
	if err := json.Unmarshal([]byte(body), &g); status != http.StatusOK || err != nil {
		w.t.Fatalf("redeem: %d %s", status, body)
	}
	return g
}

// An opaque token is what was sealed, to the bit: no other spelling of it, no
// part of it, and nothing that another label sealed.
func TestOpaqueTokensThatWereChangedAreRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		srv := w.serve()
		raw := w.redeem(srv, "opaque", nil).Access
		if status, body := send(t, srv, "GET", "/oauth2/userinfo", "Bearer "+raw, nil); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		bad := []string{raw + "=", raw + "A", raw[:len(raw)-1], strings.ToUpper(raw), raw[len("sp_at_"):], "sp_at_", "sp_at_" + raw, raw + "\n", "sp_at_" + strings.Repeat("A", 20_000)}
		other := base64.RawURLEncoding.EncodeToString(w.Key.SealEach("another", []byte(`{"iss":"`+rig.Base+`"}`)))
		bad = append(bad, "sp_at_"+other)
		for i := len("sp_at_"); i < len(raw); i++ {
			b := []byte(raw)
			if b[i] = 'A'; raw[i] == 'A' {
				b[i] = 'B'
			}
			bad = append(bad, string(b))
		}
		for _, s := range bad {
			form := url.Values{"access_token": {s}}
			if status, body := send(t, srv, "POST", "/oauth2/userinfo", "", form); status != http.StatusUnauthorized {
				t.Errorf("%.60s: got %d %s, want 401", s, status, body)
			}
		}
	})
}

// Tokens of every type are signed with the same keys: each reader takes its own
// (RFC 8725 §3.11, §3.12).
func TestTokensOfOneTypeAreNoOther(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		km := &keymaster.API{
			SignIn: w.SignIn, OAuth: w.OAuth, Self: w.Self, Admin: w.Admin, Keys: w.Keys, Tokens: w.Tokens, Now: w.Now,
			Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base},
		}
		w.Mount(km.Routes(), km.MethodNotAllowed)
		srv := w.serve()
		asksAll := func(g *grant.Grant) { g.Claims = json.RawMessage(`{"id_token":{"roles":null,"email":null}}`) }
		plain, sealed := w.redeem(srv, "web", asksAll), w.redeem(srv, "opaque", asksAll)
		login, err := w.Keys.Active("RS256", "")
		if err != nil {
			t.Fatal(err)
		}
		now := w.Now().Unix()
		keymasters, err := token.Sign(login, "JWT", map[string]any{
			"sub": w.users["jane"].ID, "email": "jane@example.com", "name": "Jane", "aud": w.clients["web"].ID, "iss": rig.Base, "iat": now, "exp": now + 60, "roles": []string{}, "jti": "x",
		})
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{
			"access token": plain.Access, "opaque access token": sealed.Access, "ID token": plain.ID, "refresh token": plain.Refresh, "Keymaster's access token": keymasters,
		}
		for name, raw := range all {
			status, _ := send(t, srv, "GET", "/oauth2/userinfo", "Bearer "+raw, nil)
			if want := strings.HasSuffix(name, "access token") && raw != keymasters; (status == http.StatusOK) != want {
				t.Errorf("%s at the userinfo endpoint: %d", name, status)
			}
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}, "client_id": {string(w.clients["web"].ID)}, "client_secret": {secret}}
			if name != "refresh token" {
				if status, _ := send(t, srv, "POST", "/oauth2/token", "", form); status != http.StatusBadRequest {
					t.Errorf("%s as a refresh token: %d", name, status)
				}
			}
			own := raw == keymasters
			if status, body := send(t, srv, "GET", "/account/me", "Bearer "+raw, nil); (status == http.StatusOK) != own {
				t.Errorf("%s at Keymaster's account: %d %s", name, status, body)
			}
			if body := verifyAtKeymaster(t, srv, raw, string(w.clients["web"].ID)); strings.Contains(body, `"valid":true`) != own {
				t.Errorf("%s at Keymaster's verification: %s", name, body)
			}
		}
		// Nobody ends it there either, where no client proves itself.
		if err := w.SignIn.Revoke(t.Context(), plain.Refresh, signin.Visitor{}); err != nil {
			t.Error(err)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {plain.Refresh}, "client_id": {string(w.clients["web"].ID)}, "client_secret": {secret}}
		if status, body := send(t, srv, "POST", "/oauth2/token", "", form); status != http.StatusOK {
			t.Errorf("a refresh token after Keymaster's revocation: got %d %s, want 200", status, body)
		}
	})
}

func verifyAtKeymaster(t *testing.T, srv *httptest.Server, raw, audience string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"token": raw, "audience": audience})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/token/verify", strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A client that shares a key with us can sign with it what it wants: that is no
// access token. Nor is one by alg none, by our public key as a shared one, or
// by a key that the token brings (RFC 8725 §3.1, §3.2).
func TestForgedAccessTokensAreRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		srv := w.serve()
		shared := []byte("0123456789abcdef0123456789abcdef")
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := jwks.SetClientSecret(ctx, tx, w.Key, w.clients["web"].ID, shared, w.Now())
			return err
		})
		w.Advance(0)
		good := w.redeem(srv, "web", nil).Access
		parts := strings.Split(good, ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		own, err := w.Keys.Active("HS256", w.clients["web"].ID)
		if err != nil {
			t.Fatal(err)
		}
		active, err := w.Keys.Active("ES256", "")
		if err != nil {
			t.Fatal(err)
		}
		public, err := json.Marshal(jose.JSONWebKey{Key: active.Public()})
		if err != nil {
			t.Fatal(err)
		}
		byPublic, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", active.ID))
		if err != nil {
			t.Fatal(err)
		}
		confused, err := byPublic.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		asHS256, err := confused.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		byClient, err := token.Sign(own, "at+jwt", json.RawMessage(payload))
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		enc := base64.RawURLEncoding.EncodeToString
		for name, raw := range map[string]string{
			"by the client's shared key":     byClient,
			"by our public key as a secret":  asHS256,
			"by alg none":                    enc([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".",
			"by a key that it brings":        w.signed(map[string]any{"typ": "at+jwt", "jwk": jose.JSONWebKey{Key: w.key.Public()}}, claims),
			"by another's key under our kid": w.signed(map[string]any{"typ": "at+jwt", "kid": active.ID}, claims),
			"with more scope":                parts[0] + "." + enc([]byte(strings.Replace(string(payload), `"scope":"`, `"scope":"admin `, 1))) + "." + parts[2],
		} {
			if status, body := send(t, srv, "GET", "/oauth2/userinfo", "Bearer "+raw, nil); status != http.StatusUnauthorized {
				t.Errorf("%s: got %d %s, want 401", name, status, body)
			}
		}
		if status, _ := send(t, srv, "GET", "/oauth2/userinfo", "Bearer "+good, nil); status != http.StatusOK {
			t.Error("the good one is refused")
		}
	})
}

// A client whose other tokens are signed with a key that it shares gets access
// tokens by a key of ours.
func TestSharedKeysSignNoAccessTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.clients["hs"] = w.Client("HS", func(c *client.Client) { c.Policy.AccessToken.Alg = "HS256" })
		w.Enrol(w.users["jane"], w.clients["hs"], client.Active, "user")
		raw := w.redeem(w.serve(), "hs", nil).Access
		head, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[0])
		if err != nil || !strings.Contains(string(head), `"alg":"ES256"`) || !strings.Contains(string(head), `"typ":"at+jwt"`) {
			t.Errorf("header %s, %v", head, err)
		}
	})
}
