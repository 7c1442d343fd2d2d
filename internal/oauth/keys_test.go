package oauth_test

import (
	"crypto/ecdsa"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/oauth"
	"sallyport/internal/outbound"
)

// publishing is a client whose keys are at an address.
func (w town) publishing(uri string) client.Client {
	return w.Client("Publisher", func(c *client.Client) {
		c.Policy.JWKSURI, c.Policy.OAuth.TokenEndpointAuth = uri, client.AuthPrivateKeyJWT
	})
}

// proves reports whether an assertion by the key is taken.
func (w town) proves(cl client.Client, key *ecdsa.PrivateKey, head map[string]any) bool {
	w.t.Helper()
	raw := signed(w.t, jose.ES256, key, head, w.says(cl))
	_, err := w.OAuth.Authenticate(w.t.Context(), asserting(cl, raw))
	if err != nil {
		wantError(w.t, "an assertion", err, oauth.InvalidClient)
	}
	return err == nil
}

// A client changes its keys at its own address, and we notice when it uses a new
// one (OpenID Connect Core §10.1.1); made-up ones make us ask once a minute.
func TestKeysAreReadAnewForAKeyWeDoNotKnow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, s := newTown(t, d), newSite(t)
		first, second, stranger := newKey(t), newKey(t), newKey(t)
		cl := w.publishing(s.json("/jwks", string(jwksOf(t, first.Public()))))
		for range 2 {
			if !w.proves(cl, first, nil) || s.hit("/jwks") != 1 {
				t.Fatalf("by the first key, after %d requests", s.hit("/jwks"))
			}
		}
		for range 10 {
			if w.proves(cl, stranger, nil) {
				t.Error("by a stranger's key")
			}
		}
		if n := s.hit("/jwks"); n != 1 {
			t.Errorf("%d requests in one minute", n)
		}
		s.json("/jwks", string(jwksOf(t, second.Public())))
		w.Advance(61 * time.Second)
		if !w.proves(cl, second, nil) || w.proves(cl, first, nil) || s.hit("/jwks") != 2 {
			t.Errorf("after the change, %d requests", s.hit("/jwks"))
		}
	})
}

func TestKeySetsThatProveNobody(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, s := newTown(t, d), newSite(t)
		key := newKey(t)
		good := string(jwksOf(t, key.Public()))
		private, err := jose.JSONWebKey{Key: key}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if !w.proves(w.publishing(s.json("/good", good)), key, nil) {
			t.Fatal("the good set")
		}
		for name, uri := range map[string]string{
			"a private key":  s.json("/private", `{"keys":[`+string(private)+`]}`),
			"a shared one":   s.json("/oct", `{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`),
			"none":           s.json("/none", `{"keys":[]}`),
			"not a set":      s.json("/text", `keys`),
			"too large":      s.json("/huge", `{"pad":"`+strings.Repeat("x", 70_000)+`",`+good[1:]),
			"not found":      s.url + "/missing",
			"moved":          s.at("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) }),
			"our network":    "https://10.0.0.1/jwks",
			"a file":         "file:///etc/passwd",
			"another scheme": strings.Replace(s.url, "http:", "ftp:", 1) + "/good",
		} {
			if w.proves(w.publishing(uri), key, nil) {
				t.Errorf("%s: taken", name)
			}
		}
		// What the assertion itself names is not asked (RFC 8725 §3.10).
		own := s.json("/own", good)
		cl := w.publishing(s.json("/other", string(jwksOf(t, newKey(t).Public()))))
		for _, head := range []map[string]any{{"jku": own}, {"x5u": own}, {"jwk": map[string]any{"kty": "EC"}}} {
			if w.proves(cl, key, head) {
				t.Errorf("%v: taken", head)
			}
		}
		if s.hit("/own") > 0 {
			t.Error("an address in a header was asked")
		}
	})
}

// A set that does not end does not hold a request for ever.
func TestSlowKeySetIsLeft(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, s := newTown(t, d), newSite(t)
		impatient := outbound.NewDocuments(outbound.Options{Allow: loopbackOnly, Timeout: 100 * time.Millisecond}, w.Now)
		defer impatient.Close()
		w.OAuth.Documents = impatient
		uri := s.at("/slow", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"keys":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		if w.proves(w.publishing(uri), newKey(t), nil) {
			t.Error("taken")
		}
	})
}
