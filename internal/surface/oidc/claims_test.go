package oidc

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/oauth"
)

// A resource of the operator's is granted by its name, on the page where the person
// reads it; a client that a stranger made does not come by it as its audience.
func TestStrangersAudienceIsNoResourceOfTheOperators(t *testing.T) {
	const api = "https://api.example.com"
	a := &API{Now: time.Now, OAuth: &oauth.Core{Settings: func() oauth.Settings { return oauth.Settings{Resources: []string{api}} }}}
	for _, c := range []struct {
		source   client.Source
		own      string
		audience string
	}{
		{client.Operator, api, api}, {client.Dynamic, api, "iss"}, {client.Document, api, "iss"}, {client.Dynamic, "https://own.example.com", "https://own.example.com"},
	} {
		cl := client.Client{Source: c.source, Policy: client.Policy{Audience: c.own}}
		got, _ := a.accessClaims("iss", oauth.Issued{Client: cl})
		if !slices.Equal(got.Audience, names{c.audience}) {
			t.Errorf("%q with audience %s: aud %v, want %s", c.source, c.own, got.Audience, c.audience)
		}
	}
}

// OpenID Connect Core appendix A.3.
func TestAccessTokenHashIsThatOfTheStandard(t *testing.T) {
	const access, want = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"
	for _, alg := range []string{"RS256", "ES256", "HS256"} {
		if got := halfHash(alg, access); got != want {
			t.Errorf("%s: got %s, want %s", alg, got, want)
		}
	}
	if got := halfHash("EdDSA", access); len(got) != 43 { // half of SHA-512
		t.Errorf("EdDSA: %s", got)
	}
}

// RFC 7519 §4.1.3: an audience is a text, or a list.
func TestAudienceIsTextOrList(t *testing.T) {
	for text, want := range map[string]int{`"a"`: 1, `["a","b"]`: 2, `["a"]`: 1, `[]`: 0} {
		var n names
		if err := json.Unmarshal([]byte(text), &n); err != nil || len(n) != want {
			t.Errorf("%s: %v, %v", text, n, err)
		}
	}
	for _, text := range []string{`1`, `{}`, `[1]`} {
		var n names
		if err := json.Unmarshal([]byte(text), &n); err == nil {
			t.Errorf("%s: read %v", text, n)
		}
	}
	if b, err := json.Marshal(names{"a"}); err != nil || string(b) != `"a"` {
		t.Errorf("one: %s, %v", b, err)
	}
}

// A description goes into a header within quotes (RFC 6749 §5.2).
func TestDescriptionsStayWithinTheirQuotes(t *testing.T) {
	if got := printable("a\"b\\c\r\nd\u00e9\x00"); got != "a?b?c??d??" {
		t.Errorf("got %q", got)
	}
}

func FuzzCertificateHeader(f *testing.F) {
	for _, s := range []string{"", "::", ":AAAA:", "-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----", "%", "MIIB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if der, ok := derOf(s); ok && len(der) > len(s) {
			t.Errorf("%d bytes of %d", len(der), len(s))
		}
	})
}
