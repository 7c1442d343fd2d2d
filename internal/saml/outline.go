package saml

import (
	"slices"
	"strconv"
	"strings"

	"github.com/beevik/etree"
)

// is reports whether an element has a name in a namespace.
func is(e *etree.Element, ns, name string) bool {
	return e != nil && e.Tag == name && e.NamespaceURI() == ns
}

// what is the name of an element for words.
func what(e *etree.Element) string {
	if e == nil {
		return ""
	}
	return e.FullTag()
}

// one returns the child with a name, nil if there is none; two are refused: which
// of them counts is what readers disagree about.
func one(e *etree.Element, ns, name string) (*etree.Element, error) {
	var found *etree.Element
	for _, c := range e.ChildElements() {
		if !is(c, ns, name) {
			continue
		}
		if found != nil {
			return nil, refuse(Misplaced, "a second "+what(c)+" in "+what(e))
		}
		found = c
	}
	return found, nil
}

// all returns the children with a name.
func all(e *etree.Element, ns, name string) []*etree.Element {
	return slices.DeleteFunc(e.ChildElements(), func(c *etree.Element) bool { return !is(c, ns, name) })
}

// text is what an element says. One that holds elements says nothing.
func text(e *etree.Element) string {
	if e == nil || len(e.ChildElements()) > 0 {
		return ""
	}
	return strings.TrimSpace(e.Text())
}

// attr is an attribute without a prefix. The methods of etree would take one with
// any.
func attr(e *etree.Element, name string) string {
	for _, a := range e.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value
		}
	}
	return ""
}

func has(e *etree.Element, name string) bool {
	return slices.ContainsFunc(e.Attr, func(a etree.Attr) bool { return a.Space == "" && a.Key == name })
}

// heavy are names that stand where they belong or nowhere, whatever namespace
// they are of: each published wrapping moves one of them somewhere else.
var heavy = []string{
	"assertion", "encryptedassertion", "response", "logoutrequest", "logoutresponse", "authnrequest", "artifactresponse",
	"signature", "signedinfo", "object", "manifest",
}

// outline reports the first element that stands where it must not. message is
// the name that the root must have.
func outline(root *etree.Element, ns, message string) error {
	if !is(root, ns, message) {
		return refuse(WrongMessage, what(root), message)
	}
	return within(root, root)
}

func within(root, e *etree.Element) error {
	for _, c := range e.ChildElements() {
		if slices.Contains(heavy, strings.ToLower(c.Tag)) && !placed(root, e, c) {
			return refuse(Misplaced, what(c)+" in "+what(e))
		}
		if err := within(root, c); err != nil {
			return err
		}
	}
	return nil
}

// placed reports whether an element that counts stands in its one place.
func placed(root, parent, e *etree.Element) bool {
	switch {
	case is(e, nsAssertion, "Assertion"), is(e, nsAssertion, "EncryptedAssertion"):
		return parent == root && is(root, nsProtocol, "Response")
	case is(e, nsSignature, "Signature"):
		return len(all(parent, nsSignature, "Signature")) == 1 &&
			(parent == root || parent.Parent() == root && is(parent, nsAssertion, "Assertion"))
	case is(e, nsSignature, "SignedInfo"):
		return is(parent, nsSignature, "Signature") && len(all(parent, nsSignature, "SignedInfo")) == 1
	}
	return false
}

// content are the children that a response may have (SAML Core §3.2.2, §3.3.3).
var content = []struct {
	ns, name string
}{
	{nsAssertion, "Issuer"}, {nsSignature, "Signature"}, {nsProtocol, "Extensions"}, {nsProtocol, "Status"},
	{nsAssertion, "Assertion"}, {nsAssertion, "EncryptedAssertion"},
}

// sole returns the one assertion of a response, encrypted or not.
func sole(response *etree.Element) (*etree.Element, error) {
	var found []*etree.Element
	for _, c := range response.ChildElements() {
		known := false
		for _, k := range content {
			known = known || is(c, k.ns, k.name)
		}
		if !known {
			return nil, refuse(Misplaced, what(c)+" in "+what(response))
		}
		if is(c, nsAssertion, "Assertion") || is(c, nsAssertion, "EncryptedAssertion") {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, refuse(NoAssertion)
	case 1:
		return found[0], nil
	}
	return nil, refuse(ManyAssertions, strconv.Itoa(len(found)))
}
