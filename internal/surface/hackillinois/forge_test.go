package hackillinois_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"maps"
	"testing"
)

var b64 = base64.RawURLEncoding

// forge writes a token by hand: a header, a payload, and a MAC by key.
func forge(head, claims string, h func() hash.Hash, key []byte) string {
	input := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString([]byte(claims))
	m := hmac.New(h, key)
	m.Write([]byte(input))
	return input + "." + b64.EncodeToString(m.Sum(nil))
}

// forgeHS256 is what whoever has the secret can make.
func forgeHS256(claims string, key []byte) string {
	return forge(`{"alg":"HS256","typ":"JWT"}`, claims, sha256.New, key)
}

// changed is a token's payload with some claims replaced; nil takes one away.
func changed(t testing.TB, token string, with map[string]any) string {
	t.Helper()
	c := payload(t, token)
	maps.Copy(c, with)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// forgeries are the same claims under every signature that the client's key does
// not make.
func forgeries(t testing.TB, claims string, key []byte) map[string]string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	input := b64.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64.EncodeToString([]byte(claims))
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	unsigned := b64.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64.EncodeToString([]byte(claims)) + "."
	return map[string]string{
		"HS384 with the secret":  forge(`{"alg":"HS384","typ":"JWT"}`, claims, sha512.New384, key),
		"HS512 with the secret":  forge(`{"alg":"HS512","typ":"JWT"}`, claims, sha512.New, key),
		"RS256, MAC by secret":   forge(`{"alg":"RS256","typ":"JWT"}`, claims, sha256.New, key),
		"RS256 by another's key": input + "." + b64.EncodeToString(sig),
		"none":                   unsigned,
		"none, with a MAC":       forge(`{"alg":"none","typ":"JWT"}`, claims, sha256.New, key),
		"None":                   b64.EncodeToString([]byte(`{"alg":"None"}`)) + "." + b64.EncodeToString([]byte(claims)) + ".",
		"hs256":                  forge(`{"alg":"hs256","typ":"JWT"}`, claims, sha256.New, key),
		"no alg":                 forge(`{"typ":"JWT"}`, claims, sha256.New, key),
		"another secret":         forgeHS256(claims, []byte("another-secret-that-is-long-enough!!")),
		"the original's default": forgeHS256(claims, []byte("secret_string")),
		"no secret":              forgeHS256(claims, nil),
		"its own key":            forge(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`, claims, sha256.New, []byte{0, 0, 0}),
		"a kid as a path":        forge(`{"alg":"HS256","kid":"../../dev/null"}`, claims, sha256.New, nil),
		"another type":           forge(`{"alg":"HS256","typ":"at+jwt"}`, claims, sha256.New, key),
		"crit":                   forge(`{"alg":"HS256","crit":["exp"]}`, claims, sha256.New, key),
	}
}
