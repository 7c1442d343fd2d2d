package saml

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// excC14N is the one canonicalization that SAML messages have (Core §5.4.3).
const excC14N = "http://www.w3.org/2001/10/xml-exc-c14n#"

// What a message may be signed with. SHA-1 is broken, HMAC would make everybody
// who knows a public certificate an issuer, and DSA nobody has.
var (
	signatureMethods = []string{
		dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
		dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod,
	}
	digestMethods = []string{
		"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512",
	}
)

// minRSA is the least size of a key that is believed, in bits (NIST SP 800-131A).
const minRSA = 2048

// signature is the child that signs e, nil if there is none.
func signature(e *etree.Element) *etree.Element {
	if s := all(e, nsSignature, "Signature"); len(s) == 1 {
		return s[0]
	}
	return nil
}

// verify checks the signature of e by the peer's keys and returns what it is
// about: e without the signature, read anew from the bytes that were hashed. It
// shares nothing with the document that it came from.
func (p Peer) verify(e *etree.Element, now time.Time) (*etree.Element, error) {
	sig := signature(e)
	if sig == nil {
		return nil, refuse(Unsigned)
	}
	if err := shape(e, sig); err != nil {
		return nil, err
	}
	certs, err := p.certificates()
	if err != nil {
		return nil, err
	}
	named := certificateOf(sig)
	alone := detached(e)
	for _, cert := range certs {
		if signed, err := check(alone, cert); err == nil {
			if err := current(cert, now); err != nil {
				return nil, err
			}
			return signed, nil
		}
	}
	if named != nil && !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return c.Equal(named) }) {
		return nil, refuse(UnknownKey, fingerprint(named.Raw))
	}
	return nil, refuse(BadSignature)
}

// certificates are the peer's, as far as they can be believed.
func (p Peer) certificates() ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for _, der := range p.Certificates {
		cert, err := CheckCertificate(der)
		if err != nil {
			return nil, err
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, refuse(NoKey)
	}
	return list, nil
}

// CheckCertificate reads a certificate of an identity provider and refuses one
// whose key is too weak. Its own signature means nothing: it is believed because
// the administrator brought it.
func CheckCertificate(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, refuse(BadKey, "it is not an X.509 certificate")
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return nil, refuse(BadKey, "its RSA key has "+strconv.Itoa(key.N.BitLen())+" bits where "+strconv.Itoa(minRSA)+" are needed")
		}
	default:
		if cert.PublicKeyAlgorithm != x509.ECDSA {
			return nil, refuse(BadKey, "its key is neither RSA nor ECDSA")
		}
	}
	return cert, nil
}

func current(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return refuse(ExpiredKey, day(cert.NotBefore), day(cert.NotAfter))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// fingerprint is what a certificate is told apart by, as openssl shows it.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// certificateOf is the certificate that a signature names, for words alone.
func certificateOf(sig *etree.Element) *x509.Certificate {
	e := sig.FindElement("./KeyInfo/X509Data/X509Certificate")
	if e == nil {
		return nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(e.Text()), ""))
	if err != nil {
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return cert
}

// shape refuses a signature that is anything but one reference to the element
// that it stands in, with the two transforms that SAML allows (Core §5.4).
func shape(e, sig *etree.Element) error {
	parts, err := children(sig, "SignedInfo", "SignatureValue", "KeyInfo?")
	if err != nil {
		return err
	}
	info, err := children(parts[0], "CanonicalizationMethod", "SignatureMethod", "Reference")
	if err != nil {
		return err
	}
	if attr(info[0], "Algorithm") != excC14N {
		return refuse(SignatureShape, "canonicalization "+attr(info[0], "Algorithm"))
	}
	if err := strong(info[1], signatureMethods); err != nil {
		return err
	}
	ref, err := children(info[2], "Transforms", "DigestMethod", "DigestValue")
	if err != nil {
		return err
	}
	if err := strong(ref[1], digestMethods); err != nil {
		return err
	}
	// Pieces of a text are joined by some readers and cut by others (CVE-2025-29774,
	// CVE-2025-29775).
	if len(parts[1].ChildElements())+len(ref[2].ChildElements()) > 0 {
		return refuse(SignatureShape, "elements in a value")
	}
	if at := slices.Index(e.ChildElements(), sig); at > 1 { // after the Issuer, so that it is found before any inside
		return refuse(SignatureShape, "it stands after what it signs")
	}
	if id := attr(e, "ID"); id == "" || attr(info[2], "URI") != "#"+id {
		return refuse(SignatureTarget)
	}
	return transforms(ref[0])
}

// transforms are the enveloped signature, then exclusive canonicalization: any
// other could leave something out of what is hashed.
func transforms(e *etree.Element) error {
	list, err := children(e, "Transform", "Transform")
	if err != nil {
		return err
	}
	if attr(list[0], "Algorithm") != dsig.EnvelopedSignatureAltorithmId.String() || attr(list[1], "Algorithm") != excC14N {
		return refuse(SignatureShape, "transforms other than the enveloped signature and exclusive canonicalization")
	}
	return nil
}

// children are the children of e, which must be these of XML Signature in this
// order; the last may be optional.
func children(e *etree.Element, names ...string) ([]*etree.Element, error) {
	list := e.ChildElements()
	for i, name := range names {
		name, optional := strings.CutSuffix(name, "?")
		if i == len(list) && optional {
			return list, nil
		}
		if i >= len(list) || !is(list[i], nsSignature, name) {
			return nil, refuse(SignatureShape, "no "+name+" where one belongs in "+what(e))
		}
	}
	if len(list) > len(names) {
		return nil, refuse(SignatureShape, what(list[len(names)])+" in "+what(e))
	}
	return list, nil
}

func strong(method *etree.Element, allowed []string) error {
	name := attr(method, "Algorithm")
	if len(method.ChildElements()) > 0 {
		return refuse(SignatureShape, "parameters of "+name) // HMACOutputLength (CVE-2009-0217)
	}
	if !slices.Contains(allowed, name) {
		return refuse(WeakAlgorithm, name)
	}
	return nil
}

// detached is a copy of e that declares what is declared around it, without the key
// that its signature names: keys are the connection's.
func detached(e *etree.Element) *etree.Element {
	alone := e.Copy()
	for above := e.Parent(); above != nil; above = above.Parent() {
		for _, a := range above.Attr {
			if declares(a) && !slices.ContainsFunc(alone.Attr, func(own etree.Attr) bool { return own.Space == a.Space && own.Key == a.Key }) {
				alone.CreateAttr(a.FullKey(), a.Value)
			}
		}
	}
	sig := signature(alone)
	if info := all(sig, nsSignature, "KeyInfo"); len(info) == 1 {
		sig.RemoveChild(info[0])
	}
	return alone
}

func declares(a etree.Attr) bool {
	return a.Space == "xmlns" || a.Space == "" && a.Key == "xmlns"
}

var errRead = errors.New("saml: what was signed cannot be read")

// check verifies by one key. The canonical bytes are read anew as strictly as
// those that came.
func check(alone *etree.Element, cert *x509.Certificate) (*etree.Element, error) {
	if _, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		alone = alone.Copy()
		value := signature(alone).SelectElement("SignatureValue")
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value.Text()), ""))
		if err != nil {
			return nil, err
		}
		value.SetText(base64.StdEncoding.EncodeToString(sequence(raw)))
	}
	v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
	v.Clock = dsig.NewFakeClockAt(cert.NotBefore) // when it is valid is judged by the caller
	signed, err := v.Validate(alone)
	if err != nil {
		return nil, err
	}
	if signed == nil {
		return nil, errRead
	}
	return again(signed)
}

// sequence is a signature by ECDSA as Go reads one, of the two halves that XML
// Signature has (1.1 §6.4.3).
func sequence(raw []byte) []byte {
	half := len(raw) / 2
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	if err != nil {
		panic(err) // two numbers
	}
	return der
}

// again writes an element in canonical form and reads it.
func again(e *etree.Element) (*etree.Element, error) {
	doc := etree.NewDocumentWithRoot(e)
	doc.WriteSettings = etree.WriteSettings{CanonicalAttrVal: true, CanonicalEndTags: true, CanonicalText: true}
	body, err := doc.WriteToBytes()
	if err != nil {
		return nil, err
	}
	return document(body)
}
