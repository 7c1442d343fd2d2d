package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/beevik/etree"
)

// The bounds of a message. A response with two thousand groups has about 200 KB
// and three thousand elements.
const (
	maxMessage    = 512 << 10
	maxDepth      = 32
	maxElements   = 10_000
	maxAttributes = 64 // of one element
	maxPrefixes   = 64 // that are declared in one place
	maxName       = 256
)

// The namespaces.
const (
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	nsXMLEnc    = "http://www.w3.org/2001/04/xmlenc#"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS     = "http://www.w3.org/2000/xmlns/"
)

// document reads XML that can be read in one way only, and returns its root. What
// the language has beside elements, attributes and text is refused: document type
// declarations (entities, the round trips of CVE-2020-29510), comments (cut a text
// in two: CVE-2017-11427 and its family), CDATA and processing instructions (which
// parsers disagree about: CVE-2025-25291). So are names and attributes that mean
// one thing to one reader and another to the next.
func document(raw []byte) (*etree.Element, error) {
	if len(raw) > maxMessage {
		return nil, refuse(TooLarge, strconv.Itoa(len(raw))+" bytes")
	}
	return strict(raw, false)
}

// strict is document without the bound. Published documents may have comments:
// nobody signs them for us.
func strict(raw []byte, published bool) (*etree.Element, error) {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")))
	if !utf8.Valid(raw) {
		return nil, refuse(NotXML, "it is not UTF-8")
	}
	body, err := declared(raw)
	if err != nil {
		return nil, err
	}
	if what := forbidden(body, published); what != "" {
		return nil, refuse(ForbiddenXML, what)
	}
	if err := (&scanner{published: published}).scan(body); err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(body); err != nil || doc.Root() == nil {
		return nil, refuse(NotXML, "no element")
	}
	return doc.Root(), nil
}

// declared cuts the XML declaration off, and refuses one of another encoding: who
// believes it would read other characters.
func declared(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, []byte("<?xml")) {
		return raw, nil
	}
	head, rest, ok := bytes.Cut(raw, []byte("?>"))
	text := strings.ToLower(string(head))
	if !ok || strings.Contains(text, "encoding") && !strings.Contains(text, `"utf-8"`) && !strings.Contains(text, "'utf-8'") {
		return nil, refuse(ForbiddenXML, "an encoding other than UTF-8")
	}
	if !strings.Contains(text, `"1.0"`) && !strings.Contains(text, "'1.0'") {
		return nil, refuse(ForbiddenXML, "a version of XML other than 1.0")
	}
	return rest, nil
}

// forbidden names what is in the bytes that belongs in no message. In well-formed
// XML "<!" and "<?" stand nowhere else, because a "<" of the text is written
// otherwise.
func forbidden(body []byte, published bool) string {
	switch {
	case bytes.Contains(body, []byte("<?")):
		return "a processing instruction"
	case bytes.Contains(body, []byte("<![CDATA[")):
		return "a CDATA section"
	case published:
		if bytes.Contains(bytes.ReplaceAll(body, []byte("<!--"), nil), []byte("<!")) {
			return "a document type declaration"
		}
		return ""
	case bytes.Contains(body, []byte("<!--")):
		return "a comment"
	case bytes.Contains(body, []byte("<!")):
		return "a document type declaration"
	}
	return ""
}

// scanner looks at the bare tokens, before anybody makes sense of them.
type scanner struct {
	published bool
	open      []element
	elements  int
	prefixes  int // declared where we are
	rooted    bool
	ids       map[string]bool
}

// element is one that is open, with the prefixes that it declares.
type element struct {
	name     xml.Name
	prefixes map[string]string
}

func (s *scanner) scan(body []byte) error {
	s.ids = map[string]bool{}
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse(NotXML, "at byte "+strconv.FormatInt(d.InputOffset(), 10))
		}
		if err := s.token(t); err != nil {
			return err
		}
	}
	if len(s.open) > 0 || !s.rooted {
		return refuse(NotXML, "it ends too early")
	}
	return nil
}

func (s *scanner) token(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		if len(s.open) == 0 && s.rooted {
			return refuse(NotXML, "two elements at the top")
		}
		s.rooted = true
		return s.start(t)
	case xml.EndElement:
		if len(s.open) == 0 || s.open[len(s.open)-1].name != t.Name {
			return refuse(NotXML, "an end of "+raw(t.Name)+" without its start")
		}
		s.prefixes -= len(s.open[len(s.open)-1].prefixes)
		s.open = s.open[:len(s.open)-1]
	case xml.CharData:
		if len(s.open) == 0 && len(bytes.TrimSpace(t)) > 0 {
			return refuse(NotXML, "text outside of the element")
		}
	case xml.Comment:
		if !s.published {
			return refuse(ForbiddenXML, "a comment")
		}
	default:
		return refuse(ForbiddenXML, "a declaration")
	}
	return nil
}

func (s *scanner) start(t xml.StartElement) error {
	if s.elements++; s.elements > maxElements || len(s.open) >= maxDepth || len(t.Attr) > maxAttributes {
		return refuse(TooLarge, "too many elements or attributes, or too deep")
	}
	e := element{name: t.Name, prefixes: map[string]string{}}
	for _, a := range t.Attr {
		if err := e.declare(a); err != nil {
			return err
		}
	}
	s.open = append(s.open, e)
	if s.prefixes += len(e.prefixes); s.prefixes > maxPrefixes {
		return refuse(TooLarge, "too many declarations of prefixes")
	}
	if err := s.name(t.Name); err != nil {
		return err
	}
	seen := map[xml.Name]bool{}
	for _, a := range t.Attr {
		if err := s.attribute(a, seen); err != nil {
			return err
		}
	}
	return nil
}

// declare takes a declaration of a prefix. "xml" and "xmlns" are not to be
// declared, and a prefix of nothing is none (Namespaces in XML §3).
func (e *element) declare(a xml.Attr) error {
	prefix := a.Name.Local
	switch {
	case a.Name.Space == "" && prefix == "xmlns":
		prefix = ""
	case a.Name.Space != "xmlns":
		return nil
	case prefix == "xml", prefix == "xmlns", a.Value == "":
		return refuse(AmbiguousXML, "a declaration of the prefix "+prefix)
	}
	if _, twice := e.prefixes[prefix]; twice || a.Value == nsXML || a.Value == nsXMLNS {
		return refuse(AmbiguousXML, "two declarations of the prefix "+prefix)
	}
	e.prefixes[prefix] = a.Value
	return nil
}

// name refuses names that are none, which encoding/xml lets pass and writes as
// others (CVE-2020-29509, CVE-2020-29511), and prefixes that nobody declared.
func (s *scanner) name(n xml.Name) error {
	if !simple(n.Local) || n.Space != "" && !simple(n.Space) || len(n.Local)+len(n.Space) > maxName {
		return refuse(AmbiguousXML, "the name "+raw(n))
	}
	if n.Space == "xmlns" {
		return refuse(AmbiguousXML, "the name "+raw(n))
	}
	if _, ok := s.namespace(n.Space); !ok {
		return refuse(AmbiguousXML, "the prefix of "+raw(n)+" is not declared")
	}
	return nil
}

// namespace is what a prefix stands for here.
func (s *scanner) namespace(prefix string) (string, bool) {
	if prefix == "xml" {
		return nsXML, true
	}
	for _, e := range slices.Backward(s.open) {
		if uri, ok := e.prefixes[prefix]; ok {
			return uri, true
		}
	}
	return "", prefix == ""
}

// attribute refuses what stands twice, by its name or by what its prefix means,
// and an ID that another element has (XML Signature Best Practices §3.1).
func (s *scanner) attribute(a xml.Attr, seen map[xml.Name]bool) error {
	n := a.Name
	if n.Space != "xmlns" && (n.Space != "" || n.Local != "xmlns") {
		if err := s.name(n); err != nil {
			return err
		}
		if n.Space != "" {
			n.Space, _ = s.namespace(n.Space)
		}
	}
	if seen[n] {
		return refuse(AmbiguousXML, "two attributes "+raw(a.Name))
	}
	seen[n] = true
	if isID(a.Name) {
		if a.Value == "" || s.ids[a.Value] {
			return refuse(DuplicateID, a.Value)
		}
		s.ids[a.Value] = true
	}
	return nil
}

// isID reports whether some reader takes an attribute for the ID of its element:
// SAML writes ID, XML Signature Id, SAML 1 AssertionID and ResponseID.
func isID(n xml.Name) bool {
	switch strings.ToLower(n.Local) {
	case "id", "assertionid", "responseid", "requestid":
		return n.Space == "" || n.Space == "xml"
	}
	return false
}

// simple reports whether a name is one without a prefix.
func simple(s string) bool {
	for i, r := range s {
		letter := r == '_' || unicode.IsLetter(r)
		if !letter && (i == 0 || r != '-' && r != '.' && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r)) {
			return false
		}
	}
	return s != ""
}

func raw(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
