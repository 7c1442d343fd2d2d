package totp

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestRFC6238Vectors are appendix B's for SHA-1, cut to six of their eight
// digits (truncation takes the value modulo 10^digits: RFC 4226 §5.3).
func TestRFC6238Vectors(t *testing.T) {
	t.Parallel()
	shared := []byte("12345678901234567890")
	for unix, passcode := range map[int64]string{
		59:          "287082",
		1111111109:  "081804",
		1111111111:  "050471",
		1234567890:  "005924",
		2000000000:  "279037",
		20000000000: "353130",
	} {
		for offset, want := range map[int64]bool{-61: false, -30: true, 0: true, 30: true, 60: false} {
			if unix+offset < 0 {
				continue
			}
			s, ok := match(shared, passcode, -1, time.Unix(unix+offset, 0))
			if ok != want || ok && s != unix/30 {
				t.Errorf("code of %d at %+d s: step %d, %v; want %d, %v", unix, offset, s, ok, unix/30, want)
			}
		}
	}
}

func TestMatchNeverGoesBack(t *testing.T) {
	t.Parallel()
	shared := []byte("12345678901234567890")
	now := time.Unix(1111111109, 0)
	used := now.Unix() / 30
	for last, want := range map[int64]bool{used - 1: true, used: false, used + 1: false} {
		if _, ok := match(shared, "081804", last, now); ok != want {
			t.Errorf("with step %d used, step %d: %v, want %v", last, used, ok, want)
		}
	}
}

func TestReadStripsWhatPeopleType(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]given{
		"123456":                 {passcode: "123456"},
		" 123 456\n":             {passcode: "123456"},
		"123-456":                {passcode: "123456"},
		"123\u00a0456":           {passcode: "123456"},
		"a1b2c-d3e4f":            {backup: "a1b2cd3e4f"},
		"A1B2C D3E4F":            {backup: "a1b2cd3e4f"},
		"a1b2c\u2013d3e4f":       {backup: "a1b2cd3e4f"},
		"12345-67890":            {backup: "1234567890"},
		"":                       {},
		"12345":                  {},
		"1234567":                {},
		"12345x":                 {},
		"+12345":                 {},
		"１２３４５６":                 {},
		"a1b2cd3e4":              {},
		"a1b2cd3e4f5":            {},
		"a1b2cd3e!f":             {},
		"a1b2cd3\u212a":          {}, // the Kelvin sign lower-cases to k
		strings.Repeat(" ", 100): {},
	} {
		got, ok := read(code)
		if ok != (want != given{}) || ok && got != want {
			t.Errorf("read(%q) = %+v, %v; want %+v", code, got, ok, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"123456", "123 456", "a1b2c-d3e4f", "", "-", "\xff\xff", "12345\u0130"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, code string) {
		g, ok := read(code)
		if !ok {
			return
		}
		text, set, size := g.passcode, "0123456789", digits
		if g.backup != "" {
			text, set, size = g.backup, backupAlphabet, backupLength
		}
		if len(text) != size || strings.Trim(text, set) != "" || g.passcode != "" && g.backup != "" {
			t.Errorf("read(%q) = %+v", code, g)
		}
		if again, ok := read(text); !ok || again != g {
			t.Errorf("read(%q) = %+v, but read(%q) = %+v", code, g, text, again)
		}
	})
}

func TestDecodeTakesSecretsAsPassedOn(t *testing.T) {
	t.Parallel()
	const plain = "12345678901234567890"
	for _, s := range []string{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ===="} {
		if b, err := decode(s); err != nil || string(b) != plain {
			t.Errorf("decode(%q) = %q, %v; want %q", s, b, err, plain)
		}
	}
	for _, s := range []string{"", "A", "GEZDGNBV", "GEZDGNBVGY3TQOJ1GEZDGNBV", strings.Repeat("A", 200)} {
		if _, err := decode(s); !errors.Is(err, ErrSecret) {
			t.Errorf("decode(%.40q) = %v, want ErrSecret", s, err)
		}
	}
}

func TestURI(t *testing.T) {
	t.Parallel()
	const want = "otpauth://totp/Keymaster:user%40example.com?secret=ABC&issuer=Keymaster&algorithm=SHA1&digits=6&period=30"
	if got := URI("Keymaster", "user@example.com", "ABC"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	u, err := url.Parse(URI("A & B: Co", "x+y z@example.com", "ABC"))
	if err != nil {
		t.Fatal(err)
	}
	if u.Path != "/A & B: Co:x+y z@example.com" || u.Query().Get("issuer") != "A & B: Co" || strings.Contains(u.String(), "+") {
		t.Errorf("%s reads as path %q, issuer %q", u, u.Path, u.Query().Get("issuer"))
	}
}
