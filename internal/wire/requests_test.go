package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/wire"
)

var uuidv7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func serve(q wire.Requests, r *http.Request, h http.HandlerFunc) *httptest.ResponseRecorder {
	if q.Now == nil {
		q.Now = func() time.Time { return time.UnixMilli(0x0123456789ab) }
	}
	w := httptest.NewRecorder()
	q.Wrap(h).ServeHTTP(w, r)
	return w
}

func TestClientAddressIsTheRightMostUntrusted(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer string
		xff  []string
		want string
	}{
		{"203.0.113.9:1000", nil, "203.0.113.9"},
		{"203.0.113.9:1000", []string{"1.2.3.4"}, "203.0.113.9"}, // the peer is nobody we trust
		{"10.0.0.1:1000", nil, "10.0.0.1"},
		{"10.0.0.1:1000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:1000", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"}, // the left one is a claim
		{"10.0.0.1:1000", []string{"1.1.1.1", "198.51.100.7,10.2.2.2"}, "198.51.100.7"},
		{"10.0.0.1:1000", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"10.0.0.1:1000", []string{"10.9.9.9, 10.8.8.8"}, "10.9.9.9"},
		{"10.0.0.1:1000", []string{"198.51.100.7, rubbish"}, "10.0.0.1"},
		{"10.0.0.1:1000", []string{"198.51.100.7, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"10.0.0.1:1000", []string{""}, "10.0.0.1"},
		{"[fd00::1]:1000", []string{"[2001:db8::5]:80"}, "2001:db8::5"},
		{"[fd00::1%eth0]:1000", []string{"2001:db8::5"}, "2001:db8::5"},
		{"[::ffff:10.0.0.1]:1000", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:1000", []string{strings.Repeat("10.3.3.3,", 100) + "10.3.3.4"}, "10.3.3.3"},
		{"10.0.0.1:1000", []string{"198.51.100.7," + strings.Repeat("10.3.3.3,", 40) + "10.3.3.4"}, "10.3.3.3"}, // too many hops
		{"@", []string{"198.51.100.7"}, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.xff
		serve(wire.Requests{Trusted: trusted}, r, func(_ http.ResponseWriter, r *http.Request) {
			if got := wire.ClientIP(r.Context()); got != c.want {
				t.Errorf("peer %s, forwarded %.60q: got %q, want %q", c.peer, c.xff, got, c.want)
			}
		})
	}
}

func TestNetworkCountsAnIPv6SiteOnce(t *testing.T) {
	for ip, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "": "", "x": "x",
	} {
		if got := (wire.Origin{IP: ip}).Network(); got != want {
			t.Errorf("%s: got %s, want %s", ip, got, want)
		}
	}
}

func TestRequestIDComesFromUsOrATrustedProxy(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		peer, given string
		kept        bool
	}{
		{"10.0.0.1:1", "abc-DEF_1.2", true},
		{"203.0.113.9:1", "abc", false},
		{"10.0.0.1:1", "", false},
		{"10.0.0.1:1", "a b", false},
		{"10.0.0.1:1", "a\nb", false},
		{"10.0.0.1:1", strings.Repeat("a", 65), false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Request-Id", c.given)
		var inside string
		w := serve(wire.Requests{Trusted: trusted}, r, func(_ http.ResponseWriter, r *http.Request) {
			inside = wire.OriginOf(r.Context()).RequestID
		})
		if got := w.Header().Get("X-Request-Id"); got != inside {
			t.Errorf("the answer says %q, the handler saw %q", got, inside)
		}
		switch {
		case c.kept && inside != c.given:
			t.Errorf("%q from %s: got %q", c.given, c.peer, inside)
		case !c.kept && (!uuidv7.MatchString(inside) || !strings.HasPrefix(inside, "01234567-89ab-7")):
			t.Errorf("%q from %s: got %q, want a version 7 UUID of now", c.given, c.peer, inside)
		}
	}
}

func TestProxyOnlyHeaderIsTakenFromEverybodyElse(t *testing.T) {
	q := wire.Requests{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ProxyOnly: "X-Client-Cert", Now: time.Now}
	for _, c := range []struct {
		name, peer string
		sent       []string
		want       string
	}{
		{"by the proxy", "10.0.0.1:1", []string{"cert"}, "cert"},
		{"by a client", "192.0.2.1:1", []string{"cert"}, ""},
		{"by both", "10.0.0.1:1", []string{"forged", "cert"}, ""},
		{"by nobody", "10.0.0.1:1", nil, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = c.peer
		r.Header["X-Client-Cert"] = c.sent
		got := "not called"
		q.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Client-Cert") })).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestUserAgentIsBounded(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User-Agent", "a\x7fb\xffc"+strings.Repeat("é", 300))
	serve(wire.Requests{}, r, func(_ http.ResponseWriter, r *http.Request) {
		if got := wire.OriginOf(r.Context()).UserAgent; !strings.HasPrefix(got, "abcéé") || len(got) > 256 {
			t.Errorf("got %d bytes %q", len(got), got)
		}
	})
}

func TestAccessLogTellsTheRouteAndNoSecret(t *testing.T) {
	var out bytes.Buffer
	var done []wire.Done
	now := time.Unix(1000, 0)
	m := &wire.Mux{}
	m.Add([]wire.Route{{Method: "GET", Pattern: "/reset/{token}", Handler: func(w http.ResponseWriter, _ *http.Request) {
		now = now.Add(3 * time.Millisecond)
		wire.WriteJSON(w, 418, "tea")
	}}}, nil)
	q := wire.Requests{
		Now: func() time.Time { return now }, Log: slog.New(slog.NewJSONHandler(&out, nil)),
		Observe: func(_ context.Context, d wire.Done) { done = append(done, d) },
	}
	serve(q, httptest.NewRequest("GET", "/reset/hush1?access_token=hush2", nil), m.ServeHTTP)
	serve(q, httptest.NewRequest("BREW", "/hush3?code=hush4", nil), m.ServeHTTP)
	if strings.Contains(out.String(), "hush") {
		t.Errorf("a secret is in the log: %s", out.String())
	}
	var line map[string]any
	if err := json.NewDecoder(&out).Decode(&line); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"method": "GET", "route": "/reset/{token}", "status": 418.0, "bytes": 5.0, "duration": 3e6, "client_ip": "192.0.2.1"} {
		if line[name] != want {
			t.Errorf("%s: got %v, want %v", name, line[name], want)
		}
	}
	if len(done) != 2 || done[0].Duration != 3*time.Millisecond || done[1].Method != "other" || done[1].Pattern != "" || done[1].Status != 404 {
		t.Errorf("observed %+v", done)
	}
}

func TestRecoverSaysTheSurfacesWordsOnly(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	words := func(w http.ResponseWriter, _ *http.Request) {
		wire.WriteJSON(w, 500, map[string]string{"detail": "Internal server error"})
	}
	h := wire.Recover(log, words, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		wire.SetCookie(w, httptest.NewRequest("GET", "/", nil), "km_sso", "x", time.Hour)
		w.Header().Set("Content-Length", "999")
		w.Header().Set("X-Request-Id", "r1")
		panic("boom")
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || w.Body.String() != `{"detail":"Internal server error"}` || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("got %d %s %v", w.Code, w.Body, w.Header())
	}
	if w.Header().Get("Content-Length") != "34" || w.Header().Get("X-Request-Id") != "r1" {
		t.Errorf("headers: %v", w.Header())
	}
	if !strings.Contains(out.String(), "boom") || !strings.Contains(out.String(), "requests_test.go") {
		t.Errorf("the log has no reason or stack: %s", out.String())
	}
}

func TestRecoverCutsAnAnswerThatHasBegun(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	srv := httptest.NewServer(wire.Recover(log, http.NotFound, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "the first half")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		panic("boom")
	})))
	defer srv.Close()
	srv.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelError)
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestRequestsCountsAnEscapedPanicAs500(t *testing.T) {
	var got wire.Done
	q := wire.Requests{Observe: func(_ context.Context, d wire.Done) { got = d }}
	func() {
		defer func() { _ = recover() }()
		serve(q, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) { panic("boom") })
	}()
	if got.Status != 500 {
		t.Errorf("got %d, want 500", got.Status)
	}
}

func TestSecurityHeaders(t *testing.T) {
	for _, secure := range []bool{true, false} {
		w := httptest.NewRecorder()
		wire.SecurityHeaders(secure, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			wire.PageHeaders(w, "style-src 'self'")
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'self'",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if got := w.Header().Get("Strict-Transport-Security"); (got != "") != secure {
			t.Errorf("https %v: HSTS %q", secure, got)
		}
	}
}

func TestLimitBodyHoldsForEveryReader(t *testing.T) {
	w := httptest.NewRecorder()
	wire.LimitBody(8, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
			t.Errorf("got %v", err)
		}
	})).ServeHTTP(w, post("text/plain", "123456789"))
}

func TestDeadlineEndsTheContext(t *testing.T) {
	wire.Deadline(time.Millisecond, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		if err := r.Context().Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// FuzzForwardedFor asks that no header makes an address out of nothing.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, [::1]:80, ::ffff:1.2.3.4")
	f.Add("[fe80::1%x]:1", ",,,")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")}
	f.Fuzz(func(t *testing.T, peer, xff string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header["X-Forwarded-For"] = []string{xff}
		serve(wire.Requests{Trusted: trusted}, r, func(_ http.ResponseWriter, r *http.Request) {
			ip := wire.ClientIP(r.Context())
			if a, err := netip.ParseAddr(ip); ip != "" && (err != nil || a.Is4In6() || a.Zone() != "") {
				t.Fatalf("%q, %q: got %q", peer, xff, ip)
			}
		})
	})
}
