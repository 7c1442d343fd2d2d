package saml

import (
	"time"

	"github.com/beevik/etree"
)

// statement reads when and how the person proved themselves.
func (a *Assertion) statement(e *etree.Element, in Incoming) error {
	list := all(e, nsAssertion, "AuthnStatement")
	if len(list) != 1 {
		return refuse(NoStatement)
	}
	var err error
	if a.Instant, err = instant(list[0], "AuthnInstant"); err != nil {
		return err
	}
	a.Session = attr(list[0], "SessionIndex")
	if has(list[0], "SessionNotOnOrAfter") {
		if a.SessionEnd, err = instant(list[0], "SessionNotOnOrAfter"); err != nil {
			return err
		}
		if !in.Now.Add(-Leeway).Before(a.SessionEnd) {
			return refuse(Expired, moment(a.SessionEnd), moment(in.Now))
		}
	}
	if c, err := one(list[0], nsAssertion, "AuthnContext"); err == nil && c != nil {
		ref, err := one(c, nsAssertion, "AuthnContextClassRef")
		if err != nil {
			return err
		}
		a.Context = text(ref)
	}
	return nil
}

// The bounds of what is kept of attributes.
const (
	maxNames  = 200
	maxValues = 5000 // of all attributes together
	maxValue  = 4096
)

// attributes reads what else is said about the person. One that is named twice
// has the values of both.
func (a *Assertion) attributes(e *etree.Element, _ Incoming) error {
	a.Attributes = map[string][]string{}
	n := 0
	for _, s := range all(e, nsAssertion, "AttributeStatement") {
		if len(all(s, nsAssertion, "EncryptedAttribute")) > 0 {
			return refuse(EncryptedMembers, "Attribute")
		}
		for _, at := range all(s, nsAssertion, "Attribute") {
			name := attr(at, "Name")
			for _, v := range all(at, nsAssertion, "AttributeValue") {
				value := text(v)
				if id := all(v, nsAssertion, "NameID"); len(id) == 1 { // eduPersonTargetedID
					value = text(id[0])
				}
				if n++; n > maxValues || len(a.Attributes) > maxNames || len(value) > maxValue {
					return refuse(TooLarge, "too many or too long attributes")
				}
				if name != "" && value != "" {
					a.Attributes[name] = append(a.Attributes[name], value)
				}
			}
		}
	}
	return nil
}

// inTime judges NotBefore and NotOnOrAfter and returns the end, zero for none.
func inTime(e *etree.Element, now time.Time) (until time.Time, err error) {
	if has(e, "NotBefore") {
		from, err := instant(e, "NotBefore")
		if err != nil {
			return until, err
		}
		if now.Add(Leeway).Before(from) {
			return until, refuse(NotYet, moment(from), moment(now))
		}
	}
	if !has(e, "NotOnOrAfter") {
		return until, nil
	}
	if until, err = instant(e, "NotOnOrAfter"); err != nil {
		return until, err
	}
	if !now.Add(-Leeway).Before(until) {
		return until, refuse(Expired, moment(until), moment(now))
	}
	return until.Add(Leeway), nil
}

// instant reads a time (Core §1.3.3).
func instant(e *etree.Element, name string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, attr(e, name))
	if err != nil || t.Year() < 2000 || t.Year() > 9000 {
		return time.Time{}, refuse(NoTime, name+" of "+what(e))
	}
	return t.UTC(), nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
