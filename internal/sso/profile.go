package sso

import (
	"cmp"
	"slices"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/upstream"
)

// usual are the names under which SAML providers send what Attributes do not name:
// the claim types of Microsoft's, the object identifiers of eduPerson, and the short
// names that the others have.
var usual = struct{ email, given, family, name, groups []string }{
	email: []string{"email", "mail", "emailAddress", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
		"urn:oid:0.9.2342.19200300.100.1.3"},
	given: []string{"given_name", "firstName", "givenName", "first_name", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
		"urn:oid:2.5.4.42"},
	family: []string{"family_name", "lastName", "surname", "sn", "last_name", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
		"urn:oid:2.5.4.4"},
	name: []string{"name", "displayName", "http://schemas.microsoft.com/identity/claims/displayname", "urn:oid:2.16.840.1.113730.3.1.241"},
	groups: []string{"groups", "memberOf", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
		"http://schemas.xmlsoap.org/claims/Group"},
}

// Read takes what the connection's Attributes name over into a profile, and puts it
// under the organization. Entra writes an address in email only for who has a
// mailbox there, and the name that everybody signs in with beside it.
func (c Connection) Read(p upstream.Profile) upstream.Profile {
	p.Upstream, p.Issuer = Key(c.OrgID), LinkIssuer(c.OrgID, p.Issuer)
	a := c.Attributes
	first := func(own string, usual []string) string {
		for _, name := range append([]string{own}, usual...) {
			if v := p.Attributes[name]; name != "" && len(v) > 0 && strings.TrimSpace(v[0]) != "" {
				return strings.TrimSpace(v[0])
			}
		}
		return ""
	}
	switch {
	case a.Email != "":
		p.Email, p.EmailVerified = address(first(a.Email, nil)), true
	case c.Kind == SAML: // an attribute before the name, which may only look like an address
		if email := address(first("", usual.email)); email != "" {
			p.Email, p.EmailVerified = email, true
		}
	case p.Email == "" && c.Provider == AzureAD:
		p.Email, p.EmailVerified = address(first("preferred_username", []string{"upn"})), true
	}
	p.EmailTrusted = p.Email != "" && p.EmailVerified
	if c.Provider == Google {
		p.Organization = strings.ToLower(first("hd", nil))
	}
	if a.GivenName != "" || p.GivenName == "" && c.Kind == SAML {
		p.GivenName = cmp.Or(first(a.GivenName, usual.given), p.GivenName)
	}
	if a.FamilyName != "" || p.FamilyName == "" && c.Kind == SAML {
		p.FamilyName = cmp.Or(first(a.FamilyName, usual.family), p.FamilyName)
	}
	if a.Name != "" || p.Name == "" && c.Kind == SAML {
		p.Name = cmp.Or(first(a.Name, usual.name), p.Name)
	}
	p.Named()
	if a.Groups != "" {
		p.Groups = slices.Clone(p.Attributes[a.Groups])
	}
	for _, name := range usual.groups {
		if a.Groups == "" && len(p.Groups) == 0 {
			p.Groups = slices.Clone(p.Attributes[name])
		}
	}
	return p
}

// address is a usable address in its normal form, or "".
func address(s string) string {
	email, err := identity.NormalizeEmail(s)
	if err != nil {
		return ""
	}
	return email
}

// several are the words that say of a sign-in that it had two factors, or one that is
// two by itself: methods (RFC 8176), and classes of SAML's.
var several = []string{
	"mfa", "otp", "hwk", "swk", "fpt", "https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn",
	"urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken", "urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract",
	"urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI",
}

// TwoFactors reports whether a sign-in by the connection counts as one of two factors:
// it says so, or the organization has everybody prove two.
func (c Connection) TwoFactors(p upstream.Profile) bool {
	return c.TrustMFA || slices.ContainsFunc(p.AMR, func(m string) bool { return slices.Contains(several, m) })
}
