package upstream

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"time"

	"sallyport/internal/openid"
)

// appleLifetime is how long a client secret is good: it is made for one request.
const appleLifetime = 5 * time.Minute

var errAppleKey = errors.New("must be the private key from Apple: PKCS #8 in PEM, ECDSA on P-256")

// appleKey reads the key that Apple hands out as a .p8 file.
func appleKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errAppleKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errAppleKey
	}
	return key, nil
}

// appleSecret makes the client secret: a JWT that the team's key signs (Apple's
// "Creating a client secret").
func (u Upstream) appleSecret(now time.Time) (string, error) {
	key, err := appleKey(u.Secret.Reveal())
	if err != nil {
		return "", openid.Fail(openid.ErrClient, "private key %v", err)
	}
	head, err := json.Marshal(map[string]string{"alg": "ES256", "kid": u.Settings.KeyID})
	if err != nil {
		return "", openid.Fail(openid.ErrClient, "%v", err)
	}
	body, err := json.Marshal(map[string]any{
		"iss": u.Settings.TeamID, "iat": now.Unix(), "exp": now.Add(appleLifetime).Unix(), "aud": u.Issuer(), "sub": u.Settings.ClientID,
	})
	if err != nil {
		return "", openid.Fail(openid.ErrClient, "%v", err)
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString(head) + "." + enc.EncodeToString(body)
	digest := sha256.Sum256([]byte(input))
	der, err := key.Sign(nil, digest[:], crypto.SHA256) // nil: RFC 6979
	if err != nil {
		return "", openid.Fail(openid.ErrClient, "%v", err)
	}
	var n struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		return "", openid.Fail(openid.ErrClient, "%v", err)
	}
	sig := make([]byte, 64) // RFC 7518 §3.4
	n.R.FillBytes(sig[:32])
	n.S.FillBytes(sig[32:])
	return input + "." + enc.EncodeToString(sig), nil
}

// relay is the domain of addresses that hide another.
const relay = "privaterelay.appleid.com"

// apple takes the name from the form that Apple's page posts, the first time
// only. Nobody signed that form, so nothing but what is shown is taken from it:
// its address is not.
func (u Upstream) apple(p *Profile, c openid.Claims, user string) error {
	var more struct {
		PrivateEmail openid.Truth `json:"is_private_email"`
	}
	if err := own(c, &more); err != nil {
		return err
	}
	p.setEmail(u.Settings, string(c.Email), c.EmailVerified.Is, c.EmailVerified.Known, anyDomain)
	p.EmailPrivate = more.PrivateEmail.Is || strings.HasSuffix(p.Email, "@"+relay)
	var form struct {
		Name struct {
			First openid.Word `json:"firstName"`
			Last  openid.Word `json:"lastName"`
		} `json:"name"`
	}
	if len(user) <= maxCode && json.Unmarshal([]byte(user), &form) == nil {
		p.setNames(string(c.Name), string(form.Name.First), string(form.Name.Last))
	}
	return nil
}
