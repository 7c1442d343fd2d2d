package oauth

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/outbound"
)

// FuzzMetadata: whatever a stranger says, what is registered of it is harmless,
// and is told as it is stored.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{
		`{"redirect_uris":["https://a.example/"]}`, `{"redirect_uris":["com.example:/x","http://[::1]/"],"jwks":{"keys":[]},"scope":"openid x"}`,
		`{"redirect_uris":["javascript:alert(1)"]}`, `{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],"default_max_age":1e9}`,
		`{"redirect_uris":["https://a.example/"],"client_name":"\u202e","contacts":[1]}`, `[]`, `{"a":`, `{"jwks_uri":"https://127.1/"}`,
	} {
		f.Add([]byte(s))
	}
	c := &Core{Documents: outbound.NewDocuments(outbound.Options{}, func() time.Time { return time.Unix(0, 0) })}
	f.Cleanup(c.Documents.Close)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readMembers(raw)
		if err != nil || m.has("sector_identifier_uri") { // which would be read
			return
		}
		md, err := c.describe(t.Context(), m, registrant{scopes: []string{"x", ScopeRegister}})
		if err != nil {
			return
		}
		for _, u := range md.RedirectURIs {
			if client.CheckRedirectURI(u) != nil || strings.HasPrefix(strings.ToLower(u), "javascript:") {
				t.Errorf("redirects to %q", u)
			}
		}
		for _, u := range []string{md.ClientURI, md.LogoURI, md.PolicyURI, md.TermsURI, md.InitiateLoginURI} {
			if u != "" && client.Origin(u) == "" {
				t.Errorf("shows %q", u)
			}
		}
		if strings.Contains(md.Scope, ScopeRegister) || md.Name == "" || strings.ContainsFunc(md.Name, unprintable) {
			t.Errorf("scope %q, name %q", md.Scope, md.Name)
		}
		back := metadataOf(client.Client{Name: md.Name, Policy: md.policy(newPolicy())})
		back.Scope = md.Scope // the others' are every client's
		if !reflect.DeepEqual(back, md) {
			t.Errorf("told as\n%+v\nstored as\n%+v", md, back)
		}
	})
}
