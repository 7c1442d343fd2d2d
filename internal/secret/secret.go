// Package secret owns randomness and what is done with secret bytes: random
// tokens and codes, the hashes they are stored as, sealing of secrets that are
// needed back, keyed hashes of short codes, and constant-time comparison. It
// is the only package that draws random bytes.
//
// It does not hash passwords (package password), hold signing keys (package
// jwks) or know what any secret is for: callers name a purpose as a label.
//
// Opaque tokens carry at least 128 random bits, so a plain SHA-256 is enough to
// store them (OWASP, RFC 9700 §4.14); what a person can guess, such as a backup
// code, is stored as a MAC under the process key. The process key is never used
// itself: every label gets subkeys of its own by HKDF (RFC 5869), and sealing is
// AES-256-GCM (NIST SP 800-38D) with a random nonce.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// Bytes returns n random bytes from the operating system's generator.
func Bytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

// Hex returns n random bytes as 2n lower-case hexadecimal digits.
func Hex(n int) string { return hex.EncodeToString(Bytes(n)) }

// Code returns n characters drawn evenly from alphabet, which holds 2 to 256
// different single-byte characters. A shorter or longer alphabet is a
// programmer's mistake and panics.
func Code(alphabet string, n int) string {
	size := len(alphabet)
	if size < 2 || size > 256 {
		panic("secret: alphabet must have 2 to 256 characters")
	}
	// Bytes at or above the largest multiple of size are thrown away: taking
	// them modulo size would favour the first characters.
	limit := 256 - 256%size
	out := make([]byte, 0, n)
	for len(out) < n {
		for _, b := range Bytes(n - len(out)) {
			if int(b) < limit {
				out = append(out, alphabet[int(b)%size])
			}
		}
	}
	return string(out)
}

// Hash returns the SHA-256 of s: how a random token is stored and looked up.
func Hash(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// Equal reports whether a and b are the same bytes, in a time that depends on
// their lengths only.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Fingerprint is a short name for bytes that anybody may see, such as an ETag:
// half of their SHA-256 in lower-case hexadecimal.
func Fingerprint(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}
