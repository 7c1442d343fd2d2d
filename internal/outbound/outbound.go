// Package outbound makes HTTP requests to addresses that somebody else chose:
// webhooks, a client's jwks_uri, its logout endpoint, an organization's SSO.
// Such an address may name our own network, so every connection is judged by
// the IP address it is about to be made to, after name resolution and for each
// attempt anew: a name that resolves differently the second time (DNS
// rebinding), an odd spelling of 127.0.0.1 and a redirect all end at that one
// check. Addresses that the operator chose (upstreams) are called with every
// network allowed: what remains is https, the limits and no redirects.
//
// Refused are all addresses that the IANA special-purpose registries (RFC 6890)
// do not call globally reachable, with the IPv6 forms that carry an IPv4 address
// (RFC 4291 §2.5.5, RFC 3056, RFC 4380, RFC 6052), unless a configured prefix
// covers them.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// The limits of a Client where Options leaves them zero.
const (
	DefaultTimeout = 10 * time.Second
	DefaultBytes   = 1 << 20
)

// ErrTooLarge is what reading a response body returns once it has given as many
// bytes as Options.MaxBytes.
var ErrTooLarge = errors.New("outbound: response is too large")

// ErrRedirect is returned instead of the answer when a server redirects more
// often than Options.Redirects.
var ErrRedirect = errors.New("outbound: too many redirects")

// Refused reports a connection that was not made because of where it led.
type Refused struct{ Addr netip.Addr }

func (e *Refused) Error() string { return "outbound: address " + e.Addr.String() + " is refused" }

// Options are the limits of a client. The zero value reaches public addresses
// only and follows no redirect.
type Options struct {
	Allow     []netip.Prefix // networks that may be reached although they are not public
	Timeout   time.Duration  // for the whole exchange, the body included
	MaxBytes  int64          // of a response body
	Redirects int            // how many are followed; with 0 the redirect itself is the answer
	// IdlePerHost is how many connections to one host are kept for the next
	// request; 0 is one, which is enough for addresses that strangers choose.
	IdlePerHost int
	// Patience is how old a document may be that Documents gives where a fresh
	// one is asked for; 0 is a minute.
	Patience time.Duration
	Roots    *x509.CertPool // trusted certificate authorities; nil: the system's
	Resolver *net.Resolver  // nil: the system's
}

// Client returns an HTTP client under these limits. It uses no proxy, keeps no
// cookies and asks for no compression. A refused address comes back as an error
// that holds *Refused, a URL that CheckURL would not take as *BadURL. The owner
// ends it with CloseIdleConnections.
func Client(o Options) *http.Client {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultBytes
	}
	dialer := &net.Dialer{
		Timeout:  o.Timeout,
		Resolver: o.Resolver,
		// Control runs between the making of the socket and its connect, with
		// the address that the connect will use: nothing can change in between.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return checkConnect(network, address, o.Allow)
		},
	}
	t := &guard{allow: o.Allow, maxBytes: o.MaxBytes, next: &http.Transport{
		Proxy:                  nil, // a proxy would resolve the name itself, out of reach of the check
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		TLSHandshakeTimeout:    o.Timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           max(o.IdlePerHost, 1) * 16,
		MaxIdleConnsPerHost:    max(o.IdlePerHost, 1),
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	return &http.Client{
		Transport: t,
		Timeout:   o.Timeout,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if o.Redirects == 0 {
				return http.ErrUseLastResponse
			}
			if len(via) > o.Redirects {
				return ErrRedirect
			}
			return nil
		},
	}
}

// guard checks every request's URL, redirects included, and bounds the answer.
type guard struct {
	allow    []netip.Prefix
	maxBytes int64
	next     *http.Transport
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkTarget(r.URL, g.allow); err != nil {
		if r.Body != nil {
			r.Body.Close() // a RoundTripper closes the body, whatever happens
		}
		return nil, err
	}
	res, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limited{body: res.Body, left: g.maxBytes}
	return res, nil
}

func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

// limited gives up to left bytes of body, and ErrTooLarge if there are more.
type limited struct {
	body io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	// One byte more than is left shows whether the body ends in time.
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.body.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), ErrTooLarge
	}
	l.left -= int64(n)
	return n, err
}

func (l *limited) Close() error { return l.body.Close() }

// checkConnect judges the address of a connection about to be made.
func checkConnect(network, address string, allow []netip.Prefix) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("outbound: network %s is refused", network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("outbound: address to connect to: %w", err)
	}
	return CheckAddr(ap.Addr(), allow)
}
