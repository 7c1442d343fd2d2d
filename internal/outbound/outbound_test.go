package outbound

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// client is Client, closed at the end of the test.
func client(t *testing.T, o Options) *http.Client {
	t.Helper()
	c := Client(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// server counts what reaches it.
func server(t *testing.T, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s, &hits
}

func ok(http.ResponseWriter, *http.Request) {}

func TestClientRefusesLoopback(t *testing.T) {
	s, hits := server(t, ok)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "[::]", "2130706433", "0177.0.0.1", "127.1"} {
		for _, scheme := range []string{"http", "https"} {
			res, err := client(t, Options{Timeout: 5 * time.Second}).Get(scheme + "://" + host + ":" + port)
			if err == nil {
				res.Body.Close()
				t.Errorf("%s://%s answers %s", scheme, host, res.Status)
			}
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestClientReachesAllowedLoopback(t *testing.T) {
	s, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	res, err := client(t, Options{Allow: loopback}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "hello" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestClientChecksTheResolvedAddress: a public name that leads to loopback is
// refused when the connection is made, and so it is when the name was
// harmless when it was first looked up (DNS rebinding).
func TestClientChecksTheResolvedAddress(t *testing.T) {
	s, hits := server(t, ok)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, addr := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "64:ff9b::7f00:1"} {
		res := resolver(t, func(int) netip.Addr { return netip.MustParseAddr(addr) })
		_, err := client(t, Options{Resolver: res}).Get("https://hook.example:" + port + "/")
		if r, ok := errors.AsType[*Refused](err); !ok || reached(r.Addr) != reached(netip.MustParseAddr(addr)) {
			t.Errorf("name for %s: %v, want it refused", addr, err)
		}
	}

	// The first look-up, as a form's check might do it, says 203.0.113.9 and every later one 127.0.0.1.
	rebinding := resolver(t, func(n int) netip.Addr {
		if n == 0 {
			return netip.MustParseAddr("203.0.113.9")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	if ips, err := rebinding.LookupNetIP(t.Context(), "ip4", "hook.example"); err != nil || ips[0].String() != "203.0.113.9" {
		t.Fatalf("first look-up: %v, %v", ips, err)
	}
	_, err := client(t, Options{Resolver: rebinding}).Get("https://hook.example:" + port + "/")
	if _, ok := errors.AsType[*Refused](err); !ok {
		t.Errorf("after rebinding: %v, want it refused", err)
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// TestClientTLSName: the certificate is checked against the name, not the
// address the name led to.
func TestClientTLSName(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(ok)) // its certificate is for example.com and 127.0.0.1
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	o := Options{Allow: loopback, Roots: roots, Resolver: resolver(t, func(int) netip.Addr { return netip.MustParseAddr("127.0.0.1") })}

	res, err := client(t, o).Get("https://example.com:" + port)
	if err != nil {
		t.Fatalf("right name: %v", err)
	}
	res.Body.Close()
	if _, err = client(t, o).Get("https://other.test:" + port); err == nil {
		t.Error("a certificate for another name is taken")
	}
	o.Roots = nil
	if _, err = client(t, o).Get("https://example.com:" + port); err == nil {
		t.Error("a certificate of an unknown authority is taken")
	}
}

func TestClientRedirects(t *testing.T) {
	target, hits := server(t, ok)
	s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	to := func(u string) string { return s.URL + "/?to=" + url.QueryEscape(u) }

	res, err := client(t, Options{Allow: loopback}).Get(to(target.URL))
	if err != nil || res.StatusCode != http.StatusFound || hits.Load() != 0 {
		t.Fatalf("with no redirects: %v, %v, %d hits; want the redirect itself", res, err, hits.Load())
	}
	res.Body.Close()

	res, err = client(t, Options{Allow: loopback, Redirects: 1}).Get(to(target.URL))
	if err != nil || res.StatusCode != http.StatusOK || hits.Load() != 1 {
		t.Fatalf("with one redirect: %v, %v, %d hits; want it followed", res, err, hits.Load())
	}
	res.Body.Close()

	if _, err = client(t, Options{Allow: loopback, Redirects: 1}).Get(to(to(target.URL))); !errors.Is(err, ErrRedirect) {
		t.Errorf("two redirects where one is allowed: %v, want ErrRedirect", err)
	}
	for _, u := range []string{"https://10.0.0.1/", "https://169.254.169.254/", "https://[::ffff:10.0.0.1]/"} {
		_, err = client(t, Options{Allow: loopback, Redirects: 3}).Get(to(u))
		if _, ok := errors.AsType[*Refused](err); !ok {
			t.Errorf("redirect to %s: %v, want it refused", u, err)
		}
	}
	for _, u := range []string{"http://example.com/", "ftp://example.com/", "https://user:pass@example.com/"} {
		_, err = client(t, Options{Allow: loopback, Redirects: 3}).Get(to(u))
		if _, ok := errors.AsType[*BadURL](err); !ok {
			t.Errorf("redirect to %s: %v, want *BadURL", u, err)
		}
	}
}

func TestClientUsesNoProxy(t *testing.T) {
	proxy, hits := server(t, ok)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	c := client(t, Options{Resolver: resolver(t, func(int) netip.Addr { return netip.MustParseAddr("10.0.0.1") })})
	_, err := c.Get("https://hook.example/")
	if _, ok := errors.AsType[*Refused](err); !ok || hits.Load() != 0 {
		t.Errorf("got %v with %d requests at the proxy, want a refused address and none", err, hits.Load())
	}
}

func TestClientBoundsTheBody(t *testing.T) {
	s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", 1000))
	})
	for limit, want := range map[int64]error{999: ErrTooLarge, 1000: nil, 1001: nil} {
		res, err := client(t, Options{Allow: loopback, MaxBytes: limit}).Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if !errors.Is(err, want) || int64(len(b)) != min(limit, 1000) {
			t.Errorf("limit %d: %d bytes, %v; want %v", limit, len(b), err, want)
		}
	}
}

func TestClientTimesOut(t *testing.T) {
	release := make(chan struct{})
	s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	if _, err := client(t, Options{Allow: loopback, Timeout: 50 * time.Millisecond}).Get(s.URL + "/head"); !timeout(err) {
		t.Errorf("a server that does not answer: %v, want a timeout", err)
	}
	// Long enough for a busy machine to get the head of the answer through.
	res, err := client(t, Options{Allow: loopback, Timeout: 3 * time.Second}).Get(s.URL + "/body")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); !timeout(err) {
		t.Errorf("a body that does not end: %v, want a timeout", err)
	}
}

func timeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// resolver asks a name server of our own, which answers the n-th question (from
// 0) with answer(n), an A or AAAA record as the address is.
func resolver(t *testing.T, answer func(n int) netip.Addr) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for n := 0; ; {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return // closed by the cleanup
			}
			reply, answered := dnsReply(buf[:size], answer(n))
			if answered {
				n++
			}
			pc.WriteTo(reply, from)
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// dnsReply answers a query of one question (RFC 1035 §4) with a, or with no
// record if the question is for another type.
func dnsReply(query []byte, a netip.Addr) (reply []byte, answered bool) {
	end := 12
	for query[end] != 0 { // labels of the name
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	kind := binary.BigEndian.Uint16(query[end+1:])
	data := a.AsSlice()
	answered = kind == 1 && a.Is4() || kind == 28 && a.Is6()

	reply = append(reply, query[0], query[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0) // response, authoritative, one question
	reply = append(reply, question...)
	if answered {
		reply[7] = 1
		reply = append(reply, 0xc0, 12) // the question's name
		reply = binary.BigEndian.AppendUint16(reply, kind)
		reply = append(reply, 0, 1, 0, 0, 0, 0) // IN, not to be kept
		reply = binary.BigEndian.AppendUint16(reply, uint16(len(data)))
		reply = append(reply, data...)
	}
	return reply, answered
}
