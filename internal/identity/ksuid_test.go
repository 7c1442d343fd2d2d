package identity_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/identity"
)

// The layout against numbers worked out with math/big, which knows base 62 by
// the same digits in another order.
func TestKSUIDLayout(t *testing.T) {
	for name, tc := range map[string]struct {
		id     string
		second int64
	}{
		"UUIDv7":                   {"0190a5b3-7c00-7123-8456-0123456789ab", 0x0190a5b37c00/1000 - 1_400_000_000},
		"UUIDv4 tells no second":   {"7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11", 0},
		"nil UUID":                 {"00000000-0000-0000-0000-000000000000", 0},
		"all ones":                 {"ffffffff-ffff-ffff-ffff-ffffffffffff", 0},
		"UUIDv7 from before 2014":  {"00000000-0001-7000-8000-000000000000", 0},
		"UUIDv7 from after 2150":   {"ffffffff-ffff-7fff-bfff-ffffffffffff", 0},
		"the last second there is": {uuid7At(1_400_000_000 + 1<<32 - 1), 1<<32 - 1},
		"and one later":            {uuid7At(1_400_000_000 + 1<<32), 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := big.NewInt(tc.second)
			n.Lsh(n, 128)
			payload, _ := new(big.Int).SetString(strings.ReplaceAll(tc.id, "-", ""), 16)
			text := swapCase(n.Add(n, payload).Text(62)) // math/big has a-z before A-Z
			want := "acc_" + strings.Repeat("0", 27-len(text)) + text
			if got := identity.KSUID("acc", tc.id); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if back, ok := identity.FromKSUID("acc", want); !ok || back != tc.id {
				t.Errorf("back: got %q %v, want %s", back, ok, tc.id)
			}
		})
	}
}

// The README of github.com/segmentio/ksuid prints these parts of one KSUID.
func TestKSUIDPublishedTime(t *testing.T) {
	const published, second = "0ujtsYcgvSTl8PAuAdqWYSMnLOv", 107_608_047
	n, _ := new(big.Int).SetString(swapCase(published), 62)
	if got := n.Rsh(n, 128).Int64(); got != second {
		t.Fatalf("the published one: got second %d, want %d", got, second)
	}
	at := time.Date(2017, 10, 10, 4, 0, 47, 0, time.UTC) // as published
	ours := identity.KSUID("x", identity.IDAt(at))
	if !strings.HasPrefix(ours, "x_"+published[:5]) {
		t.Errorf("an id of that second: got %s, want it to begin like %s", ours, published)
	}
}

func TestKSUIDRefusesOtherTexts(t *testing.T) {
	good := identity.KSUID("acc", identity.NewID())
	v4 := identity.KSUID("acc", "7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11")
	for name, s := range map[string]string{
		"empty":                     "",
		"bare prefix":               "acc",
		"other prefix":              "uid" + good[3:],
		"no underscore":             "acc" + good[4:],
		"prefix in capitals":        "ACC" + good[3:],
		"one digit less":            good[:len(good)-1],
		"one digit more":            good + "0",
		"not a digit":               good[:len(good)-1] + "-",
		"a letter of many bytes":    good[:len(good)-2] + "é",
		"more than twenty bytes":    "acc_" + strings.Repeat("z", 27),
		"one more than there is":    "acc_aWgEPTl1tmebfsQzFP4bxwgy80W",
		"a second of its own":       "acc_1" + v4[5:],
		"the UUID instead":          "acc_7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11",
		"space around the good one": " " + good,
	} {
		if id, ok := identity.FromKSUID("acc", s); ok {
			t.Errorf("%s: %q was read as %s", name, s, id)
		}
	}
	for _, id := range []string{"", "https://client.example/metadata", "7F3C2E0A-6B1F-4E0E-9C55-0A4F5D1B8E11", "{7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11}"} {
		if got := identity.KSUID("cid", id); got != "" {
			t.Errorf("%q was written as %s", id, got)
		}
	}
}

func TestKSUIDIsReversibleAndSortsAsIDsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		second := rapid.Int64Range(1_400_000_001, 1_400_000_000+1<<32-1)
		a, b := identity.IDAt(time.Unix(second.Draw(t, "a"), 0)), identity.IDAt(time.Unix(second.Draw(t, "b"), 0))
		ka, kb := identity.KSUID("acc", a), identity.KSUID("acc", b)
		if len(ka) != len("acc_")+27 {
			t.Fatalf("length of %s", ka)
		}
		if back, ok := identity.FromKSUID("acc", ka); !ok || back != a {
			t.Fatalf("%s → %s → %s %v", a, ka, back, ok)
		}
		if (a < b) != (ka < kb) {
			t.Fatalf("%s and %s sort otherwise than %s and %s", a, b, ka, kb)
		}
	})
}

func TestNamedIDIsTheSameEachTime(t *testing.T) {
	// RFC 9562 Appendix A.4: the name www.example.com in the namespace of DNS.
	const dns, want = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "2ed6657d-e927-568b-95e1-2665a8aea6a2"
	if got := identity.NamedID(dns, "www.example.com"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzFromKSUID(f *testing.F) {
	f.Add("acc_0ujtsYcgvSTl8PAuAdqWYSMnLOv")
	f.Add("acc_000000000000000000000000000")
	f.Add("acc_aWgEPTl1tmebfsQzFP4bxwgy80V")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := identity.FromKSUID("acc", s)
		if !ok {
			return
		}
		if again := identity.KSUID("acc", id); again != s {
			t.Errorf("%q was read as %s, which is written %q", s, id, again)
		}
	})
}

func uuid7At(second int64) string { return identity.IDAt(time.Unix(second, 0)) }

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}
