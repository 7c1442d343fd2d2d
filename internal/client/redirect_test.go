package client

import "testing"

func TestRedirectAnyQueryComparesTheRestByteForByte(t *testing.T) {
	c := Client{Policy: Policy{RedirectURIs: []string{"https://hackillinois.org/auth/", "https://app.example.com/cb?fixed=1", "http://localhost:3000/auth/", "org.hackillinois.ios://auth"}}}
	for uri, want := range map[string]bool{
		"https://hackillinois.org/auth/":                            true,
		"https://hackillinois.org/auth/?":                           true,
		"https://hackillinois.org/auth/?isiOS=1":                    true,
		"https://hackillinois.org/auth/?to=/a?b=c&d=https://x.org/": true,
		"https://hackillinois.org/auth/?to=/a b":                    true, // a "+" that was not escaped
		"https://hackillinois.org/auth/?to=/é":                      true,
		"https://app.example.com/cb":                                true,
		"https://app.example.com/cb?other=2":                        true,
		"http://localhost:3000/auth/?x":                             true,
		"org.hackillinois.ios://auth?x=1":                           true,

		"":                                false,
		"https://hackillinois.org/auth":   false,
		"https://hackillinois.org/":       false,
		"https://hackillinois.org/auth//": false,
		"https://hackillinois.org/auth/../admin/":                   false,
		"https://hackillinois.org/auth/%2e%2e/admin/":               false,
		"https://hackillinois.org/Auth/":                            false,
		"https://HackIllinois.org/auth/":                            false,
		"HTTPS://hackillinois.org/auth/":                            false,
		"http://hackillinois.org/auth/":                             false,
		"https://hackillinois.org:443/auth/":                        false,
		"https://hackillinois.org:8443/auth/":                       false,
		"https://hackillinois.org./auth/":                           false,
		"https://www.hackillinois.org/auth/":                        false,
		"https://hackillinois.org.evil.example/auth/":               false,
		"https://evil.example/auth/":                                false,
		"https://evil.example/?https://hackillinois.org/auth/":      false,
		"https://evil.example#@hackillinois.org/auth/":              false,
		"https://hackillinois.org@evil.example/auth/":               false,
		"https://user@hackillinois.org/auth/":                       false,
		"https://hackillinois.org\\@evil.example/auth/":             false,
		"https:\\\\hackillinois.org/auth/":                          false,
		"//hackillinois.org/auth/":                                  false,
		"/auth/":                                                    false,
		"https://hackillinois.org/auth/#":                           false,
		"https://hackillinois.org/auth/#?x":                         false,
		"https://hackillinois.org/auth/?x#y":                        false,
		"https://hackillinois.org/auth/?x\\y":                       false,
		"https://hackillinois.org/auth/?\r\nSet-Cookie: a=b":        false,
		"https://hackillinois.org/auth/?\t":                         false,
		"https://hackillinois.org/auth/?\x00":                       false,
		"https://hackillinois.org\t/auth/":                          false,
		" https://hackillinois.org/auth/":                           false,
		"https://hackillinois.org/auth/ ":                           false,
		"https://hackill\u0131nois.org/auth/":                       false,
		"https://hackillinois.org%2f@evil.example/auth/":            false,
		"javascript:alert(1)//https://hackillinois.org/auth/":       false,
		"data:text/html,https://hackillinois.org/auth/":             false,
		"https://hackillinois.org/auth/;https://evil.example/?x=y":  false,
		"https://hackillinois.org/auth/&redirect_uri=https://e.org": false,
	} {
		if got := c.RedirectAnyQuery(uri); got != want {
			t.Errorf("%q: got %v, want %v", uri, got, want)
		}
	}
}
