package samltest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"

	"github.com/beevik/etree"
	crewjam "github.com/crewjam/saml"
	"github.com/crewjam/saml/xmlenc"
	dsig "github.com/russellhaering/goxmldsig"

	"sallyport/internal/secret"
)

// encrypt seals the assertion as XML Encryption 1.1 has it.
func (b Behaviour) encrypt(req *crewjam.IdpAuthnRequest) error {
	cert, err := x509.ParseCertificate(b.Encrypt)
	if err != nil {
		return err
	}
	plain, err := etree.NewDocumentWithRoot(req.AssertionEl.Copy()).WriteToBytes()
	if err != nil {
		return err
	}
	data, err := xmlenc.OAEP().Encrypt(cert, plain, nil) // with CBC
	if err != nil {
		return err
	}
	req.AssertionEl = Encrypted(cert, plain)
	if b.Weakly {
		req.AssertionEl.RemoveChildAt(0)
		req.AssertionEl.AddChild(data)
	}
	return nil
}

// Encrypted is an EncryptedAssertion of anything, which everybody can make who has
// seen our metadata.
func Encrypted(to *x509.Certificate, plain []byte) *etree.Element {
	e := etree.NewElement("saml:EncryptedAssertion")
	e.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	e.AddChild(seal(to.PublicKey.(*rsa.PublicKey), plain))
	return e
}

// halver signs by ECDSA as XML Signature has it (1.1 §6.4.3).
type halver struct{ crypto.Signer }

// Sign signs a digest.
func (h halver) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := h.Signer.Sign(rand, digest, opts)
	if _, ok := h.Public().(*ecdsa.PublicKey); ok && err == nil {
		sig = halves(sig)
	}
	return sig, err
}

// halves are the two numbers of a signature on P-256, one after the other.
func halves(der []byte) []byte {
	var n struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		panic(err)
	}
	out := make([]byte, 64)
	n.R.FillBytes(out[:32])
	n.S.FillBytes(out[32:])
	return out
}

// Sign has the provider sign a response that it would not have written, the whole
// of it and nothing else.
func (i *IdP) Sign(response []byte) []byte {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(response); err != nil {
		panic(err)
	}
	for _, s := range doc.FindElements("//Signature") {
		s.Parent().RemoveChild(s)
	}
	i.mu.Lock()
	k := i.keys[0]
	i.mu.Unlock()
	ctx, err := dsig.NewSigningContext(k.key, [][]byte{k.cert.Raw})
	if err != nil {
		panic(err)
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	sig, err := ctx.ConstructSignature(doc.Root().Copy(), true)
	if err != nil {
		panic(err)
	}
	at := 0
	if first := doc.Root().ChildElements(); len(first) > 0 && first[0].Tag == "Issuer" {
		at = first[0].Index() + 1
	}
	doc.Root().InsertChildAt(at, sig)
	out, err := doc.WriteToBytes()
	if err != nil {
		panic(err)
	}
	return out
}

// seal is EncryptedData with AES-GCM (XML Encryption 1.1 §5.2.4), which crewjam
// writes without the nonce and of zeros.
func seal(to *rsa.PublicKey, plain []byte) *etree.Element {
	key, nonce := secret.Bytes(32), secret.Bytes(12)
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, to, key, nil)
	if err != nil {
		panic(err)
	}
	e := etree.NewElement("xenc:EncryptedData")
	e.CreateAttr("xmlns:xenc", "http://www.w3.org/2001/04/xmlenc#")
	e.CreateAttr("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")
	e.CreateAttr("Type", "http://www.w3.org/2001/04/xmlenc#Element")
	e.CreateElement("xenc:EncryptionMethod").CreateAttr("Algorithm", "http://www.w3.org/2009/xmlenc11#aes256-gcm")
	k := e.CreateElement("ds:KeyInfo").CreateElement("xenc:EncryptedKey")
	k.CreateElement("xenc:EncryptionMethod").CreateAttr("Algorithm", "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p")
	k.CreateElement("xenc:CipherData").CreateElement("xenc:CipherValue").SetText(base64.StdEncoding.EncodeToString(wrapped))
	sealed := gcm.Seal(nonce, nonce, plain, nil)
	e.CreateElement("xenc:CipherData").CreateElement("xenc:CipherValue").SetText(base64.StdEncoding.EncodeToString(sealed))
	return e
}
