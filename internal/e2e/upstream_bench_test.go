package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// benchCorp is the application that people come to by an upstream.
const benchCorp = "00000000-0000-4000-8000-0000000000b3"

// throughCorp is a stand whose people come by the upstream "corp", a fake that
// runs in this process: its processor time is not the node's.
func throughCorp(b *testing.B, st *stand) *upstreamtest.Fake {
	b.Helper()
	s := httptest.NewUnstartedServer(nil)
	people := make([]upstreamtest.Person, len(st.people))
	for i := range people {
		people[i] = upstreamtest.Person{ID: fmt.Sprint(i + 1), Email: fmt.Sprintf("corp-%d@example.com", i), EmailVerified: true, GivenName: "User", FamilyName: fmt.Sprint(i)}
	}
	fake := upstreamtest.New(upstream.OIDC, "http://"+s.Listener.Addr().String(), time.Now, people...)
	s.Config.Handler = fake
	s.Start()
	b.Cleanup(s.Close)
	text := strings.Replace(resources(b), "clients:\n", fmt.Sprintf(`upstreams:
  - {key: corp, kind: oidc, client_id: %s, client_secret: %s, base_url: "%s"}
clients:
  - key: bench-corp
    id: %s
    name: Bench
    redirect_uris: [%s]
    registration: open
    methods: [corp]
    access_token: {alg: ES256}
`, upstreamtest.ClientID, upstreamtest.ClientSecret, s.URL, benchCorp, callback), 1)
	st.command("apply", st.write("corp.yaml", text))
	return fake
}

// throughUpstream is a browser that signs in by corp: start, a choice there,
// callback. The choice is made without HTTP: what the provider's page costs is
// not ours to measure.
func throughUpstream(l *line, fake *upstreamtest.Fake, person string) error {
	ip := address()
	status, body, err := l.get("/oauth/corp/start?app_id="+benchCorp+"&redirect_uri="+url.QueryEscape(callback), ip, "")
	if err := unless(http.StatusFound, "start", status, body, err); err != nil {
		return err
	}
	cookie := l.cookie
	back, _, err := fake.Choose(l.location, person, false)
	if err != nil {
		return err
	}
	at, err := url.Parse(back)
	if err != nil {
		return err
	}
	status, body, err = l.get(at.RequestURI(), ip, cookie)
	if err == nil && !strings.HasPrefix(l.location, callback+"?access_token=") {
		err = fmt.Errorf("sent to %s", l.location)
	}
	return unless(http.StatusFound, "callback", status, body, err)
}

// BenchmarkUpstreamCallback signs people in by an upstream that knows them: an
// operation is the start, the callback with its code exchange at the fake, and
// ES256 tokens. provider=alone is the fake's share, for the ratio: codes exchanged
// straight with it, as fast as these connections can.
func BenchmarkUpstreamCallback(b *testing.B) {
	onEngines(b, func(b *testing.B, st *stand) {
		fake := throughCorp(b, st)
		turns := make([]int, 32)
		op := func(l *line, w int) error {
			turns[w]++
			return throughUpstream(l, fake, fmt.Sprint(1+w+32*(turns[w]%2)))
		}
		st.drive(b, 32, 200, op) // who is new, signs up
		b.Run("conns=32", func(b *testing.B) {
			before := st.metrics(b)
			st.measure(b, 32, op)
			after := st.metrics(b)
			for unit, name := range map[string]string{"reads/op": "sallyport_db_reads_total", "writes/op": `sallyport_db_writes_total{outcome="committed"}`} {
				b.ReportMetric((after[name]-before[name])/float64(b.N), unit)
			}
		})
		b.Run("provider=alone/conns=32", func(b *testing.B) { exchangeAlone(b, fake) })
	})
}

// exchangeAlone redeems codes at the fake.
func exchangeAlone(b *testing.B, fake *upstreamtest.Fake) {
	u := fake.Upstream("corp")
	base, err := url.Parse(u.Settings.BaseURL)
	if err != nil {
		b.Fatal(err)
	}
	location := u.Settings.BaseURL + "/auth?" + url.Values{"client_id": {upstreamtest.ClientID}, "redirect_uri": {callback}, "scope": {"openid"}, "nonce": {"n"}}.Encode()
	st := &stand{host: base.Host}
	b.ResetTimer()
	st.drive(b, 32, b.N, func(l *line, _ int) error {
		back, _, err := fake.Choose(location, "", false)
		if err != nil {
			return err
		}
		at, err := url.Parse(back)
		if err != nil {
			return err
		}
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {at.Query().Get("code")}, "redirect_uri": {callback},
			"client_id": {upstreamtest.ClientID}, "client_secret": {upstreamtest.ClientSecret},
		}.Encode()
		l.out = fmt.Appendf(l.out[:0], "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", base.Host, len(form), form)
		status, body, err := l.exchange("/token")
		return unless(http.StatusOK, "exchange", status, body, err)
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
