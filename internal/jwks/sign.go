package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// Sign returns the signature of a JWS over its signing input, the bytes before
// the second dot of the compact form (RFC 7515 §5.1), by the algorithm of the
// key (RFC 7518 §3, RFC 8037 §3.1). It is ours because a library's signer is
// made anew for each header, which costs a fifth of a refresh.
func (k Key) Sign(input []byte) ([]byte, error) {
	switch key := k.private.(type) {
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write(input)
		return mac.Sum(nil), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	case *rsa.PrivateKey:
		digest := sha256.Sum256(input)
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(input)
		der, err := key.Sign(nil, digest[:], crypto.SHA256) // nil: RFC 6979
		if err != nil {
			return nil, err
		}
		return sideBySide(der)
	}
	return nil, fmt.Errorf("jwks: %s cannot sign", k)
}

// sideBySide is an ECDSA signature as a JWS has it: both numbers, each as wide
// as the order of P-256.
func sideBySide(der []byte) ([]byte, error) {
	var n struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		return nil, fmt.Errorf("read ECDSA signature: %w", err)
	}
	sig := make([]byte, 64)
	n.R.FillBytes(sig[:32])
	n.S.FillBytes(sig[32:])
	return sig, nil
}
