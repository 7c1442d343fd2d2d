package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/token"
)

// signer is a client's key.
type signer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, key}
}

func (s signer) jwks() json.RawMessage {
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "k", Use: "sig"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func (s signer) sign(claims map[string]any, header ...string) string {
	s.t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", "k")
	for i := 0; i < len(header); i += 2 {
		o = o.WithHeader(jose.HeaderKey(header[i]), header[i+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, o)
	if err != nil {
		s.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func none(claims map[string]any, alg string) string {
	payload, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"`+alg+`"}`)) + "." + enc(payload) + "."
}

func TestRequestObjects(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		s, stranger := newSigner(t), newSigner(t)
		cl := w.Client("Signs", func(c *client.Client) { c.Policy.OAuth.JWKS = s.jwks() })
		fapi := w.Client("FAPI", func(c *client.Client) {
			c.Policy.OAuth.JWKS, c.Policy.Profile, c.Policy.OAuth.TokenEndpointAuth = s.jwks(), client.ProfileFAPI2, client.AuthPrivateKeyJWT
		})
		cookie := w.signIn(w.jane)
		claims := func(cl client.Client, pairs ...any) map[string]any {
			c := map[string]any{
				"iss": string(cl.ID), "aud": rig.Base, "exp": w.Now().Add(time.Minute).Unix(), "nbf": w.Now().Unix(), "jti": identity.NewID(),
				"client_id": string(cl.ID), "response_type": "code", "redirect_uri": callback, "scope": "openid", "state": "inner", "code_challenge": challenge,
				"code_challenge_method": "S256",
			}
			for i := 0; i < len(pairs); i += 2 {
				if c[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
					delete(c, pairs[i].(string))
				}
			}
			return c
		}
		at := func(d time.Duration) int64 { return w.Now().Add(d).Unix() }
		for _, c := range []struct {
			name, raw, want string
		}{
			{"good", s.sign(claims(cl)), "code"},
			{"without what it need not have", s.sign(claims(cl, "iss", nil, "aud", nil, "exp", nil, "nbf", nil, "jti", nil)), "code"},
			{"of its type", s.sign(claims(cl), "typ", "oauth-authz-req+jwt"), "code"},
			{"numbers, objects and lists", s.sign(claims(cl, "max_age", 3600, "claims", map[string]any{"userinfo": nil}, "resource", []string{"https://api.example.com"})), "code"},
			{"alg none", none(claims(cl), "none"), oauth.InvalidRequestObject},
			{"alg None", none(claims(cl), "None"), oauth.InvalidRequestObject},
			{"unsigned ES256", none(claims(cl), "ES256"), oauth.InvalidRequestObject},
			{"another's key", stranger.sign(claims(cl)), oauth.InvalidRequestObject},
			{"a key that it brings", s.sign(claims(cl), "jku", "https://evil.example/jwks"), oauth.InvalidRequestObject},
			{"a certificate that it brings", s.sign(claims(cl), "x5u", "https://evil.example/cert"), oauth.InvalidRequestObject},
			{"another's iss", s.sign(claims(cl, "iss", "x")), oauth.InvalidRequestObject},
			{"another audience", s.sign(claims(cl, "aud", "https://other.example")), oauth.InvalidRequestObject},
			{"several audiences", s.sign(claims(cl, "aud", []string{"https://other.example", rig.Base})), "code"},
			{"another client_id", s.sign(claims(cl, "client_id", string(w.web.ID))), oauth.InvalidRequestObject},
			{"no client_id", s.sign(claims(cl, "client_id", nil)), oauth.InvalidRequestObject},
			{"an assertion", s.sign(claims(cl, "sub", string(cl.ID))), oauth.InvalidRequestObject},
			{"an access token's type", s.sign(claims(cl), "typ", "at+jwt"), oauth.InvalidRequestObject},
			{"a proof's type", s.sign(claims(cl), "typ", "dpop+jwt"), oauth.InvalidRequestObject},
			{"expired", s.sign(claims(cl, "exp", at(-time.Hour))), oauth.InvalidRequestObject},
			{"of the future", s.sign(claims(cl, "nbf", at(time.Hour), "exp", at(2*time.Hour))), oauth.InvalidRequestObject},
			{"of the future, without an end", s.sign(claims(cl, "nbf", at(time.Hour), "exp", nil)), oauth.InvalidRequestObject},
			{"once, for ever", s.sign(claims(cl, "exp", at(48*time.Hour))), oauth.InvalidRequestObject},
			{"an exp that is text", s.sign(claims(cl, "exp", "soon")), oauth.InvalidRequestObject},
			{"another in it", s.sign(claims(cl, "request", "x")), oauth.InvalidRequestObject},
			{"another's address in it", s.sign(claims(cl, "request_uri", "https://evil.example")), oauth.InvalidRequestObject},
			{"a list for a state", s.sign(claims(cl, "state", []string{"a", "b"})), oauth.InvalidRequestObject},
			{"too long", s.sign(claims(cl, "state", strings.Repeat("x", 20<<10))), oauth.InvalidRequestObject},
			{"no JWT", "nonsense", oauth.InvalidRequestObject},
			{"no challenge", s.sign(claims(cl, "code_challenge", nil)), oauth.InvalidRequest},
		} {
			// What stands outside is no help to what is missing inside.
			d, err := w.authorize(wanting(cl, "request", c.raw, "state", "outer"), cookie)
			w.wantNext(c.name, d, err, c.want)
			if c.want == "code" && told(d, "state") != "inner" {
				t.Errorf("%s: state is %q, want that of the object", c.name, told(d, "state"))
			}
		}
		_, err := w.authorize(wanting(cl, "request", s.sign(claims(cl, "redirect_uri", "https://evil.example"))), cookie)
		wantError(t, "an unregistered address in it", err, oauth.InvalidRequest)

		for _, c := range []struct{ name, raw string }{
			{"no nbf", s.sign(claims(fapi, "nbf", nil))},
			{"no exp", s.sign(claims(fapi, "exp", nil))},
			{"no aud", s.sign(claims(fapi, "aud", nil))},
			{"no iss", s.sign(claims(fapi, "iss", nil))},
			{"good for long", s.sign(claims(fapi, "exp", at(2*time.Hour)))},
			{"of long ago", s.sign(claims(fapi, "nbf", at(-2*time.Hour)))},
		} {
			d, err := w.authorize(wanting(fapi, "request", c.raw), cookie)
			w.wantNext("fapi2: "+c.name, d, err, oauth.InvalidRequestObject)
		}
		d2, err := w.authorize(wanting(fapi, "request", s.sign(claims(fapi))), cookie)
		w.wantNext("fapi2: not pushed", d2, err, oauth.InvalidRequest)

		other := w.Client("Other", func(c *client.Client) { c.Policy.OAuth.JWKS, c.Policy.OAuth.RequestObjectAlg = s.jwks(), token.PS256 })
		d4, err := w.authorize(wanting(other, "request", s.sign(claims(other))), cookie)
		w.wantNext("another algorithm than is registered", d4, err, oauth.InvalidRequestObject)
		must := w.Client("Must", func(c *client.Client) { c.Policy.OAuth.JWKS, c.Policy.OAuth.RequireSignedRequest = s.jwks(), true })
		d3, err := w.authorize(wanting(must), cookie)
		w.wantNext("unsigned where it must be", d3, err, oauth.InvalidRequest)
	})
}

// Of many browsers with one request object one gets a code.
func TestRequestObjectIsGoodForOneCode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		s := newSigner(t)
		cl := w.Client("Signs", func(c *client.Client) { c.Policy.OAuth.JWKS = s.jwks() })
		w.Enrol(w.jane, cl, client.Active)
		cookie := w.signIn(w.jane)
		raw := s.sign(map[string]any{
			"iss": cl.ID, "client_id": cl.ID, "jti": "1", "exp": w.Now().Add(time.Minute).Unix(), "response_type": "code", "redirect_uri": callback, "scope": "openid",
			"code_challenge": challenge, "code_challenge_method": "S256",
		})
		got := many(func(int) string {
			d, err := w.authorize(oauth.Params{"client_id": {string(cl.ID)}, "request": {raw}}, cookie)
			if err != nil {
				return err.Error()
			}
			return next(d)
		})
		if want := map[string]int{"code": 1, oauth.InvalidRequestObject: callers - 1}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func (w gate) push(cl client.Client, p oauth.Params) (string, error) {
	in := oauth.PushIn{Params: p, Auth: oauth.ClientAuth{ID: string(cl.ID), Endpoint: rig.Base + "/oauth2/par", Visitor: visitor}}
	if cl.Confidential() {
		in.Auth.Method, in.Auth.Secret = oauth.BySecretPost, webPlain
	}
	uri, _, err := w.OAuth.Push(w.t.Context(), in)
	return uri, err
}

func TestPushedRequestIsItsClientsAndGoodOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		uri, err := w.push(w.web, wanting(w.web))
		if err != nil {
			t.Fatal(err)
		}
		bring := func(cl client.Client) (oauth.Decision, error) {
			return w.authorize(oauth.Params{"client_id": {string(cl.ID)}, "request_uri": {uri}}, cookie)
		}
		_, err = bring(w.spa)
		wantError(t, "by another client", err, oauth.InvalidRequestURI)
		got := many(func(int) string {
			d, err := bring(w.web)
			if e, ok := errors.AsType[*oauth.Error](err); ok {
				return fmt.Sprint(slices.Contains([]string{oauth.InvalidRequestURI, oauth.InvalidRequest}, e.Code))
			}
			return next(d)
		})
		if want := map[string]int{"code": 1, "true": callers - 1}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for name, c := range map[string]struct {
			params oauth.Params
			want   string
		}{
			"for another client":      {wanting(w.spa), oauth.InvalidRequest},
			"to nowhere":              {wanting(w.web, "redirect_uri", "https://evil.example"), oauth.InvalidRequest},
			"a request_uri":           {wanting(w.web, "request_uri", uri), oauth.InvalidRequest},
			"without a challenge":     {wanting(w.web, "code_challenge", ""), oauth.InvalidRequest},
			"of another kind":         {wanting(w.web, "response_type", "token"), oauth.UnsupportedResponseType},
			"an object that is none":  {wanting(w.web, "request", "x"), oauth.InvalidRequestObject},
			"for an unknown resource": {wanting(w.web, "resource", "https://evil.example"), oauth.InvalidTarget},
		} {
			_, err := w.push(w.web, c.params)
			wantError(t, name, err, c.want)
		}
	})
}

// Who is to sign in again does so after the browser came, not after the push.
func TestPushedRequestBeginsWithTheBrowser(t *testing.T) {
	t.Parallel()
	w := newGate(t, dbtest.SQLite(t))
	uri, err := w.push(w.web, wanting(w.web, "prompt", "login"))
	if err != nil {
		t.Fatal(err)
	}
	w.Advance(time.Minute)
	cookie := w.signIn(w.jane)
	w.Advance(time.Second)
	d := w.decide(oauth.Params{"client_id": {string(w.web.ID)}, "request_uri": {uri}}, cookie)
	w.wantNext("signed in before", d, nil, "login")
	w.Advance(time.Second)
	d, err = w.OAuth.Continue(t.Context(), d.Login.Handle, w.signIn(w.jane), visitor)
	w.wantNext("signed in again", d, err, "code")
}
