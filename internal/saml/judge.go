package saml

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// Leeway is how far the clock of an identity provider may be off.
const Leeway = time.Minute

// maxAge is how old a response may be, whatever it says of its end: so long at
// most it has to be remembered.
const maxAge = 24 * time.Hour

// The values that mean something here.
const (
	success    = "urn:oasis:names:tc:SAML:2.0:status:Success"
	bearer     = "urn:oasis:names:tc:SAML:2.0:cm:bearer" //nolint:gosec // a name, no secret
	nameEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
)

// Incoming is a response as a browser brought it. Request is the ID of the
// request that it must answer; "" takes one that answers none, if the peer may
// send such.
type Incoming struct {
	Message string // SAMLResponse of the form
	Party   Party
	Request string
	Now     time.Time
}

// Read judges a response and returns what the peer says, verified. Fails with a
// *Failure.
func (p Peer) Read(in Incoming) (a Assertion, err error) {
	defer fallen(&err)
	return p.read(in)
}

// fallen makes a refusal of a panic: what is read here is a stranger's, and some of
// it by code of others.
func fallen(err *error) {
	if v := recover(); v != nil {
		*err = refuse(NotXML, fmt.Sprint("reading it failed: ", v))
	}
}

func (p Peer) read(in Incoming) (Assertion, error) {
	root, err := decode(in.Message)
	if err != nil {
		return Assertion{}, err
	}
	if err := outline(root, nsProtocol, "Response"); err != nil {
		return Assertion{}, err
	}
	if err := p.envelope(root, in); err != nil {
		return Assertion{}, err
	}
	e, encrypted, err := p.signedAssertion(root, in.Now)
	if err != nil {
		return Assertion{}, err
	}
	a, err := p.assertion(e, in)
	a.Encrypted = encrypted
	return a, err
}

// decode reads a message of the POST binding (Bindings §3.5.4).
func decode(message string) (*etree.Element, error) {
	if len(message) > maxMessage*4/3+maxMessage/16 {
		return nil, refuse(TooLarge, "more than half a megabyte")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(message), ""))
	if err != nil || len(raw) == 0 {
		return nil, refuse(BadEncoding)
	}
	return document(raw)
}

// envelope judges what the response says about itself. Not all of it need be
// signed, so it can only ever refuse.
func (p Peer) envelope(root *etree.Element, in Incoming) error {
	if err := p.header(root, in.Now); err != nil {
		return err
	}
	if err := succeeded(root); err != nil {
		return err
	}
	if err := destined(root, in.Party.ACS, signature(root) != nil); err != nil {
		return err
	}
	if has(root, "InResponseTo") {
		return p.answers(attr(root, "InResponseTo"), in)
	}
	return nil
}

// destined judges where a message was sent to. One that is signed must say it
// (Bindings §3.4.5.2, §3.5.5.2).
func destined(e *etree.Element, us string, must bool) error {
	if to := attr(e, "Destination"); (must || has(e, "Destination")) && to != us {
		return refuse(WrongDestination, us, to)
	}
	return nil
}

// header judges version, time and issuer of any message or assertion. The issuer
// may be left out of a response.
func (p Peer) header(e *etree.Element, now time.Time) error {
	if v := attr(e, "Version"); v != "2.0" {
		return refuse(WrongVersion, v)
	}
	issued, err := instant(e, "IssueInstant")
	if err != nil {
		return err
	}
	if now.Add(Leeway).Before(issued) {
		return refuse(NotYet, moment(issued), moment(now))
	}
	if !now.Before(issued.Add(maxAge)) {
		return refuse(Expired, moment(issued.Add(maxAge)), moment(now))
	}
	issuer, err := one(e, nsAssertion, "Issuer")
	if err != nil {
		return err
	}
	if issuer == nil && is(e, nsProtocol, "Response") { // the assertion has one
		return nil
	}
	format := ""
	if issuer != nil {
		format = attr(issuer, "Format")
	}
	if text(issuer) != p.EntityID || format != "" && format != nameEntity {
		return refuse(WrongIssuer, text(issuer), p.EntityID)
	}
	return nil
}

// succeeded judges the status, and names both of its codes.
func succeeded(root *etree.Element) error {
	status, err := one(root, nsProtocol, "Status")
	if err != nil {
		return err
	}
	if status == nil {
		return refuse(Misplaced, "no Status")
	}
	code, err := one(status, nsProtocol, "StatusCode")
	if err != nil {
		return err
	}
	if code == nil {
		return refuse(Misplaced, "no StatusCode")
	}
	if attr(code, "Value") == success {
		return nil
	}
	said := lastWord(attr(code, "Value"))
	if more, err := one(code, nsProtocol, "StatusCode"); err == nil && more != nil {
		said += ", " + lastWord(attr(more, "Value"))
	}
	if message, err := one(status, nsProtocol, "StatusMessage"); err == nil && message != nil {
		said += ": " + text(message)
	}
	return refuse(Denied, said)
}

// lastWord is what a URN says in the end.
func lastWord(urn string) string { return urn[strings.LastIndexByte(urn, ':')+1:] }

// answers judges an InResponseTo.
func (p Peer) answers(to string, in Incoming) error {
	if in.Request == "" || to != in.Request {
		return refuse(WrongRequest)
	}
	return nil
}

// signedAssertion returns the assertion of a response as the peer signed it: alone,
// or as a part of the response. A signature that is there must be right, even
// where another would do.
func (p Peer) signedAssertion(root *etree.Element, now time.Time) (e *etree.Element, encrypted bool, err error) {
	whole := signature(root) != nil
	if whole {
		if root, err = p.verify(root, now); err != nil {
			return nil, false, err
		}
	}
	if e, err = sole(root); err != nil {
		return nil, false, err
	}
	if is(e, nsAssertion, "EncryptedAssertion") {
		encrypted = true
		body, err := p.decrypt(e)
		if err != nil {
			return nil, true, err
		}
		if e, err = document(body); err != nil {
			return nil, true, err
		}
		if err := outline(e, nsAssertion, "Assertion"); err != nil {
			return nil, true, err
		}
	} else if p.WantEncrypted {
		return nil, false, refuse(NotEncrypted)
	}
	if signature(e) != nil || !whole {
		e, err = p.verify(e, now)
	}
	return e, encrypted, err
}

// assertion reads what is signed (Core §2.3.3, Profiles §4.1.4.3).
func (p Peer) assertion(e *etree.Element, in Incoming) (Assertion, error) {
	if !is(e, nsAssertion, "Assertion") {
		return Assertion{}, refuse(NoAssertion)
	}
	if err := p.header(e, in.Now); err != nil {
		return Assertion{}, err
	}
	a := Assertion{ID: attr(e, "ID"), Issuer: p.EntityID}
	if a.ID == "" {
		return Assertion{}, refuse(Misplaced, "an assertion without ID")
	}
	issued, _ := instant(e, "IssueInstant")
	a.Until = issued.Add(maxAge)
	for _, read := range []func(*etree.Element, Incoming) error{a.subject, p.confirmation(&a), a.conditions, a.statement, a.attributes} {
		if err := read(e, in); err != nil {
			return Assertion{}, err
		}
	}
	return a, nil
}

// subject reads whom it is about.
func (a *Assertion) subject(e *etree.Element, in Incoming) error {
	s, err := one(e, nsAssertion, "Subject")
	if err != nil {
		return err
	}
	if s == nil {
		return refuse(NoSubject)
	}
	if hidden, err := one(s, nsAssertion, "EncryptedID"); err != nil || hidden != nil {
		return refuse(EncryptedMembers, "NameID")
	}
	id, err := one(s, nsAssertion, "NameID")
	if err != nil {
		return err
	}
	a.Subject = nameIDOf(id)
	switch {
	case a.Subject.Value == "":
		return refuse(NoSubject)
	case a.Subject.Format == FormatTransient:
		return refuse(Transient)
	}
	return nil
}

func nameIDOf(e *etree.Element) NameID {
	if e == nil {
		return NameID{}
	}
	return NameID{Value: text(e), Format: attr(e, "Format"), NameQualifier: attr(e, "NameQualifier"), SPNameQualifier: attr(e, "SPNameQualifier")}
}

// confirmation judges that this browser may bring the assertion here (Profiles
// §4.1.4.2): one confirmation of the bearer method, for our address, in time, in
// answer to our request.
func (p Peer) confirmation(a *Assertion) func(*etree.Element, Incoming) error {
	return func(e *etree.Element, in Incoming) error {
		s, err := one(e, nsAssertion, "Subject")
		if err != nil {
			return err
		}
		list := slices.DeleteFunc(all(s, nsAssertion, "SubjectConfirmation"), func(c *etree.Element) bool { return attr(c, "Method") != bearer })
		if len(list) != 1 {
			return refuse(NotBearer)
		}
		data, err := one(list[0], nsAssertion, "SubjectConfirmationData")
		if err != nil {
			return err
		}
		if data == nil {
			return refuse(NotBearer)
		}
		if to := attr(data, "Recipient"); to != in.Party.ACS {
			return refuse(WrongRecipient, to, in.Party.ACS)
		}
		if !has(data, "NotOnOrAfter") {
			return refuse(NoTime, "SubjectConfirmationData")
		}
		until, err := inTime(data, in.Now)
		if err != nil {
			return err
		}
		a.ends(until)
		switch {
		case has(data, "InResponseTo"):
			return p.answers(attr(data, "InResponseTo"), in)
		case in.Request != "":
			return refuse(WrongRequest)
		case !p.Unsolicited:
			return refuse(NotAsked)
		}
		return nil
	}
}

// ends makes the end of the assertion an earlier one.
func (a *Assertion) ends(until time.Time) {
	if !until.IsZero() && until.Before(a.Until) {
		a.Until = until
	}
}

// conditions judges under which the assertion holds: it names us, and there is
// none that we know nothing of (Core §2.5.1).
func (a *Assertion) conditions(e *etree.Element, in Incoming) error {
	c, err := one(e, nsAssertion, "Conditions")
	if err != nil {
		return err
	}
	if c == nil {
		return refuse(WrongAudience, "nobody in particular", in.Party.EntityID)
	}
	until, err := inTime(c, in.Now)
	if err != nil {
		return err
	}
	a.ends(until)
	named := false
	for _, one := range c.ChildElements() {
		switch {
		case is(one, nsAssertion, "AudienceRestriction"):
			if err := audience(one, in.Party.EntityID); err != nil {
				return err
			}
			named = true
		case is(one, nsAssertion, "OneTimeUse"): // as is every assertion here
		default: // ProxyRestriction too: we tell applications who it is
			return refuse(UnknownCondition, what(one))
		}
	}
	if !named {
		return refuse(WrongAudience, "nobody in particular", in.Party.EntityID)
	}
	return nil
}

func audience(e *etree.Element, us string) error {
	var others []string
	for _, one := range all(e, nsAssertion, "Audience") {
		if text(one) == us {
			return nil
		}
		others = append(others, text(one))
	}
	return refuse(WrongAudience, strings.Join(others, ", "), us)
}
