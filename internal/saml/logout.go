package saml

import (
	"bytes"
	"compress/flate"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// Session is what has to be known of a sign-in to say goodbye.
type Session struct {
	Subject NameID `json:"n"`
	Index   string `json:"i,omitempty"`
}

// String is the session as a text to be kept.
func (s Session) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // texts alone
	}
	return string(b)
}

// ParseSession reads what String wrote.
func ParseSession(text string) (Session, bool) {
	var s Session
	err := json.Unmarshal([]byte(text), &s)
	return s, err == nil && s.Subject.Value != ""
}

// Goodbye makes a LogoutRequest for a session that ends here (Profiles §4.4.4.1).
// It is always signed. ok is false where the peer has no place for it.
func (p Peer) Goodbye(us Party, s Session, relay string, now time.Time) (out Outgoing, ok bool, err error) {
	if p.LogoutURL == "" {
		return out, false, nil
	}
	e, id := message("LogoutRequest", us, p.LogoutURL, now)
	e.CreateAttr("NotOnOrAfter", moment(now.Add(5*time.Minute)))
	name := e.CreateElement("saml:NameID")
	for _, a := range []Field{{"Format", s.Subject.Format}, {"NameQualifier", s.Subject.NameQualifier}, {"SPNameQualifier", s.Subject.SPNameQualifier}} {
		if a.Value != "" {
			name.CreateAttr(a.Name, a.Value)
		}
	}
	name.SetText(s.Subject.Value)
	if s.Index != "" {
		e.CreateElement("samlp:SessionIndex").SetText(s.Index)
	}
	out, err = p.send(e, "SAMLRequest", p.LogoutURL, p.LogoutBinding, relay, true)
	out.ID = id
	return out, true, err
}

// Farewell answers a LogoutRequest: done says that there was something to end, or
// nothing, and that nothing is left.
func (p Peer) Farewell(us Party, r LogoutRequest, done bool, now time.Time) (Outgoing, error) {
	e, id := message("LogoutResponse", us, p.LogoutURL, now)
	e.CreateAttr("InResponseTo", r.ID)
	code := success
	if !done {
		code = "urn:oasis:names:tc:SAML:2.0:status:Responder"
	}
	e.CreateElement("samlp:Status").CreateElement("samlp:StatusCode").CreateAttr("Value", code)
	out, err := p.send(e, "SAMLResponse", p.LogoutURL, p.LogoutBinding, r.Relay, true)
	out.ID = id
	return out, err
}

// LogoutRequest is the peer's word that somebody has signed out there. Without
// Sessions all of the subject's are meant.
type LogoutRequest struct {
	ID       string
	Subject  NameID
	Sessions []string
	Relay    string
	Until    time.Time // how long it must be known, to be taken once
}

// IncomingLogout is a LogoutRequest as a browser brought it: by the query, or by
// a form.
type IncomingLogout struct {
	Query string // as it stood in the address: that is what is signed
	Form  url.Values
	Party Party
	Now   time.Time
}

// maxSessions bounds the sessions that one request ends.
const maxSessions = 100

// ReadLogout judges a LogoutRequest, which is always to be signed. Fails with a
// *Failure. What the peer answers to our own goodbye nobody reads: nothing
// depends on it.
func (p Peer) ReadLogout(in IncomingLogout) (r LogoutRequest, err error) {
	defer fallen(&err)
	return p.readLogout(in)
}

func (p Peer) readLogout(in IncomingLogout) (LogoutRequest, error) {
	e, relay, err := p.logoutRequest(in)
	if err != nil {
		return LogoutRequest{}, err
	}
	r := LogoutRequest{ID: attr(e, "ID"), Relay: relay}
	if err := p.header(e, in.Now); err != nil {
		return r, err
	}
	if err := destined(e, in.Party.SLO, true); err != nil {
		return r, err
	}
	until, err := inTime(e, in.Now)
	if err != nil {
		return r, err
	}
	issued, _ := instant(e, "IssueInstant")
	if r.Until = issued.Add(maxAge); !until.IsZero() && until.Before(r.Until) {
		r.Until = until
	}
	id, err := one(e, nsAssertion, "NameID")
	if err != nil {
		return r, err
	}
	if r.Subject = nameIDOf(id); r.Subject.Value == "" || r.ID == "" {
		return r, refuse(NoSubject)
	}
	list := all(e, nsProtocol, "SessionIndex")
	if len(list) > maxSessions {
		return r, refuse(TooLarge, "too many sessions")
	}
	for _, s := range list {
		r.Sessions = append(r.Sessions, text(s))
	}
	return r, nil
}

// logoutRequest returns the request as the peer signed it.
func (p Peer) logoutRequest(in IncomingLogout) (e *etree.Element, relay string, err error) {
	if in.Form != nil {
		if e, err = decode(in.Form.Get("SAMLRequest")); err != nil {
			return nil, "", err
		}
		if err = outline(e, nsProtocol, "LogoutRequest"); err != nil {
			return nil, "", err
		}
		e, err = p.verify(e, in.Now)
		return e, in.Form.Get("RelayState"), err
	}
	q, err := parseQuery(in.Query)
	if err != nil {
		return nil, "", err
	}
	if err := p.verifyQuery(q, in.Now); err != nil {
		return nil, "", err
	}
	body, err := inflate(q.value("SAMLRequest"))
	if err != nil {
		return nil, "", err
	}
	if e, err = document(body); err != nil {
		return nil, "", err
	}
	return e, q.value("RelayState"), outline(e, nsProtocol, "LogoutRequest")
}

// query is a query with its values as they stood in the address.
type query map[string]string

func parseQuery(s string) (query, error) {
	if len(s) > maxMessage {
		return nil, refuse(TooLarge, "the address")
	}
	q := query{}
	for pair := range strings.SplitSeq(s, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if _, err := url.QueryUnescape(value); err != nil {
			return nil, refuse(BadEncoding)
		}
		if _, twice := q[name]; twice {
			return nil, refuse(AmbiguousXML, "two parameters "+name)
		}
		q[name] = value
	}
	return q, nil
}

func (q query) value(name string) string {
	v, _ := url.QueryUnescape(q[name]) // parseQuery has tried
	return v
}

// signed is what the signature of the redirect binding is about (Bindings
// §3.4.4.1).
func (q query) signed() string {
	s := "SAMLRequest=" + q["SAMLRequest"]
	if relay, ok := q["RelayState"]; ok {
		s += "&RelayState=" + relay
	}
	return s + "&SigAlg=" + q["SigAlg"]
}

// queryAlgs are the signature methods of a query.
var queryAlgs = map[string]x509.SignatureAlgorithm{
	dsig.RSASHA256SignatureMethod: x509.SHA256WithRSA, dsig.RSASHA384SignatureMethod: x509.SHA384WithRSA, dsig.RSASHA512SignatureMethod: x509.SHA512WithRSA,
	dsig.ECDSASHA256SignatureMethod: x509.ECDSAWithSHA256, dsig.ECDSASHA384SignatureMethod: x509.ECDSAWithSHA384, dsig.ECDSASHA512SignatureMethod: x509.ECDSAWithSHA512,
}

func (p Peer) verifyQuery(q query, now time.Time) error {
	if q["Signature"] == "" {
		return refuse(Unsigned)
	}
	alg, ok := queryAlgs[q.value("SigAlg")]
	if !ok {
		return refuse(WeakAlgorithm, q.value("SigAlg"))
	}
	sig, err := base64.StdEncoding.DecodeString(q.value("Signature"))
	if err != nil {
		return refuse(BadSignature)
	}
	certs, err := p.certificates()
	if err != nil {
		return err
	}
	for _, cert := range certs {
		made := sig
		if cert.PublicKeyAlgorithm == x509.ECDSA {
			made = sequence(sig)
		}
		if cert.CheckSignature(alg, []byte(q.signed()), made) == nil {
			return current(cert, now)
		}
	}
	return refuse(BadSignature)
}

// inflate reads a message of the redirect binding, and no more of it than a
// message may have: a kilobyte can hold a megabyte (CVE-2023-28119).
func inflate(s string) ([]byte, error) {
	packed, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return nil, refuse(BadEncoding)
	}
	body, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxMessage+1))
	if err != nil || len(body) == 0 {
		return nil, refuse(BadEncoding)
	}
	if len(body) > maxMessage {
		return nil, refuse(TooLarge, "more than half a megabyte when unpacked")
	}
	return body, nil
}
