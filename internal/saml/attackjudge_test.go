package saml_test

import (
	"strconv"

	"github.com/beevik/etree"

	"sallyport/internal/saml"
)

// judgements are right XML with a right signature, of the provider itself, and not
// for us, not now, or not about anybody.
func judgements() []attack {
	const (
		profile   = "SAML Profiles §4.1.4.3"
		confusion = "Mainka et al., Your Software at my Service, CCSW 2014: token recipient confusion"
		bearer    = ".//SubjectConfirmationData"
	)
	set := func(path, attribute, value string) func(*etree.Element) {
		return func(r *etree.Element) {
			e := r
			if path != "" {
				e = r.FindElement(path)
			}
			e.CreateAttr(attribute, value)
		}
	}
	unset := func(path, attribute string) func(*etree.Element) {
		return func(r *etree.Element) {
			e := r
			if path != "" {
				e = r.FindElement(path)
			}
			e.RemoveAttr(attribute)
		}
	}
	say := func(path, value string) func(*etree.Element) {
		return func(r *etree.Element) { r.FindElement(path).SetText(value) }
	}
	drop := func(path string) func(*etree.Element) {
		return func(r *etree.Element) {
			e := r.FindElement(path)
			e.Parent().RemoveChild(e)
		}
	}
	twice := func(path string) func(*etree.Element) {
		return func(r *etree.Element) {
			e := r.FindElement(path)
			e.Parent().InsertChildAt(e.Index(), e.Copy())
		}
	}
	add := func(path, name string) func(*etree.Element) {
		return func(r *etree.Element) { r.FindElement(path).CreateElement(name) }
	}
	other := saml.PartyAt("https://auth.example.com", "0192f1a0-0000-7000-8000-000000000002").EntityID
	list := []attack{
		{name: "for another service", source: confusion, tree: say(".//Audience", "https://other.example.com"), want: saml.WrongAudience},
		{name: "for another organization here", source: confusion + ", between two organizations", tree: say(".//Audience", other), want: saml.WrongAudience},
		{name: "for an audience that begins as we do", source: profile, tree: say(".//Audience", us.EntityID+".evil.com"), want: saml.WrongAudience},
		{name: "for nobody", source: profile, tree: say(".//Audience", ""), want: saml.WrongAudience},
		{name: "for us and, in another restriction, for another", source: "SAML Core §2.5.1.4: all restrictions must hold", tree: func(r *etree.Element) {
			twice(".//AudienceRestriction")(r)
			say(".//Audience", "https://other.example.com")(r)
		}, want: saml.WrongAudience},
		{name: "without a restriction", source: profile, tree: drop(".//AudienceRestriction"), want: saml.WrongAudience},
		{name: "without conditions", source: profile, tree: drop(".//Conditions"), want: saml.WrongAudience},
		{name: "for another's address", source: "Mainka et al., CCSW 2014: ACS spoofing", tree: set(bearer, "Recipient", "https://other.example.com/acs"), want: saml.WrongRecipient},
		{name: "for no address", source: "SAML Profiles §4.1.4.2", tree: unset(bearer, "Recipient"), want: saml.WrongRecipient},
		{name: "sent to another", source: "SAML Core §3.2.2", tree: set("", "Destination", "https://other.example.com/acs"), want: saml.WrongDestination},
		{name: "signed, and sent nowhere", source: "SAML Bindings §3.5.5.2", tree: unset("", "Destination"), want: saml.WrongDestination},
		{name: "expired", source: "SAML Core §2.5.1.2", tree: set(".//Conditions", "NotOnOrAfter", "2026-11-22T11:58:00Z"), want: saml.Expired},
		{name: "expired for a bearer", source: "SAML Profiles §4.1.4.2", tree: set(bearer, "NotOnOrAfter", "2026-11-22T11:58:00Z"), want: saml.Expired},
		{name: "not valid yet", source: "SAML Core §2.5.1.2", tree: set(".//Conditions", "NotBefore", "2026-11-22T12:02:00Z"), want: saml.NotYet},
		{name: "not valid yet for a bearer", source: "SAML Core §2.4.1.2", tree: set(bearer, "NotBefore", "2026-11-22T12:02:00Z"), want: saml.NotYet},
		{name: "valid for a bearer without end", source: "SAML Profiles §4.1.4.2", tree: unset(bearer, "NotOnOrAfter"), want: saml.NoTime},
		{name: "an end that is no time", source: "SAML Core §1.3.3", tree: set(bearer, "NotOnOrAfter", "never"), want: saml.NoTime},
		{name: "an end that is empty", source: "SAML Core §1.3.3", tree: set(".//Conditions", "NotOnOrAfter", ""), want: saml.NoTime},
		{name: "an end in the year 99999", source: "SAML Core §1.3.3", tree: set(".//Conditions", "NotOnOrAfter", "99999-01-01T00:00:00Z"), want: saml.NoTime},
		{name: "of the day before yesterday", source: "SAML Profiles §4.1.4.5: what cannot be remembered", tree: set("./Assertion", "IssueInstant", "2026-11-20T12:00:00Z"), want: saml.Expired},
		{name: "of the future", source: "SAML Core §2.3.3", tree: set("./Assertion", "IssueInstant", "2026-11-22T12:02:00Z"), want: saml.NotYet},
		{name: "of no time", source: "SAML Core §2.3.3", tree: unset("", "IssueInstant"), want: saml.NoTime},
		{name: "to another request", source: "SAML Profiles §4.1.4.3; login CSRF", tree: func(r *etree.Element) {
			r.CreateAttr("InResponseTo", "_another")
			r.FindElement(bearer).CreateAttr("InResponseTo", "_another")
		}, want: saml.WrongRequest},
		{name: "a bearer's to another request", source: "SAML Profiles §4.1.4.3", tree: set(bearer, "InResponseTo", "_another"), want: saml.WrongRequest},
		{name: "a response's to another request", source: "SAML Profiles §4.1.4.3", tree: set("", "InResponseTo", "_another"), want: saml.WrongRequest},
		{name: "a bearer's to no request", source: "SAML Profiles §4.1.4.2", tree: unset(bearer, "InResponseTo"), want: saml.WrongRequest},
		{name: "a bearer's to an empty request", source: "SAML Profiles §4.1.4.2", tree: set(bearer, "InResponseTo", ""), want: saml.WrongRequest},
		{name: "an assertion of another provider", source: "Mladenov, Mainka and Schwenk, On the security of modern Single Sign-On Protocols, 2015: issuer confusion", tree: say("./Assertion/Issuer", "https://evil.example.com"), want: saml.WrongIssuer},
		{name: "a response of another provider", source: "Mladenov, Mainka and Schwenk 2015: issuer confusion", tree: say("./Issuer", "https://evil.example.com"), want: saml.WrongIssuer},
		{name: "an assertion of nobody", source: "SAML Core §2.3.3", tree: drop("./Assertion/Issuer"), want: saml.WrongIssuer},
		{name: "an issuer that is no entity", source: "SAML Core §2.2.5, Profiles §4.1.4.2", tree: set("./Assertion/Issuer", "Format", saml.FormatEmail), want: saml.WrongIssuer},
		{name: "an issuer in pieces", source: "CVE-2017-11427 (python-saml), on issuers", tree: add("./Assertion/Issuer", "x"), want: saml.WrongIssuer},
		{name: "two issuers", source: "SAML Core §2.3.3, schema", tree: twice("./Assertion/Issuer"), want: saml.Misplaced},
		{name: "SAML 1.1", source: "SAML Core §4.1", tree: set("", "Version", "1.1"), want: saml.WrongVersion},
		{name: "an assertion of SAML 1.1", source: "SAML Core §4.1", tree: set("./Assertion", "Version", "1.1"), want: saml.WrongVersion},
		{name: "an assertion without ID", source: "SAML Core §2.3.3", tree: unset("./Assertion", "ID"), want: saml.Misplaced},
		{name: "about nobody", source: "SAML Core §2.4", tree: drop("./Assertion/Subject"), want: saml.NoSubject},
		{name: "about somebody without a name", source: "SAML Core §2.4.1", tree: drop(".//NameID"), want: saml.NoSubject},
		{name: "about an empty name", source: "SAML Core §2.2.2", tree: say(".//NameID", " \n "), want: saml.NoSubject},
		{name: "about a name in pieces", source: "CVE-2017-11427 (python-saml)", tree: add(".//NameID", "x"), want: saml.NoSubject},
		{name: "about two names", source: "SAML Core §2.4.1, schema", tree: twice(".//NameID"), want: saml.Misplaced},
		{name: "about two subjects", source: "SAML Core §2.3.3, schema", tree: twice("./Assertion/Subject"), want: saml.Misplaced},
		{name: "about a name that is another each time", source: "SAML Core §8.3.8", tree: set(".//NameID", "Format", saml.FormatTransient), want: saml.Transient},
		{name: "about a sealed name", source: "SAML Core §2.2.4", tree: add("./Assertion/Subject", "saml:EncryptedID"), want: saml.EncryptedMembers},
		{name: "with a sealed attribute", source: "SAML Core §2.7.3.2", tree: add(".//AttributeStatement", "saml:EncryptedAttribute"), want: saml.EncryptedMembers},
		{name: "for who holds a key", source: "SAML Holder-of-Key Profile: that is no bearer", tree: set(".//SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"), want: saml.NotBearer},
		{name: "confirmed by nothing", source: "SAML Profiles §4.1.4.2", tree: drop(".//SubjectConfirmation"), want: saml.NotBearer},
		{name: "confirmed twice", source: "SAML Profiles §4.1.4.2: two bearers of which one holds", tree: twice(".//SubjectConfirmation"), want: saml.NotBearer},
		{name: "confirmed without data", source: "SAML Profiles §4.1.4.2", tree: drop(bearer), want: saml.NotBearer},
		{name: "under a condition of its own", source: "SAML Core §2.5.1: an unknown condition is indeterminate", tree: add(".//Conditions", "saml:Condition"), want: saml.UnknownCondition},
		{name: "not to be passed on", source: "SAML Core §2.5.1.6", tree: add(".//Conditions", "saml:ProxyRestriction"), want: saml.UnknownCondition},
		{name: "two conditions", source: "SAML Core §2.3.3, schema", tree: twice(".//Conditions"), want: saml.Misplaced},
		{name: "of somebody who has not signed in", source: profile, tree: drop(".//AuthnStatement"), want: saml.NoStatement},
		{name: "signed in twice", source: "SAML Core §2.7.2: which of them", tree: twice(".//AuthnStatement"), want: saml.NoStatement},
		{name: "signed in at no time", source: "SAML Core §2.7.2", tree: unset(".//AuthnStatement", "AuthnInstant"), want: saml.NoTime},
		{name: "of a session that has ended", source: "SAML Core §2.7.2", tree: set(".//AuthnStatement", "SessionNotOnOrAfter", "2026-11-22T11:00:00Z"), want: saml.Expired},
		{name: "refused, with an assertion", source: "SAML Core §3.2.2.2", tree: set("./Status/StatusCode", "Value", "urn:oasis:names:tc:SAML:2.0:status:Responder"), want: saml.Denied},
		{name: "refused, with a success inside", source: "SAML Core §3.2.2.2", tree: func(r *etree.Element) {
			set("./Status/StatusCode", "Value", "urn:oasis:names:tc:SAML:2.0:status:Requester")(r)
			r.FindElement("./Status/StatusCode").CreateElement("samlp:StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
		}, want: saml.Denied},
		{name: "neither refused nor not", source: "SAML Core §3.2.2", tree: drop("./Status"), want: saml.Misplaced},
		{name: "a status without a code", source: "SAML Core §3.2.2.1", tree: drop("./Status/StatusCode"), want: saml.Misplaced},
		{name: "two statuses", source: "SAML Core §3.2.2, schema", tree: twice("./Status"), want: saml.Misplaced},
		{name: "without an assertion", source: profile, tree: drop("./Assertion"), want: saml.NoAssertion},
		{name: "another message", source: "SAML Bindings §3.5.4", tree: func(r *etree.Element) { r.Tag = "LogoutResponse" }, want: saml.WrongMessage},
		{name: "a message of another namespace", source: "SAML Bindings §3.5.4", tree: set("", "xmlns:samlp", "urn:evil"), want: saml.WrongMessage},
		{name: "with more than anybody has", source: "CWE-770", tree: func(r *etree.Element) {
			s := r.FindElement(".//AttributeStatement")
			for n := range 300 {
				a := s.CreateElement("saml:Attribute")
				a.CreateAttr("Name", "a"+strconv.Itoa(n))
				a.CreateElement("saml:AttributeValue").SetText("x")
			}
		}, want: saml.TooLarge},
	}
	for i := range list {
		list[i].agreed = true
	}
	return list
}
