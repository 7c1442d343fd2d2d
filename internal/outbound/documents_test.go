package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// library is Documents with a clock that stands until it is moved.
type library struct {
	*Documents
	at atomic.Int64
}

func newLibrary(t *testing.T, o Options) *library {
	t.Helper()
	l := &library{}
	l.at.Store(time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC).UnixNano())
	l.Documents = NewDocuments(o, func() time.Time { return time.Unix(0, l.at.Load()) })
	t.Cleanup(l.Close)
	return l
}

func (l *library) pass(d time.Duration) { l.at.Add(int64(d)) }

// publisher numbers its answers and sends one header with each.
func publisher(t *testing.T, header, value string) (url string, hits *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s, hits := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(header, value)
		fmt.Fprintf(w, "document %d", n.Add(1))
	})
	return s.URL, hits
}

func TestDocumentIsKeptAsItsPublisherSays(t *testing.T) {
	for _, c := range []struct {
		header, value string
		keep          time.Duration
	}{
		{"Cache-Control", "max-age=3600", time.Hour},
		{"Cache-Control", "public, Max-Age=\"600\"", 10 * time.Minute},
		{"Cache-Control", "max-age=60, s-maxage=7200", 2 * time.Hour},
		{"Cache-Control", "max-age=120, max-age=9999", 2 * time.Minute},
		{"Cache-Control", "max-age=0", time.Minute},
		{"Cache-Control", "no-store", time.Minute},
		{"Cache-Control", "no-cache, max-age=3600", time.Minute},
		{"Cache-Control", "private, max-age=3600", time.Minute},
		{"Cache-Control", "max-age=31536000", 24 * time.Hour},
		{"Cache-Control", "max-age=99999999999999999999", keepByDefault},
		{"Cache-Control", "max-age=-5", keepByDefault},
		{"Expires", "0", time.Minute},
		{"X-Other", "1", keepByDefault},
	} {
		l := newLibrary(t, Options{Allow: loopback})
		url, hits := publisher(t, c.header, c.value)
		for _, step := range []struct {
			pass time.Duration
			want string
		}{{0, "document 1"}, {c.keep - 1, "document 1"}, {1, "document 2"}} {
			l.pass(step.pass)
			if got, err := l.Get(t.Context(), url, Fetch{}); string(got) != step.want || err != nil {
				t.Errorf("%s: %s: got %q, %v; want %q", c.header, c.value, got, err, step.want)
			}
		}
		if n := hits.Load(); n != 2 {
			t.Errorf("%s: %s: %d requests", c.header, c.value, n)
		}
	}
}

func TestLifetimeCountsAgeAndExpires(t *testing.T) {
	h := http.Header{"Cache-Control": {"max-age=600"}, "Age": {"300"}}
	if got := lifetime(h); got != 5*time.Minute {
		t.Errorf("with an age: %s", got)
	}
	h = http.Header{"Date": {"Tue, 17 Mar 2026 12:00:00 GMT"}, "Expires": {"Tue, 17 Mar 2026 13:00:00 GMT"}}
	if got := lifetime(h); got != time.Hour {
		t.Errorf("with an expiry: %s", got)
	}
}

func TestFreshLooksAgainOnceAMinute(t *testing.T) {
	l := newLibrary(t, Options{Allow: loopback})
	url, hits := publisher(t, "Cache-Control", "max-age=86400")
	for _, step := range []struct {
		pass time.Duration
		want string
	}{{0, "document 1"}, {59 * time.Second, "document 1"}, {2 * time.Second, "document 2"}, {0, "document 2"}, {time.Second, "document 2"}} {
		l.pass(step.pass)
		if got, err := l.Get(t.Context(), url, Fetch{Fresh: true}); string(got) != step.want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, step.want)
		}
	}
	if n := hits.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestFailureIsKeptForAWhile(t *testing.T) {
	l := newLibrary(t, Options{Allow: loopback})
	s, hits := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for range 3 {
		_, err := l.Get(t.Context(), s.URL, Fetch{Fresh: true})
		if no, ok := errors.AsType[*NoDocument](err); !ok || no.Status != http.StatusNotFound {
			t.Errorf("got %v", err)
		}
	}
	if n := hits.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	l.pass(failedFor)
	l.Get(t.Context(), s.URL, Fetch{})
	if n := hits.Load(); n != 2 {
		t.Errorf("%d requests after a while, want 2", n)
	}
}

// A publisher that is down for an hour does not lock its users out; one that
// has withdrawn the document does.
func TestOldDocumentStandsInForOneThatCannotBeHad(t *testing.T) {
	l := newLibrary(t, Options{Allow: loopback})
	status := http.StatusOK
	s, _ := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(status)
		io.WriteString(w, "good")
	})
	for _, step := range []struct {
		pass   time.Duration
		status int
		ok     bool
	}{
		{0, 200, true}, {time.Minute, 503, true}, {time.Hour, 500, true}, {23 * time.Hour, 503, false},
		{time.Minute, 200, true}, {time.Minute, 404, false}, {time.Minute, 503, false},
	} {
		l.pass(step.pass)
		status = step.status
		got, err := l.Get(t.Context(), s.URL, Fetch{})
		if (err == nil) != step.ok || step.ok && string(got) != "good" {
			t.Errorf("%d: got %q, %v", step.status, got, err)
		}
	}
}

func TestDocumentIsWhatWasAskedFor(t *testing.T) {
	var status, size int
	var kind string
	s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept"); got != "application/json" {
			t.Errorf("Accept: %q", got)
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, strings.Repeat("x", size))
	})
	for _, c := range []struct {
		status, size int
		kind         string
		ok           bool
	}{
		{200, 100, "application/json", true},
		{200, 0, "application/json", true},
		{200, 100, "Application/Client-Metadata+JSON; charset=utf-8", true},
		{200, 101, "application/json", false},
		{200, 100, "text/html", false},
		{200, 100, "image/svg+json", false},
		{200, 100, "", false},
		{301, 1, "application/json", false},
		{302, 1, "application/json", false},
		{307, 1, "application/json", false},
		{201, 1, "application/json", false},
		{203, 1, "application/json", false},
		{404, 1, "application/json", false},
		{500, 1, "application/json", false},
	} {
		status, size, kind = c.status, c.size, c.kind
		l := newLibrary(t, Options{Allow: loopback})
		got, err := l.Get(t.Context(), s.URL, Fetch{MaxBytes: 100, Accept: "application/json", JSON: true})
		if (err == nil) != c.ok || c.ok && (got == nil || len(got) != size) {
			t.Errorf("%d, %d bytes of %q: got %d bytes, %v", c.status, c.size, c.kind, len(got), err)
		}
		if c.size > 100 && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", c.size, err)
		}
	}
}

func TestDocumentsStayOutOfOurNetwork(t *testing.T) {
	s, hits := server(t, ok)
	l := newLibrary(t, Options{})
	for _, u := range []string{
		s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "https://10.0.0.1/jwks", "https://169.254.169.254/latest/meta-data",
		"https://[::1]/", "https://2130706433/", "http://example.com/", "file:///etc/passwd", "data:application/json,{}", "javascript:alert(1)",
		"https://user:pass@example.com/", "https://example.com/#x", "",
	} {
		if err := l.Check(u); err == nil {
			t.Errorf("Check(%q) takes it", u)
		}
		if _, err := l.Get(t.Context(), u, Fetch{}); err == nil {
			t.Errorf("Get(%q) takes it", u)
		}
	}
	rebound := newLibrary(t, Options{Resolver: resolver(t, func(int) netip.Addr { return netip.MustParseAddr("127.0.0.1") })})
	_, err := rebound.Get(t.Context(), "https://keys.example/", Fetch{})
	if _, ok := errors.AsType[*Refused](err); !ok {
		t.Errorf("a name that leads home: %v", err)
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached us", n)
	}
}

func TestSlowPublisherIsLeftAfterItsTime(t *testing.T) {
	s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	l := newLibrary(t, Options{Allow: loopback, Timeout: 100 * time.Millisecond})
	if _, err := l.Get(t.Context(), s.URL, Fetch{}); !timeout(err) {
		t.Errorf("got %v, want a timeout", err)
	}
}

// Whoever asks while a document is being read waits for that reading, and a
// reader who leaves hands over to one who waits.
func TestManyReadersMakeOneRequest(t *testing.T) {
	release, reached := make(chan struct{}), make(chan struct{}, 10)
	s, hits := server(t, func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		io.WriteString(w, "good")
	})
	l := newLibrary(t, Options{Allow: loopback, Timeout: time.Minute})
	first, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := l.Get(first, s.URL, Fetch{})
		left <- err
	}()
	<-reached
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if got, err := l.Get(t.Context(), s.URL, Fetch{Fresh: true}); string(got) != "good" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the reader who left: %v", err)
	}
	<-reached
	close(release)
	wg.Wait()
	if n := hits.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// One host that answers nothing cannot take all that others need.
func TestOneHostHasFewFlights(t *testing.T) {
	reached := make(chan struct{}, flightsPerHost)
	s, _ := server(t, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	other, _ := publisher(t, "X", "y")
	l := newLibrary(t, Options{Allow: loopback, Timeout: time.Minute})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i := range flightsPerHost {
		wg.Go(func() { l.Get(ctx, fmt.Sprintf("%s/%d", s.URL, i), Fetch{}) })
	}
	for range flightsPerHost {
		<-reached
	}
	if _, err := l.Get(t.Context(), s.URL+"/more", Fetch{}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more of the host: %v, want %v", err, ErrBusy)
	}
	if _, err := l.Get(t.Context(), other, Fetch{}); err != nil {
		t.Errorf("another host: %v", err)
	}
}

// Whoever keeps all flights busy cuts nobody off from what was read before.
func TestOldDocumentStandsInWhileAllFlightsAreBusy(t *testing.T) {
	url, _ := publisher(t, "Cache-Control", "max-age=60")
	l := newLibrary(t, Options{Allow: loopback})
	if _, err := l.Get(t.Context(), url, Fetch{}); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	for i := range flights {
		l.under[place{url: fmt.Sprint(i)}] = &flight{make(chan struct{})}
	}
	l.mu.Unlock()
	for _, c := range []struct {
		pass time.Duration
		want error
	}{{2 * time.Minute, nil}, {24 * time.Hour, ErrBusy}} {
		l.pass(c.pass)
		got, err := l.Get(t.Context(), url, Fetch{})
		if !errors.Is(err, c.want) || c.want == nil && string(got) != "document 1" {
			t.Errorf("after %s: got %q, %v; want %v", c.pass, got, err, c.want)
		}
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	l := newLibrary(t, Options{Allow: loopback})
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range 3 * keptNumber {
		l.put(place{url: fmt.Sprint(i)}, document{body: []byte("x")})
	}
	if n := len(l.young) + len(l.old); n > 2*(keptNumber+1) {
		t.Errorf("%d documents are kept", n)
	}
	for i := range 100 {
		l.put(place{url: fmt.Sprint("big", i)}, document{body: make([]byte, keptBytes/4)})
		l.kept(place{url: "big0"})
	}
	total := 0
	for _, m := range []map[place]document{l.young, l.old} {
		for _, d := range m {
			total += len(d.body)
		}
	}
	if total > 3*keptBytes {
		t.Errorf("%d bytes are kept", total)
	}
	if _, ok := l.kept(place{url: "big0"}); !ok {
		t.Error("the one in use was forgotten")
	}
}
