package dns_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/dns"
	"sallyport/internal/dns/dnstest"
)

func TestTextOfAName(t *testing.T) {
	t.Parallel()
	s := dnstest.New(t)
	long := strings.Repeat("x", 700)
	var many []string
	for i := range 400 { // some 40 KB: over UDP it does not fit
		many = append(many, fmt.Sprint(i, " ", strings.Repeat("y", 90)))
	}
	s.TXT("one.example", "a=b")
	s.TXT("long.example", long)
	s.TXT("many.example", many...)
	s.TXT("empty.example")
	s.CNAME("away.example", "One.Example")
	for i := range 8 {
		s.CNAME(fmt.Sprintf("hop%d.example", i), fmt.Sprintf("hop%d.example", i+1))
	}
	s.TXT("hop8.example", "at the end")
	s.CNAME("round.example", "circle.example")
	s.CNAME("circle.example", "round.example")
	s.Break("broken.example")
	for name, want := range map[string]struct {
		texts []string
		err   error
	}{
		"one.example":    {[]string{"a=b"}, nil},
		"ONE.Example.":   {[]string{"a=b"}, nil},
		"long.example":   {[]string{long}, nil},
		"many.example":   {many, nil},
		"away.example":   {[]string{"a=b"}, nil},
		"hop0.example":   {[]string{"at the end"}, nil},
		"round.example":  {nil, dns.ErrUnreachable},
		"empty.example":  {nil, dns.ErrNone},
		"none.example":   {nil, dns.ErrNone},
		"broken.example": {nil, dns.ErrUnreachable},
	} {
		got, err := s.Resolver().TXT(t.Context(), name)
		if !errors.Is(err, want.err) || !slices.Equal(got, want.texts) {
			t.Errorf("%s: got %d texts %v, want %d %v", name, len(got), err, len(want.texts), want.err)
		}
	}
}

func TestSilentServerIsNoAnswer(t *testing.T) {
	t.Parallel()
	s := dnstest.New(t)
	s.Silence("slow.example")
	r := s.Resolver()
	r.Timeout = 50 * time.Millisecond
	if _, err := r.TXT(t.Context(), "slow.example"); !errors.Is(err, dns.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	r.Timeout = time.Minute
	if !r.Works(t.Context(), "slow.example") {
		t.Error("one silent name makes the resolver a silent one")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if r.Works(ctx, "slow.example") {
		t.Error("it works for who does not wait")
	}
	nobody := dns.Resolver{Server: "127.0.0.1:1", Timeout: time.Second}
	if _, err := nobody.TXT(t.Context(), "one.example"); !errors.Is(err, dns.ErrUnreachable) || nobody.Works(t.Context(), "one.example") {
		t.Errorf("nobody answers: got %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" Acme.COM. ": "acme.com", "a.b.example": "a.b.example", "bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "faß.de": "xn--fa-hia.de", "ａcme.com": "acme.com",
		"": "", ".": "", "localhost": "", "com": "", "a..b": "", ".a.b": "", "a.b..": "", "127.0.0.1": "", "1.2.3": "", "[::1]": "", "a.b:80": "", "x@y.z": "", "a b.example": "",
		"a_b.example": "", "-a.example": "", "a-.example": "", "a.example/": "", "*.example.com": "", "a\x00.example": "", "a\n.example": "", "xn--\x80.example": "",
		strings.Repeat("a", 64) + ".example": "", strings.Repeat("a.", 127) + "com": "",
	} {
		if got, ok := dns.Name(in); got != want && ok || ok != (want != "") {
			t.Errorf("Name(%q): got %q %v, want %q", in, got, ok, want)
		}
	}
}

func TestPublicSuffixesAreNobodys(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"acme.com": "acme.com", "mail.acme.co.uk": "acme.co.uk", "acme.github.io": "acme.github.io", "corp.internal": "corp.internal",
		"co.uk": "", "github.io": "", "com": "", "blogspot.com": "", "herokuapp.com": "",
	} {
		if got := dns.Registrable(name); got != (want != "") {
			t.Errorf("Registrable(%q) is %v", name, got)
		}
		if want != "" && dns.Owned(name) != want {
			t.Errorf("Owned(%q): got %q, want %q", name, dns.Owned(name), want)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"acme.com", "bücher.example", "a..b", "xn--a.b", "1.2.3.4", "ａ.ｂ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := dns.Name(s)
		if !ok {
			return
		}
		if again, ok := dns.Name(name); !ok || again != name {
			t.Errorf("Name(%q) is %q, and of that %q %v", s, name, again, ok)
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			t.Errorf("Name(%q) is %q", s, name)
		}
	})
}
