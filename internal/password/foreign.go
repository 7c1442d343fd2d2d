package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"

	"sallyport/internal/secret"
)

// Limits of imported hashes, in the spirit of maxMemory: the dearest allowed
// takes about two seconds of one core.
const (
	maxBcryptCost   = 15
	maxIterations   = 5_000_000 // PBKDF2; Django 6 uses 1.2 million
	maxPhpassRounds = 20        // a power of two
	maxScryptKiB    = 512 << 10 // KiB × parallelism
)

// check is one stored hash, parsed: what verifies a password against it, and
// what that needs.
type check struct {
	argon   *argonHash              // for Argon2; match is nil then
	match   func(plain string) bool // for everything else
	wrapped bool                    // Argon2 inside another program's notation
	light   bool                    // not Argon2, and less than half the work of Default
	kib     int                     // memory, where it is not Argon2's
}

// memory returns how many KiB the check fills.
func (c check) memory() int {
	if c.argon != nil {
		return int(c.argon.params.Memory)
	}
	return c.kib
}

// Known reports whether encoded is a hash that Verify can verify, its costs
// included: an import asks before it takes a row.
func Known(encoded string) bool {
	_, ok := parse(encoded)
	return ok
}

// formats are the notations by their distinct prefixes. Angle brackets are
// parts; base64 is standard, with or without padding.
var formats = []struct {
	prefix string
	parse  func(rest string) (check, bool)
}{
	// PHC strings, argon2 v1.3 and passlib's scrypt:
	// $argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<base64 salt>$<base64 key>
	// $scrypt$ln=<log2 N>,r=<r>,p=<p>$<base64 salt>$<base64 key>
	{"$argon2", func(r string) (check, bool) { return argonCheck("$argon2" + r) }},
	{"$scrypt$", scryptPHC},
	// Modular crypt bcrypt. The three names mean one algorithm; 2x, PHP's broken
	// one, is refused.
	{"$2a$", func(r string) (check, bool) { return bcryptCheck("$2a$"+r, asItIs) }},
	{"$2b$", func(r string) (check, bool) { return bcryptCheck("$2b$"+r, asItIs) }},
	{"$2y$", func(r string) (check, bool) { return bcryptCheck("$2y$"+r, asItIs) }},
	// Django's <algorithm>$…
	{"pbkdf2_sha256$", func(r string) (check, bool) { return djangoPBKDF2(r, sha256.New) }},
	{"pbkdf2_sha1$", func(r string) (check, bool) { return djangoPBKDF2(r, sha1.New) }},
	{"bcrypt_sha256$", func(r string) (check, bool) { return bcryptCheck(r, hexSHA256) }},
	{"bcrypt$", func(r string) (check, bool) { return bcryptCheck(r, asItIs) }},
	{"argon2$", djangoArgon},
	{"scrypt$", djangoScrypt},
	// Werkzeug's: scrypt:<N>:<r>:<p>$<salt>$<hex>, pbkdf2:<hash>:<iterations>$<salt>$<hex>
	{"scrypt:", werkzeugScrypt},
	{"pbkdf2:sha1:", func(r string) (check, bool) { return werkzeugPBKDF2(r, sha1.New) }},
	{"pbkdf2:sha256:", func(r string) (check, bool) { return werkzeugPBKDF2(r, sha256.New) }},
	{"pbkdf2:sha512:", func(r string) (check, bool) { return werkzeugPBKDF2(r, sha512.New) }},
	// Firebase exports the parts of a hash and the project's parameters apart;
	// this notation, our own, holds them together:
	// $firebase-scrypt$ln=<mem_cost>,r=<rounds>,sep=<base64>,key=<base64>$<base64 salt>$<base64 hash>
	{"$firebase-scrypt$", firebaseScrypt},
	// phpass: $P$<rounds><8 salt><22 hash>, of WordPress and Drupal; phpBB wrote $H$.
	{"$P$", phpass},
	{"$H$", phpass},
	// RFC 2307 userPassword with a salt: {SSHA}<base64 of digest and salt>
	{"{SSHA}", func(r string) (check, bool) { return saltedDigest(r, sha1.New) }},
	{"{SSHA256}", func(r string) (check, bool) { return saltedDigest(r, sha256.New) }},
	{"{SSHA512}", func(r string) (check, bool) { return saltedDigest(r, sha512.New) }},
	// Better Auth's, which begins with nothing: <hex salt>:<hex key>
	{"", betterAuth},
}

// parse returns the check for encoded, or false where there is none.
func parse(encoded string) (check, bool) {
	if len(encoded) > 1024 {
		return check{}, false
	}
	for _, f := range formats {
		if rest, ok := strings.CutPrefix(encoded, f.prefix); ok {
			return f.parse(rest)
		}
	}
	return check{}, false
}

func argonCheck(encoded string) (check, bool) {
	h, ok := parseArgon(encoded)
	return check{argon: &h}, ok
}

func djangoArgon(rest string) (check, bool) {
	c, ok := argonCheck("$" + rest)
	c.wrapped = true
	return c, ok
}

func asItIs(plain string) []byte { return []byte(plain) }

// hexSHA256 is what Django hands to bcrypt, whose input ends at 72 bytes.
func hexSHA256(plain string) []byte {
	sum := sha256.Sum256([]byte(plain))
	return hex.AppendEncode(nil, sum[:])
}

// bcryptCheck reads $2b$<cost>$<22 salt><31 hash>. Passwords past 72 bytes are
// cut there, as the programs that made the hashes did.
func bcryptCheck(encoded string, prepare func(string) []byte) (check, bool) {
	if len(encoded) != 60 || !slices.Contains([]string{"$2a$", "$2b$", "$2y$"}, encoded[:4]) || encoded[6] != '$' {
		return check{}, false
	}
	cost, ok := twoDigits(encoded[4:6])
	if !ok || cost < bcrypt.MinCost || cost > maxBcryptCost || strings.Trim(encoded[7:], phpass64) != "" {
		return check{}, false
	}
	return check{light: cost < 8, match: func(plain string) bool {
		return bcrypt.CompareHashAndPassword([]byte(encoded), prepare(plain)) == nil
	}}, true
}

func pbkdf2Check(newHash func() hash.Hash, iterations int, salt string, key []byte) (check, bool) {
	if iterations < 1 || iterations > maxIterations || len(key) != newHash().Size() {
		return check{}, false
	}
	return check{light: iterations < 50_000, match: func(plain string) bool {
		got, err := pbkdf2.Key(newHash, plain, []byte(salt), iterations, len(key))
		return err == nil && secret.Equal(got, key)
	}}, true
}

// djangoPBKDF2 reads <iterations>$<salt>$<base64 key>.
func djangoPBKDF2(rest string, newHash func() hash.Hash) (check, bool) {
	f := strings.Split(rest, "$")
	if len(f) != 3 {
		return check{}, false
	}
	iterations, ok := number(f[0])
	if !ok {
		return check{}, false
	}
	key, ok := decode64(f[2], 16, 64)
	if !ok {
		return check{}, false
	}
	return pbkdf2Check(newHash, iterations, f[1], key)
}

// werkzeugPBKDF2 reads <iterations>$<salt>$<hex key>.
func werkzeugPBKDF2(rest string, newHash func() hash.Hash) (check, bool) {
	f := strings.Split(rest, "$")
	if len(f) != 3 {
		return check{}, false
	}
	iterations, ok := number(f[0])
	if !ok {
		return check{}, false
	}
	key, err := hex.DecodeString(f[2])
	if err != nil {
		return check{}, false
	}
	return pbkdf2Check(newHash, iterations, f[1], key)
}

// scryptCost are the parameters of RFC 7914, n being N itself.
type scryptCost struct{ n, r, p int }

// kib returns the memory scrypt needs with c, or false where c is not allowed.
func (c scryptCost) kib() (int, bool) {
	if c.n < 2 || c.n&(c.n-1) != 0 || c.n > 1<<24 || c.r < 1 || c.r > 64 || c.p < 1 || c.p > maxThreads {
		return 0, false
	}
	kib := c.n * c.r / 8
	return kib, kib <= maxMemory && kib*c.p <= maxScryptKiB
}

// key derives the key of plain.
func (c scryptCost) key(plain, salt string, size int) []byte {
	key, err := scrypt.Key([]byte(plain), []byte(salt), c.n, c.r, c.p, size)
	if err != nil {
		return nil // kib has refused what scrypt would
	}
	// The table it leaves is as large as everything else in a small server.
	// Collecting it before the slot goes on keeps a burst of imported users
	// within the memory that the slots stand for.
	runtime.GC()
	return key
}

func scryptCheck(c scryptCost, salt string, key []byte) (check, bool) {
	kib, ok := c.kib()
	if !ok || len(key) < 16 || len(key) > 64 {
		return check{}, false
	}
	return check{kib: kib, light: kib < 4096, match: func(plain string) bool {
		return secret.Equal(c.key(plain, salt, len(key)), key)
	}}, true
}

// scryptPHC reads ln=<log2 N>,r=<r>,p=<p>$<base64 salt>$<base64 key>.
func scryptPHC(rest string) (check, bool) {
	f := strings.Split(rest, "$")
	if len(f) != 3 {
		return check{}, false
	}
	v, ok := numbers(f[0], "ln", "r", "p")
	if !ok || v[0] > 24 {
		return check{}, false
	}
	salt, ok := decode64(f[1], 0, 64)
	if !ok {
		return check{}, false
	}
	key, ok := decode64(f[2], 16, 64)
	if !ok {
		return check{}, false
	}
	return scryptCheck(scryptCost{1 << v[0], v[1], v[2]}, string(salt), key)
}

// djangoScrypt reads <N>$<salt>$<r>$<p>$<base64 key>.
func djangoScrypt(rest string) (check, bool) {
	f := strings.Split(rest, "$")
	if len(f) != 5 {
		return check{}, false
	}
	c, ok := scryptNumbers(f[0], f[2], f[3])
	if !ok {
		return check{}, false
	}
	key, ok := decode64(f[4], 16, 64)
	if !ok {
		return check{}, false
	}
	return scryptCheck(c, f[1], key)
}

// betterAuth reads <32 hex digits>:<128 hex digits>, scrypt with N=16384, r=16, p=1 over
// the password in Unicode's form NFKC. The salt is the text, not the bytes that it
// spells.
func betterAuth(encoded string) (check, bool) {
	salt, key, _ := strings.Cut(encoded, ":")
	want, err := hex.DecodeString(key)
	if _, bad := hex.DecodeString(salt); err != nil || bad != nil || len(salt) != 32 || len(want) != 64 {
		return check{}, false
	}
	c, ok := scryptCheck(scryptCost{16384, 16, 1}, salt, want)
	match := c.match
	c.match = func(plain string) bool { return match(norm.NFKC.String(plain)) }
	return c, ok
}

// werkzeugScrypt reads <N>:<r>:<p>$<salt>$<hex key>.
func werkzeugScrypt(rest string) (check, bool) {
	f := strings.Split(rest, "$")
	if len(f) != 3 {
		return check{}, false
	}
	m := strings.Split(f[0], ":")
	if len(m) != 3 {
		return check{}, false
	}
	c, ok := scryptNumbers(m[0], m[1], m[2])
	if !ok {
		return check{}, false
	}
	key, err := hex.DecodeString(f[2])
	if err != nil {
		return check{}, false
	}
	return scryptCheck(c, f[1], key)
}

func scryptNumbers(n, r, p string) (c scryptCost, ok bool) {
	var okN, okR, okP bool
	c.n, okN = number(n)
	c.r, okR = number(r)
	c.p, okP = number(p)
	return c, okN && okR && okP
}

// firebaseScrypt verifies Firebase Authentication's variant: scrypt of the
// password with salt and the project's separator gives an AES-256 key, and the
// hash is the project's signer key encrypted with it (CTR, zero counter).
func firebaseScrypt(rest string) (check, bool) {
	f := strings.Split(rest, "$")
	if len(f) != 3 {
		return check{}, false
	}
	v := fields(f[0], "ln", "r", "sep", "key")
	if v == nil {
		return check{}, false
	}
	ln, okN := number(v[0])
	r, okR := number(v[1])
	sep, okSep := decode64(v[2], 0, 64)
	signer, okKey := decode64(v[3], 16, 128)
	salt, okSalt := decode64(f[1], 1, 64)
	want, okHash := decode64(f[2], 16, 128)
	if !okN || !okR || !okSep || !okKey || !okSalt || !okHash || ln > 24 || len(want) != len(signer) {
		return check{}, false
	}
	cost := scryptCost{1 << ln, r, 1}
	kib, ok := cost.kib()
	if !ok {
		return check{}, false
	}
	return check{kib: kib, light: kib < 4096, match: func(plain string) bool {
		block, err := aes.NewCipher(cost.key(plain, string(salt)+string(sep), 32))
		if err != nil {
			return false
		}
		got := make([]byte, len(signer))
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, signer)
		return secret.Equal(got, want)
	}}, true
}

// phpass reads <rounds><8 salt><22 hash>: MD5 of salt and password, then 2^rounds
// times MD5 of the last digest and the password.
func phpass(rest string) (check, bool) {
	if len(rest) != 31 || strings.Trim(rest, phpass64) != "" {
		return check{}, false
	}
	rounds := strings.IndexByte(phpass64, rest[0])
	if rounds < 7 || rounds > maxPhpassRounds {
		return check{}, false
	}
	salt, want := rest[1:9], rest[9:]
	return check{light: rounds < 16, match: func(plain string) bool {
		sum := md5.Sum([]byte(salt + plain))
		buf := append(make([]byte, md5.Size), plain...)
		for range 1 << rounds {
			copy(buf, sum[:])
			sum = md5.Sum(buf)
		}
		return secret.Equal([]byte(encodePhpass(sum[:])), []byte(want))
	}}, true
}

// saltedDigest reads the base64 of a digest followed by its salt.
func saltedDigest(rest string, newHash func() hash.Hash) (check, bool) {
	size := newHash().Size()
	b, ok := decode64(rest, size+1, size+64)
	if !ok {
		return check{}, false
	}
	return check{light: true, match: func(plain string) bool {
		h := newHash()
		h.Write([]byte(plain))
		h.Write(b[size:])
		return secret.Equal(h.Sum(nil), b[:size])
	}}, true
}
