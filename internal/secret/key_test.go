package secret

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func newKey(t testing.TB, fill byte) *Key {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNewKeyWantsExactly32Bytes(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := NewKey(make([]byte, n)); err == nil {
			t.Errorf("NewKey took %d bytes", n)
		}
	}
}

func TestKeyCopiesItsBytes(t *testing.T) {
	b := bytes.Repeat([]byte{1}, KeySize)
	k, err := NewKey(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !Equal(k.MAC("x", []byte("m")), newKey(t, 1).MAC("x", []byte("m"))) {
		t.Error("changing the caller's slice changed the key")
	}
}

func TestSealOpens(t *testing.T) {
	k := newKey(t, 1)
	for _, plain := range [][]byte{nil, {0}, []byte("totp secret"), bytes.Repeat([]byte("x"), 70_000)} {
		got, err := k.Open("a", k.Seal("a", plain, "row 1"), "row 1")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("Open(Seal(%d bytes)) = %d bytes, %v", len(plain), len(got), err)
		}
	}
}

// Made with a key of 32 bytes 0x42 under label "pin"; the MAC agrees with the
// same steps written out with Python's hmac module.
const (
	pinnedSeal = "015a72db2f8692b8dee7c9f5bafddd6c49669bb63db05a811a2777e91e0c7aa786aaff0e5c22b568b1b0a2"
	pinnedMAC  = "2f74a6126cce46f55c390c5534beb07a64f75a64c897709d5e0b8c1155cbf832"
)

// TestSealedFormatIsStable pins bytes sealed once, so that a change that would
// orphan stored rows fails here.
func TestSealedFormatIsStable(t *testing.T) {
	sealed, err := hex.DecodeString(pinnedSeal)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newKey(t, 0x42).Open("pin", sealed, "user 1")
	if err != nil || string(got) != "kept for years" {
		t.Errorf("Open of the pinned bytes = %q, %v", got, err)
	}
	if got := hex.EncodeToString(newKey(t, 0x42).MAC("pin", []byte("a"), []byte("bc"))); got != pinnedMAC {
		t.Errorf("MAC = %s, want %s", got, pinnedMAC)
	}
}

func TestSealedBytesOpenOnlyWhereTheyBelong(t *testing.T) {
	k := newKey(t, 1)
	sealed := k.Seal("totp", []byte("plain"), "user", "1")
	for name, open := range map[string]func() ([]byte, error){
		"other key":     func() ([]byte, error) { return newKey(t, 2).Open("totp", sealed, "user", "1") },
		"other label":   func() ([]byte, error) { return k.Open("totq", sealed, "user", "1") },
		"other row":     func() ([]byte, error) { return k.Open("totp", sealed, "user", "2") },
		"no row":        func() ([]byte, error) { return k.Open("totp", sealed) },
		"joined row":    func() ([]byte, error) { return k.Open("totp", sealed, "user1") },
		"row cut apart": func() ([]byte, error) { return k.Open("totp", sealed, "use", "r1") },
		"empty":         func() ([]byte, error) { return k.Open("totp", nil, "user", "1") },
		"version only":  func() ([]byte, error) { return k.Open("totp", sealed[:1], "user", "1") },
		"cut short":     func() ([]byte, error) { return k.Open("totp", sealed[:len(sealed)-1], "user", "1") },
		"longer":        func() ([]byte, error) { return k.Open("totp", append(bytes.Clone(sealed), 0), "user", "1") },
	} {
		if plain, err := open(); !errors.Is(err, ErrSeal) || plain != nil {
			t.Errorf("%s: got %q, %v; want ErrSeal", name, plain, err)
		}
	}
}

func TestEveryTamperedBitIsSeen(t *testing.T) {
	k := newKey(t, 1)
	sealed := k.Seal("a", []byte("plain"))
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := k.Open("a", bad); !errors.Is(err, ErrSeal) {
			t.Fatalf("bit %d flipped: got %v, want ErrSeal", i, err)
		}
	}
}

func TestNoncesAreUnique(t *testing.T) {
	k := newKey(t, 1)
	seen := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				nonce := string(k.Seal("a", []byte("same plain"))[1:13])
				mu.Lock()
				if seen[nonce] {
					t.Errorf("nonce %x was used twice", nonce)
				}
				seen[nonce] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestMACSeparatesKeysLabelsAndParts(t *testing.T) {
	k := newKey(t, 1)
	b := func(s string) []byte { return []byte(s) }
	macs := map[string]string{}
	for name, m := range map[string][]byte{
		"ab,c":      k.MAC("l", b("ab"), b("c")),
		"a,bc":      k.MAC("l", b("a"), b("bc")),
		"abc":       k.MAC("l", b("abc")),
		"abc,empty": k.MAC("l", b("abc"), nil),
		"empty,abc": k.MAC("l", nil, b("abc")),
		"none":      k.MAC("l"),
		"label":     k.MAC("m", b("abc")),
		"key":       newKey(t, 2).MAC("l", b("abc")),
		"prefixed":  k.MAC("l", append([]byte{0, 0, 0, 0, 0, 0, 0, 2}, "ab"...), b("c")),
	} {
		if len(m) != 32 {
			t.Errorf("%s: %d bytes, want 32", name, len(m))
		}
		if other, ok := macs[string(m)]; ok {
			t.Errorf("%s and %s have the same MAC", name, other)
		}
		macs[string(m)] = name
	}
	if !Equal(k.MAC("l", b("abc")), newKey(t, 1).MAC("l", b("abc"))) {
		t.Error("the same key, label and parts gave two MACs")
	}
}

func TestKeyIsSafeForConcurrentUse(t *testing.T) {
	k := newKey(t, 1)
	want := newKey(t, 1).MAC("l3", []byte("m"))
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			label := fmt.Sprintf("l%d", i%4)
			if p, err := k.Open(label, k.Seal(label, []byte("p"))); err != nil || string(p) != "p" {
				t.Errorf("%s: %q, %v", label, p, err)
			}
			if !Equal(k.MAC("l3", []byte("m")), want) {
				t.Error("MAC differs under concurrent use")
			}
		})
	}
	wg.Wait()
}

func TestKeyNeverPrints(t *testing.T) {
	k := newKey(t, 0x41)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "[secret]" {
			t.Errorf("%s printed %q, want [secret]", verb, got)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "k", k)
	if !strings.Contains(log.String(), "k=[secret]") {
		t.Errorf("logged %q, want k=[secret]", log.String())
	}
}

func BenchmarkMAC(b *testing.B) {
	k := newKey(b, 1)
	id, tok := make([]byte, 8), make([]byte, 16)
	for b.Loop() {
		k.MAC("refresh-tag", id, tok)
	}
}

func TestSealEachOpensUnderItsLabelAlone(t *testing.T) {
	k := newKey(t, 1)
	plain := []byte("claims")
	sealed := k.SealEach("a", plain)
	if got, err := k.OpenEach("a", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("OpenEach = %q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another label":   func() ([]byte, error) { return k.OpenEach("b", sealed) },
		"another key":     func() ([]byte, error) { return newKey(t, 2).OpenEach("a", sealed) },
		"Open":            func() ([]byte, error) { return k.Open("a", sealed) },
		"what Seal made":  func() ([]byte, error) { return k.OpenEach("a", k.Seal("a", bytes.Repeat(plain, 9))) },
		"cut off":         func() ([]byte, error) { return k.OpenEach("a", sealed[:len(sealed)-1]) },
		"nothing":         func() ([]byte, error) { return k.OpenEach("a", nil) },
		"another version": func() ([]byte, error) { return k.OpenEach("a", append([]byte{1}, sealed[1:]...)) },
	} {
		if got, err := open(); !errors.Is(err, ErrSeal) {
			t.Errorf("%s: got %q, %v, want ErrSeal", name, got, err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.OpenEach("a", bad); !errors.Is(err, ErrSeal) {
			t.Errorf("byte %d changed: %v, want ErrSeal", i, err)
		}
	}
	if bytes.Equal(sealed, k.SealEach("a", plain)) {
		t.Error("two messages are sealed alike")
	}
}
