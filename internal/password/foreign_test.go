package password

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestForeignHashesVerify(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{})
	for _, v := range slices.Concat(published, generated) {
		t.Run(v.origin, func(t *testing.T) {
			if !Known(v.encoded) {
				t.Fatalf("Known(%s) = false", v.encoded)
			}
			ok, outdated, err := p.Verify(t.Context(), v.encoded, v.plain)
			ours := strings.HasPrefix(v.encoded, "$argon2id$v=19$m=19456,t=2,p=1$")
			if !ok || outdated == ours || err != nil {
				t.Errorf("right password: ok %v, outdated %v, %v; want true, %v, nil", ok, outdated, err, !ours)
			}
			// bcrypt ends at 72 bytes, so what is wrong is wrong at the start.
			ok, outdated, err = p.Verify(t.Context(), v.encoded, "y"+v.plain)
			if ok || outdated || err != nil {
				t.Errorf("wrong password: ok %v, outdated %v, %v; want false, false, nil", ok, outdated, err)
			}
		})
	}
}

func TestBcryptCutsAt72Bytes(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{})
	for _, v := range generated {
		if v.origin != "bcrypt 2b, 80 bytes" {
			continue
		}
		for n, want := range map[int]bool{71: false, 72: true, 79: true} {
			if ok, _, err := p.Verify(t.Context(), v.encoded, v.plain[:n]); ok != want || err != nil {
				t.Errorf("the first %d bytes: %v, %v; want %v", n, ok, err, want)
			}
		}
	}
}

// TestEveryFormatHasAVector keeps the table of formats and the vectors together.
func TestEveryFormatHasAVector(t *testing.T) {
	t.Parallel()
	all := slices.Concat(published, generated)
	for _, f := range formats {
		if !slices.ContainsFunc(all, func(v vector) bool { return strings.HasPrefix(v.encoded, f.prefix) }) {
			t.Errorf("no vector for %s", f.prefix)
		}
	}
}

func TestCostsAreBounded(t *testing.T) {
	t.Parallel()
	salt, key := "c29tZXNhbHQ", strings.Repeat("A", 43)
	argon := func(costs string) string { return "$argon2id$v=19$" + costs + "$" + salt + "$" + key }
	scryptHash := func(costs string) string { return "$scrypt$" + costs + "$" + salt + "$" + key }
	bcryptHash := func(head string) string { return head + strings.Repeat("a", 53) }
	pbkdf2Hash := func(n string) string { return "pbkdf2_sha256$" + n + "$salt$" + key }
	firebase := func(ln int) string {
		return fmt.Sprintf("$firebase-scrypt$ln=%d,r=8,sep=Bw,key=%s$%s$%s", ln, key, salt, key)
	}
	for _, c := range []struct {
		encoded string
		known   bool
	}{
		{argon("m=8,t=1,p=1"), true},
		{argon("m=262144,t=4,p=4"), true},
		{argon("m=262144,t=5,p=4"), false}, // too much work
		{argon("m=262145,t=1,p=1"), false}, // too much memory
		{argon("m=4294967295,t=1,p=1"), false},
		{argon("m=4294967304,t=1,p=1"), false}, // 8 past 32 bits
		{argon("m=7,t=1,p=1"), false},          // RFC 9106 §3.1: at least 8 a lane
		{argon("m=64,t=0,p=1"), false},
		{argon("m=64,t=1,p=0"), false},
		{argon("m=1024,t=1,p=17"), false},
		{argon("m=1024,t=1,p=256"), false},
		{argon("m=1024,t=999999999,p=1"), false},
		{argon("m=+64,t=1,p=1"), false},
		{argon("m=064,t=1,p=1"), false},
		{argon("t=1,m=64,p=1"), false},
		{argon("m=64,t=1,p=1,keyid=AA"), false},
		{strings.Replace(argon("m=64,t=1,p=1"), "v=19", "v=16", 1), false},
		{strings.Replace(argon("m=64,t=1,p=1"), "$v=19", "", 1), false},
		{strings.Replace(argon("m=64,t=1,p=1"), "2id", "2d", 1), false},
		{argon("m=64,t=1,p=1") + "$", false},
		{argon("m=64,t=1,p=1") + "\n", false},
		{"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.Repeat("A", 20), false},   // 15 bytes
		{"$argon2id$v=19$m=64,t=1,p=1$c2FsdA$" + key, false},                             // 4 bytes of salt
		{"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.Repeat("A", 4000), false}, // long
		{scryptHash("ln=14,r=8,p=1"), true},
		{scryptHash("ln=18,r=8,p=2"), true},
		{scryptHash("ln=18,r=8,p=3"), false},
		{scryptHash("ln=19,r=8,p=1"), false},
		{scryptHash("ln=999,r=8,p=1"), false},
		{scryptHash("ln=0,r=8,p=1"), false},
		{scryptHash("ln=10,r=999999999,p=1"), false},
		{"scrypt$16385$salt$8$1$" + key, false}, // not a power of two
		{"scrypt:536870912:8:1$salt$" + strings.Repeat("00", 32), false},
		{firebase(14), true},
		{firebase(24), false},
		{bcryptHash("$2b$15$"), true},
		{bcryptHash("$2b$16$"), false},
		{bcryptHash("$2b$31$"), false},
		{bcryptHash("$2b$03$"), false},
		{bcryptHash("$2b$1a$"), false},
		{bcryptHash("$2x$10$"), false},
		{bcryptHash("$2b$10$") + "a", false},
		{"bcrypt_sha256$" + bcryptHash("$2b$12$"), true},
		{"bcrypt_sha256$" + bcryptHash("$2b$20$"), false},
		{pbkdf2Hash("1"), true},
		{pbkdf2Hash("5000000"), true},
		{pbkdf2Hash("5000001"), false},
		{pbkdf2Hash("0"), false},
		{pbkdf2Hash("-1"), false},
		{"pbkdf2:sha256:9999999$salt$" + strings.Repeat("00", 32), false},
		{"pbkdf2_sha256$10$salt$" + strings.Repeat("A", 27), false}, // 20 bytes of SHA-256
		{"$P$I" + strings.Repeat("a", 30), true},                    // 2^20
		{"$P$J" + strings.Repeat("a", 30), false},
		{"$P$z" + strings.Repeat("a", 30), false},
		{"{SSHA}" + strings.Repeat("A", 28), true},
		{"{SSHA}" + strings.Repeat("A", 27), false}, // no salt
		{"{MD5}" + strings.Repeat("A", 28), false},
		{"", false}, {"!", false}, {"!unusable", false}, {"plain", false}, {"$", false}, {"*", false},
		{"$6$salt$hash", false},
	} {
		if got := Known(c.encoded); got != c.known {
			t.Errorf("Known(%.80s) = %v, want %v", c.encoded, got, c.known)
		}
	}
}

// FuzzParse checks that no text makes the parsers panic, or lets through what
// costs more than the limits.
func FuzzParse(f *testing.F) {
	for _, v := range slices.Concat(published, generated) {
		f.Add(v.encoded)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		c, ok := parse(encoded)
		if ok != Known(encoded) {
			t.Fatalf("Known(%q) disagrees with parse", encoded)
		}
		if !ok {
			return
		}
		if (c.argon == nil) == (c.match == nil) {
			t.Errorf("%q parsed to no check, or to two", encoded)
		}
		if c.memory() < 0 || c.memory() > maxMemory {
			t.Errorf("%q needs %d KiB", encoded, c.memory())
		}
		if h := c.argon; h != nil {
			if int(h.params.Memory)*int(h.params.Time) > maxPasses {
				t.Errorf("%q takes %d KiB × %d passes", encoded, h.params.Memory, h.params.Time)
			}
			if got, again := parseArgon(h.String()); !again || got.String() != h.String() {
				t.Errorf("%q is written as %s and read as %s", encoded, h, got)
			}
		}
	})
}

// FuzzCheapVerify runs the checks that are cheap enough on any password.
func FuzzCheapVerify(f *testing.F) {
	for _, v := range slices.Concat(published, generated) {
		f.Add(v.encoded, v.plain)
	}
	p := NewPool(PoolOptions{Params: Params{Memory: 8, Time: 1, Threads: 1}})
	f.Fuzz(func(t *testing.T, encoded, plain string) {
		c, ok := parse(encoded)
		if c.argon != nil && c.argon.passes() > 64 || c.match != nil && !c.light {
			return
		}
		if match, _, err := p.Verify(t.Context(), encoded, plain); err != nil || match && !ok {
			t.Errorf("Verify(%q, %q) = %v, %v", encoded, plain, match, err)
		}
	})
}
