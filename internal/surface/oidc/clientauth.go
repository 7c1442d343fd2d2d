package oidc

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/oauth"
)

// clientAuth is how the client of a request says who it is (RFC 6749 §2.3, RFC
// 7521 §4.2, RFC 8705 §2). Two ways at once are invalid_request, because nobody
// could tell which of them counts. Whether it is true is the core's to say.
func (a *API) clientAuth(r *http.Request, p oauth.Params) (oauth.ClientAuth, error) {
	in := oauth.ClientAuth{
		ID: p.Get("client_id"), Assertion: p.Get("client_assertion"), AssertionType: p.Get("client_assertion_type"),
		Endpoint: a.address(r), Visitor: a.visitor(r),
	}
	var ways []string
	if user, pass, ok := r.BasicAuth(); ok {
		// Both are form-encoded first (RFC 6749 §2.3.1).
		id, err1 := url.QueryUnescape(user)
		plain, err2 := url.QueryUnescape(pass)
		if err1 != nil || err2 != nil {
			return in, &oauth.Error{Code: oauth.InvalidClient, Description: "the credentials are not form-encoded"}
		}
		if id = storedID(id); in.ID != "" && in.ID != id {
			return in, badRequest("two client ids are given")
		}
		in.ID, in.Secret = id, plain
		if plain != "" { // else it only names a client: a secret that is empty may be left out
			ways = append(ways, oauth.BySecretBasic)
		}
	} else if r.Header.Get("Authorization") != "" {
		return in, &oauth.Error{Code: oauth.InvalidClient, Description: "the Authorization header is not Basic"}
	}
	if p.Has("client_secret") {
		in.Secret = p.Get("client_secret")
		ways = append(ways, oauth.BySecretPost)
	}
	if in.Assertion != "" || in.AssertionType != "" {
		ways = append(ways, oauth.ByAssertion)
	}
	switch len(ways) {
	case 0:
	case 1:
		in.Method = ways[0]
	default:
		return in, badRequest("two ways of client authentication are used")
	}
	var err error
	in.Certificate, err = a.certificate(r)
	return in, err
}

// address is the URL that a request was made to, without its query (RFC 9449
// §4.3).
func (a *API) address(r *http.Request) string {
	return a.issuer(r.Context()) + strings.TrimPrefix(r.URL.EscapedPath(), a.Prefix)
}

// proof is what came along to prove a key. Two DPoP headers are none that holds
// (RFC 9449 §4.3).
func (a *API) proof(r *http.Request) (oauth.Proof, error) {
	given := r.Header["Dpop"]
	p := oauth.Proof{Method: r.Method, URL: a.address(r)}
	if len(given) > 1 {
		return p, &oauth.Error{Code: oauth.InvalidDPoPProof, Description: "more than one DPoP header"}
	}
	if len(given) == 1 {
		p.Header = given[0]
	}
	return p, nil
}

// maxCertificate bounds the header of a certificate.
const maxCertificate = 16 << 10

// certificate is the client's, as the proxy that ended its TLS names it: PEM with
// percent-escapes (nginx, HAProxy), or base64 of DER, plain or between colons
// (RFC 9440). The header has been taken from everybody but trusted proxies
// before the request gets here. nil if there is none.
func (a *API) certificate(r *http.Request) (*oauth.Certificate, error) {
	if a.ClientCert == "" {
		return nil, nil
	}
	given := r.Header.Get(a.ClientCert)
	if given == "" {
		return nil, nil
	}
	bad := &oauth.Error{Code: oauth.InvalidClient, Description: "the client certificate could not be read"}
	if len(given) > maxCertificate {
		return nil, bad
	}
	der, ok := derOf(given)
	if !ok {
		return nil, bad
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		bad.Err = err
		return nil, bad
	}
	sum := sha256.Sum256(cert.Raw)
	return &oauth.Certificate{
		X5T: base64.RawURLEncoding.EncodeToString(sum[:]), SubjectDN: cert.Subject.String(), Public: cert.PublicKey,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}, nil
}

func derOf(given string) ([]byte, bool) {
	if strings.Contains(given, "-----BEGIN") || strings.Contains(given, "%20CERTIFICATE") || strings.Contains(given, "+CERTIFICATE") {
		text, err := url.PathUnescape(given) // a plus is base64's here
		if err != nil {
			return nil, false
		}
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
			return nil, false
		}
		return block.Bytes, true
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(given, ":"), ":"))
	return der, err == nil
}
