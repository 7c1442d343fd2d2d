package saml_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/beevik/etree"

	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

// attack is one way to sign in as somebody else, or to bring us down, that worked
// somewhere once. Each begins with a good answer about Jane, which is accepted as
// it is, and changes it the way an attacker could: without a key of the provider's.
type attack struct {
	name   string
	source string // the CVE or the paper that it is from
	// behaviour is how the provider signs; the zero value signs both.
	behaviour samltest.Behaviour
	peer      func(*saml.Peer)
	// tree changes the document, text its bytes; one of them is set.
	tree func(root *etree.Element)
	text func(xml string) string
	// forged is signed by another key than the provider's; agreed by the provider's
	// own, after tree: it is the provider that is wrong, or somebody else's.
	forged, agreed bool
	want           saml.Reason
}

// corpus are all of them, by kind.
func corpus() []attack {
	return slices.Concat(wrappings(), texts(), documents(), signatures(), forgeries(), encryptions(), judgements())
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, a := range corpus() {
		if names[a.name] {
			t.Errorf("two attacks are called %q", a.name)
		}
		names[a.name] = true
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			g := goodAnswer(t, a.behaviour)
			i, p, out, bad := g.idp, g.peer, g.out, g.message
			if a.tree != nil || a.text != nil {
				if g.err != nil {
					t.Fatalf("the good one: %v", g.err)
				}
			}
			if a.forged {
				forger := idp()
				forger.Behave(a.behaviour)
				forger.Rotate()
				var err error
				form, err := forger.Answer(out)
				if err != nil {
					t.Fatal(err)
				}
				bad = form.Fields[0].Value
			}
			bad = a.changed(t, i, bad)
			if a.peer != nil {
				a.peer(&p)
			}
			got, err := read(p, out.ID, bad)
			if err == nil {
				t.Fatalf("%s: accepted as %+v", a.source, got.Subject)
			}
			if reason(err) != a.want {
				t.Errorf("%s: refused as %q (%v), want %q", a.source, reason(err), err, a.want)
			}
			told(t, err)
		})
	}
	if len(names) < 100 {
		t.Errorf("only %d attacks", len(names))
	}
}

// good is an answer that attacks begin with.
type good struct {
	idp     *samltest.IdP
	peer    saml.Peer
	out     saml.Outgoing
	message string
	err     error // of reading it as it is
}

var goods struct {
	mu  sync.Mutex
	all map[string]good
}

// goodAnswer is one for each way in which a provider signs.
func goodAnswer(t *testing.T, b samltest.Behaviour) good {
	goods.mu.Lock()
	defer goods.mu.Unlock()
	key := fmt.Sprintf("%+v", b)
	if g, ok := goods.all[key]; ok {
		return g
	}
	g := good{idp: idp()}
	g.idp.Behave(b)
	g.peer = g.idp.Peer()
	g.peer.Keys = []saml.KeyPair{ours()}
	g.out, g.message = answer(t, g.idp, g.peer)
	_, g.err = read(g.peer, g.out.ID, g.message)
	if goods.all == nil {
		goods.all = map[string]good{}
	}
	goods.all[key] = g
	return g
}

// told checks that an administrator can read why.
func told(t *testing.T, err error) {
	t.Helper()
	words := err.(*saml.Failure).Words()
	if len(words) < 20 || len(words) > 600 || strings.Contains(words, "%!") || strings.ContainsAny(words, "\n\r\x00\x1b") {
		t.Errorf("words: %q", words)
	}
}

// changed is the message after the attack.
func (a attack) changed(t *testing.T, i *samltest.IdP, message string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(message)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case a.tree != nil:
		doc := etree.NewDocument()
		if err := doc.ReadFromBytes(raw); err != nil {
			t.Fatal(err)
		}
		a.tree(doc.Root())
		if raw, err = doc.WriteToBytes(); err != nil {
			t.Fatal(err)
		}
	case a.text != nil:
		raw = []byte(a.text(string(raw)))
	}
	if a.agreed {
		raw = i.Sign(raw)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// The parts of a response, by name.

func assertionOf(e *etree.Element) *etree.Element { return e.FindElement("./Assertion") }
func signatureOf(e *etree.Element) *etree.Element { return e.FindElement("./Signature") }

// evil is a copy of an element that says it is about the administrator, unsigned
// and of another ID.
func evil(e *etree.Element) *etree.Element {
	c := e.Copy()
	c.CreateAttr("ID", "_evil")
	if s := signatureOf(c); s != nil {
		c.RemoveChild(s)
	}
	if a := assertionOf(c); a != nil && signatureOf(a) != nil {
		a.RemoveChild(signatureOf(a))
	}
	name(c)
	return c
}

// name has an element speak of the administrator.
func name(e *etree.Element) {
	for _, n := range e.FindElements(".//NameID") {
		n.SetText("admin-at-acme")
	}
}

// forge has a response speak of the administrator, under IDs of its own.
func forge(r *etree.Element) {
	r.CreateAttr("ID", "_evil")
	assertionOf(r).CreateAttr("ID", "_evil-assertion")
	name(r)
}

// bare is a copy without its signature, which is still the one that was hashed.
func bare(e *etree.Element) *etree.Element {
	c := e.Copy()
	c.RemoveChild(signatureOf(c))
	return c
}

var (
	assertionSigned = samltest.Behaviour{Assertion: true}
	responseSigned  = samltest.Behaviour{ResponseOnly: true}
)

// wrappings leave what was signed somewhere in the message, and put something else
// where it is looked for.
func wrappings() []attack {
	const somorovsky = "Somorovsky et al., On Breaking SAML, USENIX Security 2012"
	const samlify = "CVE-2025-47949 (samlify)"
	return []attack{
		{name: "XSW1, the response inside its own signature", source: somorovsky, behaviour: responseSigned, tree: func(r *etree.Element) {
			original := bare(r)
			forge(r)
			signatureOf(r).AddChild(original)
		}, want: saml.Misplaced},
		{name: "XSW2, the response before its signature", source: somorovsky, behaviour: responseSigned, tree: func(r *etree.Element) {
			original := bare(r)
			forge(r)
			r.InsertChildAt(signatureOf(r).Index(), original)
		}, want: saml.Misplaced},
		{name: "XSW3, a forged assertion before the signed one", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			r.InsertChildAt(assertionOf(r).Index(), evil(assertionOf(r)))
		}, want: saml.ManyAssertions},
		{name: "XSW4, the signed assertion inside a forged one", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			original := assertionOf(r)
			e := evil(original)
			r.RemoveChild(original)
			e.AddChild(original)
			r.AddChild(e)
		}, want: saml.Misplaced},
		{name: "XSW5, the signed assertion changed and its original at the end", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			original := bare(assertionOf(r))
			e := assertionOf(r)
			e.CreateAttr("ID", "_evil")
			name(e)
			r.AddChild(original)
		}, want: saml.ManyAssertions},
		{name: "XSW6, the original inside the signature of a forged one", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := assertionOf(r)
			original := bare(e)
			e.CreateAttr("ID", "_evil")
			name(e)
			signatureOf(e).AddChild(original)
		}, want: saml.Misplaced},
		{name: "XSW7, a forged assertion in extensions", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			x := etree.NewElement("samlp:Extensions")
			x.AddChild(evil(assertionOf(r)))
			r.InsertChildAt(1, x)
		}, want: saml.Misplaced},
		{name: "XSW8, the original in an object of the signature", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := assertionOf(r)
			original := bare(e)
			e.CreateAttr("ID", "_evil")
			name(e)
			signatureOf(e).CreateElement("ds:Object").AddChild(original)
		}, want: saml.Misplaced},
		{name: "XSW, the original in an object, under its own ID", source: somorovsky, behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := assertionOf(r)
			original := bare(e)
			name(e)
			signatureOf(e).CreateElement("ds:Object").AddChild(original)
		}, want: saml.DuplicateID},
		{name: "a forged assertion after the signed one", source: samlify, behaviour: assertionSigned, tree: func(r *etree.Element) {
			r.AddChild(evil(assertionOf(r)))
		}, want: saml.ManyAssertions},
		{name: "a forged assertion of the signed one's ID", source: "CVE-2016-5697 (ruby-saml)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := evil(assertionOf(r))
			e.CreateAttr("ID", assertionOf(r).SelectAttrValue("ID", ""))
			r.InsertChildAt(assertionOf(r).Index(), e)
		}, want: saml.DuplicateID},
		{name: "a forged assertion first, its signature second", source: "CVE-2022-41912 (crewjam/saml)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := evil(assertionOf(r))
			e.InsertChildAt(1, signatureOf(assertionOf(r)).Copy())
			r.InsertChildAt(assertionOf(r).Index(), e)
		}, want: saml.ManyAssertions},
		{name: "two assertions in a signed response, one forged", source: "CVE-2022-41912 (crewjam/saml)", behaviour: samltest.Behaviour{}, tree: func(r *etree.Element) {
			r.AddChild(evil(assertionOf(r)))
		}, want: saml.BadSignature},
		{name: "the signed assertion as advice of a forged one", source: "CVE-2025-46572 (passport-wsfed-saml2), SAML Core §2.6.1", behaviour: assertionSigned, tree: func(r *etree.Element) {
			original := assertionOf(r)
			e := evil(original)
			r.RemoveChild(original)
			e.CreateElement("saml:Advice").AddChild(original)
			r.AddChild(e)
		}, want: saml.Misplaced},
		{name: "the signed assertion as an attribute's value", source: "CVE-2025-46572 (passport-wsfed-saml2)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			original := assertionOf(r)
			e := evil(original)
			r.RemoveChild(original)
			e.FindElement(".//AttributeValue").AddChild(original)
			r.AddChild(e)
		}, want: saml.Misplaced},
		{name: "the signed assertion in the detail of the status", source: "CVE-2024-45409 (ruby-saml)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			original := assertionOf(r)
			e := evil(original)
			r.RemoveChild(original)
			r.FindElement("./Status").CreateElement("samlp:StatusDetail").AddChild(original)
			r.AddChild(e)
		}, want: saml.Misplaced},
		{name: "the signed assertion in a header beside the response", source: "McIntosh and Austel, XML Signature Element Wrapping Attacks, SWS 2005", behaviour: assertionSigned, tree: func(r *etree.Element) {
			original := assertionOf(r)
			e := evil(original)
			r.RemoveChild(original)
			w := r.CreateElement("Wrapper")
			w.CreateAttr("xmlns", "urn:evil")
			w.AddChild(original)
			r.AddChild(e)
		}, want: saml.Misplaced},
		{name: "the signature moved to a forged assertion", source: "CVE-2021-21238 (pysaml2)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := evil(assertionOf(r))
			e.InsertChildAt(1, signatureOf(assertionOf(r)).Copy())
			r.RemoveChild(assertionOf(r))
			r.AddChild(e)
		}, want: saml.SignatureTarget},
		{name: "the signature of the assertion on the response", source: "CVE-2020-5390 (pysaml2)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			s := signatureOf(assertionOf(r)).Copy()
			r.InsertChildAt(1, s)
			assertionOf(r).RemoveChild(signatureOf(assertionOf(r)))
			name(r)
		}, want: saml.SignatureTarget},
		{name: "the signature inside the issuer", source: "CVE-2021-21238 (pysaml2)", behaviour: assertionSigned, tree: func(r *etree.Element) {
			a := assertionOf(r)
			s := signatureOf(a)
			a.RemoveChild(s)
			a.FindElement("./Issuer").AddChild(s)
			name(a)
		}, want: saml.Misplaced},
		{name: "the signature after what it signs", source: "SAML Core §2.3.3, schema", behaviour: assertionSigned, tree: func(r *etree.Element) {
			a := assertionOf(r)
			s := signatureOf(a)
			a.RemoveChild(s)
			a.AddChild(s)
		}, want: saml.SignatureShape},
		{name: "two signatures of one assertion", source: "Somorovsky et al. 2012, §6: schema hardening", behaviour: assertionSigned, tree: func(r *etree.Element) {
			a := assertionOf(r)
			a.InsertChildAt(1, signatureOf(a).Copy())
		}, want: saml.Misplaced},
		{name: "a response in a response", source: somorovsky, behaviour: responseSigned, tree: func(r *etree.Element) {
			inner := r.Copy()
			forge(r)
			r.RemoveChild(signatureOf(r))
			r.AddChild(inner)
		}, want: saml.Misplaced},
		{name: "two documents in one", source: "CVE-2022-39299 (node-saml)", behaviour: responseSigned, text: func(s string) string {
			return s + strings.ReplaceAll(s, "jane-at-acme", "admin-at-acme")
		}, want: saml.NotXML},
		{name: "an assertion alone", source: "SAML Bindings §3.5.4", behaviour: assertionSigned, text: func(s string) string {
			return s[strings.Index(s, "<saml:Assertion"):strings.Index(s, "</samlp:Response>")]
		}, want: saml.WrongMessage},
		{name: "an assertion in lower case beside the signed one", source: "Somorovsky et al. 2012, §6: schema hardening", behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := evil(assertionOf(r))
			e.Tag = "assertion"
			r.InsertChildAt(assertionOf(r).Index(), e)
		}, want: saml.Misplaced},
		{name: "an assertion of SAML 1.1 beside the signed one", source: "Somorovsky et al. 2012, §6: schema hardening", behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := evil(assertionOf(r))
			e.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:1.0:assertion")
			r.InsertChildAt(assertionOf(r).Index(), e)
		}, want: saml.Misplaced},
		{name: "an assertion by another prefix beside the signed one", source: "CVE-2025-25292 (ruby-saml): one parser finds it by its namespace, one by its prefix", behaviour: assertionSigned, tree: func(r *etree.Element) {
			e := evil(assertionOf(r))
			e.Space = "x"
			e.CreateAttr("xmlns:x", "urn:oasis:names:tc:SAML:2.0:assertion")
			r.InsertChildAt(assertionOf(r).Index(), e)
		}, want: saml.ManyAssertions},
		{name: "what is no response element beside the assertion", source: "Somorovsky et al. 2012, §6: schema hardening", behaviour: assertionSigned, tree: func(r *etree.Element) {
			r.CreateElement("samlp:Anything")
		}, want: saml.Misplaced},
		{name: "a second subject", source: "Somorovsky et al. 2012: two Subjects of one assertion", behaviour: assertionSigned, tree: func(r *etree.Element) {
			a := assertionOf(r)
			s := a.FindElement("./Subject").Copy()
			name(s)
			a.InsertChildAt(a.FindElement("./Subject").Index(), s)
		}, want: saml.BadSignature},
	}
}

// texts make two readers see two values in one text.
func texts() []attack {
	const duo = "CVE-2017-11427 (python-saml), CVE-2017-11428 (ruby-saml), CVE-2017-11429, CVE-2017-11430, CVE-2018-0489 (Shibboleth)"
	within := func(what string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, "jane-at-acme", "jane"+what+"-at-acme") }
	}
	return []attack{
		{name: "a comment in the name", source: duo, text: within("<!---->"), want: saml.ForbiddenXML},
		{name: "a comment with text in the name", source: duo, text: within("<!-- -->"), want: saml.ForbiddenXML},
		{name: "a comment in an attribute's value", source: duo, text: func(s string) string {
			return strings.ReplaceAll(s, "jane@acme.com", "jane@acme.com<!---->.evil.com")
		}, want: saml.ForbiddenXML},
		{name: "a comment in the audience", source: "CVE-2018-7340 (Duo Network Gateway)", text: func(s string) string {
			return strings.Replace(s, "https://auth.example.com/sso", "https://auth.example.com<!---->/sso", 1)
		}, want: saml.ForbiddenXML},
		{name: "a comment in the digest", source: "CVE-2025-29775 (xml-crypto)", text: func(s string) string {
			return strings.Replace(s, "<ds:DigestValue>", "<ds:DigestValue><!--forged-->", 1)
		}, want: saml.ForbiddenXML},
		{name: "a comment outside of all elements", source: "XML Signature Best Practices §2.1.1", text: func(s string) string { return s + "<!-- -->" }, want: saml.ForbiddenXML},
		{name: "a processing instruction in the name", source: "CVE-2018-0489 (Shibboleth), on instructions as on comments", text: within("<?x y?>"), want: saml.ForbiddenXML},
		{name: "CDATA in the name", source: "CVE-2018-0489 (Shibboleth): text in pieces", text: within("<![CDATA[]]>"), want: saml.ForbiddenXML},
		{name: "an element in the name", source: "CVE-2025-29775 (xml-crypto): text beside elements", text: within("<x/>"), want: saml.BadSignature},
		{name: "an element in the digest", source: "CVE-2025-29775 (xml-crypto): text beside elements", behaviour: assertionSigned, tree: func(r *etree.Element) {
			r.FindElement(".//DigestValue").CreateElement("x")
		}, want: saml.SignatureShape},
		{name: "a name with a line of its own", source: "Duo Labs 2018: what is compared after canonicalization", text: within("&#10;"), want: saml.BadSignature},
		{name: "a name in another's letters", source: "Unicode Technical Report 36 §2.1", text: within("\u200b"), want: saml.BadSignature},
	}
}
