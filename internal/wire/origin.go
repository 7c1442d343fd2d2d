package wire

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Origin says where a request came from. The server finds it out once, in
// Requests; it is what rate limits, session lists and the audit log go by.
type Origin struct {
	IP        string // the client's address, IPv4-mapped ones as IPv4; "" when unknown
	UserAgent string // at most 256 bytes of printable UTF-8
	RequestID string
}

// Network is what a limit per address counts by: an IPv4 address, or the /64
// that an IPv6 client usually has to itself.
func (o Origin) Network() string {
	a, err := netip.ParseAddr(o.IP)
	if err != nil || a.Is4() {
		return o.IP
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return o.IP
	}
	return p.String()
}

// request is what Requests keeps about a request in its context; the Mux notes
// the pattern in it, which a handler further out could not see otherwise.
type request struct {
	origin  Origin
	pattern string
}

type requestKey struct{}

// OriginOf returns the origin of the request that ctx belongs to, the zero
// Origin without one.
func OriginOf(ctx context.Context) Origin {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q.origin
	}
	return Origin{}
}

// ClientIP returns OriginOf(ctx).IP.
func ClientIP(ctx context.Context) string { return OriginOf(ctx).IP }

func notePattern(ctx context.Context, pattern string) {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		q.pattern = pattern
	}
}

// maxHops bounds how many X-Forwarded-For entries are looked at, from the right.
const maxHops = 32

// clientAddr finds the client's address: the peer, or behind trusted proxies the
// right-most address in X-Forwarded-For that is not a trusted proxy's. Entries to
// the left of it are the client's own claims. An unreadable entry ends the
// search at the proxy that sent it.
func clientAddr(r *http.Request, trusted []netip.Prefix) (addr netip.Addr, byProxy bool) {
	peer, ok := parseHop(r.RemoteAddr)
	if !ok || !contains(trusted, peer) {
		return peer, false
	}
	addr = peer
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		addr = hop
		if !contains(trusted, hop) {
			break
		}
	}
	return addr, true
}

// parseHop reads an address with or without a port or brackets.
func parseHop(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}

func contains(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// maxUserAgent is as much of a User-Agent as is kept.
const maxUserAgent = 256

// userAgent returns the header cut to maxUserAgent bytes, without control
// characters and invalid UTF-8: it is stored and shown to people.
func userAgent(r *http.Request) string {
	s := r.UserAgent()
	if len(s) > maxUserAgent {
		s = s[:maxUserAgent]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return -1
		}
		return c
	}, s)
}

// givenID accepts a request id of a trusted proxy: up to 64 letters, digits,
// dots, dashes and underscores, so that it can neither break a log line nor fill
// it.
func givenID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
