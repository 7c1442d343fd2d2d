package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// newCertificate is one of a client, in DER, with what it is known by.
func (w *world) newCertificate(name pkix.Name) []byte {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	made := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, NotBefore: w.Now().Add(-time.Hour), NotAfter: w.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return der
}

// RFC 8705 §2.1 behind the proxies there are: nginx and HAProxy send PEM with
// escapes, RFC 9440 has DER in base64 between colons.
func TestClientsProveThemselvesByCertificate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		cl := w.Client("TLS", func(c *client.Client) {
			c.Policy.Grants = []string{client.GrantClientCredentials}
			c.Policy.OAuth.TokenEndpointAuth, c.Policy.OAuth.TLSSubjectDN = client.AuthTLS, `CN=batch\, nightly, O=Example Corp, C=US`
		})
		right := w.newCertificate(pkix.Name{CommonName: "batch, nightly", Organization: []string{"Example Corp"}, Country: []string{"US"}})
		wrong := w.newCertificate(pkix.Name{CommonName: "batch", Organization: []string{"nightly", "Example Corp"}, Country: []string{"US"}})
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: right}))
		key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: right}))
		std := base64.StdEncoding.EncodeToString
		srv := w.serve()
		for name, c := range map[string]struct {
			header string
			want   int
		}{
			"PEM with escapes":         {url.PathEscape(text), http.StatusOK},
			"PEM with every escape":    {strings.ReplaceAll(url.QueryEscape(text), "+", "%20"), http.StatusOK},
			"DER between colons":       {":" + std(right) + ":", http.StatusOK},
			"DER":                      {std(right), http.StatusOK},
			"another subject":          {std(wrong), http.StatusUnauthorized},
			"two certificates":         {url.PathEscape(text + text), http.StatusUnauthorized},
			"no certificate but a key": {url.PathEscape(key), http.StatusUnauthorized},
			"cut off":                  {std(right[:len(right)-1]), http.StatusUnauthorized},
			"nonsense":                 {"nonsense", http.StatusUnauthorized},
			"too long":                 {strings.Repeat("A", 17<<10), http.StatusUnauthorized},
			"none":                     {"", http.StatusUnauthorized},
		} {
			form := url.Values{"grant_type": {client.GrantClientCredentials}, "client_id": {string(cl.ID)}}
			r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/oauth2/token", strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.header != "" {
				r.Header.Set("X-Client-Cert", c.header)
			}
			resp, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != c.want {
				t.Errorf("%s: got %d, want %d", name, resp.StatusCode, c.want)
			}
		}
	})
}
