package saml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"sallyport/internal/secret"
)

// Outgoing is a message on its way: a browser goes to Location, or posts Form,
// whichever is set.
type Outgoing struct {
	ID       string
	Location string
	Form     *Form
}

// Form is what a page of ours has the browser post.
type Form struct {
	Action string
	Fields []Field
}

// Field is one hidden input of a Form.
type Field struct{ Name, Value string }

// Question is a sign-in that is asked for. Relay comes back with the answer. Again
// has the person prove themselves anew; Hint is the address that they typed.
type Question struct {
	Party Party
	Relay string
	Again bool
	Hint  string
	Now   time.Time
}

// Ask makes an AuthnRequest (Profiles §4.1.4.1).
func (p Peer) Ask(q Question) (Outgoing, error) {
	e, id := message("AuthnRequest", q.Party, p.SignOnURL, q.Now)
	e.CreateAttr("AssertionConsumerServiceURL", q.Party.ACS)
	e.CreateAttr("ProtocolBinding", Post)
	if q.Again {
		e.CreateAttr("ForceAuthn", "true")
	}
	policy := e.CreateElement("samlp:NameIDPolicy")
	if p.NameIDFormat != "" {
		policy.CreateAttr("Format", p.NameIDFormat)
	}
	policy.CreateAttr("AllowCreate", "true")
	out, err := p.send(e, "SAMLRequest", p.SignOnURL, p.SignOnBinding, q.Relay, p.SignRequests)
	if q.Hint != "" && out.Location != "" {
		// No part of SAML, and not signed: Entra and others fill their form in with it.
		out.Location += "&login_hint=" + url.QueryEscape(q.Hint)
	}
	out.ID = id
	return out, err
}

// message is a protocol message of ours with what all of them have.
func message(name string, us Party, to string, now time.Time) (*etree.Element, string) {
	id := "_" + secret.Hex(20)
	e := etree.NewElement("samlp:" + name)
	e.CreateAttr("xmlns:samlp", nsProtocol)
	e.CreateAttr("xmlns:saml", nsAssertion)
	e.CreateAttr("ID", id)
	e.CreateAttr("Version", "2.0")
	e.CreateAttr("IssueInstant", moment(now))
	e.CreateAttr("Destination", to)
	e.CreateElement("saml:Issuer").SetText(us.EntityID)
	return e, id
}

// send wraps a message as a binding has it. parameter is SAMLRequest or
// SAMLResponse.
func (p Peer) send(e *etree.Element, parameter, to, binding, relay string, sign bool) (Outgoing, error) {
	if binding == Post {
		if sign {
			if err := p.envelop(e); err != nil {
				return Outgoing{}, err
			}
		}
		body, err := write(e)
		if err != nil {
			return Outgoing{}, err
		}
		f := &Form{Action: to, Fields: []Field{{parameter, base64.StdEncoding.EncodeToString(body)}}}
		if relay != "" {
			f.Fields = append(f.Fields, Field{"RelayState", relay})
		}
		return Outgoing{Form: f}, nil
	}
	body, err := write(e)
	if err != nil {
		return Outgoing{}, err
	}
	query := parameter + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflate(body)))
	if relay != "" {
		query += "&RelayState=" + url.QueryEscape(relay)
	}
	if sign {
		if query, err = p.signQuery(query); err != nil {
			return Outgoing{}, err
		}
	}
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return Outgoing{Location: to + sep + query}, nil
}

func write(e *etree.Element) ([]byte, error) {
	return etree.NewDocumentWithRoot(e).WriteToBytes()
}

func deflate(b []byte) []byte {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestCompression)
	if err != nil {
		panic(err) // the level is one that there is
	}
	_, err = w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return buf.Bytes()
}

var errNoKey = errors.New("saml: no key to sign with")

// signQuery signs as the redirect binding does it (Bindings §3.4.4.1): the query
// as it will stand in the address.
func (p Peer) signQuery(query string) (string, error) {
	if len(p.Keys) == 0 {
		return "", errNoKey
	}
	key, err := p.Keys[0].private()
	if err != nil {
		return "", err
	}
	query += "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
	digest := sha256.Sum256([]byte(query))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig)), nil
}

// envelop signs a message within itself, after its Issuer, where the schema has
// the signature.
func (p Peer) envelop(e *etree.Element) error {
	if len(p.Keys) == 0 {
		return errNoKey
	}
	key, err := p.Keys[0].private()
	if err != nil {
		return err
	}
	ctx, err := dsig.NewSigningContext(key, [][]byte{p.Keys[0].Certificate})
	if err != nil {
		return err
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	sig, err := ctx.ConstructSignature(e.Copy(), true)
	if err != nil {
		return err
	}
	e.InsertChildAt(1, sig)
	return nil
}
