package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/grant"
	"sallyport/internal/secret"
	"sallyport/internal/token"
)

// Proof is the proof of possession that came with a request (RFC 9449 §4).
// Header is the DPoP header as it was sent, "" for none; Method and URL are
// those of the request, the URL without query and fragment. AccessToken is the
// token that came along with it, at a resource.
type Proof struct {
	Header      string
	Method      string
	URL         string
	AccessToken string
}

// nonceWindow is how long one nonce is given out; it is good for as long again.
const nonceWindow = 5 * time.Minute

// The parts of a nonce in bytes.
const (
	nonceTime = 8
	nonceTag  = 16
)

// Nonce is what proofs of now are to hold (RFC 9449 §8): the time, under a key
// of ours. No node has to remember it.
func (c *Core) Nonce() string { return c.nonceOf(c.window()) }

func (c *Core) window() int64 { return c.Now().Unix() / int64(nonceWindow.Seconds()) }

func (c *Core) nonceOf(window int64) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, nonceTime+nonceTag), uint64(window))
	return base64.RawURLEncoding.EncodeToString(append(b, c.Key.MAC("dpop-nonce", b)[:nonceTag]...))
}

// goodNonce reports whether a nonce is one of ours, of this window or the last.
func (c *Core) goodNonce(given string) bool {
	now := c.window()
	return secret.Equal([]byte(given), []byte(c.nonceOf(now))) || secret.Equal([]byte(given), []byte(c.nonceOf(now-1)))
}

// provenKey returns the thumbprint of the key that a proof proves, "" if there is
// no proof, and what of it may come once, for the caller to spend. A nonce is
// asked of every proof: it keeps one that was made in advance, by whoever could
// use the key for a moment, from being good later (RFC 9449 §11.2). Fails with an
// *Error.
func (c *Core) provenKey(p Proof) (jkt string, seen []once, err error) {
	if p.Header == "" {
		return "", nil, nil
	}
	proof, err := token.ParseProof(p.Header)
	if err != nil {
		return "", nil, &Error{Code: InvalidDPoPProof, Description: token.ProofReason(err), Err: err}
	}
	age := c.Now().Sub(proof.IssuedAt)
	switch {
	case proof.Method != p.Method:
		return "", nil, &Error{Code: InvalidDPoPProof, Description: "htm is not the method of the request", Detail: short(proof.Method)}
	case !sameURL(proof.URL, p.URL):
		return "", nil, &Error{Code: InvalidDPoPProof, Description: "htu is not the URL of the request", Detail: short(proof.URL) + " for " + p.URL}
	case proof.Nonce == "" || !c.goodNonce(proof.Nonce):
		return "", nil, &Error{Code: UseDPoPNonce, Description: "the proof needs the nonce in DPoP-Nonce", Nonce: true}
	case age > nonceWindow || age < -nonceWindow:
		return "", nil, &Error{Code: InvalidDPoPProof, Description: "iat is not of this time", Detail: age.String()}
	case p.AccessToken != "" && proof.AccessTokenHash != hashOf(p.AccessToken):
		return "", nil, refuse(InvalidDPoPProof, "ath is not the hash of the access token")
	}
	return proof.JKT, []once{{"dpop " + proof.JKT + " " + proof.ID, c.Now().Add(2 * nonceWindow), InvalidDPoPProof}}, nil
}

func hashOf(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sameURL compares htu with the URL of the request as RFC 9449 §4.3 has it: not
// by query and fragment, and after the normalisation of RFC 3986 §6.2.2, §6.2.3.
func sameURL(htu, of string) bool {
	a, err1 := url.Parse(htu)
	b, err2 := url.Parse(of)
	if err1 != nil || err2 != nil || a.User != nil {
		return false
	}
	return strings.EqualFold(a.Scheme, b.Scheme) && hostPort(a) == hostPort(b) && a.EscapedPath() == b.EscapedPath()
}

func hostPort(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "443" && strings.EqualFold(u.Scheme, "https") || port == "80" && strings.EqualFold(u.Scheme, "http") {
		port = ""
	}
	return host + ":" + port
}

// bind is the key that the tokens of a request are bound to, and what of it may
// come once. A client whose tokens are always bound, by its registration or by
// FAPI 2.0 §5.3.2.1, is refused without a key.
func (c *Core) bind(cl client.Client, p Proof, cert *Certificate) (grant.Binding, []once, error) {
	var b grant.Binding
	jkt, seen, err := c.provenKey(p)
	if err != nil {
		return b, nil, err
	}
	b.JKT = jkt
	o := cl.Policy.OAuth
	if cert != nil && (o.TLSBound || cl.Policy.FAPI() && jkt == "") {
		b.X5T = cert.X5T
	}
	switch {
	case o.DPoPBound && b.JKT == "":
		return b, nil, refuse(InvalidDPoPProof, "the client's tokens are bound to a key: a DPoP proof is needed")
	case o.TLSBound && b.X5T == "":
		return b, nil, refuse(InvalidRequest, "the client's tokens are bound to its certificate, and none was shown")
	case cl.Policy.FAPI() && b == grant.Binding{}:
		return b, nil, refuse(InvalidRequest, "the fapi2 profile binds tokens: a DPoP proof or a certificate is needed")
	}
	return b, seen, nil
}
