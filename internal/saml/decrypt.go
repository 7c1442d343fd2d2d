package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // of OAEP, where nothing depends on its collisions
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/beevik/etree"
)

// What an assertion may be encrypted with. CBC tells whoever may ask often enough
// what is inside, and so does RSA with PKCS #1 1.5 (Jager and Somorovsky 2011;
// Jager, Schinzel and Somorovsky 2012): the ciphers here answer with one error.
var (
	contentKeys = map[string]int{ // bytes of the key
		"http://www.w3.org/2009/xmlenc11#aes128-gcm": 16,
		"http://www.w3.org/2009/xmlenc11#aes192-gcm": 24,
		"http://www.w3.org/2009/xmlenc11#aes256-gcm": 32,
	}
	oaepDigests = map[string]crypto.Hash{
		"": crypto.SHA1, "http://www.w3.org/2000/09/xmldsig#sha1": crypto.SHA1, "http://www.w3.org/2001/04/xmlenc#sha256": crypto.SHA256,
		"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384, "http://www.w3.org/2001/04/xmlenc#sha512": crypto.SHA512,
	}
	oaepMasks = map[string]crypto.Hash{
		"": crypto.SHA1, "http://www.w3.org/2009/xmlenc11#mgf1sha1": crypto.SHA1, "http://www.w3.org/2009/xmlenc11#mgf1sha256": crypto.SHA256,
		"http://www.w3.org/2009/xmlenc11#mgf1sha384": crypto.SHA384, "http://www.w3.org/2009/xmlenc11#mgf1sha512": crypto.SHA512,
	}
)

const (
	oaepMGF1P = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	oaep11    = "http://www.w3.org/2009/xmlenc11#rsa-oaep"
	nsXMLEnc1 = "http://www.w3.org/2009/xmlenc11#"
)

// maxRecipients bounds the keys that an assertion is encrypted for.
const maxRecipients = 4

// decrypt opens an EncryptedAssertion by one of our keys and returns the
// assertion's bytes.
func (p Peer) decrypt(e *etree.Element) ([]byte, error) {
	data, err := one(e, nsXMLEnc, "EncryptedData")
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, refuse(Misplaced, what(e)+" without EncryptedData")
	}
	size, err := method(data, contentKeys)
	if err != nil {
		return nil, err
	}
	sealed, err := cipherValue(data)
	if err != nil {
		return nil, err
	}
	keys := append(slices.Clone(data.FindElements("./KeyInfo/EncryptedKey")), all(e, nsXMLEnc, "EncryptedKey")...)
	for _, k := range keys[:min(len(keys), maxRecipients)] {
		if !is(k, nsXMLEnc, "EncryptedKey") {
			continue
		}
		key, err := p.unwrap(k)
		if err != nil {
			return nil, err
		}
		if len(key) != size {
			continue
		}
		if plain := openGCM(key, sealed); plain != nil {
			return plain, nil
		}
	}
	return nil, refuse(Undecryptable)
}

// method looks an element's EncryptionMethod up.
func method[T any](e *etree.Element, allowed map[string]T) (T, error) {
	var none T
	m, err := one(e, nsXMLEnc, "EncryptionMethod")
	if err != nil {
		return none, err
	}
	if m == nil {
		return none, refuse(WeakEncryption, "an unnamed algorithm")
	}
	found, ok := allowed[attr(m, "Algorithm")]
	if !ok {
		return none, refuse(WeakEncryption, attr(m, "Algorithm"))
	}
	return found, nil
}

// cipherValue is the content of an encrypted element, which is nowhere else: a
// CipherReference would have us fetch it.
func cipherValue(e *etree.Element) ([]byte, error) {
	data, err := one(e, nsXMLEnc, "CipherData")
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, refuse(Undecryptable)
	}
	value, err := one(data, nsXMLEnc, "CipherValue")
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text(value)), ""))
	if err != nil || len(raw) == 0 {
		return nil, refuse(Undecryptable)
	}
	return raw, nil
}

// unwrap opens an encrypted key by one of ours; nil if none fits.
func (p Peer) unwrap(e *etree.Element) ([]byte, error) {
	if _, err := method(e, map[string]bool{oaepMGF1P: true, oaep11: true}); err != nil {
		return nil, err
	}
	m, _ := one(e, nsXMLEnc, "EncryptionMethod")
	digest, err := one(m, nsSignature, "DigestMethod")
	if err != nil {
		return nil, err
	}
	mask, err := one(m, nsXMLEnc1, "MGF")
	if err != nil {
		return nil, err
	}
	o := &rsa.OAEPOptions{}
	var okHash, okMask bool
	o.Hash, okHash = oaepDigests[algorithm(digest)]
	o.MGFHash, okMask = oaepMasks[algorithm(mask)]
	if !okHash || !okMask {
		return nil, refuse(WeakEncryption, "RSA-OAEP with "+algorithm(digest)+" and "+algorithm(mask))
	}
	sealed, err := cipherValue(e)
	if err != nil {
		return nil, err
	}
	for _, k := range p.Keys {
		private, err := k.private()
		if err != nil {
			return nil, err
		}
		if key, err := private.Decrypt(nil, sealed, o); err == nil {
			return key, nil
		}
	}
	return nil, nil
}

func algorithm(e *etree.Element) string {
	if e == nil {
		return ""
	}
	return attr(e, "Algorithm")
}

// openGCM opens what XML Encryption 1.1 §5.2.4 seals: the nonce, then the text.
// nil says that it is not to be opened.
func openGCM(key, sealed []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(sealed) < gcm.NonceSize()+gcm.Overhead() {
		return nil
	}
	plain, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], nil)
	if err != nil {
		return nil
	}
	return plain
}
