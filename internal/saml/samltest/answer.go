package samltest

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	crewjam "github.com/crewjam/saml"

	"sallyport/internal/saml"
)

// Answer takes a browser's part: it brings what we ask to the provider, and
// returns the form that its page would post to us.
func (i *IdP) Answer(out saml.Outgoing) (saml.Form, error) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://idp.example/sso", http.NoBody)
	if out.Form != nil {
		v := url.Values{}
		for _, f := range out.Form.Fields {
			v.Set(f.Name, f.Value)
		}
		r = httptest.NewRequestWithContext(context.Background(), http.MethodPost, out.Form.Action, strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.URL.RawQuery = out.Location[strings.IndexByte(out.Location, '?')+1:]
	}
	req, err := crewjam.NewIdpAuthnRequest(i.provider(), r)
	if err == nil {
		err = xml.Unmarshal(req.RequestBuffer, &req.Request)
	}
	if err != nil {
		return saml.Form{}, err
	}
	i.mu.Lock()
	who := i.people[0]
	i.mu.Unlock()
	return i.response(req, who)
}

// Unsolicited is the form of a sign-in that begins at the provider.
func (i *IdP) Unsolicited(us saml.Party, relay string) (saml.Form, error) {
	req := &crewjam.IdpAuthnRequest{IDP: i.provider(), HTTPRequest: httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://idp.example/", http.NoBody), RelayState: relay}
	req.Request.Issuer = &crewjam.Issuer{Value: us.EntityID}
	req.Request.AssertionConsumerServiceURL = us.ACS
	i.mu.Lock()
	who := i.people[0]
	i.mu.Unlock()
	return i.response(req, who)
}

// response is what the provider says to a request. Anybody may ask it.
func (i *IdP) response(req *crewjam.IdpAuthnRequest, who Person) (saml.Form, error) {
	i.mu.Lock()
	b := i.behaviour
	i.mu.Unlock()
	req.Now = i.now().UTC()
	if b.Method != "" {
		req.IDP.SignatureMethod = b.Method
	}
	issuer := req.Request.Issuer
	if issuer == nil || req.Request.AssertionConsumerServiceURL == "" {
		return saml.Form{}, fmt.Errorf("no issuer, or no address to answer at")
	}
	req.ServiceProviderMetadata = &crewjam.EntityDescriptor{EntityID: issuer.Value}
	req.SPSSODescriptor = &crewjam.SPSSODescriptor{}
	req.ACSEndpoint = &crewjam.IndexedEndpoint{Binding: crewjam.HTTPPostBinding, Location: req.Request.AssertionConsumerServiceURL}
	if b.Deny || who.NameID == "" {
		return i.refusal(req)
	}
	if err := (crewjam.DefaultAssertionMaker{}).MakeAssertion(req, who.session(req.Now)); err != nil {
		return saml.Form{}, err
	}
	req.Assertion.IssueInstant = req.Now
	if b.Change != nil {
		b.Change(req.Assertion)
	}
	if err := b.write(req); err != nil {
		return saml.Form{}, err
	}
	return posted(req)
}

// write makes the response of the assertion as it is to be signed and encrypted.
func (b Behaviour) write(req *crewjam.IdpAuthnRequest) error {
	if b.ResponseOnly || b.Unsigned {
		req.AssertionEl = req.Assertion.Element()
	} else if err := req.MakeAssertionEl(); err != nil {
		return err
	}
	if b.Encrypt != nil {
		if err := b.encrypt(req); err != nil {
			return err
		}
	}
	if err := req.MakeResponse(); err != nil {
		return err
	}
	if b.Assertion || b.Unsigned {
		for _, c := range req.ResponseEl.ChildElements() {
			if c.Tag == "Signature" {
				req.ResponseEl.RemoveChild(c)
			}
		}
	}
	return nil
}

func posted(req *crewjam.IdpAuthnRequest) (saml.Form, error) {
	f, err := req.PostBinding()
	if err != nil {
		return saml.Form{}, err
	}
	return saml.Form{Action: f.URL, Fields: []saml.Field{{Name: "SAMLResponse", Value: f.SAMLResponse}, {Name: "RelayState", Value: f.RelayState}}}, nil
}

// refusal is a response without an assertion; nobody signs those.
func (i *IdP) refusal(req *crewjam.IdpAuthnRequest) (saml.Form, error) {
	r := crewjam.Response{ID: "_refused", InResponseTo: req.Request.ID, IssueInstant: req.Now, Version: "2.0", Destination: req.ACSEndpoint.Location,
		Issuer: &crewjam.Issuer{Value: i.EntityID()},
		Status: crewjam.Status{StatusCode: crewjam.StatusCode{Value: crewjam.StatusResponder, StatusCode: &crewjam.StatusCode{Value: crewjam.StatusAuthnFailed}}}}
	req.ResponseEl = r.Element()
	return posted(req)
}

// session is the person as crewjam has one.
func (p Person) session(now time.Time) *crewjam.Session {
	s := &crewjam.Session{
		NameID: p.NameID, NameIDFormat: p.Format, Index: p.Session, CreateTime: now, UserEmail: p.Email, UserGivenName: p.GivenName, UserSurname: p.FamilyName,
	}
	if s.NameIDFormat == "" {
		s.NameIDFormat = saml.FormatPersistent
	}
	if s.Index == "" {
		s.Index = "_session"
	}
	more := map[string][]string{"groups": p.Groups}
	maps.Copy(more, p.Attributes)
	for _, name := range slices.Sorted(maps.Keys(more)) {
		a := crewjam.Attribute{Name: name, NameFormat: "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"}
		for _, v := range more[name] {
			a.Values = append(a.Values, crewjam.AttributeValue{Type: "xs:string", Value: v})
		}
		s.CustomAttributes = append(s.CustomAttributes, a)
	}
	return s
}
