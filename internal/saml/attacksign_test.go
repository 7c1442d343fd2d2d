package saml_test

import (
	"bytes"
	"compress/flate"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"

	"github.com/beevik/etree"

	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

// bomb is a kilobyte in which two megabytes are.
func bomb() string {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression)
	for range 2 {
		w.Write(make([]byte, 1<<20))
	}
	w.Close()
	return packed.String()
}

// wide is a text in UTF-16.
func wide(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("\x00" + string(rune(c)))
	}
	return b.String()
}

// signatures attack how one is checked: parts that are missing, double, weak, or
// about something else.
func signatures() []attack {
	const shape = "CVE-2020-7711 (goxmldsig): a part that is missing"
	info := func(r *etree.Element) *etree.Element { return signatureOf(r).FindElement("./SignedInfo") }
	without := func(path string) func(*etree.Element) {
		return func(r *etree.Element) {
			e := signatureOf(r).FindElement(path)
			e.Parent().RemoveChild(e)
		}
	}
	twice := func(path string) func(*etree.Element) {
		return func(r *etree.Element) {
			e := signatureOf(r).FindElement(path)
			e.Parent().InsertChildAt(e.Index(), e.Copy())
		}
	}
	method := func(uri string) func(*etree.Element) {
		return func(r *etree.Element) { info(r).FindElement("./SignatureMethod").CreateAttr("Algorithm", uri) }
	}
	uri := func(s string) func(*etree.Element) {
		return func(r *etree.Element) { info(r).FindElement("./Reference").CreateAttr("URI", s) }
	}
	transform := func(n int, uri string) func(*etree.Element) {
		return func(r *etree.Element) { info(r).FindElements(".//Transform")[n].CreateAttr("Algorithm", uri) }
	}
	const inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	return []attack{
		{name: "no signature", source: "Somorovsky et al. 2012, §4.2: signature exclusion", tree: func(r *etree.Element) {
			r.RemoveChild(signatureOf(r))
			assertionOf(r).RemoveChild(signatureOf(assertionOf(r)))
		}, want: saml.Unsigned},
		{name: "no signature, and another name", source: "Somorovsky et al. 2012, §4.2: signature exclusion", tree: func(r *etree.Element) {
			r.RemoveChild(signatureOf(r))
			assertionOf(r).RemoveChild(signatureOf(assertionOf(r)))
			name(r)
		}, want: saml.Unsigned},
		{name: "another name in a signed assertion", source: "XML Signature §3.2.1", behaviour: assertionSigned, tree: name, want: saml.BadSignature},
		{name: "another name in a signed response", source: "XML Signature §3.2.1", behaviour: responseSigned, tree: name, want: saml.BadSignature},
		{name: "another assertion where only the response's signature was wrong", source: "GHSA-479m-364c-43vc of its kind: one good signature of two", tree: func(r *etree.Element) {
			r.FindElement("./Status/StatusCode").CreateAttr("x", "y")
		}, want: saml.BadSignature},
		{name: "an empty signature", source: shape, behaviour: responseSigned, tree: func(r *etree.Element) { signatureOf(r).Child = nil }, want: saml.SignatureShape},
		{name: "no SignedInfo", source: shape, behaviour: responseSigned, tree: without("./SignedInfo"), want: saml.SignatureShape},
		{name: "no SignatureValue", source: shape, behaviour: responseSigned, tree: without("./SignatureValue"), want: saml.SignatureShape},
		{name: "no SignatureMethod", source: shape, behaviour: responseSigned, tree: without("./SignedInfo/SignatureMethod"), want: saml.SignatureShape},
		{name: "no CanonicalizationMethod", source: shape, behaviour: responseSigned, tree: without("./SignedInfo/CanonicalizationMethod"), want: saml.SignatureShape},
		{name: "no Reference", source: shape, behaviour: responseSigned, tree: without("./SignedInfo/Reference"), want: saml.SignatureShape},
		{name: "no Transforms", source: shape, behaviour: responseSigned, tree: without("./SignedInfo/Reference/Transforms"), want: saml.SignatureShape},
		{name: "no DigestMethod", source: shape, behaviour: responseSigned, tree: without("./SignedInfo/Reference/DigestMethod"), want: saml.SignatureShape},
		{name: "no DigestValue", source: shape, behaviour: responseSigned, tree: without("./SignedInfo/Reference/DigestValue"), want: saml.SignatureShape},
		{name: "an empty SignatureValue", source: shape, behaviour: responseSigned, tree: func(r *etree.Element) { signatureOf(r).FindElement("./SignatureValue").SetText("") }, want: saml.BadSignature},
		{name: "two SignedInfos", source: "CVE-2020-15216 (goxmldsig), CVE-2025-29774 (xml-crypto)", behaviour: responseSigned, tree: twice("./SignedInfo"), want: saml.Misplaced},
		{name: "two KeyInfos", source: "CVE-2020-15216 (goxmldsig): the last one wins", behaviour: responseSigned, tree: twice("./KeyInfo"), want: saml.SignatureShape},
		{name: "two SignatureValues", source: "CVE-2020-15216 (goxmldsig): the last one wins", behaviour: responseSigned, tree: twice("./SignatureValue"), want: saml.SignatureShape},
		{name: "two References", source: "CVE-2026-33487 (goxmldsig): the last one counts", behaviour: responseSigned, tree: twice("./SignedInfo/Reference"), want: saml.SignatureShape},
		{name: "a Reference to something else first", source: "CVE-2026-33487 (goxmldsig)", behaviour: responseSigned, tree: func(r *etree.Element) {
			twice("./SignedInfo/Reference")(r)
			uri("#_elsewhere")(r)
			name(r)
		}, want: saml.SignatureShape},
		{name: "two DigestValues", source: "CVE-2024-45409 (ruby-saml)", behaviour: responseSigned, tree: twice("./SignedInfo/Reference/DigestValue"), want: saml.SignatureShape},
		{name: "a digest of what is forged outside of the signature", source: "CVE-2024-45409 (ruby-saml): //ds:DigestValue", behaviour: assertionSigned, tree: func(r *etree.Element) {
			name(r)
			detail := r.FindElement("./Status").CreateElement("samlp:StatusDetail").CreateElement("ds:DigestValue")
			detail.CreateAttr("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")
			sum := sha256.Sum256([]byte("the forged assertion"))
			detail.SetText(base64.StdEncoding.EncodeToString(sum[:]))
		}, want: saml.BadSignature},
		{name: "a digest of nothing, where canonicalization fails", source: "CVE-2025-66568 (ruby-saml): relative namespaces", behaviour: assertionSigned, tree: func(r *etree.Element) {
			name(r)
			assertionOf(r).CreateAttr("xmlns:x", "1")
			assertionOf(r).CreateAttr("x:y", "2")
			sum := sha256.Sum256(nil)
			assertionOf(r).FindElement(".//DigestValue").SetText(base64.StdEncoding.EncodeToString(sum[:]))
		}, want: saml.BadSignature},
		{name: "a second signature that one parser finds", source: "CVE-2025-25292, CVE-2025-66567 (ruby-saml)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			x := etree.NewElement("samlp:Extensions")
			x.AddChild(signatureOf(assertionOf(r)).Copy())
			r.InsertChildAt(1, x)
			name(r)
		}, want: saml.Misplaced},
		{name: "a signature by another prefix beside it", source: "CVE-2025-25292 (ruby-saml)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			a := assertionOf(r)
			s := signatureOf(a).Copy()
			s.Space = "dsig"
			s.CreateAttr("xmlns:dsig", "http://www.w3.org/2000/09/xmldsig#")
			a.InsertChildAt(1, s)
		}, want: saml.Misplaced},
		{name: "a signature of another namespace", source: "CVE-2025-25292 (ruby-saml)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			signatureOf(assertionOf(r)).CreateAttr("xmlns:ds", "urn:evil")
		}, want: saml.Misplaced},
		{name: "a reference to the whole document", source: "XML Signature Best Practices §3.1", behaviour: responseSigned, tree: uri(""), want: saml.SignatureTarget},
		{name: "a reference to nothing", source: "XML Signature Best Practices §3.1", behaviour: responseSigned, tree: func(r *etree.Element) {
			info(r).FindElement("./Reference").RemoveAttr("URI")
		}, want: saml.SignatureTarget},
		{name: "a reference to something else", source: "CVE-2021-21238 (pysaml2)", behaviour: responseSigned, tree: uri("#_elsewhere"), want: saml.SignatureTarget},
		{name: "a reference by XPointer", source: "Gajek et al., ICWS 2009", behaviour: responseSigned, tree: func(r *etree.Element) {
			uri("#xpointer(id('" + r.SelectAttrValue("ID", "") + "'))")(r)
		}, want: saml.SignatureTarget},
		{name: "a reference to a server", source: "XML Signature Best Practices §2.1.3: it would be fetched", behaviour: responseSigned, tree: uri("http://169.254.169.254/"), want: saml.SignatureTarget},
		{name: "a response without ID", source: "Somorovsky et al. 2012", behaviour: responseSigned, tree: func(r *etree.Element) { r.RemoveAttr("ID"); uri("#")(r) }, want: saml.SignatureTarget},
		{name: "an ID of another namespace", source: "CVE-2025-25292 (ruby-saml): an ID by prefix", behaviour: responseSigned, tree: func(r *etree.Element) {
			id := r.SelectAttrValue("ID", "")
			r.RemoveAttr("ID")
			r.CreateAttr("xmlns:x", "urn:x")
			r.CreateAttr("x:ID", id)
			r.CreateAttr("ID", "_evil")
		}, want: saml.SignatureTarget},
		{name: "a stylesheet as transform", source: "CVE-2022-47966 (Zoho ManageEngine, Apache Santuario)", behaviour: responseSigned, tree: transform(1, "http://www.w3.org/TR/1999/REC-xslt-19991116"), want: saml.SignatureShape},
		{name: "XPath as transform", source: "Hill, Command Injection in XML Signatures and Encryption, 2007", behaviour: responseSigned, tree: transform(0, "http://www.w3.org/TR/1999/REC-xpath-19991116"), want: saml.SignatureShape},
		{name: "an XPath filter as transform", source: "Gajek et al., ICWS 2009", behaviour: responseSigned, tree: transform(0, "http://www.w3.org/2002/06/xmldsig-filter2"), want: saml.SignatureShape},
		{name: "a thousand transforms", source: "CVE-2021-39171 (passport-saml)", behaviour: responseSigned, tree: func(r *etree.Element) {
			for range 1000 {
				twice("./SignedInfo/Reference/Transforms/Transform")(r)
			}
		}, want: saml.SignatureShape},
		{name: "comments in what is signed", source: "CVE-2017-11427 and its family: canonicalization with comments", behaviour: responseSigned, tree: transform(1, "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"), want: saml.SignatureShape},
		{name: "the signature in what is signed", source: "SAML Core §5.4.4", behaviour: responseSigned, tree: transform(0, "http://www.w3.org/2001/10/xml-exc-c14n#"), want: saml.SignatureShape},
		{name: "inclusive canonicalization", source: "SAML Core §5.4.3", behaviour: responseSigned, tree: func(r *etree.Element) {
			info(r).FindElement("./CanonicalizationMethod").CreateAttr("Algorithm", inclusive)
		}, want: saml.SignatureShape},
		{name: "SHA-1, named afterwards", source: "Leurent and Peyrin, SHA-1 is a Shambles, USENIX Security 2020", behaviour: responseSigned, tree: method("http://www.w3.org/2000/09/xmldsig#rsa-sha1"), want: saml.WeakAlgorithm},
		{name: "SHA-1, by the provider", source: "Leurent and Peyrin 2020; RFC 9231 §2.3.2", behaviour: samltest.Behaviour{Method: "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}, want: saml.WeakAlgorithm},
		{name: "MD5", source: "Wang and Yu 2005; RFC 9231 §2.3.1", behaviour: responseSigned, tree: method("http://www.w3.org/2001/04/xmldsig-more#rsa-md5"), want: saml.WeakAlgorithm},
		{name: "DSA", source: "FIPS 186-5", behaviour: responseSigned, tree: method("http://www.w3.org/2000/09/xmldsig#dsa-sha1"), want: saml.WeakAlgorithm},
		{name: "no method that there is", source: "McLean 2015, alg none, on XML", behaviour: responseSigned, tree: method("none"), want: saml.WeakAlgorithm},
		{name: "a digest by SHA-1", source: "Leurent and Peyrin 2020", behaviour: responseSigned, tree: func(r *etree.Element) {
			info(r).FindElement("./Reference/DigestMethod").CreateAttr("Algorithm", "http://www.w3.org/2000/09/xmldsig#sha1")
		}, want: saml.WeakAlgorithm},
		{name: "HMAC with the certificate as its key", source: "RFC 8725 §2.1 (CVE-2016-5431) on XML: what is public becomes a secret", behaviour: responseSigned, tree: func(r *etree.Element) {
			method("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")(r)
			cert, _ := base64.StdEncoding.DecodeString(signatureOf(r).FindElement(".//X509Certificate").Text())
			m := hmac.New(sha256.New, cert)
			m.Write([]byte("the canonical SignedInfo"))
			signatureOf(r).FindElement("./SignatureValue").SetText(base64.StdEncoding.EncodeToString(m.Sum(nil)))
		}, want: saml.WeakAlgorithm},
		{name: "HMAC of one bit", source: "CVE-2009-0217", behaviour: responseSigned, tree: func(r *etree.Element) {
			method("http://www.w3.org/2000/09/xmldsig#hmac-sha1")(r)
			info(r).FindElement("./SignatureMethod").CreateElement("ds:HMACOutputLength").SetText("1")
		}, want: saml.SignatureShape},
		{name: "ECDSA by an RSA key", source: "RFC 9231: an algorithm of another key", behaviour: responseSigned, tree: method("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"), want: saml.BadSignature},
		{name: "SHA-512 for SHA-256", source: "XML Signature §3.2.2: the method is signed, too", behaviour: responseSigned, tree: method("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"), want: saml.BadSignature},
	}
}

// forgeries are signed, and by somebody else.
func forgeries() []attack {
	provider := func() string {
		return base64.StdEncoding.EncodeToString(idp().Peer().Certificates[0])
	}
	key := func(replace func(info *etree.Element)) func(*etree.Element) {
		return func(r *etree.Element) {
			for _, e := range r.FindElements(".//KeyInfo") {
				replace(e)
			}
		}
	}
	return []attack{
		{name: "another key, with its certificate", source: "Mainka et al., Your Software at my Service, CCSW 2014: certificate injection", forged: true, tree: name, want: saml.UnknownKey},
		{name: "another key, with a certificate of the same names", source: "SAML Raider: certificate faking", forged: true, want: saml.UnknownKey},
		{name: "another key, with the provider's certificate", source: "CVE-2021-21239 (pysaml2): which key is used", forged: true, tree: key(func(e *etree.Element) {
			e.FindElement(".//X509Certificate").SetText(provider())
		}), want: saml.BadSignature},
		{name: "another key, with both certificates", source: "CVE-2021-21239 (pysaml2): which key is used", forged: true, tree: key(func(e *etree.Element) {
			e.FindElement("./X509Data").CreateElement("ds:X509Certificate").SetText(provider())
		}), want: saml.UnknownKey},
		{name: "another key, as KeyValue", source: "CVE-2021-21239 (pysaml2)", forged: true, tree: key(func(e *etree.Element) {
			e.Child = nil
			v := e.CreateElement("ds:KeyValue").CreateElement("ds:RSAKeyValue")
			v.CreateElement("ds:Modulus").SetText("AQAB")
			v.CreateElement("ds:Exponent").SetText("AQAB")
		}), want: saml.BadSignature},
		{name: "another key, at an address of its own", source: "CVE-2023-36661 (Shibboleth): it would be fetched", forged: true, tree: key(func(e *etree.Element) {
			e.Child = nil
			e.CreateElement("ds:RetrievalMethod").CreateAttr("URI", "http://169.254.169.254/")
		}), want: saml.BadSignature},
		{name: "another key, by name", source: "CVE-2021-21239 (pysaml2)", forged: true, tree: key(func(e *etree.Element) {
			e.Child = nil
			e.CreateElement("ds:KeyName").SetText("samltest")
		}), want: saml.BadSignature},
		{name: "another key, without any", source: "CVE-2021-21239 (pysaml2)", forged: true, tree: key(func(e *etree.Element) { e.Parent().RemoveChild(e) }), want: saml.BadSignature},
		{name: "a connection without certificates", source: "CVE-2021-21239 (pysaml2): no key is no reason to take any", peer: func(p *saml.Peer) { p.Certificates = nil }, want: saml.NoKey},
		{name: "a certificate that is none", source: "RFC 5280", peer: func(p *saml.Peer) { p.Certificates = [][]byte{{1, 2, 3}} }, want: saml.BadKey},
	}
}

// encryptions attack what was sealed for us. Everybody can seal something for us.
func encryptions() []attack {
	sealed := samltest.Behaviour{Encrypt: ours().Certificate, Assertion: true}
	cert, err := x509.ParseCertificate(ours().Certificate)
	if err != nil {
		panic(err)
	}
	inside := func(plain string) func(*etree.Element) {
		return func(r *etree.Element) {
			old := r.FindElement("./EncryptedAssertion")
			r.InsertChildAt(old.Index(), samltest.Encrypted(cert, []byte(plain)))
			r.RemoveChild(old)
		}
	}
	algorithm := func(of, uri string) func(*etree.Element) {
		return func(r *etree.Element) { r.FindElement(".//"+of+"/EncryptionMethod").CreateAttr("Algorithm", uri) }
	}
	value := func(of, v string) func(*etree.Element) {
		return func(r *etree.Element) { r.FindElement(".//" + of + "/CipherData/CipherValue").SetText(v) }
	}
	const github = "CVE-2024-4985, CVE-2024-9487 (GitHub Enterprise Server)"
	return []attack{
		{name: "sealed, and nothing is signed", source: github, behaviour: samltest.Behaviour{Encrypt: ours().Certificate, Unsigned: true}, want: saml.Unsigned},
		{name: "sealed anew, unsigned", source: github, behaviour: sealed,
			tree: inside(`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_evil" Version="2.0"/>`), want: saml.Unsigned},
		{name: "sealed in a signed response, exchanged", source: github, behaviour: samltest.Behaviour{Encrypt: ours().Certificate, ResponseOnly: true},
			tree: inside(`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_evil" Version="2.0"/>`), want: saml.BadSignature},
		{name: "a forged assertion beside the sealed one", source: github, behaviour: sealed, tree: func(r *etree.Element) {
			e := r.CreateElement("saml:Assertion")
			e.CreateAttr("ID", "_evil")
		}, want: saml.ManyAssertions},
		{name: "a sealed document type", source: "CVE-2003-1564, behind encryption", behaviour: sealed, tree: inside(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`), want: saml.ForbiddenXML},
		{name: "sealed twice", source: "XML Encryption §3.1", behaviour: sealed,
			tree: inside(`<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"/>`), want: saml.WrongMessage},
		{name: "a sealed response", source: "SAML Core §2.3.4", behaviour: sealed, tree: inside(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>`), want: saml.WrongMessage},
		{name: "sealed rubbish", source: "XML Encryption §4.2", behaviour: sealed, tree: inside("rubbish"), want: saml.NotXML},
		{name: "AES-CBC", source: "Jager and Somorovsky, How to Break XML Encryption, CCS 2011", behaviour: samltest.Behaviour{Encrypt: ours().Certificate, Weakly: true}, want: saml.WeakEncryption},
		{name: "AES-CBC, named afterwards", source: "Jager, Paterson and Somorovsky, One Bad Apple, NDSS 2013: backwards compatibility", behaviour: sealed,
			tree: algorithm("EncryptedData", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"), want: saml.WeakEncryption},
		{name: "RSA with PKCS #1 1.5", source: "Jager, Schinzel and Somorovsky, Bleichenbacher's Attack Strikes Again, ESORICS 2012", behaviour: sealed,
			tree: algorithm("EncryptedKey", "http://www.w3.org/2001/04/xmlenc#rsa-1_5"), want: saml.WeakEncryption},
		{name: "Triple DES", source: "Bhargavan and Leurent, Sweet32, CCS 2016", behaviour: sealed,
			tree: algorithm("EncryptedData", "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"), want: saml.WeakEncryption},
		{name: "a digest of OAEP that is none", source: "XML Encryption 1.1 §5.5.2", behaviour: sealed, tree: func(r *etree.Element) {
			d := r.FindElement(".//EncryptedKey/EncryptionMethod").CreateElement("ds:DigestMethod")
			d.CreateAttr("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#md5")
		}, want: saml.WeakEncryption},
		{name: "a ciphertext that is too short", source: "gosaml2 0.11.0, types/encrypted_assertion.go: it slices past the end", behaviour: sealed, tree: value("EncryptedData", "AAAA"), want: saml.Undecryptable},
		{name: "no ciphertext", source: "gosaml2 0.11.0, types/encrypted_assertion.go", behaviour: sealed, tree: value("EncryptedData", ""), want: saml.Undecryptable},
		{name: "a ciphertext that was changed", source: "NIST SP 800-38D §5.2.2", behaviour: sealed, tree: value("EncryptedData", base64.StdEncoding.EncodeToString(make([]byte, 400))), want: saml.Undecryptable},
		{name: "a key that was changed", source: "Manger, CRYPTO 2001", behaviour: sealed, tree: value("EncryptedKey", base64.StdEncoding.EncodeToString(make([]byte, 256))), want: saml.Undecryptable},
		{name: "a key of another size", source: "XML Encryption 1.1 §5.2.4", behaviour: sealed, tree: algorithm("EncryptedData", "http://www.w3.org/2009/xmlenc11#aes128-gcm"), want: saml.Undecryptable},
		{name: "no key", source: "XML Encryption §3.5", behaviour: sealed, tree: func(r *etree.Element) {
			e := r.FindElement(".//EncryptedKey")
			e.Parent().RemoveChild(e)
		}, want: saml.Undecryptable},
		{name: "a ciphertext at an address", source: "Hill 2007: CipherReference would be fetched", behaviour: sealed, tree: func(r *etree.Element) {
			e := r.FindElement(".//EncryptedData/CipherData")
			e.Child = nil
			e.CreateElement("xenc:CipherReference").CreateAttr("URI", "http://169.254.169.254/")
		}, want: saml.Undecryptable},
		{name: "two ciphertexts", source: "XML Encryption §3.2", behaviour: sealed, tree: func(r *etree.Element) {
			e := r.FindElement(".//EncryptedData")
			e.AddChild(e.FindElement("./CipherData").Copy())
		}, want: saml.Misplaced},
		{name: "not sealed where it must be", source: "One Bad Apple, NDSS 2013: downgrade", behaviour: assertionSigned, peer: func(p *saml.Peer) { p.WantEncrypted = true }, want: saml.NotEncrypted},
		{name: "sealed for a key that we have not any more", source: "XML Encryption §5.5", behaviour: sealed, peer: func(p *saml.Peer) { p.Keys = nil }, want: saml.Undecryptable},
	}
}
