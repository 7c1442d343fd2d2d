package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/jwks"
)

// signer is somebody else who signs: their key and how it is published.
type signer struct {
	alg     string
	private any
	public  map[string]any
}

func newSigner(t testing.TB, alg string) signer {
	t.Helper()
	var private any
	var public map[string]any
	switch alg {
	case jwks.RS256, PS256:
		k, err := rsa.GenerateKey(nil, 2048)
		if err != nil {
			t.Fatal(err)
		}
		private, public = k, map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": "AQAB"}
	case jwks.ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), nil)
		if err != nil {
			t.Fatal(err)
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		private, public = k, map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case jwks.EdDSA:
		pub, k, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		private, public = k, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}
	}
	return signer{alg, private, public}
}

// with is the published key with members added, or taken away by nil.
func (s signer) with(members map[string]any) map[string]any {
	all := maps.Clone(s.public)
	for name, v := range members {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	return all
}

func (s signer) sign(t testing.TB, header map[string]any, claims string) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithBase64(true)
	o.ExtraHeaders = map[jose.HeaderKey]any{}
	for name, v := range header {
		o.ExtraHeaders[jose.HeaderKey(name)] = v
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.alg), Key: s.private}, o)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := made.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func keySet(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parsed(t testing.TB, keys ...map[string]any) KeySet {
	t.Helper()
	s, err := ParseKeySet(keySet(t, keys...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeySetVerifiesByItsKeys(t *testing.T) {
	var all []map[string]any
	var signers []signer
	for _, alg := range ClientAlgs {
		s := newSigner(t, alg)
		signers = append(signers, s)
		all = append(all, s.with(map[string]any{"kid": alg, "use": "sig", "alg": alg}))
	}
	set := parsed(t, all...)
	if set.Len() != len(ClientAlgs) {
		t.Errorf("%d keys", set.Len())
	}
	for _, s := range signers {
		for _, header := range []map[string]any{{"kid": s.alg}, {}, {"kid": s.alg, "typ": "x"}} {
			got, err := set.Verify(ClientAlgs, s.sign(t, header, `{"sub":"c"}`))
			if err != nil || string(got.Payload) != `{"sub":"c"}` || got.Alg != s.alg {
				t.Errorf("%s with %v: %s %s, %v", s.alg, header, got.Alg, got.Payload, err)
			}
		}
		if _, err := set.Verify(ClientAlgs, s.sign(t, map[string]any{"kid": "other"}, `{}`)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s by an unknown kid: %v", s.alg, err)
		}
		if _, err := set.Verify([]string{"none"}, s.sign(t, nil, `{}`)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s where it is not allowed: %v", s.alg, err)
		}
		if _, err := (KeySet{}).Verify(ClientAlgs, s.sign(t, nil, `{}`)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s by no key: %v", s.alg, err)
		}
		if !set.Signs(s.alg) || set.Signs("HS256") {
			t.Errorf("%s: Signs is wrong", s.alg)
		}
	}
	var zero KeySet
	stranger := newSigner(t, jwks.ES256)
	if !set.Holds(signers[0].private.(*ecdsa.PrivateKey).Public()) || set.Holds(stranger.private.(*ecdsa.PrivateKey).Public()) || zero.Holds(nil) {
		t.Error("Holds is wrong")
	}
}

// Nobody signs with what everybody can read: the public key as a MAC's secret
// (RFC 8725 §2.1), an RSA key by the other padding, a key for another use.
func TestKeysAreNotConfused(t *testing.T) {
	rs, es := newSigner(t, jwks.RS256), newSigner(t, jwks.ES256)
	document := keySet(t, rs.with(map[string]any{"kid": "k"}))
	every := append(slices.Clone(ClientAlgs), "HS256", "HS384", "none")
	for name, c := range map[string]struct {
		set  KeySet
		raw  string
		want error
	}{
		"MAC by the document":  {parsed(t, rs.with(map[string]any{"kid": "k"})), forge(`{"alg":"HS256","kid":"k"}`, `{}`, document), ErrSignature},
		"MAC by the modulus":   {parsed(t, rs.public), forge(`{"alg":"HS256"}`, `{}`, rs.private.(*rsa.PrivateKey).N.Bytes()), ErrSignature},
		"none":                 {parsed(t, rs.public), forge(`{"alg":"none"}`, `{}`, nil), ErrSignature},
		"none, no signature":   {parsed(t, rs.public), b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{}`)) + ".", ErrMalformed},
		"RS256 of a PS256 key": {parsed(t, rs.with(map[string]any{"alg": PS256})), rs.sign(t, nil, `{}`), ErrSignature},
		"for encryption":       {parsed(t, rs.with(map[string]any{"use": "enc"})), rs.sign(t, nil, `{}`), ErrSignature},
		"only signs":           {parsed(t, rs.with(map[string]any{"key_ops": []string{"sign"}})), rs.sign(t, nil, `{}`), ErrSignature},
		"verifies":             {parsed(t, rs.with(map[string]any{"key_ops": []string{"verify"}})), rs.sign(t, nil, `{}`), nil},
		"other key's kid":      {parsed(t, rs.with(map[string]any{"kid": "a"}), es.with(map[string]any{"kid": "b"})), es.sign(t, map[string]any{"kid": "a"}, `{}`), ErrSignature},
		"own key in the token": {parsed(t, rs.public), es.sign(t, map[string]any{"jwk": es.public}, `{}`), ErrMalformed},
		"jku":                  {parsed(t, es.public), es.sign(t, map[string]any{"jku": "https://evil.example/"}, `{}`), ErrMalformed},
		"x5u":                  {parsed(t, es.public), es.sign(t, map[string]any{"x5u": "https://evil.example/"}, `{}`), ErrMalformed},
		"a key without a kid":  {parsed(t, es.public), es.sign(t, map[string]any{"kid": "a"}, `{}`), nil},
	} {
		if _, err := c.set.Verify(every, c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestKeySetsThatAreRefused(t *testing.T) {
	rs, es, ed := newSigner(t, jwks.RS256), newSigner(t, jwks.ES256), newSigner(t, jwks.EdDSA)
	small, err := json.Marshal(map[string]any{"kty": "RSA", "e": "AQAB", "n": b64(new(big.Int).Lsh(big.NewInt(1), 1023).Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	large := rs.with(map[string]any{"n": b64(append([]byte{0xff}, make([]byte, 4096)...))})
	for name, raw := range map[string]string{
		"empty":              ``,
		"not JSON":           `keys`,
		"list":               `[]`,
		"no keys":            `{}`,
		"null keys":          `{"keys":null}`,
		"keys twice":         `{"keys":[],"keys":[]}`,
		"key is text":        `{"keys":["x"]}`,
		"key without kty":    `{"keys":[{"n":"AQAB"}]}`,
		"kty twice":          `{"keys":[{"kty":"RSA","kty":"EC"}]}`,
		"symmetric":          `{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`,
		"symmetric, no k":    `{"keys":[{"kty":"oct"}]}`,
		"unknown with k":     `{"keys":[{"kty":"NEW","k":"x"}]}`,
		"unknown with priv":  `{"keys":[{"kty":"AKP","priv":"x"}]}`,
		"RSA private":        string(keySet(t, es.public, rs.with(map[string]any{"d": "AQAB"}))),
		"RSA prime":          string(keySet(t, rs.with(map[string]any{"p": "AQAB"}))),
		"EC private":         string(keySet(t, es.with(map[string]any{"d": ""}))),
		"EC private, enc":    string(keySet(t, es.with(map[string]any{"d": "AQAB", "use": "enc"}))),
		"OKP private":        string(keySet(t, ed.with(map[string]any{"d": "AQAB"}))),
		"private is null":    string(keySet(t, es.public)[:len(keySet(t, es.public))-3]) + `,"d":{}}]}`,
		"small RSA":          `{"keys":[` + string(small) + `]}`,
		"huge RSA":           string(keySet(t, large)),
		"RSA exponent 1":     string(keySet(t, rs.with(map[string]any{"e": "AQ"}))),
		"RSA exponent even":  string(keySet(t, rs.with(map[string]any{"e": "AQAA"}))),
		"RSA exponent large": string(keySet(t, rs.with(map[string]any{"e": strings.Repeat("_", 1000)}))),
		"point off the line": string(keySet(t, es.with(map[string]any{"x": es.public["y"]}))),
		"point without y":    string(keySet(t, es.with(map[string]any{"y": nil}))),
		"Ed25519 short":      string(keySet(t, ed.with(map[string]any{"x": "AQAB"}))),
		"too many":           string(keySet(t, slices.Repeat([]map[string]any{ed.public}, maxKeys+1)...)),
		"too large":          `{"keys":[],"pad":"` + strings.Repeat("x", MaxKeySet) + `"}`,
		"nested deep":        `{"keys":[` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `]}`,
	} {
		if s, err := ParseKeySet([]byte(raw)); !errors.Is(err, ErrKeySet) || s.Len() != 0 {
			t.Errorf("%s: %d keys, %v; want %v", name, s.Len(), err, ErrKeySet)
		}
	}
}

func TestKeysOfOtherKindsAreLeftOut(t *testing.T) {
	es := newSigner(t, jwks.ES256)
	set := parsed(t,
		map[string]any{"kty": "EC", "crv": "P-384", "x": "AQAB", "y": "AQAB"},
		map[string]any{"kty": "OKP", "crv": "X25519", "x": "AQAB"},
		map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQAB"},
		es.with(map[string]any{"x5c": []string{"not a certificate"}, "x5u": "https://elsewhere.example/", "unknown": 1}),
	)
	if set.Len() != 1 {
		t.Errorf("%d keys, want 1", set.Len())
	}
	if _, err := set.Verify(ClientAlgs, es.sign(t, nil, `{}`)); err != nil {
		t.Error(err)
	}
	if s, err := ParseKeySet([]byte(`{"keys":[]}`)); err != nil || s.Len() != 0 {
		t.Errorf("no keys at all: %v", err)
	}
}

func TestPeekReadsWhatNobodyVerified(t *testing.T) {
	var claims struct {
		Subject string `json:"sub"`
	}
	alg, err := Peek(forge(`{"alg":"HS256"}`, `{"sub":"c"}`, shared), &claims)
	if err != nil || alg != "HS256" || claims.Subject != "c" {
		t.Errorf("got %s %q, %v", alg, claims.Subject, err)
	}
	for _, raw := range []string{"", "..", "a.b.c", forge(`{"alg":"HS256","jku":"x"}`, `{}`, shared), forge(`{"alg":"HS256"}`, `[]`, shared)} {
		if _, err := Peek(raw, &claims); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func FuzzParseKeySet(f *testing.F) {
	for _, alg := range ClientAlgs {
		f.Add(keySet(f, newSigner(f, alg).public))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"x"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseKeySet(raw)
		if err != nil && !errors.Is(err, ErrKeySet) {
			t.Errorf("undocumented error %v", err)
		}
		for _, k := range s.keys {
			if _, err := k.thumbprint(); err != nil {
				t.Error(err)
			}
		}
	})
}
