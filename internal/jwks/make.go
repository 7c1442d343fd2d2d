package jwks

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"sallyport/internal/secret"
)

// rsaBits is the size of an RSA key (NIST SP 800-57 part 1, table 2: 112 bits
// of strength). 3072 bits would sign three times slower.
const rsaBits = 2048

// Generate makes a key of alg, which is RS256, ES256 or EdDSA. It is in no
// state until Ensure or Rotate stores it. An RSA key takes a tenth of a second
// and more, so this runs outside of transactions.
func Generate(alg string) (Key, error) {
	private, err := generate(alg)
	if err != nil {
		return Key{}, fmt.Errorf("generate %s key: %w", alg, err)
	}
	return newKey(alg, private)
}

// generate passes no reader: since Go 1.26 the key makers use the operating
// system's generator whatever they are given.
func generate(alg string) (any, error) {
	switch alg {
	case RS256:
		return rsa.GenerateKey(nil, rsaBits)
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), nil)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(nil)
		return private, err
	}
	return nil, errAlg(alg)
}

// newKey names a private key of alg by its thumbprint.
func newKey(alg string, private any) (Key, error) {
	k := Key{Alg: alg}.withPrivate(private)
	j, err := publicJWK(k)
	if err != nil {
		return Key{}, err
	}
	k.ID = j.thumbprint()
	return k, nil
}

// marshalPrivate is the plain form that is sealed: PKCS #8 (RFC 5958), or a
// shared secret as it is.
func marshalPrivate(private any) ([]byte, error) {
	if b, ok := private.([]byte); ok {
		return b, nil
	}
	return x509.MarshalPKCS8PrivateKey(private)
}

func parsePrivate(alg string, plain []byte) (any, error) {
	if alg == HS256 {
		return plain, nil
	}
	return x509.ParsePKCS8PrivateKey(plain)
}

// jwk is a public key as RFC 7517 writes it, without members that are optional
// and carry nothing. Keymaster's contract §5.5 shows RSA members in this order.
type jwk struct {
	Kty string `json:"kty"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// publicJWK writes the public half of k (RFC 7518 §6.2.1 and §6.3.1, RFC 8037
// §2). It fails for a key of another type than its algorithm takes, and so for
// every symmetric one.
func publicJWK(k Key) (jwk, error) {
	j := jwk{Use: "sig", Alg: k.Alg, Kid: k.ID}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		j.Kty, j.N, j.E = "RSA", encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
		if k.Alg != RS256 || pub.N.BitLen() < rsaBits {
			return jwk{}, errAlg(k.Alg)
		}
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 0x04 ‖ X ‖ Y, both of the curve's full width
		if err != nil || k.Alg != ES256 || pub.Curve != elliptic.P256() {
			return jwk{}, errAlg(k.Alg)
		}
		xy := point[1:]
		j.Kty, j.Crv, j.X, j.Y = "EC", "P-256", encode(xy[:len(xy)/2]), encode(xy[len(xy)/2:])
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", encode(pub)
		if k.Alg != EdDSA {
			return jwk{}, errAlg(k.Alg)
		}
	default:
		return jwk{}, errAlg(k.Alg)
	}
	return j, nil
}

// thumbprint is the SHA-256 of the required members in lexicographic order
// (RFC 7638 §3.2; RFC 8037 §2 for OKP).
func (j jwk) thumbprint() string {
	required := map[string]string{"kty": j.Kty}
	for name, value := range map[string]string{"n": j.N, "e": j.E, "crv": j.Crv, "x": j.X, "y": j.Y} {
		if value != "" {
			required[name] = value
		}
	}
	text, err := json.Marshal(required) // a map's keys come out sorted
	if err != nil {
		panic("jwks: " + err.Error()) // strings always marshal
	}
	return encode(secret.Hash(string(text)))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func errAlg(alg string) error { return fmt.Errorf("jwks: no such key for algorithm %q", alg) }
