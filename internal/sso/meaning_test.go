package sso

import "testing"

func TestMeaning(t *testing.T) {
	usual, own := Attributes{}, Attributes{Email: "mailbox"}
	for _, c := range []struct {
		of   Attributes
		name string
		want Meaning
	}{
		{usual, "email", MeansEmail},
		{usual, "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", MeansEmail},
		{usual, "surname", MeansFamilyName},
		{usual, "groups", MeansGroups},
		{usual, "sub", ""},
		{usual, "", ""},
		{own, "mailbox", MeansEmail},
		{own, "email", ""}, // which is not read where another one is named
		{own, "givenName", MeansGivenName},
	} {
		if got := c.of.Meaning(c.name); got != c.want {
			t.Errorf("%+v of %q: got %q, want %q", c.of, c.name, got, c.want)
		}
	}
}
