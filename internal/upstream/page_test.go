package upstream_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// The fake's authorization endpoint over HTTP: at once where nobody asks, else by
// the page of whoever serves it, which may be slow or down.
func TestPageOfTheFake(t *testing.T) {
	p := serve(t, upstream.OIDC, upstreamtest.Jane, upstreamtest.Person{ID: "2", Email: "tom@example.com", EmailVerified: true})
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	visit := func(more string) (*http.Response, string) {
		t.Helper()
		location, _ := p.begin(t, upstream.Start{})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location+more, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	answer := func(res *http.Response) url.Values {
		t.Helper()
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return to.Query()
	}
	if res, _ := visit(""); res.StatusCode != http.StatusFound || answer(res).Get("code") == "" {
		t.Errorf("nobody asks: %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	p.Ask = func(w http.ResponseWriter, _ *http.Request, people []upstreamtest.Person) {
		io.WriteString(w, people[1].Email)
	}
	if res, body := visit(""); res.StatusCode != http.StatusOK || body != "tom@example.com" {
		t.Errorf("asked: %d %s", res.StatusCode, body)
	}
	if res, _ := visit("&person=2"); answer(res).Get("code") == "" {
		t.Errorf("picked: %s", res.Header.Get("Location"))
	}
	if res, _ := visit("&deny=1"); answer(res).Get("error") != "access_denied" {
		t.Errorf("denied: %s", res.Header.Get("Location"))
	}
	if res, _ := visit("&person=3"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("nobody of that id: %d", res.StatusCode)
	}
	p.Behave(upstreamtest.Late, upstreamtest.AtPage)
	start := time.Now()
	if res, _ := visit("&person=2"); answer(res).Get("code") == "" || time.Since(start) < 2*time.Second {
		t.Errorf("late: after %s to %s", time.Since(start), res.Header.Get("Location"))
	}
	p.Behave(upstreamtest.Down, upstreamtest.AtPage)
	if res, _ := visit(""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("down: %d", res.StatusCode)
	}
}
