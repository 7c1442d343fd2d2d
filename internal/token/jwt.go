package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
)

var (
	// ErrMalformed reports what is no JWT that we would ever accept: not a
	// compact JWS, too long, of an algorithm that is not allowed, or with a
	// header that names its own key.
	ErrMalformed = errors.New("token: malformed JWT")
	// ErrSignature reports a JWT whose signature does not verify with the key
	// that it names, or that names a key we do not have, or not for this client.
	ErrSignature = errors.New("token: invalid JWT signature")
	// ErrExpired reports a JWT at or past its exp.
	ErrExpired = errors.New("token: JWT has expired")
	// ErrEarly reports a JWT before its nbf.
	ErrEarly = errors.New("token: JWT is not valid yet")
)

// MaxJWT is the greatest length of a JWT that is looked at, in bytes. Ours are
// under one KiB, and a header of a request over 8 KiB is refused by most
// proxies.
const MaxJWT = 16 << 10

// JWT is a verified JWT. Type is its typ, for the caller to compare where
// tokens of several kinds are signed with one key (RFC 8725 §3.11). Payload is
// the JSON of its claims; it may be shared and is not to be changed. Key is the
// key of ours that verified it, if one did.
type JWT struct {
	Type    string
	Alg     string
	Payload []byte
	Key     jwks.Key
}

// Sign returns a JWT of the claims, a struct that marshals to a JSON object,
// signed with k. typ is "JWT" where a contract says nothing else. A client's
// own HS256 key is not named in the header, because the services that share it
// expect none.
func Sign(k jwks.Key, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("marshal claims: %w", err)
	}
	h := made{Alg: k.Alg, Typ: typ}
	if k.Alg != jwks.HS256 {
		h.Kid = k.ID
	}
	head, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("marshal header: %w", err)
	}
	enc := base64.RawURLEncoding
	// 342 is the length of the longest signature, of an RSA key of 2048 bits.
	b := make([]byte, 0, enc.EncodedLen(len(head))+enc.EncodedLen(len(payload))+342+2)
	b = enc.AppendEncode(b, head)
	b = append(b, '.')
	b = enc.AppendEncode(b, payload)
	sig, err := k.Sign(b)
	if err != nil {
		return "", fmt.Errorf("sign JWT with %s: %w", k, err)
	}
	b = append(b, '.')
	return string(enc.AppendEncode(b, sig)), nil
}

// made is the header of a JWT of ours.
type made struct {
	Alg string `json:"alg"`
	Kid string `json:"kid,omitempty"`
	Typ string `json:"typ"`
}

// header holds what is read of a JOSE header. The members below Type make a
// token bring its own key, or its own rules, and are refused (RFC 8725 §3.10;
// RFC 7515 §4.1.11). Others are ignored (RFC 7515 §4).
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`

	Crit strict.RawMessage `json:"crit"`
	B64  strict.RawMessage `json:"b64"`
	JKU  strict.RawMessage `json:"jku"`
	JWK  strict.RawMessage `json:"jwk"`
	X5U  strict.RawMessage `json:"x5u"`
	X5C  strict.RawMessage `json:"x5c"`
}

// Verify returns a JWT that was signed, with one of algs, by a server key or by
// client c's own key; c may be empty. It does not look at the claims: see
// CheckTimes for the times, and audience and issuer are the caller's. Fails
// with ErrMalformed or ErrSignature. Only the very bytes that were signed are
// accepted: there is no second spelling of a token.
func Verify(r *jwks.Ring, c client.ID, algs []string, raw string) (JWT, error) {
	h, ok := parseHeader(raw)
	if !ok || !slices.Contains(algs, h.Alg) {
		return JWT{}, ErrMalformed
	}
	failure := ErrSignature
	for _, k := range keysOf(r, c, h) {
		if k.Alg != h.Alg || k.ClientID != "" && k.ClientID != c {
			continue
		}
		payload, err := verify(k.Alg, k.Public(), raw)
		if err == nil {
			return JWT{Type: h.Typ, Alg: h.Alg, Payload: payload, Key: k}, nil
		}
		failure = err
	}
	return JWT{}, failure
}

// verify checks the signature with a key of one algorithm (RFC 8725 §3.1).
func verify(alg string, public any, raw string) (payload []byte, err error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, ErrMalformed
	}
	if payload, err = jws.Verify(public); err != nil {
		return nil, ErrSignature
	}
	return payload, nil
}

// parseHeader checks the outer form of a JWT and returns its header, still
// unverified, unless that has one of the members that are refused.
func parseHeader(raw string) (h header, ok bool) {
	h, ok = readHeader(raw)
	return h, ok && h.JWK == nil && !h.rules()
}

// rules reports whether the header names other rules or a key from elsewhere.
func (h header) rules() bool {
	return h.Crit != nil || h.B64 != nil || h.JKU != nil || h.X5U != nil || h.X5C != nil
}

// readHeader is parseHeader before it judges the members. base64url is taken in
// its canonical form only, because Go's decoder otherwise skips line ends and
// ignores trailing bits.
func readHeader(raw string) (h header, ok bool) {
	if len(raw) > MaxJWT || strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, "\r\n") {
		return h, false
	}
	var first []byte
	for i, part := range strings.Split(raw, ".") {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(b) == 0 {
			return h, false
		}
		if i == 0 {
			first = b
		}
	}
	// This decoder knows no member twice and no other case of its name.
	err := strict.Unmarshal(first, &h)
	return h, err == nil
}

// keysOf returns the keys that a header may mean. Without a kid they are the
// client's shared secrets: the one that signs, and one from before it.
func keysOf(r *jwks.Ring, c client.ID, h header) []jwks.Key {
	if h.Kid == "" && h.Alg == jwks.HS256 {
		return r.Shared(c)
	}
	if k, ok := r.ByID(h.Kid); ok && h.Kid != "" {
		return []jwks.Key{k}
	}
	return nil
}

// Claims reads the payload into v, a pointer to a struct. Member names match
// exactly, and none may come twice. Fails with ErrMalformed.
func (t JWT) Claims(v any) error {
	if err := strict.Unmarshal(t.Payload, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// CheckTimes compares exp, which must be there, and nbf with now; leeway is
// given both ways for clocks that differ (RFC 7519 §4.1.4, §4.1.5). Fails with
// ErrExpired, ErrEarly or ErrMalformed.
func (t JWT) CheckTimes(now time.Time, leeway time.Duration) error {
	var claims struct {
		Expires   *float64 `json:"exp"` // a NumericDate may have a fraction
		NotBefore *float64 `json:"nbf"`
	}
	if err := t.Claims(&claims); err != nil {
		return err
	}
	// Seconds are compared as numbers: a date may be too far for time.Time.
	at, slack := float64(now.UnixMicro())/1e6, leeway.Seconds()
	switch {
	case claims.Expires == nil:
		return ErrMalformed
	case at >= *claims.Expires+slack:
		return ErrExpired
	case claims.NotBefore != nil && at < *claims.NotBefore-slack:
		return ErrEarly
	}
	return nil
}
