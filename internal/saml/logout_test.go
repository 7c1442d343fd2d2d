package saml_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

// packed is a message of the redirect binding, unsigned.
func packed(body []byte) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(body)
	w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// Who could forge a goodbye could sign everybody out.
func TestLogoutAttacks(t *testing.T) {
	t.Parallel()
	i := idp()
	p := i.Peer()
	forger := idp()
	forger.Rotate()
	query := func(i *samltest.IdP, us saml.Party) url.Values {
		at, err := url.Parse(i.Logout(us, "_bye", "jane-at-acme", "_session"))
		if err != nil {
			t.Fatal(err)
		}
		return at.Query()
	}
	other := saml.PartyAt("https://auth.example.com", "0192f1a0-0000-7000-8000-000000000002")
	for name, c := range map[string]struct {
		source string
		query  func() string
		at     time.Time
		want   saml.Reason
	}{
		"unsigned": {source: "SAML Profiles §4.4.4.1", want: saml.Unsigned, query: func() string {
			q := query(i, us)
			q.Del("Signature")
			return q.Encode()
		}},
		"another relay state": {source: "SAML Bindings §3.4.4.1", want: saml.BadSignature, query: func() string {
			q := query(i, us)
			q.Set("RelayState", "another")
			return sequence(q)
		}},
		"no relay state any more": {source: "SAML Bindings §3.4.4.1", want: saml.BadSignature, query: func() string {
			q := query(i, us)
			q.Del("RelayState")
			return sequence(q)
		}},
		"another message": {source: "SAML Bindings §3.4.4.1", want: saml.BadSignature, query: func() string {
			q := query(i, us)
			q.Set("SAMLRequest", packed([]byte("<x/>")))
			return sequence(q)
		}},
		"SHA-1": {source: "Leurent and Peyrin, SHA-1 is a Shambles, 2020", want: saml.WeakAlgorithm, query: func() string {
			q := query(i, us)
			q.Set("SigAlg", "http://www.w3.org/2000/09/xmldsig#rsa-sha1")
			return sequence(q)
		}},
		"HMAC": {source: "RFC 8725 §2.1 on SAML", want: saml.WeakAlgorithm, query: func() string {
			q := query(i, us)
			q.Set("SigAlg", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
			return sequence(q)
		}},
		"another key": {source: "CVE-2021-21239 (pysaml2)", want: saml.BadSignature, query: func() string { return sequence(query(forger, us)) }},
		"a parameter twice": {source: "Carettoni and di Paola, HTTP Parameter Pollution, 2009", want: saml.AmbiguousXML, query: func() string {
			return sequence(query(i, us)) + "&SAMLRequest=" + url.QueryEscape(packed([]byte("<x/>")))
		}},
		"for another organization": {source: "SAML Bindings §3.4.5.2", want: saml.WrongDestination, query: func() string { return sequence(query(i, other)) }},
		"too old":                  {source: "SAML Core §3.7.1", want: saml.Expired, at: now.Add(25 * time.Hour), query: func() string { return sequence(query(i, us)) }},
		"of the future":            {source: "SAML Core §3.2.1", want: saml.NotYet, at: now.Add(-time.Hour), query: func() string { return sequence(query(i, us)) }},
		"an address that is none":  {source: "RFC 3986 §2.1", want: saml.BadEncoding, query: func() string { return "SAMLRequest=%zz&Signature=x" }},
		"nothing":                  {source: "SAML Bindings §3.4", want: saml.Unsigned, query: func() string { return "" }},
	} {
		at := c.at
		if at.IsZero() {
			at = now
		}
		_, err := p.ReadLogout(saml.IncomingLogout{Query: c.query(), Party: us, Now: at})
		if reason(err) != c.want {
			t.Errorf("%s (%s): %v, want %q", name, c.source, err, c.want)
			continue
		}
		told(t, err)
	}
}

// sequence is a query in the order in which it is signed.
func sequence(q url.Values) string {
	var parts []string
	for _, name := range []string{"SAMLRequest", "RelayState", "SigAlg", "Signature"} {
		if q.Has(name) {
			parts = append(parts, name+"="+url.QueryEscape(q.Get(name)))
		}
	}
	return strings.Join(parts, "&")
}

// By form, the request holds its signature.
func TestLogoutByForm(t *testing.T) {
	t.Parallel()
	i := idp()
	p := i.Peer()
	const body = `<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_bye" Version="2.0" ` +
		`IssueInstant="2026-11-22T12:00:00Z" NotOnOrAfter="2026-11-22T12:05:00Z" Destination="DEST"><saml:Issuer>ISSUER</saml:Issuer>` +
		`<saml:NameID>jane-at-acme</saml:NameID><samlp:SessionIndex>_one</samlp:SessionIndex><samlp:SessionIndex>_two</samlp:SessionIndex></samlp:LogoutRequest>`
	plain := strings.NewReplacer("DEST", us.SLO, "ISSUER", i.EntityID()).Replace(body)
	change := func(f func(root *etree.Element), sign bool) url.Values {
		doc, source := etree.NewDocument(), []byte(plain)
		if sign {
			source = i.Sign(source)
		}
		if err := doc.ReadFromBytes(source); err != nil {
			t.Fatal(err)
		}
		f(doc.Root())
		raw, err := doc.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString(raw)}, "RelayState": {"relay"}}
	}
	agreed := func(f func(root *etree.Element)) url.Values {
		v := change(f, false)
		raw, _ := base64.StdEncoding.DecodeString(v.Get("SAMLRequest"))
		v.Set("SAMLRequest", base64.StdEncoding.EncodeToString(i.Sign(raw)))
		return v
	}
	nothing := func(*etree.Element) {}
	for name, c := range map[string]struct {
		form url.Values
		want saml.Reason
	}{
		"good":             {agreed(nothing), ""},
		"unsigned":         {change(nothing, false), saml.Unsigned},
		"another name":     {change(name, true), saml.BadSignature},
		"expired":          {agreed(func(r *etree.Element) { r.CreateAttr("NotOnOrAfter", "2026-11-22T11:00:00Z") }), saml.Expired},
		"another issuer":   {agreed(func(r *etree.Element) { r.FindElement("./Issuer").SetText("https://evil.example.com") }), saml.WrongIssuer},
		"no issuer":        {agreed(func(r *etree.Element) { r.RemoveChild(r.FindElement("./Issuer")) }), saml.WrongIssuer},
		"sent nowhere":     {agreed(func(r *etree.Element) { r.RemoveAttr("Destination") }), saml.WrongDestination},
		"about nobody":     {agreed(func(r *etree.Element) { r.RemoveChild(r.FindElement("./NameID")) }), saml.NoSubject},
		"about two":        {agreed(func(r *etree.Element) { r.AddChild(r.FindElement("./NameID").Copy()) }), saml.Misplaced},
		"a sealed name":    {agreed(func(r *etree.Element) { r.FindElement("./NameID").Tag = "EncryptedID" }), saml.NoSubject},
		"a response in it": {agreed(func(r *etree.Element) { r.CreateElement("samlp:Response") }), saml.Misplaced},
		"an assertion":     {agreed(func(r *etree.Element) { r.Tag = "AuthnRequest" }), saml.WrongMessage},
		"too many": {agreed(func(r *etree.Element) {
			for range 200 {
				r.CreateElement("samlp:SessionIndex").SetText("_x")
			}
		}), saml.TooLarge},
		"nothing": {url.Values{}, saml.BadEncoding},
	} {
		r, err := p.ReadLogout(saml.IncomingLogout{Form: c.form, Party: us, Now: now})
		if reason(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if c.want == "" && (r.ID != "_bye" || len(r.Sessions) != 2 || r.Relay != "relay" || !r.Until.After(now) || r.Until.After(now.Add(time.Hour))) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A kilobyte of an address does not become megabytes here.
func TestDeflateBomb(t *testing.T) {
	t.Parallel()
	i := idp()
	p := i.Peer()
	at, err := url.Parse(i.Forged(us, []byte(strings.Repeat(" ", 2<<20)+"<x/>")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReadLogout(saml.IncomingLogout{Query: at.RawQuery, Party: us, Now: now}); reason(err) != saml.TooLarge {
		t.Errorf("CVE-2023-28119 (crewjam/saml), CVE-2023-26483 (gosaml2): %v", err)
	}
}

func TestSessionIsKeptAsText(t *testing.T) {
	t.Parallel()
	s := saml.Session{Subject: saml.NameID{Value: `ja"ne`, Format: saml.FormatPersistent, NameQualifier: "q"}, Index: "_1"}
	got, ok := saml.ParseSession(s.String())
	if !ok || got != s || !json.Valid([]byte(s.String())) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for _, text := range []string{"", "_index", "{}", "[]"} {
		if _, ok := saml.ParseSession(text); ok {
			t.Errorf("%q is one", text)
		}
	}
}
