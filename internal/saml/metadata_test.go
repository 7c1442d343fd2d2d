package saml_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	crewjam "github.com/crewjam/saml"

	"sallyport/internal/saml"
	"sallyport/internal/saml/samltest"
)

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	i := idp()
	i.Rotate()
	d, err := saml.ParseMetadata(i.Metadata(), "", now)
	if err != nil {
		t.Fatal(err)
	}
	if d.EntityID != i.EntityID() || d.SignOnURL != "https://idp.example.com/sso" || d.SignOnBinding != saml.Redirect || d.LogoutURL != "https://idp.example.com/slo" ||
		len(d.Certificates) != 2 || d.ValidUntil.Before(now) {
		t.Errorf("got %+v", d)
	}
	i.Post()
	if d, err := saml.ParseMetadata(i.Metadata(), i.EntityID(), now); err != nil || d.SignOnBinding != saml.Post || d.LogoutBinding != saml.Post {
		t.Errorf("by form: %+v, %v", d, err)
	}
}

// Metadata of others, changed.
func TestMetadataThatAreRefused(t *testing.T) {
	t.Parallel()
	i := idp()
	good := string(i.Metadata())
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("there is no %s", old)
		}
		return strings.ReplaceAll(good, old, with)
	}
	weak := base64.StdEncoding.EncodeToString(certificate(t, rsaKey(t, 1024)))
	strong := good[strings.Index(good, "<X509Certificate"):strings.Index(good, "</X509Certificate>")]
	strong = strong[strings.IndexByte(strong, '>')+1:]
	two := `<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">` + good + strings.ReplaceAll(good, i.EntityID(), "https://other.example.com") + `</EntitiesDescriptor>`
	for name, c := range map[string]struct {
		body string
		id   string
		want saml.Reason
	}{
		"as it is":                 {good, "", ""},
		"with a comment":           {strings.Replace(good, "<IDPSSODescriptor", "<!-- ours --><IDPSSODescriptor", 1), "", ""},
		"with a declaration":       {`<?xml version="1.0" encoding="utf-8"?>` + good, "", ""},
		"with a byte order mark":   {"\xef\xbb\xbf" + good, "", ""},
		"one of two, by name":      {two, i.EntityID(), ""},
		"one of two":               {two, "", saml.ManyEntities},
		"none of two":              {two, "https://third.example.com", saml.WrongIssuer},
		"of another":               {good, "https://third.example.com", saml.WrongIssuer},
		"a document type":          {`<!DOCTYPE a [<!ENTITY b "c">]>` + good, "", saml.ForbiddenXML},
		"a document type, hidden":  {`<!-- --><!DOCTYPE a>` + good, "", saml.ForbiddenXML},
		"an entity bomb":           {`<!DOCTYPE a [<!ENTITY b "` + strings.Repeat("x", 1000) + `">]><a>` + strings.Repeat("&b;", 1000) + `</a>`, "", saml.ForbiddenXML},
		"HTML":                     {"<html><p>Sign in</html>", "", saml.NotXML},
		"nothing":                  {"", "", saml.NotXML},
		"JSON":                     {`{"issuer":"https://idp.example.com"}`, "", saml.NotXML},
		"a service's":              {replace("IDPSSODescriptor", "SPSSODescriptor"), "", saml.NoEntity},
		"of SAML 1.1":              {replace("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.1:protocol"), "", saml.NoEntity},
		"without a name":           {replace(`entityID="`+i.EntityID()+`"`, `entityID=""`), "", saml.NoEntity},
		"past their end":           {replace(`validUntil="2026-11-24T12:00:00Z"`, `validUntil="2026-11-21T12:00:00Z"`), "", saml.Expired},
		"with an end that is none": {replace(`validUntil="2026-11-24T12:00:00Z"`, `validUntil="soon"`), "", saml.NoTime},
		"without a place":          {replace("SingleSignOnService", "ArtifactResolutionService"), "", saml.NoSignOn},
		"by SOAP alone":            {replace("urn:oasis:names:tc:SAML:2.0:bindings:HTTP-", "urn:oasis:names:tc:SAML:2.0:bindings:SOAP-"), "", saml.NoSignOn},
		"by http":                  {replace("https://idp.example.com/sso", "http://idp.example.com/sso"), "", saml.BadAddress},
		"by script":                {replace("https://idp.example.com/sso", "javascript:alert(1)"), "", saml.BadAddress},
		"goodbyes by http":         {replace("https://idp.example.com/slo", "http://idp.example.com/slo"), "", saml.BadAddress},
		"without keys":             {replace("KeyDescriptor", "OtherDescriptor"), "", saml.NoKey},
		"keys for encryption":      {replace(`use="signing"`, `use="encryption"`), "", saml.NoKey},
		"a weak key":               {replace(strong, weak), "", saml.BadKey},
		"a key that is none":       {replace(strong, "AAAA"), "", saml.BadKey},
		"too large":                {good + strings.Repeat(" ", saml.MaxMetadata), "", saml.TooLarge},
		"two of one ID":            {replace("<IDPSSODescriptor", `<Organization ID="a"/><Organization ID="a"/><IDPSSODescriptor`), "", saml.DuplicateID},
	} {
		_, err := saml.ParseMetadata([]byte(c.body), c.id, now)
		if reason(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil {
			told(t, err)
		}
	}
}

// Ours are read by an identity provider of others'.
func TestOurMetadata(t *testing.T) {
	t.Parallel()
	older, err := saml.NewKeyPair("sallyport", now.AddDate(-1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	body, err := saml.Peer{Keys: []saml.KeyPair{ours(), older}, SignRequests: true}.Metadata(us)
	if err != nil {
		t.Fatal(err)
	}
	var d crewjam.EntityDescriptor
	if err := xml.Unmarshal(body, &d); err != nil {
		t.Fatal(err)
	}
	if d.EntityID != us.EntityID || len(d.SPSSODescriptors) != 1 {
		t.Fatalf("got %+v", d)
	}
	sp := d.SPSSODescriptors[0]
	if !*sp.AuthnRequestsSigned || !*sp.WantAssertionsSigned || len(sp.KeyDescriptors) != 4 || sp.AssertionConsumerServices[0].Location != us.ACS ||
		sp.AssertionConsumerServices[0].Binding != saml.Post || len(sp.SingleLogoutServices) != 2 || sp.SingleLogoutServices[0].Location != us.SLO {
		t.Errorf("got %+v", sp)
	}
	var used []string
	for _, k := range sp.KeyDescriptors {
		used = append(used, k.Use)
	}
	if !slices.Equal(used, []string{"signing", "signing", "encryption", "encryption"}) || sp.KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data != base64.StdEncoding.EncodeToString(ours().Certificate) {
		t.Errorf("keys %v", used)
	}
	if id, ok := saml.OrgOf("https://auth.example.com", us.EntityID); !ok || id != "0192f1a0-0000-7000-8000-000000000001" {
		t.Errorf("of organization %q", id)
	}
}

// While a provider changes its key both are believed; then the old one is not.
func TestKeyRollover(t *testing.T) {
	t.Parallel()
	i := idp()
	before := i.Peer()
	i.Rotate()
	during := i.Peer()
	i.Forget()
	after := i.Peer()
	out, message := answer(t, i, during)
	old := idp()
	form, err := old.Answer(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p       saml.Peer
		message string
		want    saml.Reason
	}{
		"the new key, unknown": {before, message, saml.UnknownKey}, "the new key, known beside the old": {during, message, ""},
		"the old key, still known": {during, form.Fields[0].Value, ""}, "the old key, given up": {after, form.Fields[0].Value, saml.UnknownKey}, "the new key alone": {after, message, ""},
	} {
		if _, err := read(c.p, out.ID, c.message); reason(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Our own keys change, too: what was sealed for the old one is still opened.
func TestOurKeyRollover(t *testing.T) {
	t.Parallel()
	newer, err := saml.NewKeyPair("sallyport", now)
	if err != nil {
		t.Fatal(err)
	}
	i := idp()
	i.Behave(samltest.Behaviour{Encrypt: ours().Certificate})
	p := i.Peer()
	p.Keys = []saml.KeyPair{newer, ours()}
	out, message := answer(t, i, p)
	if _, err := read(p, out.ID, message); err != nil {
		t.Error(err)
	}
}

func TestCertificatesEnd(t *testing.T) {
	t.Parallel()
	i := idp()
	p := i.Peer()
	out, message := answer(t, i, p)
	for at, want := range map[time.Time]saml.Reason{
		now: "", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC): saml.Expired, // of the response, before the key is looked at
	} {
		if _, err := p.Read(saml.Incoming{Message: message, Party: us, Request: out.ID, Now: at}); reason(err) != want {
			t.Errorf("at %s: %v, want %q", at, err, want)
		}
	}
	later := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	late := samltest.New("https://idp.example.com", func() time.Time { return later })
	out, err := p.Ask(saml.Question{Party: us, Now: later})
	if err != nil {
		t.Fatal(err)
	}
	form, err := late.Answer(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(saml.Incoming{Message: form.Fields[0].Value, Party: us, Request: out.ID, Now: later}); reason(err) != saml.ExpiredKey {
		t.Errorf("a key from 2022 to 2032, in 2040: %v", err)
	}
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t *testing.T, k crypto.Signer) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ECDSA signs in two halves (XML Signature 1.1 §6.4.3), which the library below does
// not know.
func TestECDSA(t *testing.T) {
	t.Parallel()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := idp()
	i.Use(k, certificate(t, k))
	i.Behave(samltest.Behaviour{Method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"})
	p := i.Peer()
	out, message := answer(t, i, p)
	if a, err := read(p, out.ID, message); err != nil || a.Subject.Value != "jane-at-acme" {
		t.Errorf("%+v, %v", a.Subject, err)
	}
	at := i.Logout(us, "_bye", "jane-at-acme", "")
	if _, err := p.ReadLogout(saml.IncomingLogout{Query: at[len(us.SLO)+1:], Party: us, Now: now}); err != nil {
		t.Error(err)
	}
}

func TestPastedCertificates(t *testing.T) {
	t.Parallel()
	der := ours().Certificate
	plain := base64.StdEncoding.EncodeToString(der)
	for name, pasted := range map[string]string{
		"bare": plain, "PEM": "-----BEGIN CERTIFICATE-----\n" + plain + "\n-----END CERTIFICATE-----\n", "with spaces": "  " + plain[:40] + "\r\n " + plain[40:] + "\n",
	} {
		if got, err := saml.ParseCertificate(pasted); err != nil || string(got) != string(der) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, pasted := range []string{"", "rubbish!", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", base64.StdEncoding.EncodeToString([]byte("x"))} {
		if _, err := saml.ParseCertificate(pasted); reason(err) != saml.BadKey {
			t.Errorf("%q: %v", pasted, err)
		}
	}
}

// Every reason has words, and none of the other side's get at a log or a page whole.
func TestReasonsHaveWords(t *testing.T) {
	t.Parallel()
	if n := len(saml.Reasons()); n < 40 {
		t.Errorf("%d reasons", n)
	}
	for _, r := range saml.Reasons() {
		f := &saml.Failure{Reason: r}
		if w := strings.ReplaceAll(f.Words(), "%!s(MISSING)", ""); len(w) < 20 || strings.Contains(w, "%!") {
			t.Errorf("%s: %q", r, w)
		}
	}
}
