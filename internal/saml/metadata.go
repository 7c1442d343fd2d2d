package saml

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"sallyport/internal/openid"
	"sallyport/internal/outbound"
)

// Metadata are ours, for the administrator of a peer (Metadata §2.4.4): all keys,
// so that a new one is known before it signs.
func (p Peer) Metadata(us Party) ([]byte, error) {
	e := etree.NewElement("md:EntityDescriptor")
	e.CreateAttr("xmlns:md", nsMetadata)
	e.CreateAttr("entityID", us.EntityID)
	sp := e.CreateElement("md:SPSSODescriptor")
	sp.CreateAttr("AuthnRequestsSigned", strconv.FormatBool(p.SignRequests))
	sp.CreateAttr("WantAssertionsSigned", "true")
	sp.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for _, use := range []string{"signing", "encryption"} {
		for _, k := range p.Keys {
			d := sp.CreateElement("md:KeyDescriptor")
			d.CreateAttr("use", use)
			info := d.CreateElement("ds:KeyInfo")
			info.CreateAttr("xmlns:ds", nsSignature)
			info.CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(k.Certificate))
			if use == "encryption" {
				for _, alg := range []string{"http://www.w3.org/2009/xmlenc11#aes256-gcm", "http://www.w3.org/2009/xmlenc11#aes128-gcm", oaepMGF1P} {
					d.CreateElement("md:EncryptionMethod").CreateAttr("Algorithm", alg)
				}
			}
		}
	}
	for _, binding := range []string{Redirect, Post} {
		slo := sp.CreateElement("md:SingleLogoutService")
		slo.CreateAttr("Binding", binding)
		slo.CreateAttr("Location", us.SLO)
	}
	for _, format := range []string{FormatPersistent, FormatEmail} {
		sp.CreateElement("md:NameIDFormat").SetText(format)
	}
	acs := sp.CreateElement("md:AssertionConsumerService")
	acs.CreateAttr("Binding", Post)
	acs.CreateAttr("Location", us.ACS)
	acs.CreateAttr("index", "0")
	acs.CreateAttr("isDefault", "true")
	doc := etree.NewDocumentWithRoot(e)
	doc.Indent(2)
	body, err := doc.WriteToBytes()
	return append([]byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), body...), err
}

// MaxMetadata bounds a document of metadata; those of whole federations are not
// for here.
const MaxMetadata = 1 << 20

// Described is an identity provider as its metadata have it.
type Described struct {
	EntityID       string
	SignOnURL      string
	SignOnBinding  string
	LogoutURL      string
	LogoutBinding  string
	Certificates   [][]byte // DER; old and new ones while they change
	RequestsSigned bool     // it wants them to be
	NameIDFormats  []string
	ValidUntil     time.Time // zero: not said
}

// ParseMetadata reads the metadata of an identity provider (Metadata §2.4.3).
// entityID chooses one where there are several, and must be the one where it is
// not empty. Fails with a *Failure.
func ParseMetadata(body []byte, entityID string, now time.Time) (d Described, err error) {
	defer fallen(&err)
	return parseMetadata(body, entityID, now)
}

func parseMetadata(body []byte, entityID string, now time.Time) (Described, error) {
	if len(body) > MaxMetadata {
		return Described{}, refuse(TooLarge, strconv.Itoa(len(body))+" bytes")
	}
	root, err := strict(body, true)
	if err != nil {
		return Described{}, err
	}
	e, role, err := entity(root, entityID)
	if err != nil {
		return Described{}, err
	}
	d := Described{EntityID: attr(e, "entityID"), RequestsSigned: slices.Contains([]string{"true", "1"}, attr(role, "WantAuthnRequestsSigned"))}
	for _, dated := range []*etree.Element{root, e, role} {
		if err := d.until(dated, now); err != nil {
			return Described{}, err
		}
	}
	if d.SignOnURL, d.SignOnBinding, err = endpoint(role, "SingleSignOnService"); err != nil {
		return Described{}, err
	}
	if d.SignOnURL == "" {
		return Described{}, refuse(NoSignOn)
	}
	if d.LogoutURL, d.LogoutBinding, err = endpoint(role, "SingleLogoutService"); err != nil {
		return Described{}, err
	}
	for _, f := range all(role, nsMetadata, "NameIDFormat") {
		d.NameIDFormats = append(d.NameIDFormats, text(f))
	}
	d.Certificates, err = signingKeys(role)
	return d, err
}

// entity finds the identity provider that is meant.
func entity(root *etree.Element, id string) (e, role *etree.Element, err error) {
	found, other := 0, ""
	for _, one := range append([]*etree.Element{root}, root.FindElements(".//EntityDescriptor")...) {
		if !is(one, nsMetadata, "EntityDescriptor") {
			continue
		}
		for _, r := range all(one, nsMetadata, "IDPSSODescriptor") {
			if !slices.Contains(strings.Fields(attr(r, "protocolSupportEnumeration")), nsProtocol) {
				continue
			}
			if other = attr(one, "entityID"); id != "" && other != id {
				continue
			}
			found++
			e, role = one, r
		}
	}
	switch {
	case found > 1:
		return nil, nil, refuse(ManyEntities, strconv.Itoa(found))
	case found == 0 && other != "":
		return nil, nil, refuse(WrongIssuer, other, id)
	case found == 0 || attr(e, "entityID") == "" || len(attr(e, "entityID")) > maxEntityID:
		return nil, nil, refuse(NoEntity)
	}
	return e, role, nil
}

// maxEntityID is SAML Core §8.3.6.
const maxEntityID = 1024

func (d *Described) until(e *etree.Element, now time.Time) error {
	if !has(e, "validUntil") {
		return nil
	}
	t, err := instant(e, "validUntil")
	if err != nil {
		return err
	}
	if !now.Before(t) {
		return refuse(Expired, moment(t), moment(now))
	}
	if d.ValidUntil.IsZero() || t.Before(d.ValidUntil) {
		d.ValidUntil = t
	}
	return nil
}

// endpoint is where a service of the peer is: by redirect, else by form.
func endpoint(role *etree.Element, service string) (location, binding string, err error) {
	for _, binding := range []string{Redirect, Post} {
		for _, s := range all(role, nsMetadata, service) {
			if attr(s, "Binding") != binding {
				continue
			}
			location := attr(s, "Location")
			return location, binding, CheckAddress(location)
		}
	}
	return "", "", nil
}

// CheckAddress judges an address that browsers are sent to: https, but on this
// machine.
func CheckAddress(location string) error {
	if _, err := outbound.CheckURL(location, openid.Everywhere); err != nil {
		return refuse(BadAddress, location)
	}
	return nil
}

// maxCertificates bounds the keys of one identity provider.
const maxCertificates = 10

// signingKeys are the certificates that a peer signs with. One that is too weak is
// left out where there is another.
func signingKeys(role *etree.Element) (list [][]byte, weak error) {
	for _, k := range all(role, nsMetadata, "KeyDescriptor") {
		if use := attr(k, "use"); use != "" && use != "signing" {
			continue
		}
		for _, c := range k.FindElements("./KeyInfo/X509Data/X509Certificate") {
			der, err := ParseCertificate(text(c))
			if err != nil {
				weak = err
				continue
			}
			if !slices.ContainsFunc(list, func(have []byte) bool { return string(have) == string(der) }) && len(list) < maxCertificates {
				list = append(list, der)
			}
		}
	}
	switch {
	case len(list) > 0:
		return list, nil
	case weak != nil:
		return nil, weak
	}
	return nil, refuse(NoKey)
}

// ParseCertificate reads a certificate as administrators paste it: Base64 with or
// without the lines of PEM. It returns DER, and fails with a *Failure.
func ParseCertificate(pasted string) ([]byte, error) {
	var plain strings.Builder
	for line := range strings.Lines(pasted) {
		if !strings.HasPrefix(strings.TrimSpace(line), "-----") {
			plain.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	der, err := base64.StdEncoding.DecodeString(plain.String())
	if err != nil {
		return nil, refuse(BadKey, "it is not Base64")
	}
	_, err = CheckCertificate(der)
	return der, err
}
