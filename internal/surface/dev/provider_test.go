package dev_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/surface/dev"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// providers serves the fakes, with a broker that has them as upstreams.
func providers(t *testing.T) (*dev.Providers, *upstream.Broker, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	base := "http://" + s.Listener.Addr().String()
	p := dev.NewProviders(base, time.Now)
	s.Config.Handler = p.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	s.Start()
	t.Cleanup(s.Close)
	b := upstream.NewBroker(upstream.Options{Now: time.Now, Timeout: time.Minute})
	t.Cleanup(b.Close)
	return p, b, base
}

// stay is a browser that follows no redirect.
var stay = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// visit makes a request as a browser does, a POST if there is a form.
func visit(t *testing.T, to string, form url.Values, header ...string) (*http.Response, string) {
	t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, to, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := stay.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// begin is an attempt at a fake, and the address of its page.
func begin(t *testing.T, b *upstream.Broker, u upstream.Upstream) (string, upstream.Attempt) {
	t.Helper()
	location, a, err := b.Begin(t.Context(), u, upstream.Start{RedirectURI: "http://localhost:3000/callback", State: "the-state"})
	if err != nil {
		t.Fatal(err)
	}
	return location, a
}

// pick posts the page's form, or makes another request that is answered with
// leaving it, and returns what the browser is sent back with: by a redirect or
// a form.
func pick(t *testing.T, location string, form url.Values, header ...string) url.Values {
	t.Helper()
	res, page := visit(t, location, form, header...)
	if res.StatusCode == http.StatusSeeOther {
		back, err := res.Location()
		if err != nil || !strings.HasPrefix(back.String(), "http://localhost:3000/callback?") {
			t.Fatalf("sent to %v, %v", back, err)
		}
		return back.Query()
	}
	if res.StatusCode != 200 || !strings.Contains(page, `action="http://localhost:3000/callback"`) {
		t.Fatalf("got %d %s", res.StatusCode, page)
	}
	form = url.Values{}
	for _, field := range strings.Split(page, `<input type="hidden" name="`)[1:] {
		name, rest, _ := strings.Cut(field, `" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		form.Set(name, strings.ReplaceAll(value, "&#34;", `"`))
	}
	return form
}

// At every fake one can be anybody, and what Sallyport then makes of it is what
// the page says: each kind, from the page to the profile.
func TestEveryProviderSignsIn(t *testing.T) {
	p, b, _ := providers(t)
	for _, one := range dev.Playable {
		t.Run(one.Key, func(t *testing.T) {
			location, a := begin(t, b, p.Upstream(one.Key))
			res, page := visit(t, location, nil)
			for _, want := range []string{"not the real " + one.Title, "jane@example.com", "tom@gmail.com", "una@example.net (not verified)", "Somebody new", "Cancel"} {
				if !strings.Contains(page, want) {
					t.Errorf("%q is not on the page", want)
				}
			}
			if strings.Contains(page, "<script") {
				t.Error("the page wants scripts")
			}
			if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self' http://localhost:3000") || strings.Contains(got, "script-src") {
				t.Errorf("policy %q", got)
			}
			got := pick(t, location, url.Values{"person": {"1290381"}})
			if got.Get("state") != "the-state" {
				t.Errorf("state: got %q", got.Get("state"))
			}
			who, err := b.Finish(t.Context(), p.Upstream(one.Key), a, upstream.AnswerOf(got), upstream.Visitor{})
			if err != nil || who.Email != "tom@gmail.com" || who.GivenName != "Tom" && one.Kind != upstream.Apple {
				t.Errorf("got %+v, %v", who, err)
			}
		})
	}
}

func TestSomebodyNewIsKnownAfterwards(t *testing.T) {
	p, b, _ := providers(t)
	location, a := begin(t, b, p.Upstream("corp"))
	for _, bad := range []url.Values{{"name": {" "}, "email": {"a@example.com"}}, {"name": {"Nina"}, "email": {"nobody"}}} {
		bad.Set("person", "new")
		if res, page := visit(t, location, bad); res.StatusCode != 200 || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%v: got %d", bad, res.StatusCode)
		}
	}
	got := pick(t, location, url.Values{"person": {"new"}, "name": {"Nina van Neu"}, "email": {"Nina@Example.org"}, "verified": {"1"}})
	who, err := b.Finish(t.Context(), p.Upstream("corp"), a, upstream.AnswerOf(got), upstream.Visitor{})
	if err != nil || who.Email != "nina@example.org" || !who.EmailVerified || who.GivenName != "Nina" || who.FamilyName != "van Neu" {
		t.Errorf("got %+v, %v", who, err)
	}
	if _, page := visit(t, location, nil); !strings.Contains(page, "nina@example.org") {
		t.Error("she is not among those to pick")
	}
	if _, page := visit(t, location+"&login_hint=new%40example.com", nil); !strings.Contains(page, `value="new@example.com"`) {
		t.Error("the address that was hinted at is not typed in")
	}
}

// What goes wrong on demand is what a sign-in then reports, and the next one
// works again.
func TestProviderMisbehavesOnce(t *testing.T) {
	p, b, _ := providers(t)
	u := p.Upstream("google")
	impatient := upstream.NewBroker(upstream.Options{Now: time.Now, Timeout: 300 * time.Millisecond})
	defer impatient.Close()
	// Newer keys are looked for once in a second, which a person at a page takes.
	var later atomic.Int64
	patient := upstream.NewBroker(upstream.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, Timeout: time.Minute})
	defer patient.Close()
	for conduct, want := range map[string]error{
		"": nil, "html": openid.ErrLies, "down": openid.ErrUnreachable, "slow": openid.ErrUnreachable, "throttled": openid.ErrThrottled,
		"signature": openid.ErrLies, "rotated": nil, "late": nil,
	} {
		for _, c := range []struct {
			conduct string
			want    error
		}{{conduct, want}, {"", nil}} {
			later.Add(int64(2 * time.Second))
			location, a := begin(t, patient, u)
			got := pick(t, location, url.Values{"person": {"6892396"}, "conduct": {c.conduct}})
			by := patient
			if c.conduct == "slow" {
				by = impatient
			}
			if _, err := by.Finish(t.Context(), u, a, upstream.AnswerOf(got), upstream.Visitor{}); c.want == nil && err != nil || c.want != nil && !isFailure(err, c.want) {
				t.Errorf("%q: got %v, want %v", c.conduct, err, c.want)
			}
		}
	}
	location, a := begin(t, b, u)
	got := pick(t, location, url.Values{"deny": {"1"}})
	if _, err := b.Finish(t.Context(), u, a, upstream.AnswerOf(got), upstream.Visitor{}); !isFailure(err, openid.ErrDenied) {
		t.Errorf("deny: got %v", err)
	}
}

func isFailure(err, reason error) bool {
	_, ok := errors.AsType[*openid.Failure](err)
	return ok && errors.Is(err, reason)
}

// What asks for no page is signed in at once, so that one line of a shell does.
func TestWithoutABrowserTheFirstPersonSignsIn(t *testing.T) {
	p, b, _ := providers(t)
	location, a := begin(t, b, p.Upstream("github"))
	got := pick(t, location, nil, "Accept", "*/*")
	if who, err := b.Finish(t.Context(), p.Upstream("github"), a, upstream.AnswerOf(got), upstream.Visitor{}); err != nil || who.Email != "jane@example.com" {
		t.Errorf("got %+v, %v", who, err)
	}
}

func TestProviderRefusesOthersPages(t *testing.T) {
	p, b, base := providers(t)
	location, _ := begin(t, b, p.Upstream("google"))
	res, _ := visit(t, location, url.Values{"person": {"6892396"}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form: got %d", res.StatusCode)
	}
	for path, want := range map[string]int{
		"/dev/provider/google/o/oauth2/v2/auth":                                        400,
		"/dev/provider/google/o/oauth2/v2/auth?client_id=other&redirect_uri=http://x/": 400,
		"/dev/provider/google/o/oauth2/v2/auth?client_id=" + upstreamtest.ClientID:     400,
		"/dev/provider/google/nothing":                                                 404,
		"/dev/provider/nobody/authorize":                                               418,
		"/dev/provider/":                                                               418,
		"/anything":                                                                    418,
		"/dev/provider/google/.well-known/openid-configuration":                        200,
		"/dev/provider/forge/authorize?redirect_uri=%3A&client_id=" + upstreamtest.ClientID + "&x=1": 400,
	} {
		if res, _ := visit(t, base+path, nil); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
	}
	if res, _ := visit(t, location, url.Values{"person": {"nobody"}}); res.StatusCode != 400 {
		t.Errorf("a person who is not there: got %d", res.StatusCode)
	}
}

// Each kind that upstreams have has a fake.
func TestPlayableAreAllKinds(t *testing.T) {
	var got []upstream.Kind
	for _, one := range dev.Playable {
		got = append(got, one.Kind)
	}
	want := upstream.Kinds()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestApplicationShowsWhatItWasGiven(t *testing.T) {
	_, base := serve(t)
	if status, body := get(t, base+"/dev/app?code=4%2Fx&state=s"); status != 200 || strings.TrimSpace(body) != `{"code":"4/x","state":"s"}` {
		t.Errorf("got %d %s", status, body)
	}
	if status, body := get(t, base+"/dev/app/code?code=4%2Fx&state=s"); status != 200 || body != "4/x\n" {
		t.Errorf("code: got %d %q", status, body)
	}
	if status, _ := get(t, base+"/dev/app/code?error=access_denied"); status != 400 {
		t.Errorf("no code: got %d", status)
	}
	res, page := visit(t, base+"/dev/app?error=<b>", nil)
	if !strings.Contains(page, "Not signed in") || !strings.Contains(page, "&lt;b&gt;") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("page: %s", page)
	}
}
