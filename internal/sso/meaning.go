package sso

import "slices"

// Meaning is what a claim or attribute is taken for.
type Meaning string

// The meanings; "" is one that nothing is read from.
const (
	MeansEmail      Meaning = "email"
	MeansGivenName  Meaning = "given_name"
	MeansFamilyName Meaning = "family_name"
	MeansName       Meaning = "name"
	MeansGroups     Meaning = "groups"
)

// Meaning says what the claim or attribute of a name is taken for, for who looks at
// what a provider sent. Where several are sent for one meaning, Read takes the first
// that it knows.
func (a Attributes) Meaning(name string) Meaning {
	for _, one := range []struct {
		own   string
		usual []string
		means Meaning
	}{
		{a.Email, usual.email, MeansEmail}, {a.GivenName, usual.given, MeansGivenName}, {a.FamilyName, usual.family, MeansFamilyName},
		{a.Name, usual.name, MeansName}, {a.Groups, usual.groups, MeansGroups},
	} {
		if one.own != "" && name == one.own || one.own == "" && slices.Contains(one.usual, name) {
			return one.means
		}
	}
	return ""
}
