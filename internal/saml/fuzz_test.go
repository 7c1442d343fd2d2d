package saml_test

import (
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/beevik/etree"

	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

// Whatever a response is made into without the provider's key, it is refused, or it
// still says what the provider signed, of whom it said it.
func TestNoMutationNamesSomebodyElse(t *testing.T) {
	t.Parallel()
	const each = 100
	for _, b := range []samltest.Behaviour{{}, assertionSigned, responseSigned} {
		g := goodAnswer(t, b)
		p, out := g.peer, g.out
		p.Unsolicited = true
		raw, err := base64.StdEncoding.DecodeString(g.message)
		if err != nil {
			t.Fatal(err)
		}
		good, err := read(p, out.ID, g.message)
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for seed := range uint64(each) {
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(raw); err != nil {
				t.Fatal(err)
			}
			mutate(rand.New(rand.NewPCG(seed, 1)), doc.Root())
			changed, err := doc.WriteToBytes()
			if err != nil {
				continue // there is no root any more
			}
			got, err := read(p, out.ID, base64.StdEncoding.EncodeToString(changed))
			if err != nil {
				told(t, err)
				continue
			}
			accepted++
			if got.Subject != good.Subject || got.ID != good.ID || !got.Instant.Equal(good.Instant) || !slices.Equal(got.Attributes["groups"], good.Attributes["groups"]) {
				t.Fatalf("%+v, seed %d: accepted as %+v\n%s", b, seed, got.Subject, changed)
			}
		}
		if accepted == each {
			t.Errorf("%+v: all were accepted", b)
		}
	}
}

// mutate moves, copies, removes and rewrites a few elements, with the names and
// values that wrappings are made of.
func mutate(r *rand.Rand, root *etree.Element) {
	names := []string{"admin-at-acme", "_evil", "", "jane-at-acme<!---->", "https://auth.example.com"}
	spaces := []string{"urn:oasis:names:tc:SAML:2.0:assertion", "http://www.w3.org/2000/09/xmldsig#", "urn:evil"}
	for range 1 + r.IntN(4) {
		all := root.FindElements("//*")
		if len(all) == 0 {
			return
		}
		e, other := all[r.IntN(len(all))], all[r.IntN(len(all))]
		switch r.IntN(9) {
		case 0:
			other.AddChild(e.Copy())
		case 1:
			c := e.Copy()
			name(c)
			c.CreateAttr("ID", "_evil")
			if parent := e.Parent(); parent != nil {
				parent.InsertChildAt(e.Index(), c)
			}
		case 2:
			if e.Parent() != nil && e != root {
				e.Parent().RemoveChild(e)
			}
		case 3:
			e.SetText(names[r.IntN(len(names))])
		case 4:
			e.Tag = other.Tag
		case 5:
			e.CreateAttr([]string{"ID", "Id", "xml:id", "x:ID", "Destination", "URI"}[r.IntN(6)], other.SelectAttrValue("ID", "_evil"))
		case 6:
			e.CreateAttr("xmlns:"+e.Space, spaces[r.IntN(len(spaces))])
		case 7:
			if parent := e.Parent(); parent != nil && e != root && !inside(other, e) {
				parent.RemoveChild(e)
				other.AddChild(e)
			}
		case 8:
			if len(e.Attr) > 0 {
				e.Attr[r.IntN(len(e.Attr))].Value = names[r.IntN(len(names))]
			}
		}
	}
}

// inside reports whether e is within an element, or it.
func inside(e, within *etree.Element) bool {
	for ; e != nil; e = e.Parent() {
		if e == within {
			return true
		}
	}
	return false
}

func FuzzRead(f *testing.F) {
	i := idp()
	p := i.Peer()
	p.Keys, p.Unsolicited = []saml.KeyPair{ours()}, true
	for _, b := range []samltest.Behaviour{{}, assertionSigned, responseSigned, {Encrypt: ours().Certificate}} {
		i.Behave(b)
		form, err := i.Unsolicited(us, "")
		if err != nil {
			f.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(form.Fields[0].Value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		message := base64.StdEncoding.EncodeToString(raw)
		a, err := read(p, "", message)
		if err == nil && a.Subject.Value != "jane-at-acme" {
			t.Errorf("accepted as %+v", a)
		}
		if err != nil && reason(err) == "" {
			t.Errorf("no reason: %v", err)
		}
		saml.For(message)
	})
}

func FuzzReadLogout(f *testing.F) {
	i := idp()
	p := i.Peer()
	at := i.Logout(us, "_bye", "jane-at-acme", "_session")
	f.Add(at[len(us.SLO)+1:])
	f.Add("SAMLRequest=%00&Signature=x")
	f.Fuzz(func(t *testing.T, query string) {
		r, err := p.ReadLogout(saml.IncomingLogout{Query: query, Party: us, Now: now})
		if err == nil && r.Subject.Value != "jane-at-acme" {
			t.Errorf("accepted as %+v", r)
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(idp().Metadata())
	f.Add([]byte("<EntityDescriptor/>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := saml.ParseMetadata(body, "", now)
		if err == nil && (d.EntityID == "" || d.SignOnURL == "" || len(d.Certificates) == 0) {
			t.Errorf("accepted as %+v", d)
		}
	})
}
