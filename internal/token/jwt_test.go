package token

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// Published by RFC 7515 appendices A.1 to A.4 and RFC 8037 appendix A.4.
func TestPublishedSignaturesVerify(t *testing.T) {
	const claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	x, y := unb64(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), unb64(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
	ec, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		alg    string
		public any
		raw    string
		want   string
	}{
		{jwks.HS256, unb64(t, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
			"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + claims + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", claims},
		{jwks.RS256, &rsa.PublicKey{E: 65537, N: number(t, "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")},
			"eyJhbGciOiJSUzI1NiJ9." + claims + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw", claims},
		{jwks.ES256, ec, "eyJhbGciOiJFUzI1NiJ9." + claims + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", claims},
		{jwks.EdDSA, ed25519.PublicKey(unb64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", b64([]byte("Example of Ed25519 signing"))},
	} {
		if _, ok := parseHeader(c.raw); !ok {
			t.Errorf("%s: the header is refused", c.alg)
		}
		payload, err := verify(c.alg, c.public, c.raw)
		if err != nil || b64(payload) != c.want {
			t.Errorf("%s: payload %q, %v", c.alg, payload, err)
		}
		for _, other := range allAlgs {
			if _, err := verify(other, c.public, c.raw); other != c.alg && err == nil {
				t.Errorf("%s is accepted as %s", c.alg, other)
			}
		}
	}
	// A.4 is ES512, which no key of ours has.
	ring, _ := everyAlg(t)
	const es512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
	if _, err := Verify(ring, "", allAlgs, es512); !errors.Is(err, ErrMalformed) {
		t.Errorf("ES512: %v, want %v", err, ErrMalformed)
	}
}

func TestVerifyReturnsWhatWasSigned(t *testing.T) {
	ring, keys := everyAlg(t)
	want, err := json.Marshal(sample)
	if err != nil {
		t.Fatal(err)
	}
	for alg, k := range keys {
		raw, err := Sign(k, "at+jwt", sample)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(raw, ".")
		wantHead := `{"alg":"` + alg + `","kid":"` + k.ID + `","typ":"at+jwt"}`
		if alg == jwks.HS256 {
			wantHead = `{"alg":"HS256","typ":"at+jwt"}` // as Tofu's and HackIllinois' services write it
		}
		if got := string(unb64(t, head)); got != wantHead {
			t.Errorf("header %s, want %s", got, wantHead)
		}
		got, err := Verify(ring, "c", []string{alg}, raw)
		if err != nil || !bytes.Equal(got.Payload, want) || got.Type != "at+jwt" || got.Key.ID != k.ID {
			t.Errorf("%s: %s %s by %v, %v", alg, got.Type, got.Payload, got.Key, err)
		}
		for _, other := range allAlgs {
			if _, err := Verify(ring, "c", []string{other}, raw); other != alg && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s where %s is allowed: %v, want %v", alg, other, err, ErrMalformed)
			}
		}
		if _, err := Verify(ring, "c", nil, raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s where nothing is allowed: %v, want %v", alg, err, ErrMalformed)
		}
	}
}

// forge puts a token together with a header of the attacker's and a MAC.
func forge(head, payload string, key []byte) string {
	input := b64([]byte(head)) + "." + b64([]byte(payload))
	m := hmac.New(sha256.New, key)
	m.Write([]byte(input))
	return input + "." + b64(m.Sum(nil))
}

func TestForgedTokensAreRefused(t *testing.T) {
	ring, keys := everyAlg(t)
	rs, hs := keys[jwks.RS256], keys[jwks.HS256]
	der, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	document, _ := ring.Document()
	good := signed(t, rs, sample)
	part := strings.Split(good, ".")
	const claims = `{"sub":"admin","exp":9999999999}`
	own := func(head string) string { return forge(head, claims, shared) }
	if _, err := Verify(ring, "c", allAlgs, own(`{"alg":"HS256"}`)); err != nil {
		t.Fatalf("the client's own token: %v", err)
	}
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"none":               {b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(claims)) + ".", ErrMalformed},
		"none with MAC":      {own(`{"alg":"none"}`), ErrMalformed},
		"None":               {own(`{"alg":"None","kid":"` + rs.ID + `"}`), ErrMalformed},
		"no alg":             {own(`{"kid":"` + hs.ID + `"}`), ErrMalformed},
		"alg not text":       {own(`{"alg":["HS256"]}`), ErrMalformed},
		"MAC by PEM":         {forge(`{"alg":"HS256","kid":"`+rs.ID+`"}`, claims, public), ErrSignature},
		"MAC by DER":         {forge(`{"alg":"HS256","kid":"`+rs.ID+`"}`, claims, der), ErrSignature},
		"MAC by key set":     {forge(`{"alg":"HS256","kid":"`+rs.ID+`"}`, claims, document), ErrSignature},
		"MAC by nothing":     {forge(`{"alg":"HS256","kid":"`+rs.ID+`"}`, claims, nil), ErrSignature},
		"wrong alg of key":   {own(`{"alg":"RS256","kid":"` + hs.ID + `"}`), ErrSignature},
		"HS384":              {own(`{"alg":"HS384","kid":"` + hs.ID + `"}`), ErrMalformed},
		"unknown kid":        {own(`{"alg":"HS256","kid":"x"}`), ErrSignature},
		"kid as path":        {own(`{"alg":"HS256","kid":"../../dev/null"}`), ErrSignature},
		"no kid, asymmetric": {own(`{"alg":"RS256"}`), ErrSignature},
		"twice alg":          {own(`{"alg":"HS256","alg":"HS256"}`), ErrMalformed},
		"twice kid":          {own(`{"alg":"HS256","kid":"x","kid":"` + hs.ID + `"}`), ErrMalformed},
		"ALG":                {own(`{"ALG":"HS256"}`), ErrMalformed},
		"crit":               {own(`{"alg":"HS256","crit":["exp"]}`), ErrMalformed},
		"crit null":          {own(`{"alg":"HS256","crit":null}`), ErrMalformed},
		"b64":                {own(`{"alg":"HS256","b64":false,"crit":["b64"]}`), ErrMalformed},
		"b64 alone":          {own(`{"alg":"HS256","b64":true}`), ErrMalformed},
		"jku":                {own(`{"alg":"HS256","jku":"https://evil.example/jwks"}`), ErrMalformed},
		"x5u":                {own(`{"alg":"HS256","x5u":"https://evil.example/x"}`), ErrMalformed},
		"x5c":                {own(`{"alg":"HS256","x5c":["AAAA"]}`), ErrMalformed},
		"jwk":                {own(`{"alg":"HS256","jwk":{"kty":"oct","k":"` + b64(shared) + `"}}`), ErrMalformed},
		"header not object":  {own(`["HS256"]`), ErrMalformed},
		"header not JSON":    {own(`alg=HS256`), ErrMalformed},
		"header with tail":   {own(`{"alg":"HS256"}{}`), ErrMalformed},
		"empty":              {"", ErrMalformed},
		"dots":               {"..", ErrMalformed},
		"two parts":          {part[0] + "." + part[1], ErrMalformed},
		"four parts":         {good + "." + part[2], ErrMalformed},
		"no signature":       {part[0] + "." + part[1] + ".", ErrMalformed},
		"half a signature":   {good[:len(good)-2], ErrSignature},
		"no payload":         {part[0] + ".." + part[2], ErrMalformed},
		"other payload":      {part[0] + "." + b64([]byte(claims)) + "." + part[2], ErrSignature},
		"padding":            {good + "==", ErrMalformed},
		"line end":           {good + "\n", ErrMalformed},
		"line end inside":    {part[0] + "\n." + part[1] + "." + part[2], ErrMalformed},
		"space":              {" " + good, ErrMalformed},
		"Bearer":             {"Bearer " + good, ErrMalformed},
		"JSON form":          {`{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`, ErrMalformed},
		"huge":               {own(`{"alg":"HS256","pad":"` + strings.Repeat("x", MaxJWT) + `"}`), ErrMalformed},
		"nested deep":        {own(`{"alg":"HS256","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), nil},
	} {
		_, err := Verify(ring, "c", allAlgs, c.raw)
		if c.want == nil {
			continue // only must not take the process down
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestClientKeysAreForTheirClientOnly(t *testing.T) {
	ring, keys := everyAlg(t)
	const claims = `{"exp":9999999999}`
	named := forge(`{"alg":"HS256","kid":"`+keys[jwks.HS256].ID+`"}`, claims, shared)
	bare := forge(`{"alg":"HS256"}`, claims, shared)
	cache := NewCache(ring, 10)
	for _, raw := range []string{named, bare} {
		for c, ok := range map[client.ID]bool{"c": true, "d": false, "": false} {
			if _, err := Verify(ring, c, allAlgs, raw); (err == nil) != ok {
				t.Errorf("c's token at client %q: %v", c, err)
			}
		}
		for _, c := range []client.ID{"c", "d", ""} { // c fills the cache first
			if _, err := cache.Verify(c, allAlgs, raw); (err == nil) != (c == "c") {
				t.Errorf("c's token, cached, at client %q: %v", c, err)
			}
		}
	}
}

// Nobody can hand in a second spelling of a token, to get around a list of
// revoked ones or a replay check.
func TestNoChangedByteVerifies(t *testing.T) {
	ring, keys := everyAlg(t)
	const others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\n\r "
	for alg, from := range map[string]int{jwks.HS256: 0, jwks.EdDSA: -3, jwks.RS256: -3} {
		raw := signed(t, keys[alg], sample)
		if from < 0 { // the end of the signature, where bits are left over
			from += len(raw)
		}
		for i := from; i < len(raw); i++ {
			for _, c := range others {
				bad := raw[:i] + string(c) + raw[i+1:]
				if _, err := Verify(ring, "c", allAlgs, bad); err == nil && bad != raw {
					t.Fatalf("%s: byte %d changed to %q, and it verifies", alg, i, c)
				}
			}
		}
	}
}

func TestCheckTimes(t *testing.T) {
	const leeway = 10 * time.Second
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		payload string
		want    error
	}{
		{`{"exp":1001}`, nil},
		{`{"exp":991}`, nil},
		{`{"exp":990.5}`, nil},
		{`{"exp":990}`, ErrExpired},
		{`{"exp":0}`, ErrExpired},
		{`{"exp":-1e300}`, ErrExpired},
		{`{"exp":1e300}`, nil},
		{`{"exp":2000,"nbf":1010}`, nil},
		{`{"exp":2000,"nbf":1011}`, ErrEarly},
		{`{"exp":2000,"nbf":1e300}`, ErrEarly},
		{`{"exp":1e999}`, ErrMalformed},
		{`{"exp":"2000"}`, ErrMalformed},
		{`{"exp":null}`, ErrMalformed},
		{`{}`, ErrMalformed},
		{`{"EXP":2000}`, ErrMalformed},
		{`{"exp":2000,"EXP":1}`, nil},
		{`{"exp":1,"exp":2000}`, ErrMalformed},
		{`[]`, ErrMalformed},
		{`x`, ErrMalformed},
	} {
		if err := (JWT{Payload: []byte(c.payload)}).CheckTimes(at, leeway); !errors.Is(err, c.want) || err != nil && c.want == nil {
			t.Errorf("%s: %v, want %v", c.payload, err, c.want)
		}
	}
}

// Before a node has loaded a rotation, it verifies by the next key, which it
// has known for at least as long as it was published.
func TestStaleNodeVerifiesWhatTheNewKeySigns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t)
		var keys []jwks.Key
		for range 3 {
			k, err := jwks.Generate(jwks.ES256)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
		var stale, fresh jwks.Ring
		set := func(r *jwks.Ring, now time.Time) {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				all, err := jwks.Load(ctx, tx, sk)
				r.Set(all, now)
				return err
			})
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return jwks.Ensure(ctx, tx, sk, keys[:2], start) })
		set(&stale, start)
		now := start.Add(2 * time.Hour)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := jwks.Rotate(ctx, tx, sk, jwks.Rotation{From: keys[0].ID, Fresh: keys[2], Publish: time.Hour, Keep: time.Hour}, now)
			return err
		})
		set(&fresh, now)
		for name, c := range map[string]struct{ signs, verifies *jwks.Ring }{
			"new key at stale node": {&fresh, &stale},
			"old key at fresh node": {&stale, &fresh},
		} {
			k, err := c.signs.Active(jwks.ES256, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(c.verifies, "", []string{jwks.ES256}, signed(t, k, sample)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		old := signed(t, keys[0], sample)
		set(&fresh, now.Add(time.Hour))
		if _, err := Verify(&fresh, "", []string{jwks.ES256}, old); !errors.Is(err, ErrSignature) {
			t.Errorf("expired key: %v, want %v", err, ErrSignature)
		}
	})
}

func FuzzVerify(f *testing.F) {
	ring, keys := everyAlg(f)
	valid := map[string]bool{}
	for _, k := range keys {
		raw := signed(f, k, sample)
		valid[raw] = true
		f.Add(raw)
	}
	f.Add(forge(`{"alg":"none"}`, `{}`, nil))
	f.Add("..")
	cache := NewCache(ring, 4)
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := Verify(ring, "c", allAlgs, raw)
		if (err == nil) != valid[raw] {
			t.Errorf("%q: %v", raw, err)
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) {
			t.Errorf("%q: undocumented error %v", raw, err)
		}
		again, cached := cache.Verify("c", allAlgs, raw)
		if !errors.Is(cached, err) || !bytes.Equal(again.Payload, got.Payload) {
			t.Errorf("%q: the cache says %v", raw, cached)
		}
	})
}
