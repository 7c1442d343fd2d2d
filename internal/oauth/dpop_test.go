package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/secret"
)

// proof is a good DPoP proof for the token endpoint, with what the claims change.
func (w town) proof(key *ecdsa.PrivateKey, change map[string]any) oauth.Proof {
	w.t.Helper()
	p := oauth.Proof{Method: "POST", URL: rig.Base + "/oauth2/token"}
	claims := map[string]any{"jti": secret.Hex(16), "htm": p.Method, "htu": p.URL, "iat": w.Now().Unix(), "nonce": w.OAuth.Nonce()}
	for name, v := range change {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	head := map[string]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: key.Public()}}
	p.Header = signed(w.t, jose.ES256, key, head, claims)
	return p
}

func thumbprint(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// RFC 9449 §4.3, §8, §11.1.
func TestProofsThatAreRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key := newKey(t)
		old := w.OAuth.Nonce()
		w.Advance(10 * time.Minute)
		now := w.Now().Unix()
		for name, c := range map[string]struct {
			change map[string]any
			code   string
		}{
			"of another method":           {map[string]any{"htm": "GET"}, oauth.InvalidDPoPProof},
			"of another URL":              {map[string]any{"htu": rig.Base + "/oauth2/par"}, oauth.InvalidDPoPProof},
			"of another host":             {map[string]any{"htu": "https://evil.example/oauth2/token"}, oauth.InvalidDPoPProof},
			"of another port":             {map[string]any{"htu": "https://auth.example.com:8443/oauth2/token"}, oauth.InvalidDPoPProof},
			"without a nonce":             {map[string]any{"nonce": nil}, oauth.UseDPoPNonce},
			"with a nonce made up":        {map[string]any{"nonce": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, oauth.UseDPoPNonce},
			"with a nonce of yesterday":   {map[string]any{"nonce": old}, oauth.UseDPoPNonce},
			"made long ago":               {map[string]any{"iat": now - 301}, oauth.InvalidDPoPProof},
			"made in the future":          {map[string]any{"iat": now + 301}, oauth.InvalidDPoPProof},
			"without an id":               {map[string]any{"jti": nil}, oauth.InvalidDPoPProof},
			"the URL with user and query": {map[string]any{"htu": "https://u@auth.example.com/oauth2/token"}, oauth.InvalidDPoPProof},
		} {
			in := redeeming(w.spa, w.code(w.spa, nil))
			in.Proof = w.proof(key, c.change)
			w.refused(name, in, c.code)
		}
		in := redeeming(w.spa, w.code(w.spa, nil))
		in.Proof = oauth.Proof{Header: "e30.e30.e30", Method: "POST", URL: rig.Base + "/oauth2/token"}
		w.refused("no JWT", in, oauth.InvalidDPoPProof)
		in.Proof = w.proof(key, map[string]any{"htu": "HTTPS://AUTH.example.com:443/oauth2/token?x=1#y"})
		if out := w.token(in); out.Binding.JKT != thumbprint(t, key) {
			t.Errorf("bound to %q", out.Binding.JKT)
		}
	})
}

func TestProofIsGoodOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key := newKey(t)
		in := ask(w.web, "grant_type", client.GrantClientCredentials)
		in.Proof = w.proof(key, nil)
		won := race(t, oauth.InvalidDPoPProof, func(int) (oauth.Issued, error) { return w.OAuth.Token(t.Context(), in) })
		if len(won) != 1 {
			t.Errorf("%d of %d got a token by one proof, want 1", len(won), callers)
		}
		// Somebody else's code with a stolen proof does not go either, and is left.
		code := w.code(w.spa, nil)
		replay := redeeming(w.spa, code)
		replay.Proof = in.Proof
		w.refused("replay at another code", replay, oauth.InvalidDPoPProof)
		replay.Proof = w.proof(key, nil)
		w.token(replay)
	})
}

// RFC 9449 §5, §10: a public client's refresh token is bound to its key, and a
// code to the key that was promised.
func TestBoundTokensStayWithTheirKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key, other := newKey(t), newKey(t)
		with := func(in oauth.TokenIn, k *ecdsa.PrivateKey) oauth.TokenIn {
			in.Proof = w.proof(k, nil)
			return in
		}
		code := w.code(w.spa, func(g *grant.Grant) { g.Code.JKT = thumbprint(t, key) })
		w.refused("a code by another key", with(redeeming(w.spa, code), other), oauth.InvalidGrant)
		w.refused("a code without a key", redeeming(w.spa, code), oauth.InvalidGrant)
		out := w.token(with(redeeming(w.spa, code), key))
		w.refused("public refresh without a proof", refreshing(w.spa, out.Refresh), oauth.InvalidGrant)
		w.refused("public refresh by another key", with(refreshing(w.spa, out.Refresh), other), oauth.InvalidGrant)
		out = w.token(with(refreshing(w.spa, out.Refresh), key))

		web := w.token(with(redeeming(w.web, w.code(w.web, nil)), key))
		w.refused("confidential refresh without a proof", refreshing(w.web, web.Refresh), oauth.InvalidGrant)
		if web = w.token(with(refreshing(w.web, web.Refresh), other)); web.Binding.JKT != thumbprint(t, other) {
			t.Error("a confidential client may change its key")
		}

		const raw = "the access token"
		use := func(k *ecdsa.PrivateKey, scheme string, change map[string]any) error {
			in := oauth.UseIn{Token: accessOf(out), Scheme: scheme, Need: "openid"}
			if k != nil {
				claims := map[string]any{"ath": s256(raw)}
				maps.Copy(claims, change)
				in.Proof = w.proof(k, claims)
				in.Proof.AccessToken = raw
			}
			_, err := w.OAuth.Use(t.Context(), in)
			return err
		}
		if err := use(key, "DPoP", nil); err != nil {
			t.Error(err)
		}
		wantError(t, "as a bearer token", use(nil, "Bearer", nil), oauth.InvalidToken)
		wantError(t, "as a bearer token with a proof", use(key, "Bearer", nil), oauth.InvalidToken)
		wantError(t, "without a proof", use(nil, "DPoP", nil), oauth.InvalidToken)
		wantError(t, "by another key", use(other, "DPoP", nil), oauth.InvalidToken)
		wantError(t, "with a proof for another token", use(key, "DPoP", map[string]any{"ath": s256("another")}), oauth.InvalidDPoPProof)
		wantError(t, "with a proof for none", use(key, "DPoP", map[string]any{"ath": nil}), oauth.InvalidDPoPProof)
		plain := accessOf(w.token(redeeming(w.spa, w.code(w.spa, nil))))
		in := oauth.UseIn{Token: plain, Scheme: "DPoP", Need: "openid", Proof: w.proof(key, map[string]any{"ath": s256(raw)})}
		_, err := w.OAuth.Use(t.Context(), in)
		wantError(t, "a bearer token as DPoP", err, oauth.InvalidToken)
	})
}

func TestClientsThatMustBindGetNoBearerTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		made := func(change func(*client.OAuth)) client.Client {
			return w.Client("Bound", func(c *client.Client) {
				c.SecretHash, c.Policy.Grants = client.HashSecret(w.Key, webPlain), []string{client.GrantClientCredentials}
				change(&c.Policy.OAuth)
			})
		}
		dpop := made(func(o *client.OAuth) { o.DPoPBound = true })
		tls := made(func(o *client.OAuth) { o.TLSBound = true })
		service := func(cl client.Client) oauth.TokenIn { return ask(cl, "grant_type", client.GrantClientCredentials) }
		w.refused("DPoP", service(dpop), oauth.InvalidDPoPProof)
		w.refused("TLS", service(tls), oauth.InvalidRequest)
		in := service(tls)
		in.Auth.Certificate = &oauth.Certificate{X5T: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}
		if out := w.token(in); out.Binding.X5T != in.Auth.Certificate.X5T {
			t.Errorf("bound to %+v", out.Binding)
		}
		in = service(w.web)
		in.Auth.Certificate = &oauth.Certificate{X5T: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}
		if out := w.token(in); out.Binding != (grant.Binding{}) {
			t.Errorf("a client that does not ask for it: bound to %+v", out.Binding)
		}
	})
}
