package oauth

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/client"
)

// Whatever is taken for the loopback address of an application, a parser takes
// for it too: the same host, path and nothing besides.
func FuzzLoopbackRedirectURI(f *testing.F) {
	for _, s := range []string{
		"http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:80@evil/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1#/cb", "http://127.0.0.1\\/cb",
		"http://127.0.0.1:/cb", "http://127.0.0.1?/cb", "http://127.0.0.1:99999/cb",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, given string) {
		if !sameLoopback("http://127.0.0.1/cb", given) {
			return
		}
		u, err := url.Parse(given)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.EscapedPath() != "/cb" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			t.Errorf("%q was taken: %+v, %v", given, u, err)
		}
	})
}

// Whatever is taken for claims is one small object, and can be kept.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"userinfo":{"email":null},"id_token":{"acr":{"essential":true,"values":["2"]},"sub":{"value":"a"}}}`, `{"a":[[[[1]]]]}`, `{"a":1,"a":2}`, `[]`, `{"userinfo":1}`, ` {} {}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var r Request
		p := Params{"claims": {raw}}
		if wellFormed(p) != nil || new(Core).fillClaims(&r, client.Client{}, p) != nil {
			return
		}
		r.ClaimNames()
		kept, err := r.stored()
		if err != nil {
			t.Fatalf("%q was taken, and cannot be kept: %v", raw, err)
		}
		var back Request
		if err := json.Unmarshal(kept, &back); err != nil || back.IDTokenHintSubject != r.IDTokenHintSubject {
			t.Errorf("%q came back as %s, %v", raw, kept, err)
		}
		depth, most := 0, 0
		for _, c := range strings.Map(outsideText(), raw) {
			switch c {
			case '{', '[':
				depth++
				most = max(most, depth)
			case '}', ']':
				depth--
			}
		}
		if most > maxDepth {
			t.Errorf("%q was taken, %d deep", raw, most)
		}
	})
}

// outsideText leaves out what stands in JSON texts.
func outsideText() func(rune) rune {
	inside, escaped := false, false
	return func(r rune) rune {
		switch {
		case escaped:
			escaped = false
			return -1
		case inside && r == '\\':
			escaped = true
			return -1
		case r == '"':
			inside = !inside
			return -1
		case inside:
			return -1
		}
		return r
	}
}
