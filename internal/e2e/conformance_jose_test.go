package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/rig"
)

// The keys and signatures of relying parties, made by a library that shares no
// code with what verifies them.

func challengeOf(s string) string { return encoded(hash(s)) }

func hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// signed is a compact JWS.
func signed(t testing.TB, key gojose.JSONWebKey, header map[string]any, claims any) string {
	t.Helper()
	o := &gojose.SignerOptions{}
	for name, value := range header {
		o.WithHeader(gojose.HeaderKey(name), value)
	}
	s, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(key.Algorithm), Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// unsigned is a JWT of alg none.
func unsigned(t testing.TB, claims any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
}

// unverified are the claims of a JWT, whoever signed it.
func unverified(t testing.TB, raw string) (claims map[string]any) {
	t.Helper()
	jws, err := gojose.ParseSignedCompact(raw, []gojose.SignatureAlgorithm{gojose.RS256, gojose.ES256, gojose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	answer{t: t, what: "JWT", status: http.StatusOK, body: jws.UnsafePayloadWithoutVerification()}.json(http.StatusOK, &claims)
	return claims
}

// headerOf is the header of a compact JWS.
func headerOf(t testing.TB, raw string) string {
	t.Helper()
	head, _, _ := strings.Cut(raw, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rsaKey is one RSA key for all parties: making one takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey is a private key of a client's.
func newKey(t testing.TB, kid string, alg gojose.SignatureAlgorithm) gojose.JSONWebKey {
	t.Helper()
	var key crypto.Signer
	var err error
	if alg == gojose.ES256 {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return gojose.JSONWebKey{Key: key, KeyID: kid, Algorithm: string(alg), Use: "sig"}
}

// keySet publishes the public halves.
func keySet(t testing.TB, keys ...gojose.JSONWebKey) json.RawMessage {
	t.Helper()
	var set gojose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// thumbprint is RFC 7638's.
func thumbprint(t testing.TB, key gojose.JSONWebKey) string {
	t.Helper()
	pub := key.Public()
	sum, err := pub.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return encoded(sum)
}

// certificate is a client's own, of the subject.
func certificate(t testing.TB, cn string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn, Organization: []string{"Example"}},
		NotBefore: rig.Start.Add(-time.Hour), NotAfter: rig.Start.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
