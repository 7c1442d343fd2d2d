// Package dns asks the Domain Name System what the owner of a domain has written
// there (RFC 1035), and knows what of a name is a domain that somebody can own. It
// decides nothing about who may claim one.
//
// A CNAME is followed, as certificate authorities do (RFC 8555 §8.4): whoever points
// a name of theirs elsewhere lets that place answer for it. Answers are believed as
// far as the resolver is: one on this machine that validates DNSSEC is the best there
// is.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// DefaultTimeout is how long one question may take, all of its repeats together.
const DefaultTimeout = 5 * time.Second

var (
	// ErrNone reports a name that does not exist or has no such record: an answer
	// like any other.
	ErrNone = errors.New("dns: there is no such record")
	// ErrUnreachable reports that there was no answer, or none to rely on. It says
	// nothing about the name.
	ErrUnreachable = errors.New("dns: no answer")
)

// Resolver asks a recursive resolver: the system's, or Server, "host:port".
type Resolver struct {
	Server  string
	Timeout time.Duration // 0: DefaultTimeout
}

// TXT returns the text records at a name, the strings of each joined (RFC 7208
// §3.3). Fails with ErrNone or ErrUnreachable.
func (r Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	ctx, stop := context.WithTimeout(ctx, r.timeout())
	defer stop()
	texts, err := r.ask().LookupTXT(ctx, absolute(name))
	if err == nil && len(texts) == 0 {
		err = ErrNone
	}
	return texts, failure(err)
}

// Works reports whether the resolver answers at all: it is asked for the servers
// of the suffix that name is under, so that a silent name can be told from a silent
// resolver.
func (r Resolver) Works(ctx context.Context, name string) bool {
	ctx, stop := context.WithTimeout(ctx, r.timeout())
	defer stop()
	suffix, _ := publicsuffix.PublicSuffix(name)
	_, err := r.ask().LookupNS(ctx, absolute(suffix))
	return !errors.Is(failure(err), ErrUnreachable)
}

func (r Resolver) timeout() time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return DefaultTimeout
}

func (r Resolver) ask() *net.Resolver {
	if r.Server == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, r.Server)
	}}
}

// absolute keeps the system's search domains from being added.
func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }

func failure(err error) error {
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return ErrNone
	}
	if err != nil && !errors.Is(err, ErrNone) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// maxName is the greatest length of a name in text (RFC 1035 §2.3.4), maxText that of
// one that is not in ASCII yet.
const (
	maxName = 253
	maxText = 1000
)

// Name is a domain as it is asked for and compared: in lower case, without the dot
// at its end, in ASCII (RFC 5891). It reports false for what is no domain of at least
// two labels: an IP address, a number, a host with its port.
func Name(s string) (string, bool) {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", false
	}
	name, err := idna.Lookup.ToASCII(s)
	if err != nil || len(name) > maxName {
		return "", false
	}
	labels := strings.Split(name, ".")
	if len(labels) < 2 || strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || l[0] == '-' || l[len(l)-1] == '-' {
			return "", false
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", false
	}
	again, err := idna.Lookup.ToASCII(name)
	return name, err == nil && again == name
}

// Registrable reports whether a name can be one owner's: it is below a public
// suffix, not one itself. Those that hosts have for their customers, like
// github.io, are public suffixes too (publicsuffix.org).
func Registrable(name string) bool {
	_, err := publicsuffix.EffectiveTLDPlusOne(name)
	return err == nil
}

// Owned is the part of a registrable name that was registered: of mail.acme.co.uk
// it is acme.co.uk.
func Owned(name string) string {
	owned, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return owned
}
