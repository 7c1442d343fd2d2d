package outbound

import (
	"net/netip"
	"slices"
)

// special are the networks that a public service does not live in: the IANA
// IPv4 and IPv6 special-purpose registries, multicast, and one address that
// only looks public.
var special = prefixes(
	"0.0.0.0/8",         // this network (RFC 791)
	"10.0.0.0/8",        // private (RFC 1918)
	"100.64.0.0/10",     // carrier-grade NAT (RFC 6598)
	"127.0.0.0/8",       // loopback (RFC 1122)
	"168.63.129.16/32",  // Azure's host agent, reachable from every machine there
	"169.254.0.0/16",    // link-local, cloud metadata (RFC 3927)
	"172.16.0.0/12",     // private (RFC 1918)
	"192.0.0.0/24",      // protocol assignments (RFC 6890)
	"192.0.2.0/24",      // documentation (RFC 5737)
	"192.88.99.0/24",    // 6to4 relays, deprecated (RFC 7526)
	"192.168.0.0/16",    // private (RFC 1918)
	"198.18.0.0/15",     // benchmarking (RFC 2544)
	"198.51.100.0/24",   // documentation (RFC 5737)
	"203.0.113.0/24",    // documentation (RFC 5737)
	"224.0.0.0/4",       // multicast (RFC 5771)
	"240.0.0.0/4",       // reserved, limited broadcast (RFC 1112, RFC 919)
	"2001::/23",         // protocol assignments, Teredo (RFC 2928, RFC 4380)
	"2001:db8::/32",     // documentation (RFC 3849)
	"2002::/16",         // 6to4: carries an IPv4 address (RFC 3056)
	"3fff::/20",         // documentation (RFC 9637)
	"2620:4f:8000::/48", // AS112 sinks (RFC 7534)
	"192.31.196.0/24",   // AS112 sinks (RFC 7535)
	"192.175.48.0/24",   // AS112 sinks (RFC 7534)
	"192.52.193.0/24",   // multicast relays (RFC 7450)
)

var (
	// globalUnicast is all of IPv6 that is handed out for public use; loopback,
	// unique local, link-local, site-local, multicast, the IPv4-compatible and
	// the discard addresses are outside it (RFC 4291 §2.4).
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// nat64 is the well-known prefix whose last 32 bits are an IPv4 address
	// (RFC 6052 §2.1). A machine without IPv4 reaches public servers by it.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(ss ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		ps[i] = netip.MustParsePrefix(s)
	}
	return ps
}

// CheckAddr returns *Refused unless a is a public address or in one of allow.
// An IPv4 address written as IPv6 is judged as the IPv4 address it reaches.
func CheckAddr(a netip.Addr, allow []netip.Prefix) error {
	if !covered(a, allow) && !public(reached(a)) {
		return &Refused{Addr: a}
	}
	return nil
}

// reached is a without its zone, or the IPv4 address that a stands for.
func reached(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

func public(a netip.Addr) bool {
	if !a.IsValid() || a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// covered reports whether one of allow holds a, or the address it stands for.
func covered(a netip.Addr, allow []netip.Prefix) bool {
	plain, target := a.Unmap().WithZone(""), reached(a)
	return slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(plain) || p.Contains(target) })
}
