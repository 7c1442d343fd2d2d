package token

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/jwks"
)

// Published by RFC 9449 §4.1 and §7.1; its thumbprint by §6.1.
func TestPublishedProofs(t *testing.T) {
	const jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	const head = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
	got, err := ParseProof(head + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg")
	want := Proof{JKT: jkt, ID: "-BwC3ESc6acc2lTc", Method: "POST", URL: "https://server.example.com/token", IssuedAt: time.Unix(1562262616, 0).UTC()}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = ParseProof(head + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA")
	want = Proof{JKT: jkt, ID: "e1j3V_bKic8-LAEB", Method: "GET", URL: "https://resource.example.org/protectedresource",
		AccessTokenHash: "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", IssuedAt: time.Unix(1562262618, 0).UTC()}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

const proofClaims = `{"jti":"1","htm":"POST","htu":"https://as.example/token","iat":1562262616.5,"nonce":"n"}`

func TestProofsOfEveryAlg(t *testing.T) {
	for _, alg := range ProofAlgs {
		s := newSigner(t, alg)
		got, err := ParseProof(s.sign(t, map[string]any{"typ": ProofType, "jwk": s.public, "kid": "ignored"}, proofClaims))
		if err != nil || got.Nonce != "n" || !got.IssuedAt.Equal(time.UnixMilli(1562262616500)) || len(got.JKT) != 43 {
			t.Errorf("%s: %+v, %v", alg, got, err)
		}
	}
}

func TestProofsThatAreRefused(t *testing.T) {
	es, other, rs := newSigner(t, jwks.ES256), newSigner(t, jwks.ES256), newSigner(t, jwks.RS256)
	head := func(members map[string]any) map[string]any {
		all := map[string]any{"typ": ProofType, "jwk": es.public}
		for name, v := range members {
			if all[name] = v; v == nil {
				delete(all, name)
			}
		}
		return all
	}
	good := es.sign(t, head(nil), proofClaims)
	if _, err := ParseProof(good); err != nil {
		t.Fatal(err)
	}
	oct := map[string]any{"kty": "oct", "k": b64(shared)}
	for name, raw := range map[string]string{
		"empty":               "",
		"two proofs":          good + "," + good,
		"no typ":              es.sign(t, head(map[string]any{"typ": nil}), proofClaims),
		"typ JWT":             es.sign(t, head(map[string]any{"typ": "JWT"}), proofClaims),
		"no key":              es.sign(t, head(map[string]any{"jwk": nil}), proofClaims),
		"other's key":         es.sign(t, head(map[string]any{"jwk": other.public}), proofClaims),
		"private key":         es.sign(t, head(map[string]any{"jwk": es.with(map[string]any{"d": "AQAB"})}), proofClaims),
		"symmetric":           forge(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"`+b64(shared)+`"}}`, proofClaims, shared),
		"symmetric as ES256":  es.sign(t, head(map[string]any{"jwk": oct}), proofClaims),
		"none":                forge(`{"typ":"dpop+jwt","alg":"none","jwk":{}}`, proofClaims, nil),
		"RS256":               rs.sign(t, head(map[string]any{"jwk": rs.public}), proofClaims),
		"key of another kind": es.sign(t, head(map[string]any{"jwk": rs.public}), proofClaims),
		"key for encryption":  es.sign(t, head(map[string]any{"jwk": es.with(map[string]any{"use": "enc"})}), proofClaims),
		"key for another alg": es.sign(t, head(map[string]any{"jwk": es.with(map[string]any{"alg": "EdDSA"})}), proofClaims),
		"key is text":         es.sign(t, head(map[string]any{"jwk": "x"}), proofClaims),
		"jku":                 es.sign(t, head(map[string]any{"jku": "https://evil.example/"}), proofClaims),
		"x5c":                 es.sign(t, head(map[string]any{"x5c": []string{}}), proofClaims),
		"other claims":        strings.Join([]string{strings.Split(good, ".")[0], b64([]byte(`{}`)), strings.Split(good, ".")[2]}, "."),
		"no jti":              es.sign(t, head(nil), `{"htm":"POST","htu":"https://as.example/","iat":1}`),
		"long jti":            es.sign(t, head(nil), `{"jti":"`+strings.Repeat("x", maxProofID+1)+`","htm":"POST","htu":"https://as.example/","iat":1}`),
		"no htm":              es.sign(t, head(nil), `{"jti":"1","htu":"https://as.example/","iat":1}`),
		"no htu":              es.sign(t, head(nil), `{"jti":"1","htm":"POST","iat":1}`),
		"no iat":              es.sign(t, head(nil), `{"jti":"1","htm":"POST","htu":"https://as.example/"}`),
		"iat far off":         es.sign(t, head(nil), `{"jti":"1","htm":"POST","htu":"https://as.example/","iat":1e300}`),
		"iat is text":         es.sign(t, head(nil), `{"jti":"1","htm":"POST","htu":"https://as.example/","iat":"1"}`),
		"jti twice":           es.sign(t, head(nil), `{"jti":"1","jti":"2","htm":"POST","htu":"https://as.example/","iat":1}`),
		"too long":            es.sign(t, head(map[string]any{"pad": strings.Repeat("x", MaxJWT)}), proofClaims),
	} {
		if got, err := ParseProof(raw); !errors.Is(err, ErrProof) || ProofReason(err) == "" || got != (Proof{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if ProofReason(errors.New("x")) != "" {
		t.Error("a reason for another error")
	}
}

func FuzzParseProof(f *testing.F) {
	s := newSigner(f, jwks.ES256)
	f.Add(s.sign(f, map[string]any{"typ": ProofType, "jwk": s.public}, proofClaims))
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ParseProof(raw)
		if (err == nil) != (p.JKT != "") || err != nil && !errors.Is(err, ErrProof) {
			t.Errorf("%q: %+v, %v", raw, p, err)
		}
	})
}
