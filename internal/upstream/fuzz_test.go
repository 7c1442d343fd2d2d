package upstream

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/internal/openid"
)

// Whatever a provider writes, only true, "true" and 1 are true, and what is left
// of names can be shown.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{
		`{"email":"a@b.co","email_verified":true}`, `{"email_verified":"false","aud":["a",5],"roles":"x","groups":[1,"y",{}]}`,
		`{"email_verified":[true],"name":"\u0000\ud800","aud":null,"xms_edov":"1"}`, `{"email_verified":null}`, `[]`, `{"aud":{}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c openid.Claims
		if json.Unmarshal([]byte(s), &c) != nil {
			return
		}
		var p Profile
		p.setNames(string(c.Name), string(c.GivenName), string(c.FamilyName))
		if !utf8.ValidString(p.Name) || strings.ContainsAny(p.Name, "\x00\r\n") || len([]rune(p.Name)) > 2*maxShown+1 {
			t.Errorf("shows %q", p.Name)
		}
		p.setEmail(Settings{}, string(c.Email), c.EmailVerified.Is, c.EmailVerified.Known, anyDomain)
		if p.EmailTrusted && !strings.Contains(strings.ToLower(s), "true") && !strings.Contains(s, "1") {
			t.Errorf("believes %q", s)
		}
		if len(c.Roles) > openid.MaxWords || len(c.Groups) > openid.MaxWords {
			t.Errorf("%d roles, %d groups", len(c.Roles), len(c.Groups))
		}
	})
}
