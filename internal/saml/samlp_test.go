package saml_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/emulator"
	"sallyport/internal/saml"
)

// startSAMLP runs samlp, which has an XML stack of its own (xml-crypto, xmldom,
// xml-encryption).
func startSAMLP(t *testing.T) string {
	t.Helper()
	emulator.Needed(t)
	theirs, err := saml.NewKeyPair("samlp", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(ours().Certificate)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(cert.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	settings, err := json.Marshal(map[string]string{
		"key": text("PRIVATE KEY", []byte(theirs.Key.Reveal())), "cert": text("CERTIFICATE", theirs.Certificate),
		"spCert": text("CERTIFICATE", ours().Certificate), "spPublicKey": text("PUBLIC KEY", public),
		"entityID": us.EntityID, "acs": us.ACS, "slo": us.SLO,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "samlp.json")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	var place struct{ URL string }
	emulator.Start(t, &place, "testdata/samlp.mjs", file)
	return place.URL
}

// page is what a browser gets; a redirect is not followed.
func page(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusFound {
		return res.Header.Get("Location")
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", res.StatusCode, body)
	}
	return string(body)
}

var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

var hidden = regexp.MustCompile(`name="(\w+)"\s+value="([^"]*)"`)

// ask brings a request to samlp and returns what its page would post.
func ask(t *testing.T, out saml.Outgoing) map[string]string {
	t.Helper()
	var text string
	if out.Form != nil {
		v := url.Values{}
		for _, f := range out.Form.Fields {
			v.Set(f.Name, f.Value)
		}
		res, err := browser.PostForm(out.Form.Action, v)
		text = page(t, res, err)
	} else {
		res, err := browser.Get(out.Location)
		text = page(t, res, err)
	}
	fields := map[string]string{}
	for _, m := range hidden.FindAllStringSubmatch(text, -1) {
		fields[m[1]] = html.UnescapeString(m[2])
	}
	return fields
}

func TestAgainstSAMLP(t *testing.T) {
	t.Parallel()
	at := startSAMLP(t)
	today := time.Now()
	peer := func(variant string) saml.Peer {
		res, err := browser.Get(at + "/metadata/" + variant + "/FederationMetadata/2007-06/FederationMetadata.xml")
		d, err := saml.ParseMetadata([]byte(page(t, res, err)), "", today)
		if err != nil {
			t.Fatal(err)
		}
		return saml.Peer{EntityID: d.EntityID, SignOnURL: d.SignOnURL, SignOnBinding: d.SignOnBinding, LogoutURL: d.LogoutURL, LogoutBinding: d.LogoutBinding,
			Certificates: d.Certificates, Keys: []saml.KeyPair{ours()}}
	}
	for variant, want := range map[string]saml.Reason{
		"assertion": "", "response": "", "both": "", "encrypted": "", "checked": "", "cbc": saml.WeakEncryption, "sha1": saml.WeakAlgorithm,
	} {
		for _, binding := range []string{saml.Redirect, saml.Post} {
			p := peer(variant)
			p.SignOnBinding, p.SignRequests = binding, variant == "checked"
			out, err := p.Ask(saml.Question{Party: us, Relay: "the-state", Now: today})
			if err != nil {
				t.Fatal(err)
			}
			back := ask(t, out)
			if back["RelayState"] != "the-state" {
				t.Errorf("%s: relay state %q", variant, back["RelayState"])
			}
			a, err := p.Read(saml.Incoming{Message: back["SAMLResponse"], Party: us, Request: out.ID, Now: today})
			if reason(err) != want {
				t.Errorf("%s by %s: %v, want %q", variant, binding, err, want)
				continue
			}
			if want == "" && (a.Subject.Value != "jane-at-acme" || a.Session != "_samlp-session" || a.Encrypted != (variant == "encrypted") ||
				a.Attributes["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"][0] != "jane@acme.com") {
				t.Errorf("%s: %+v", variant, a)
			}
		}
	}
	t.Run("our signature is looked at", func(t *testing.T) {
		p := peer("checked")
		p.SignRequests = true
		out, err := p.Ask(saml.Question{Party: us, Relay: "the-state", Now: today})
		if err != nil {
			t.Fatal(err)
		}
		res, err := browser.Get(strings.Replace(out.Location, "RelayState=the-state", "RelayState=another", 1))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("a request that was changed: status %d", res.StatusCode)
		}
	})
	t.Run("we sign out", func(t *testing.T) {
		p := peer("both")
		p.LogoutURL, p.LogoutBinding = at+"/logout", saml.Redirect
		out, ok, err := p.Goodbye(us, saml.Session{Subject: saml.NameID{Value: "jane-at-acme"}, Index: "_samlp-session"}, "back", today)
		if !ok || err != nil {
			t.Fatal(err)
		}
		res, err := browser.Get(out.Location)
		to := page(t, res, err)
		if !strings.HasPrefix(to, us.SLO+"?SAMLResponse=") || !strings.Contains(to, "RelayState=back") {
			t.Errorf("sent to %s", to)
		}
	})
	t.Run("they sign out", func(t *testing.T) {
		p := peer("both")
		p.LogoutURL, p.LogoutBinding = at+"/logout", saml.Redirect
		res, err := browser.Get(at + "/logout")
		to, err := url.Parse(page(t, res, err))
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.ReadLogout(saml.IncomingLogout{Query: to.RawQuery, Party: us, Now: today})
		if err != nil || r.Subject.Value != "jane-at-acme" || r.Sessions[0] != "_samlp-session" {
			t.Fatalf("%+v, %v", r, err)
		}
		bye, err := p.Farewell(us, r, true, today)
		if err != nil {
			t.Fatal(err)
		}
		res, err = browser.Get(bye.Location)
		page(t, res, err) // it has checked our signature, or answers 400
	})
}
