package samltest

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/beevik/etree"
	crewjam "github.com/crewjam/saml"

	"sallyport/internal/saml"
)

// slo takes a LogoutRequest of ours and sends the browser back with the answer,
// signed. An answer of ours to one of its own ends here.
func (i *IdP) slo(w http.ResponseWriter, r *http.Request) {
	packed, err := base64.StdEncoding.DecodeString(r.FormValue("SAMLRequest"))
	if err != nil || len(packed) == 0 {
		io.WriteString(w, "goodbye")
		return
	}
	if r.Method == http.MethodGet {
		if packed, err = io.ReadAll(flate.NewReader(bytes.NewReader(packed))); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	var req crewjam.LogoutRequest
	if err := xml.Unmarshal(packed, &req); err != nil || req.NameID == nil || req.Issuer == nil {
		http.Error(w, "no LogoutRequest", http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	i.goodbyes = append(i.goodbyes, req.NameID.Value)
	i.mu.Unlock()
	to := strings.Replace(req.Issuer.Value, "/sso/saml/metadata/", "/sso/saml/slo/", 1)
	res := crewjam.LogoutResponse{ID: "_goodbye-" + req.ID, InResponseTo: req.ID, Version: "2.0", IssueInstant: i.now().UTC(), Destination: to,
		Issuer: &crewjam.Issuer{Value: i.EntityID()}, Status: crewjam.Status{StatusCode: crewjam.StatusCode{Value: crewjam.StatusSuccess}}}
	http.Redirect(w, r, to+"?"+i.sign("SAMLResponse", res.Element(), r.FormValue("RelayState")), http.StatusFound)
}

// Logout is the address that the provider would send a browser to, to have us end
// a session: a LogoutRequest by the redirect binding. Without a session all of the
// person's are meant.
func (i *IdP) Logout(us saml.Party, id, nameID, session string) string {
	req := crewjam.LogoutRequest{ID: id, Version: "2.0", IssueInstant: i.now().UTC(), Destination: us.SLO,
		Issuer: &crewjam.Issuer{Value: i.EntityID()},
		NameID: &crewjam.NameID{Format: saml.FormatPersistent, NameQualifier: i.EntityID(), SPNameQualifier: us.EntityID, Value: nameID}}
	if session != "" {
		req.SessionIndex = &crewjam.SessionIndex{Value: session}
	}
	e := req.Element()
	if session == "" {
		for _, c := range e.ChildElements() {
			if c.Tag == "SessionIndex" {
				e.RemoveChild(c)
			}
		}
	}
	return us.SLO + "?" + i.sign("SAMLRequest", e, "relay")
}

// Forged is the address of a LogoutRequest that is anything, which the provider has
// signed all the same.
func (i *IdP) Forged(us saml.Party, body []byte) string {
	return us.SLO + "?" + i.signed("SAMLRequest", body, "")
}

// sign is a query of the redirect binding (Bindings §3.4.4.1).
func (i *IdP) sign(parameter string, e *etree.Element, relay string) string {
	body, err := etree.NewDocumentWithRoot(e).WriteToBytes()
	if err != nil {
		panic(err)
	}
	return i.signed(parameter, body, relay)
}

func (i *IdP) signed(parameter string, body []byte, relay string) string {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err == nil {
		_, err = w.Write(body)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	q := parameter + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(packed.Bytes()))
	if relay != "" {
		q += "&RelayState=" + url.QueryEscape(relay)
	}
	i.mu.Lock()
	key := i.keys[0].key
	i.mu.Unlock()
	method := "rsa-sha256"
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		method = "ecdsa-sha256"
	}
	q += "&SigAlg=" + url.QueryEscape("http://www.w3.org/2001/04/xmldsig-more#"+method)
	digest := sha256.Sum256([]byte(q))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	if method == "ecdsa-sha256" {
		sig = halves(sig)
	}
	return q + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig))
}
