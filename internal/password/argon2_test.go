package password

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

// TestDeriveIsArgon2 holds our steps around processBlocks against the module's
// exported functions, over every branch: short, full and long keys, several
// lanes, memory that is not a multiple of them, one pass and several.
func TestDeriveIsArgon2(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	for _, plain := range []string{"", "x", "correct horse battery staple", strings.Repeat("long ", 60)} {
		for _, p := range []Params{{8, 1, 1}, {64, 2, 1}, {71, 3, 1}, {100, 1, 3}, {256, 4, 4}, {1031, 2, 16}, Default} {
			for _, size := range []uint32{16, 32, 63, 64} {
				for _, variant := range []int{argon2i, argon2id} {
					h := argonHash{variant, p, salt, make([]byte, size)}
					got := h.derive(make([]block, h.blocks()), plain)
					reference := argon2.IDKey
					if variant == argon2i {
						reference = argon2.Key
					}
					if want := reference([]byte(plain), salt, p.Time, p.Memory, p.Threads, size); !bytes.Equal(got, want) {
						t.Errorf("variant %d, %+v, %d bytes, %q: got %x, want %x", variant, p, size, plain, got, want)
					}
				}
			}
			if p == Default {
				break // one size is enough of the costly one
			}
		}
	}
}

func TestReferenceVectors(t *testing.T) {
	t.Parallel()
	// phc-winner-argon2 src/test.c, version 0x13: password "password", salt
	// "somesalt", 2^8 KiB.
	for _, c := range []struct {
		variant int
		params  Params
		want    string
	}{
		{argon2id, Params{256, 2, 1}, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"},
		{argon2id, Params{256, 2, 2}, "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"},
		{argon2i, Params{256, 2, 1}, "89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f"},
		{argon2i, Params{256, 2, 2}, "4ff5ce2769a1d7f4c8a491df09d41a9fbe90e5eb02155a13e4c01e20cd4eab61"},
	} {
		h := argonHash{c.variant, c.params, []byte("somesalt"), make([]byte, 32)}
		if got := hex.EncodeToString(h.derive(make([]block, h.blocks()), "password")); got != c.want {
			t.Errorf("variant %d, %+v: got %s, want %s", c.variant, c.params, got, c.want)
		}
	}
}

func TestPHCStringRoundTrips(t *testing.T) {
	t.Parallel()
	h := newArgonHash(Params{Memory: 100, Time: 3, Threads: 2})
	got, ok := parseArgon(h.String())
	if !ok || fmt.Sprint(got) != fmt.Sprint(h) {
		t.Errorf("%s read as %s, %v", h, got, ok)
	}
}

func BenchmarkDerive(b *testing.B) {
	h := newArgonHash(Default)
	mem, free := allocate(h.blocks())
	defer free()
	b.ReportAllocs()
	for b.Loop() {
		clear(mem)
		h.derive(mem, "correct horse battery staple")
	}
}

// BenchmarkIDKey is the module's exported function, for comparison.
func BenchmarkIDKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		argon2.IDKey([]byte("correct horse battery staple"), []byte("0123456789abcdef"), Default.Time, Default.Memory, Default.Threads, 32)
	}
}
