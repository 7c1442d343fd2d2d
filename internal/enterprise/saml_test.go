package enterprise_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/saml/samltest"
	"sallyport/internal/sso"
	"sallyport/internal/upstream/upstreamtest"
)

func (f firm) samlProvider() (idp *samltest.IdP, stop func()) {
	f.Helper()
	idp, stop = samltest.Serve(f.Now)
	f.Cleanup(stop)
	return idp, stop
}

// certificate is one that ends at a time, as an administrator pastes it.
func certificate(t *testing.T, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: end.AddDate(-2, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func byHand(certificates ...[]byte) enterprise.ConnectionIn {
	in := enterprise.ConnectionIn{Kind: sso.SAML, Provider: "adfs", Issuer: "urn:acme:idp", SignOnURL: "https://idp.acme.com/sso"}
	for _, c := range certificates {
		in.Certificates = append(in.Certificates, c...)
	}
	return in
}

func TestSAMLProviderByMetadata(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		idp, _ := f.samlProvider()
		peer := idp.Peer()
		v := f.connect(f.link, enterprise.ConnectionIn{Kind: sso.SAML, Provider: "okta", MetadataURL: idp.EntityID()})
		first := f.Connection(f.org)
		if c := v.Connection; c.Issuer != peer.EntityID || c.SignOnURL != peer.SignOnURL || c.LogoutURL != peer.LogoutURL || len(c.Certificates) != 1 || c.MetadataURL != idp.EntityID() || len(first.Keys) != 1 {
			t.Errorf("by URL: %+v", c)
		}
		v = f.connect(f.owner, enterprise.ConnectionIn{Kind: sso.SAML, Provider: "okta", Metadata: idp.Metadata()})
		if c := f.Connection(f.org); c.MetadataURL != "" || c.Revision != v.Connection.Revision || c.Revision != first.Revision || c.Keys[0].Key != first.Keys[0].Key {
			t.Errorf("by upload: %+v", c)
		}
		on := true
		v = f.connect(f.owner, enterprise.ConnectionIn{Kind: sso.SAML, Provider: "okta", SignRequests: &on, IdPInitiated: &on})
		if c := v.Connection; !c.SignRequests || !c.IdPInitiated || c.Issuer != peer.EntityID {
			t.Errorf("settings alone: %+v", c)
		}
		_, in := f.provider()
		if v = f.connect(f.owner, in); v.Connection.Kind != sso.OIDC || v.Connection.SignOnURL != "" || len(v.Connection.Keys) != 0 {
			t.Errorf("OpenID Connect in its place: %+v", v.Connection)
		}
	})
}

func TestSAMLMetadataMustFit(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	idp, _ := f.samlProvider()
	good := string(idp.Metadata())
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }))
	t.Cleanup(other.Close)
	for name, c := range map[string]struct {
		in    enterprise.ConnectionIn
		field string
		want  []string
	}{
		"no XML":         {enterprise.ConnectionIn{Metadata: []byte("hello")}, "metadata", []string{enterprise.IssuerSAML, "not_xml"}},
		"an entity bomb": {enterprise.ConnectionIn{Metadata: []byte(`<!DOCTYPE x [<!ENTITY a "b">]>` + good)}, "metadata", []string{enterprise.IssuerSAML, "forbidden_xml"}},
		"another entity": {enterprise.ConnectionIn{Metadata: []byte(good), Issuer: "urn:other"}, "metadata", []string{enterprise.IssuerSAML, "wrong_issuer"}},
		"too large":      {enterprise.ConnectionIn{Metadata: []byte(good + strings.Repeat(" ", 2<<20))}, "metadata", []string{enterprise.IssuerSAML, "too_large"}},
		"in clear":       {enterprise.ConnectionIn{Metadata: []byte(strings.ReplaceAll(good, "http://127.0.0.1", "http://idp.example"))}, "metadata", []string{enterprise.IssuerSAML, "bad_address"}},
		"no page":        {enterprise.ConnectionIn{MetadataURL: other.URL}, "metadata", []string{enterprise.IssuerStatus, "404"}},
		"inside":         {enterprise.ConnectionIn{MetadataURL: "https://192.168.0.1/metadata"}, "metadata", []string{enterprise.IssuerPrivate}},
		"a file":         {enterprise.ConnectionIn{MetadataURL: "file:///etc/passwd"}, "metadata", []string{enterprise.IssuerBadURL}},
		"no certificate": {enterprise.ConnectionIn{Issuer: "urn:x", SignOnURL: "https://idp.example/sso", Certificates: []byte("hello!")}, "certificate", []string{enterprise.IssuerSAML, "bad_key"}},
		"ended":          {byHand(certificate(t, f.Now())), "metadata", []string{enterprise.IssuerExpired}},
	} {
		c.in.Kind, c.in.Provider = sso.SAML, "adfs"
		_, err := f.Enterprise.SetConnection(t.Context(), f.runner, f.org.ID, c.in)
		is(t, name, err, fault.IssuerInvalid, c.want...)
		if got, ok := fault.From(err); ok && got.Field != c.field {
			t.Errorf("%s: about %q", name, got.Field)
		}
		f.Advance(time.Minute)
	}
	bad := byHand(certificate(t, f.Now().AddDate(1, 0, 0)))
	bad.SignOnURL = "javascript:alert(1)"
	_, err := f.Enterprise.SetConnection(t.Context(), f.owner, f.org.ID, bad)
	is(t, "a script", err, fault.FieldInvalid)
}

// A SAML provider says itself what it is called: one that shows no key that the one
// before had is another, also by the same name.
func TestSAMLProviderWithOtherKeysIsAnother(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		end := f.Now().AddDate(1, 0, 0)
		first, second, evil := certificate(t, end), certificate(t, end), certificate(t, end)
		f.connect(f.owner, byHand(first))
		ann := f.linkTo(f.admin.UserID, "ann")
		_, err := f.Enterprise.SetConnection(t.Context(), f.link, "", byHand(evil))
		is(t, "other keys", err, fault.OrgHolds, "1")
		f.connect(f.link, byHand(first, second))
		f.connect(f.link, byHand(second))
		if f.links(f.admin.UserID) != 1 || !f.alive(ann) {
			t.Error("a roll-over cut links")
		}
		confirmed := byHand(evil)
		confirmed.Confirm = true
		f.connect(f.link, confirmed)
		if f.links(f.admin.UserID) != 0 || f.alive(ann) {
			t.Error("the links are another's now")
		}
	})
}

// What a provider publishes is taken over, every day, and its owners hear of what fails.
func TestMetadataRollOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		idp, stop := f.samlProvider()
		f.connect(f.owner, enterprise.ConnectionIn{Kind: sso.SAML, Provider: "okta", MetadataURL: idp.EntityID()})
		ann := f.linkTo(f.admin.UserID, "ann")
		look := func() sso.Connection {
			t.Helper()
			f.Advance(sso.CareEvery)
			if err := f.Enterprise.LookAfterConnections(t.Context()); err != nil {
				t.Fatal(err)
			}
			return f.Connection(f.org)
		}
		before := look()
		idp.Rotate()
		both := look()
		if len(both.Certificates) != 2 || both.Revision != before.Revision+1 {
			t.Errorf("after a new key: %d certificates, revision %d", len(both.Certificates), both.Revision)
		}
		f.owner.Session.AuthenticatedAt = f.Now()
		if e := f.last(); e.Action != audit.ConnectionSet || e.Actor != audit.System() {
			t.Errorf("logged %+v", e)
		}
		idp.Forget()
		if last := look(); len(last.Certificates) != 1 || string(last.Certificates[0]) == string(before.Certificates[0]) || len(last.Keys) != 1 {
			t.Errorf("the old key is believed yet: %d certificates", len(last.Certificates))
		}
		if f.links(f.admin.UserID) != 1 || f.alive(ann) == false && f.Now().Sub(ann.CreatedAt) < time.Hour {
			t.Error("a roll-over cut links")
		}
		f.Mail("owner@acme.com")
		same := f.Connection(f.org)
		stop()
		for day := range 5 {
			if now := look(); now.Revision != same.Revision || len(now.Certificates) != 1 {
				t.Errorf("what could not be read changed it: %+v", now)
			}
			if text, ok := f.Mail("owner@acme.com"); ok != (day == 2) || ok && !strings.Contains(text, "has not published what it should for 3 days") {
				t.Errorf("day %d: %v %s", day, ok, text)
			}
		}
	})
}

func TestOwnersAreWarnedOfCertificatesThatEnd(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		end := f.Now().AddDate(0, 0, 40).Truncate(time.Second)
		f.connect(f.owner, byHand(certificate(t, f.Now().AddDate(0, 0, 2)), certificate(t, end)))
		f.Mail("owner@acme.com")
		warned := map[int]string{}
		for _, left := range []int{40, 31, 30, 29, 15, 14, 13, 8, 7, 2, 1, 0, -1} {
			f.Advance(end.AddDate(0, 0, -left).Sub(f.Now()))
			if err := f.Enterprise.LookAfterConnections(t.Context()); err != nil {
				t.Fatal(err)
			}
			if text, ok := f.Mail("owner@acme.com"); ok {
				warned[left] = text
			}
		}
		if len(warned) != 5 {
			t.Errorf("warned at %v", fmt.Sprint(warned))
		}
		for days, want := range map[int]string{30: "for 30 more days", 14: "for 14 more days", 7: "for 7 more days", 1: "for 1 more day", 0: "has expired"} {
			if !strings.Contains(warned[days], want) {
				t.Errorf("%d days before: %q", days, warned[days])
			}
		}
		in := byHand(certificate(t, f.Now().AddDate(0, 0, 14)))
		in.Confirm = true
		f.owner.Session.AuthenticatedAt = f.Now()
		f.connect(f.owner, in)
		f.Mail("owner@acme.com")
		f.Advance(sso.CareEvery)
		if err := f.Enterprise.LookAfterConnections(t.Context()); err != nil {
			t.Fatal(err)
		}
		if text, ok := f.Mail("owner@acme.com"); !ok || !strings.Contains(text, "for 13 more days") {
			t.Errorf("of the next one: %s", text)
		}
	})
}

func TestOwnersHearOfAnIssuerThatIsGone(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	fake, in := f.provider()
	f.connect(f.owner, in)
	f.Mail("owner@acme.com")
	fake.Behave(upstreamtest.Down)
	for day := range 4 {
		f.Advance(2 * sso.CareEvery)
		if err := f.Enterprise.LookAfterConnections(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, ok := f.Mail("owner@acme.com"); ok != (day == 2) {
			t.Errorf("day %d: mailed %v", day, ok)
		}
	}
	_, err := f.Enterprise.Enable(t.Context(), f.runner, f.org.ID, false)
	is(t, "off", err, "")
}
