package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"

	"sallyport/internal/jwks"
)

// PS256 is RSASSA-PSS with SHA-256 (RFC 7518 §3.5): clients sign with it, we do
// not.
const PS256 = "PS256"

// ClientAlgs are the algorithms that others may sign with, for what they send us.
var ClientAlgs = []string{jwks.ES256, PS256, jwks.EdDSA, jwks.RS256}

// The limits of a key set. An RSA key of 16,384 bits would cost a millisecond
// to look at.
const (
	MaxKeySet  = 64 << 10
	maxKeys    = 32
	minRSABits = 2048
	maxRSABits = 8192
)

// ErrKeySet reports what is no set of public keys. What it wraps says which
// key and why, and holds nothing of the key.
var ErrKeySet = errors.New("token: not a set of public keys")

// KeySet is the public keys of somebody else (RFC 7517 §5). The zero KeySet
// verifies nothing.
type KeySet struct{ keys []foreignKey }

type foreignKey struct {
	kid, alg string
	public   crypto.PublicKey
}

// member holds all of a key that is read. Certificates and addresses are not:
// a key is taken for what it is, not for what vouches for it. The members below
// Y belong to private and symmetric keys (RFC 7518 §6).
type member struct {
	Kty    string             `json:"kty"`
	Use    *string            `json:"use"`
	KeyOps []string           `json:"key_ops"`
	Alg    string             `json:"alg"`
	Kid    string             `json:"kid"`
	Crv    string             `json:"crv"`
	N      string             `json:"n"`
	E      string             `json:"e"`
	X      string             `json:"x"`
	Y      string             `json:"y"`
	D      *strict.RawMessage `json:"d"`
	P      *strict.RawMessage `json:"p"`
	Q      *strict.RawMessage `json:"q"`
	DP     *strict.RawMessage `json:"dp"`
	DQ     *strict.RawMessage `json:"dq"`
	QI     *strict.RawMessage `json:"qi"`
	Oth    *strict.RawMessage `json:"oth"`
	K      *strict.RawMessage `json:"k"`
	Priv   *strict.RawMessage `json:"priv"`
}

func (m member) private() bool {
	for _, p := range []*strict.RawMessage{m.D, m.P, m.Q, m.DP, m.DQ, m.QI, m.Oth, m.K, m.Priv} {
		if p != nil {
			return true
		}
	}
	return m.Kty == "oct"
}

// ParseKeySet reads a JWK Set. One with a private or symmetric key is refused
// whole: such a key has been published, and nobody is to rely on it. Keys of a
// kind that we do not know, or for another use than signatures, are left out
// (RFC 7517 §5). Fails with ErrKeySet.
func ParseKeySet(raw []byte) (KeySet, error) {
	var set struct {
		Keys *[]strict.RawMessage `json:"keys"`
	}
	if len(raw) > MaxKeySet {
		return KeySet{}, fmt.Errorf("%w: larger than %d bytes", ErrKeySet, MaxKeySet)
	}
	if err := strict.Unmarshal(raw, &set); err != nil || set.Keys == nil {
		return KeySet{}, fmt.Errorf("%w: not an object with a list of keys", ErrKeySet)
	}
	if len(*set.Keys) > maxKeys {
		return KeySet{}, fmt.Errorf("%w: more than %d keys", ErrKeySet, maxKeys)
	}
	var s KeySet
	for i, one := range *set.Keys {
		k, usable, err := parseKey(one)
		if err != nil {
			return KeySet{}, fmt.Errorf("%w: key %d %w", ErrKeySet, i, err)
		}
		if usable {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

var (
	errPrivate = errors.New("is private or symmetric")
	errNotKey  = errors.New("is not a valid key")
	errWeak    = errors.New("is an RSA key of a size that is not taken")
)

// parseKey reads one JWK; usable is false for one to leave out.
func parseKey(raw []byte) (k foreignKey, usable bool, err error) {
	var m member
	if err := strict.Unmarshal(raw, &m); err != nil || m.Kty == "" {
		return k, false, errNotKey
	}
	if m.private() {
		return k, false, errPrivate
	}
	if !m.signs() || !m.known() {
		return k, false, nil
	}
	// Only what is meant to be looked at gets to the library.
	plain, err := json.Marshal(struct {
		Kty string `json:"kty"`
		Crv string `json:"crv,omitempty"`
		N   string `json:"n,omitempty"`
		E   string `json:"e,omitempty"`
		X   string `json:"x,omitempty"`
		Y   string `json:"y,omitempty"`
	}{m.Kty, m.Crv, m.N, m.E, m.X, m.Y})
	if err != nil {
		return k, false, err
	}
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(plain); err != nil || !j.Valid() || !j.IsPublic() {
		return k, false, errNotKey
	}
	if pub, ok := j.Key.(*rsa.PublicKey); ok {
		if n := pub.N.BitLen(); n < minRSABits || n > maxRSABits {
			return k, false, errWeak
		}
		if pub.E < 3 || pub.E%2 == 0 {
			return k, false, errNotKey
		}
	}
	return foreignKey{kid: m.Kid, alg: m.Alg, public: j.Key}, true, nil
}

// signs reports whether the key is meant to verify signatures (RFC 7517 §4.2, §4.3).
func (m member) signs() bool {
	if m.Use != nil && *m.Use != "sig" {
		return false
	}
	return len(m.KeyOps) == 0 || slices.Contains(m.KeyOps, "verify")
}

func (m member) known() bool {
	switch m.Kty {
	case "RSA":
		return true
	case "EC":
		return m.Crv == "P-256"
	case "OKP":
		return m.Crv == "Ed25519"
	}
	return false
}

// takes reports whether the key may verify by alg: its type is alg's, and it
// does not say that it is for another (RFC 8725 §3.1).
func (k foreignKey) takes(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		return alg == jwks.RS256 || alg == PS256
	case *ecdsa.PublicKey:
		return alg == jwks.ES256 && pub.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == jwks.EdDSA
	}
	return false
}

// Len is how many keys can verify something.
func (s KeySet) Len() int { return len(s.keys) }

// Signs reports whether a key of the set can verify by alg.
func (s KeySet) Signs(alg string) bool {
	return slices.ContainsFunc(s.keys, func(k foreignKey) bool { return k.takes(alg) })
}

// Holds reports whether a public key, such as that of a certificate (RFC 8705
// §2.2), is in the set.
func (s KeySet) Holds(public crypto.PublicKey) bool {
	return slices.ContainsFunc(s.keys, func(k foreignKey) bool {
		one, ok := k.public.(interface{ Equal(x crypto.PublicKey) bool })
		return ok && one.Equal(public)
	})
}

// thumbprint is the SHA-256 of the key's required members (RFC 7638).
func (k foreignKey) thumbprint() (string, error) {
	j := jose.JSONWebKey{Key: k.public}
	sum, err := j.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
