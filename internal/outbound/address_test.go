package outbound

import (
	"errors"
	"net/netip"
	"testing"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestCheckAddrRefusesWhatIsNotPublic(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "168.63.129.16",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1",
		"192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
		"240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::8.8.8.8", "100::1",
		"2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1",
		"fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		err := CheckAddr(netip.MustParseAddr(s), nil)
		if r, ok := errors.AsType[*Refused](err); !ok || r.Addr != netip.MustParseAddr(s) {
			t.Errorf("CheckAddr(%s) = %v, want it refused", s, err)
		}
	}
	if err := CheckAddr(netip.Addr{}, nil); err == nil {
		t.Error("the zero address is allowed")
	}
}

func TestCheckAddrAllowsPublic(t *testing.T) {
	for _, s := range []string{
		"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1",
		"223.255.255.255", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8",
	} {
		if err := CheckAddr(netip.MustParseAddr(s), nil); err != nil {
			t.Errorf("CheckAddr(%s) = %v, want it allowed", s, err)
		}
	}
}

func TestCheckAddrAllowList(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16"), netip.MustParsePrefix("fe80::/10")}
	for s, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "10.2.0.1": false,
		"fd12::1": true, "fd13::1": false, "fe80::1%lo": true, "127.0.0.1": false, "8.8.8.8": true,
	} {
		if err := CheckAddr(netip.MustParseAddr(s), allow); (err == nil) != want {
			t.Errorf("CheckAddr(%s) = %v, want allowed %v", s, err, want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for _, c := range []struct {
		url   string
		allow []netip.Prefix
		ok    bool
	}{
		{"https://app.example.com/hooks?x=1", nil, true},
		{"https://app.example.com:8443", nil, true},
		{"https://app_one.example.com./", nil, true},
		{"https://8.8.8.8/", nil, true},
		{"https://[2606:4700::1111]:443/", nil, true},
		{"HTTPS://App.Example.com/", nil, true},
		{"https://2b.example.a1/", nil, true},

		{"http://127.0.0.1:9000/hook", loopback, true},
		{"http://localhost:9000/hook", loopback, true},
		{"http://[::1]:9000/", loopback, true},
		{"http://app.localhost/", loopback, true},
		{"https://127.0.0.1/", loopback, true},
		{"https://10.0.0.1/", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true},
		{"http://10.0.0.1/", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false},

		{"", nil, false},
		{"/hooks", nil, false},
		{"//example.com/hooks", nil, false},
		{"https:", nil, false},
		{"https:example.com", nil, false},
		{"https://", nil, false},
		{"https://:443/", nil, false},
		{"http://example.com/", nil, false},
		{"http://example.com/", loopback, false},
		{"ftp://example.com/", nil, false},
		{"file:///etc/passwd", nil, false},
		{"gopher://127.0.0.1/", loopback, false},
		{"https://user@example.com/", nil, false},
		{"https://user:pass@example.com/", nil, false},
		{"https://@example.com/", nil, false},
		{"https://example.com/#top", nil, false},
		{"https://example.com/#", nil, false},
		{"https://example.com:0/", nil, false},
		{"https://example.com:/", nil, false},
		{"https://example.com:99999/", nil, false},
		{"https://exa mple.com/", nil, false},
		{"https://example.com/a b", nil, false},
		{"https://example.com\\@evil.example/", nil, false},
		{"https://example.com/\r\nHost: evil", nil, false},
		{"https://ex%61mple.com/", nil, false},
		{"https://exa%00mple.com/", nil, false},
		{"https://münchen.example/", nil, false},
		{"https://１２７.0.0.1/", nil, false},
		{"https://a..example/", nil, false},
		{"https://" + string(make([]byte, MaxURL)), nil, false},

		{"https://127.0.0.1/", nil, false},
		{"http://127.0.0.1/", nil, false},
		{"https://localhost/", nil, false},
		{"https://localhost./", nil, false},
		{"https://x.LocalHost/", nil, false},
		{"https://2130706433/", nil, false},
		{"https://0177.0.0.1/", nil, false},
		{"https://0x7f.0.0.1/", nil, false},
		{"https://0x7f000001/", nil, false},
		{"https://0X7F.1/", nil, false},
		{"https://127.1/", nil, false},
		{"https://0/", nil, false},
		{"https://127.0.0.1./", nil, false},
		{"https://[::ffff:127.0.0.1]/", nil, false},
		{"https://[::]/", nil, false},
		{"https://[fe80::1%25eth0]/", nil, false},
		{"https://[fd00:ec2::254]/", nil, false},
		{"https://169.254.169.254/latest/meta-data", nil, false},
	} {
		u, err := CheckURL(c.url, c.allow)
		if (err == nil) != c.ok {
			t.Errorf("CheckURL(%q, %v) = %v, want ok %v", c.url, c.allow, err, c.ok)
		}
		if err != nil && u != nil {
			t.Errorf("CheckURL(%q) gives a URL beside its error", c.url)
		}
		_, isBad := errors.AsType[*BadURL](err)
		_, isRefused := errors.AsType[*Refused](err)
		if err != nil && !isBad && !isRefused {
			t.Errorf("CheckURL(%q) fails with %T", c.url, err)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com/", "https://0x7f.1/", "http://[::1]:80/", "https://a@b/", "https://[::ffff:7f00:1]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := CheckURL(s, nil)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
			t.Errorf("CheckURL(%q) lets %+v pass", s, u)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !public(reached(a)) {
			t.Errorf("CheckURL(%q) lets %s pass", s, a)
		}
	})
}
