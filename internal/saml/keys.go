package saml

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"sallyport/internal/secret"
)

// keyBits is the size of our keys; keyLife is what their certificates say, which
// nobody goes by: an identity provider believes the key that it was given.
const (
	keyBits = 2048
	keyLife = 10 * 365 * 24 * time.Hour
)

// NewKeyPair makes a key pair, whose certificate is issued to a name. It takes a
// tenth of a second and more, so it runs outside of transactions.
func NewKeyPair(name string, now time.Time) (KeyPair, error) {
	key, err := rsa.GenerateKey(nil, keyBits)
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate key: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(secret.Bytes(16)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(keyLife), SignatureAlgorithm: x509.SHA256WithRSA,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	cert, err := x509.CreateCertificate(nil, c, c, key.Public(), key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("marshal key: %w", err)
	}
	return KeyPair{Key: secret.Value(der), Certificate: cert, CreatedAt: now}, nil
}

var errKey = errors.New("saml: not an RSA private key")

func (k KeyPair) private() (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey([]byte(k.Key.Reveal()))
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errKey
	}
	return key, nil
}
