package token

import (
	"encoding/base64"
	"slices"
	"strings"
)

// Verify returns a JWT that was signed, with one of algs, by a key of the set:
// the one that its header names, or, of one that names none, any that fits.
// Symmetric algorithms and none are refused whatever algs says, since no key
// here takes them. The claims are the caller's to check. Fails with
// ErrMalformed or ErrSignature; the second may mean that the set is too old.
func (s KeySet) Verify(algs []string, raw string) (JWT, error) {
	h, ok := parseHeader(raw)
	if !ok || !slices.Contains(algs, h.Alg) {
		return JWT{}, ErrMalformed
	}
	for _, k := range s.keys {
		if !k.takes(h.Alg) || h.Kid != "" && k.kid != "" && k.kid != h.Kid {
			continue
		}
		if payload, err := verify(h.Alg, k.public, raw); err == nil {
			return JWT{Type: h.Typ, Alg: h.Alg, Payload: payload}, nil
		}
	}
	return JWT{}, ErrSignature
}

// Peek reads the claims of a JWT that nobody has verified into v, a pointer to a
// struct, and returns its alg: to learn whose keys are to verify it, and for
// nothing else. Fails with ErrMalformed.
func Peek(raw string, v any) (alg string, err error) {
	h, ok := parseHeader(raw)
	if !ok {
		return "", ErrMalformed
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return "", ErrMalformed
	}
	return h.Alg, JWT{Payload: payload}.Claims(v)
}
