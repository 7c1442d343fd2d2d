package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// The clients of these benchmarks, which have one secret.
const (
	benchWeb    = "00000000-0000-4000-8000-0000000000b1" // signs people in, JWT
	benchSealed = "00000000-0000-4000-8000-0000000000b2" // the same, opaque
	benchSecret = "a-secret-for-benchmarks-of-the-provider"
)

// byFormat are the formats of access tokens, each with its client.
var byFormat = []struct{ format, client string }{{"jwt", benchWeb}, {"opaque", benchSealed}}

// The verifier and the challenge of RFC 7636 appendix B.
const (
	benchVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	benchChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// onProvider is onEngines with the clients of the provider. All they sign is
// ES256.
func onProvider(b *testing.B, f func(b *testing.B, st *stand)) {
	b.Helper()
	onEngines(b, func(b *testing.B, st *stand) {
		var more strings.Builder
		more.WriteString("clients:\n")
		for _, c := range byFormat {
			fmt.Fprintf(&more, `  - key: bench-%s
    id: %s
    name: Bench
    secret: %s
    redirect_uris: [%s]
    registration: open
    methods: [password]
    grants: [authorization_code, refresh_token, client_credentials]
    scopes: [api:read]
    id_token_signed_response_alg: ES256
    access_token: {alg: ES256, format: %s}
`, c.format, c.client, benchSecret, callback, c.format)
		}
		st.command("apply", st.write("provider.yaml", strings.Replace(resources(b), "clients:\n", more.String(), 1)))
		f(b, st)
	})
}

// browsers signs everybody in, and returns their session cookies.
func (st *stand) browsers(b *testing.B) []string {
	b.Helper()
	cookies := make([]string, len(st.people))
	var next atomic.Int64
	st.drive(b, 4, len(cookies), func(l *line, _ int) error {
		i := next.Add(1) - 1
		err := st.mustSignIn(l, &st.people[i], modern)
		cookies[i] = l.cookie
		return err
	})
	return cookies
}

// codeFlow is what a browser that is signed in and its application do: a code at
// the authorization endpoint, and the tokens for it.
func codeFlow(l *line, client, cookie string) (access string, err error) {
	status, body, err := l.get("/oauth2/authorize?response_type=code&client_id="+client+"&redirect_uri="+url.QueryEscape(callback)+
		"&scope=openid%20offline_access&state=s&nonce=n&code_challenge="+benchChallenge+"&code_challenge_method=S256", "10.0.0.1", cookie)
	if err := unless(302, "authorize", status, body, err); err != nil {
		return "", err
	}
	to, err := url.Parse(l.location)
	if err != nil || to.Query().Get("code") == "" {
		return "", fmt.Errorf("authorize: sent to %s", l.location)
	}
	status, body, err = l.post("/oauth2/token", "10.0.0.1", `{"grant_type":"authorization_code","client_id":"`+client+`","client_secret":"`+benchSecret+
		`","code":"`+to.Query().Get("code")+`","redirect_uri":"`+callback+`","code_verifier":"`+benchVerifier+`"}`)
	access = member(body, "access_token")
	return access, unless(200, "token", status, body, err)
}

// BenchmarkCodeFlow signs people in to an application by their session: an
// operation is the authorization request and the token request, with an access
// token, an ID token and a refresh token at its end.
func BenchmarkCodeFlow(b *testing.B) {
	onProvider(b, func(b *testing.B, st *stand) {
		cookies := st.browsers(b)
		for _, c := range byFormat {
			b.Run(fmt.Sprintf("format=%s/conns=32", c.format), func(b *testing.B) {
				turn := make([]int, 32)
				st.measure(b, 32, func(l *line, w int) error {
					turn[w]++
					_, err := codeFlow(l, c.client, cookies[w+32*(turn[w]%2)])
					return err
				})
			})
		}
	})
}

// BenchmarkClientCredentials gives services tokens of their own.
func BenchmarkClientCredentials(b *testing.B) {
	onProvider(b, func(b *testing.B, st *stand) {
		for _, c := range byFormat {
			body := `{"grant_type":"client_credentials","client_id":"` + c.client + `","client_secret":"` + benchSecret + `","scope":"api:read"}`
			b.Run(fmt.Sprintf("format=%s/conns=32", c.format), func(b *testing.B) {
				st.measure(b, 32, func(l *line, _ int) error {
					status, answer, err := l.post("/oauth2/token", "10.0.0.1", body)
					return unless(200, "client credentials", status, answer, err)
				})
			})
		}
	})
}

// BenchmarkIntrospect asks whether people's access tokens are good, as an API
// behind Sallyport does that wants to know at once when one is not.
func BenchmarkIntrospect(b *testing.B) {
	onProvider(b, func(b *testing.B, st *stand) {
		cookies := st.browsers(b)
		for _, c := range byFormat {
			bodies := make([]string, len(cookies))
			var next atomic.Int64
			st.drive(b, 4, len(bodies), func(l *line, _ int) error {
				i := next.Add(1) - 1
				access, err := codeFlow(l, c.client, cookies[i])
				bodies[i] = `{"client_id":"` + c.client + `","client_secret":"` + benchSecret + `","token":"` + access + `"}`
				return err
			})
			b.Run(fmt.Sprintf("format=%s/conns=32", c.format), func(b *testing.B) {
				st.measure(b, 32, func(l *line, w int) error {
					status, answer, err := l.post("/oauth2/introspect", "10.0.0.1", bodies[w])
					if !strings.HasPrefix(string(answer), `{"active":true,`) {
						status = 0
					}
					return unless(200, "introspect", status, answer, err)
				})
			})
		}
	})
}
