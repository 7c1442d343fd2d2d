package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/secret"
)

// newKey is an ES256 key of a client.
func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signed is a JWT of a client's.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, head, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for name, v := range head {
		o.WithHeader(jose.HeaderKey(name), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// jwksOf publishes keys.
func jwksOf(t *testing.T, keys ...crypto.PublicKey) json.RawMessage {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signer is a client that proves itself by private_key_jwt.
func (w town) signer(key crypto.Signer, change func(*client.Client)) client.Client {
	return w.Client("Signer", func(c *client.Client) {
		c.Policy.Grants = []string{client.GrantClientCredentials, client.GrantCode, client.GrantRefresh}
		c.Policy.OAuth.TokenEndpointAuth = client.AuthPrivateKeyJWT
		c.Policy.OAuth.JWKS = jwksOf(w.t, key.Public())
		if change != nil {
			change(c)
		}
	})
}

// says are the claims of a good assertion.
func (w town) says(cl client.Client) map[string]any {
	now := w.Now().Unix()
	return map[string]any{"iss": cl.ID, "sub": cl.ID, "aud": rig.Base, "jti": secret.Hex(16), "iat": now, "exp": now + 60}
}

func asserting(cl client.Client, assertion string) oauth.ClientAuth {
	return oauth.ClientAuth{
		ID: string(cl.ID), Method: oauth.ByAssertion, Assertion: assertion, AssertionType: oauth.AssertionJWT,
		Endpoint: rig.Base + "/oauth2/par", Visitor: visitor,
	}
}

// RFC 7523 §3, RFC 9700 §2.5, FAPI 2.0 §5.3.2.1.
func TestAssertionsThatAreRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key, stranger := newKey(t), newKey(t)
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		cl := w.signer(key, nil)
		fapi := w.signer(key, func(c *client.Client) {
			c.Policy.Profile = client.ProfileFAPI2
			c.Policy.OAuth.JWKS = jwksOf(t, key.Public(), rsaKey.Public())
		})
		now := w.Now().Unix()
		spki, err := json.Marshal(jose.JSONWebKey{Key: key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		with := func(cl client.Client, name string, v any) map[string]any {
			c := w.says(cl)
			if c[name] = v; v == nil {
				delete(c, name)
			}
			return c
		}
		b64 := base64.RawURLEncoding
		payload, err := json.Marshal(w.says(cl))
		if err != nil {
			t.Fatal(err)
		}
		none := b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString(payload) + "."
		for name, c := range map[string]struct {
			of  client.Client
			raw string
		}{
			"another's key":                          {cl, signed(t, jose.ES256, stranger, nil, w.says(cl))},
			"alg none":                               {cl, none},
			"alg confusion: HS256 by the public key": {cl, signed(t, jose.HS256, spki, nil, w.says(cl))},
			"a key that it brings itself":            {cl, signed(t, jose.ES256, stranger, map[string]any{"jwk": jose.JSONWebKey{Key: stranger.Public()}}, w.says(cl))},
			"a key to be fetched":                    {cl, signed(t, jose.ES256, key, map[string]any{"jku": "https://evil.example/jwks"}, w.says(cl))},
			"another issuer":                         {cl, signed(t, jose.ES256, key, nil, with(cl, "iss", "somebody"))},
			"another client":                         {cl, signed(t, jose.ES256, key, nil, w.says(fapi))},
			"for another server":                     {cl, signed(t, jose.ES256, key, nil, with(cl, "aud", "https://other.example"))},
			"for nobody":                             {cl, signed(t, jose.ES256, key, nil, with(cl, "aud", nil))},
			"expired":                                {cl, signed(t, jose.ES256, key, nil, with(cl, "exp", now-11))},
			"without an end":                         {cl, signed(t, jose.ES256, key, nil, with(cl, "exp", nil))},
			"good for a day":                         {cl, signed(t, jose.ES256, key, nil, with(cl, "exp", now+24*3600))},
			"of the future":                          {cl, signed(t, jose.ES256, key, nil, with(cl, "iat", now+60))},
			"not yet good":                           {cl, signed(t, jose.ES256, key, nil, with(cl, "nbf", now+60))},
			"without a jti":                          {cl, signed(t, jose.ES256, key, nil, with(cl, "jti", nil))},
			"fapi2: for the endpoint":                {fapi, signed(t, jose.ES256, key, nil, with(fapi, "aud", rig.Base+"/oauth2/token"))},
			"fapi2: for a list":                      {fapi, signed(t, jose.ES256, key, nil, with(fapi, "aud", []string{rig.Base}))},
			"fapi2: by RS256":                        {fapi, signed(t, jose.RS256, rsaKey, nil, w.says(fapi))},
		} {
			_, err := w.OAuth.Authenticate(t.Context(), asserting(c.of, c.raw))
			wantError(t, name, err, oauth.InvalidClient)
		}
		for name, c := range map[string]struct {
			of  client.Client
			raw string
		}{
			"for the issuer":         {cl, signed(t, jose.ES256, key, nil, w.says(cl))},
			"for the token endpoint": {cl, signed(t, jose.ES256, key, nil, with(cl, "aud", []string{"https://x.example", rig.Base + "/oauth2/token"}))},
			"for this endpoint":      {cl, signed(t, jose.ES256, key, nil, with(cl, "aud", rig.Base+"/oauth2/par"))},
			"a clock ahead by 8 s":   {cl, signed(t, jose.ES256, key, nil, with(cl, "nbf", now+8))},
			"fapi2: by PS256":        {fapi, signed(t, jose.PS256, rsaKey, nil, w.says(fapi))},
		} {
			if _, err := w.OAuth.Authenticate(t.Context(), asserting(c.of, c.raw)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAssertionIsGoodOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key := newKey(t)
		cl := w.signer(key, nil)
		in := ask(cl, "grant_type", client.GrantClientCredentials)
		in.Auth = asserting(cl, signed(t, jose.ES256, key, nil, w.says(cl)))
		won := race(t, oauth.InvalidClient, func(int) (oauth.Issued, error) { return w.OAuth.Token(t.Context(), in) })
		if len(won) != 1 {
			t.Errorf("%d of %d were let in by one assertion, want 1", len(won), callers)
		}
		w.Advance(59 * time.Second)
		w.refused("until it ends", in, oauth.InvalidClient)
	})
}

// A client is let in by what it is registered with, and by nothing else.
func TestEachMethodOfAuthenticationIsTheClientsOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key := newKey(t)
		hash := client.HashSecret(w.Key, webPlain)
		made := func(method string) client.Client {
			return w.Client(method, func(c *client.Client) {
				c.Policy.OAuth.TokenEndpointAuth, c.Policy.OAuth.JWKS, c.SecretHash = method, jwksOf(t, key.Public()), hash
				c.Policy.OAuth.TLSSubjectDN = "CN=client, O=Example Corp,C=US"
			})
		}
		cert := oauth.Certificate{
			X5T: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2", SubjectDN: "CN=client,O=Example Corp,C=US", Public: key.Public(),
			NotBefore: w.Now().Add(-time.Hour), NotAfter: w.Now().Add(time.Hour),
		}
		by := map[string]func(cl client.Client) oauth.ClientAuth{
			client.AuthNone: func(client.Client) oauth.ClientAuth { return oauth.ClientAuth{} },
			client.AuthSecretBasic: func(client.Client) oauth.ClientAuth {
				return oauth.ClientAuth{Method: oauth.BySecretBasic, Secret: webPlain}
			},
			client.AuthSecretPost: func(client.Client) oauth.ClientAuth {
				return oauth.ClientAuth{Method: oauth.BySecretPost, Secret: webPlain}
			},
			client.AuthPrivateKeyJWT: func(cl client.Client) oauth.ClientAuth {
				return asserting(cl, signed(t, jose.ES256, key, nil, w.says(cl)))
			},
			client.AuthTLS: func(client.Client) oauth.ClientAuth { return oauth.ClientAuth{Certificate: &cert} },
		}
		also := map[string][]string{ // who names no credentials but shows a certificate is a public client with one
			client.AuthNone: {client.AuthTLS}, client.AuthSelfSignedTLS: {client.AuthTLS},
		}
		for _, method := range []string{client.AuthNone, client.AuthSecretBasic, client.AuthSecretPost, client.AuthPrivateKeyJWT, client.AuthTLS, client.AuthSelfSignedTLS} {
			cl := made(method)
			for way, with := range by {
				in := with(cl)
				in.ID, in.Visitor = string(cl.ID), visitor
				_, err := w.OAuth.Authenticate(t.Context(), in)
				want := way == method || slices.Contains(also[method], way)
				if (err == nil) != want {
					t.Errorf("a client of %s by %s: %v", method, way, err)
				}
			}
		}
		for name, change := range map[string]func(*oauth.Certificate){
			"another subject": func(c *oauth.Certificate) { c.SubjectDN = "CN=client,O=Evil Corp,C=US" },
			"expired":         func(c *oauth.Certificate) { c.NotAfter = w.Now().Add(-time.Second) },
		} {
			bad := cert
			change(&bad)
			tls := made(client.AuthTLS)
			_, err := w.OAuth.Authenticate(t.Context(), oauth.ClientAuth{ID: string(tls.ID), Certificate: &bad, Visitor: visitor})
			wantError(t, "certificate, "+name, err, oauth.InvalidClient)
		}
		bad := cert
		bad.Public = newKey(t).Public()
		self := made(client.AuthSelfSignedTLS)
		_, err := w.OAuth.Authenticate(t.Context(), oauth.ClientAuth{ID: string(self.ID), Certificate: &bad, Visitor: visitor})
		wantError(t, "another's self-signed certificate", err, oauth.InvalidClient)
	})
}

// share gives a client a secret that both know, and every node its key.
func (w town) share(cl client.Client, shared []byte) {
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := jwks.SetClientSecret(ctx, tx, w.Key, cl.ID, shared, w.Now())
		return err
	})
	w.Advance(0)
}

// The one way of a shared secret that is not sent: HS256 by the key that the
// client and we have.
func TestSharedKeyAssertion(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		shared := []byte("0123456789abcdef0123456789abcdef")
		cl := w.Client("Shared", func(c *client.Client) { c.Policy.OAuth.TokenEndpointAuth = client.AuthSecretJWT })
		w.share(cl, shared)
		claims := w.says(cl)
		good := asserting(cl, signed(t, jose.HS256, shared, nil, claims))
		if _, err := w.OAuth.Authenticate(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		_, err := w.OAuth.Authenticate(t.Context(), good)
		wantError(t, "twice", err, oauth.InvalidClient)
		_, err = w.OAuth.Authenticate(t.Context(), asserting(cl, signed(t, jose.HS256, append([]byte("x"), shared...), nil, w.says(cl))))
		wantError(t, "another secret", err, oauth.InvalidClient)
		other := maps.Clone(claims)
		other["sub"], other["iss"] = w.web.ID, w.web.ID
		_, err = w.OAuth.Authenticate(t.Context(), asserting(w.web, signed(t, jose.HS256, shared, nil, other)))
		wantError(t, "as another client", err, oauth.InvalidClient)
	})
}

// FAPI 2.0 binds every token, and lets the refresh token live on (§5.3.2.1).
func TestFAPITokensAreBound(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		key := newKey(t)
		cl := w.signer(key, func(c *client.Client) { c.Policy.Profile = client.ProfileFAPI2 })
		w.Enrol(w.jane, cl, client.Active)
		as := func(in oauth.TokenIn) oauth.TokenIn {
			in.Auth = asserting(cl, signed(t, jose.ES256, key, nil, w.says(cl)))
			return in
		}
		code := w.code(cl, nil)
		w.refused("without a key", as(redeeming(cl, code)), oauth.InvalidRequest)
		in := as(redeeming(cl, code))
		in.Auth.Certificate = &oauth.Certificate{X5T: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}
		out := w.token(in)
		if out.Binding.X5T != in.Auth.Certificate.X5T {
			t.Errorf("bound to %+v", out.Binding)
		}
		again := as(refreshing(cl, out.Refresh))
		w.refused("refresh without the certificate", again, oauth.InvalidRequest)
		again = as(refreshing(cl, out.Refresh))
		again.Auth.Certificate = in.Auth.Certificate
		w.Advance(29 * 24 * time.Hour)
		again.Auth.Assertion = signed(t, jose.ES256, key, nil, w.says(cl))
		if next := w.token(again); next.Refresh != out.Refresh {
			t.Error("the refresh token was rotated")
		}
		w.Advance(29 * 24 * time.Hour) // its life began anew
		again.Auth.Assertion = signed(t, jose.ES256, key, nil, w.says(cl))
		w.token(again)
		use := oauth.UseIn{Token: accessOf(out), Scheme: "Bearer", Need: "openid"}
		_, err := w.OAuth.Use(t.Context(), use)
		wantError(t, "without the certificate", err, oauth.InvalidToken)
		use.Certificate = in.Auth.Certificate
		if _, err := w.OAuth.Use(t.Context(), use); err != nil {
			t.Error(err)
		}
	})
}

// OpenID Connect Core §10.1.1: a client changes its keys without telling us.
func TestKeysAreLookedUpAgainWhenNoneFits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, s := newTown(t, d), newSite(t)
		key, next := newKey(t), newKey(t)
		at := s.json("/jwks", string(jwksOf(t, key.Public())))
		cl := w.signer(key, func(c *client.Client) { c.Policy.OAuth.JWKS, c.Policy.JWKSURI = nil, at })
		enter := func(k *ecdsa.PrivateKey) error {
			_, err := w.OAuth.Authenticate(t.Context(), asserting(cl, signed(t, jose.ES256, k, nil, w.says(cl))))
			return err
		}
		if err := enter(key); err != nil {
			t.Fatal(err)
		}
		w.Advance(2 * time.Minute)
		s.json("/jwks", string(jwksOf(t, next.Public())))
		if err := enter(next); err != nil {
			t.Errorf("the new key: %v", err)
		}
		wantError(t, "the old key", enter(key), oauth.InvalidClient)
		before := s.hit("/jwks")
		for range 20 {
			wantError(t, "a made-up key", enter(newKey(t)), oauth.InvalidClient)
		}
		if n := s.hit("/jwks") - before; n > 1 {
			t.Errorf("made-up keys had us ask %d times, want once a minute at most", n)
		}
	})
}

// A client that describes itself may be new to us at any endpoint.
func TestDocumentClientMayComeToAnyEndpointFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		cl, err := r.OAuth.Authenticate(t.Context(), oauth.ClientAuth{ID: id, Visitor: visitor})
		if err != nil || string(cl.ID) != id {
			t.Errorf("got %s, %v", cl.ID, err)
		}
		_, err = r.OAuth.Authenticate(t.Context(), oauth.ClientAuth{ID: id, Method: oauth.BySecretPost, Secret: "x", Visitor: visitor})
		wantError(t, "with a secret", err, oauth.InvalidClient)
		_, err = r.OAuth.Authenticate(t.Context(), oauth.ClientAuth{ID: s.url + "/nothing", Visitor: visitor})
		wantError(t, "without a document", err, oauth.InvalidClient)
	})
}
