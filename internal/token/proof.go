package token

import (
	"errors"
	"slices"
	"time"

	"sallyport/internal/jwks"
)

// ProofType is the typ of a DPoP proof (RFC 9449 §4.2).
const ProofType = "dpop+jwt"

// ProofAlgs are the algorithms of DPoP proofs. RS256 is left out: its padding is
// what the profiles for such proofs forbid (FAPI 2.0 §5.4).
var ProofAlgs = []string{jwks.ES256, PS256, jwks.EdDSA}

// maxProofID is the greatest length of a jti: it is hashed, but not endlessly.
const maxProofID = 256

// ErrProof reports what is no DPoP proof. What it wraps says why.
var ErrProof = errors.New("token: not a DPoP proof")

// Proof is a DPoP proof whose signature verified by the key that it brings
// (RFC 9449 §4.2). JKT is the thumbprint of that key. ID, Method and URL are
// not empty; Nonce and AccessTokenHash may be.
type Proof struct {
	JKT             string
	ID              string
	Method          string
	URL             string
	Nonce           string
	AccessTokenHash string
	IssuedAt        time.Time
}

// ParseProof reads the DPoP header of a request (RFC 9449 §4.3, points 2 to 7).
// Whether it is for this request, new, and of its time is the caller's to check:
// points 8 to 12. Fails with ErrProof.
func ParseProof(raw string) (Proof, error) {
	refuse := func(why string) (Proof, error) { return Proof{}, proofError(why) }
	h, ok := readHeader(raw)
	switch {
	case !ok:
		return refuse("it is no JWT")
	case h.Typ != ProofType:
		return refuse("its typ is not " + ProofType)
	case !slices.Contains(ProofAlgs, h.Alg):
		return refuse("its alg is not one of ours")
	case h.rules():
		return refuse("its header names other rules or keys")
	case h.JWK == nil:
		return refuse("it brings no key")
	}
	k, usable, err := parseKey(h.JWK)
	if err != nil {
		return refuse("its key " + err.Error())
	}
	if !usable || !k.takes(h.Alg) {
		return refuse("its key is not for its alg")
	}
	payload, err := verify(h.Alg, k.public, raw)
	if err != nil {
		return refuse("its signature does not verify")
	}
	var claims struct {
		ID       string   `json:"jti"`
		Method   string   `json:"htm"`
		URL      string   `json:"htu"`
		IssuedAt *float64 `json:"iat"`
		Hash     string   `json:"ath"`
		Nonce    string   `json:"nonce"`
	}
	if err := (JWT{Payload: payload}).Claims(&claims); err != nil {
		return refuse("its claims are not well formed")
	}
	// A date that time.Time cannot hold is not one of these days.
	if claims.IssuedAt == nil || *claims.IssuedAt < 0 || *claims.IssuedAt > 1e11 {
		return refuse("it has no iat")
	}
	if claims.ID == "" || len(claims.ID) > maxProofID || claims.Method == "" || claims.URL == "" {
		return refuse("it lacks jti, htm or htu")
	}
	jkt, err := k.thumbprint()
	if err != nil {
		return refuse("its key is not valid")
	}
	return Proof{
		JKT: jkt, ID: claims.ID, Method: claims.Method, URL: claims.URL, Nonce: claims.Nonce, AccessTokenHash: claims.Hash,
		IssuedAt: time.UnixMicro(int64(*claims.IssuedAt * 1e6)).UTC(),
	}, nil
}

// proofError is ErrProof with a reason for the client's developer.
type proofError string

func (e proofError) Error() string { return ErrProof.Error() + ": " + string(e) }

func (e proofError) Is(target error) bool { return target == ErrProof }

// ProofReason says what is wrong with a proof, in words that its sender may read.
func ProofReason(err error) string {
	if e, ok := errors.AsType[proofError](err); ok {
		return string(e)
	}
	return ""
}
