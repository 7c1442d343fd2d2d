package outbound

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL is the greatest length of a URL in bytes.
const MaxURL = 2048

// BadURL reports a URL that no request is made to. Reason is for the log.
type BadURL struct{ Reason string }

func (e *BadURL) Error() string { return "outbound: bad URL: " + e.Reason }

func bad(format string, args ...any) error { return &BadURL{fmt.Sprintf(format, args...)} }

// CheckURL checks a URL that somebody wants us to call, when they say so: an
// absolute https URL without user information and fragment, whose host is a
// name or a public IP address. Plain http is for a loopback host that allow
// covers. It resolves nothing: where a name leads is judged when a connection
// is made. The error is *BadURL or *Refused.
func CheckURL(raw string, allow []netip.Prefix) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, bad("longer than %d bytes", MaxURL)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f || c == '\\' {
			return nil, bad("a character that a URL has not")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, bad("not a URL") // url's own error quotes the text, which may hold a secret
	}
	if strings.Contains(raw, "#") {
		return nil, bad("has a fragment")
	}
	if err := checkTarget(u, allow); err != nil {
		return nil, err
	}
	return u, nil
}

// checkTarget is the part of CheckURL that holds for every request, redirected
// ones too.
func checkTarget(u *url.URL, allow []netip.Prefix) error {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "" || u.Opaque != "" {
		return bad("has no host")
	}
	if u.User != nil {
		return bad("has user information")
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return bad("has no valid port")
		}
	}
	loopback, err := checkHost(host, allow)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return bad("is not https")
	}
	return nil
}

// checkHost returns whether host is this machine, or an error if it may not be
// called. host is in lower case.
func checkHost(host string, allow []netip.Prefix) (loopback bool, err error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return reached(a).IsLoopback(), CheckAddr(a, allow)
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		// As names are not resolved here, one of the two loopbacks is enough.
		v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
		if covered(v4, allow) || covered(v6, allow) {
			return true, nil
		}
		return true, &Refused{Addr: v4}
	}
	return false, checkName(host)
}

// checkName takes host names of letters, digits, "-" and "_". A name whose last
// label is a number is an IPv4 address to some resolvers, in decimal, octal or
// hexadecimal (WHATWG URL, "ends in a number").
func checkName(host string) error {
	if len(host) > 253 {
		return bad("host name is too long")
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return bad("host name has an empty or too long label")
		}
		for _, c := range []byte(l) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return bad("host name has a character that names have not")
			}
		}
	}
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "" {
		return bad("host is a number")
	}
	return nil
}
