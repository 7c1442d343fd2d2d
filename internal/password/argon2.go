package password

import (
	"encoding/binary"
	"fmt"
	"strings"
	_ "unsafe" // for go:linkname

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"

	"sallyport/internal/secret"
)

// Limits of what is verified. A stored hash names its own cost, so without them
// one imported row could hold a slot for minutes or take the machine's memory.
// On one core of 2020 the largest work allowed takes about two seconds.
const (
	maxMemory  = 256 << 10 // KiB at once
	maxPasses  = 1 << 20   // KiB × passes of one argon2 hash
	maxThreads = 16
)

const (
	saltLength = 16 // bytes, RFC 9106 §3.1
	keyLength  = 32 // bytes
)

// The argon2 variants by their RFC 9106 §3.2 type numbers.
const (
	argon2i  = 1
	argon2id = 2
)

// block is the 1 KiB unit of Argon2's memory.
type block [128]uint64

// processBlocks fills the memory: RFC 9106 §3.2 steps 5 and 6.
//
// It is x/crypto's own, reached by name. The exported function makes the whole
// memory anew for every hash, 19 MiB of garbage each time, so that a burst of
// sign-ins spends a tenth of its processor time on collection and doubles the
// process's memory (golang.org/issue/36634 asks for a way to pass it in). This
// is the only name taken: the steps around it are below. A version of the
// module that renames it does not link, and one that changes what it does fails
// TestDeriveIsArgon2 and TestReferenceVectors, which hold derive against the
// exported functions and published vectors.
//
//go:linkname processBlocks golang.org/x/crypto/argon2.processBlocks
func processBlocks(memory []block, time, kib, threads uint32, variant int)

// argonHash is one parsed Argon2 hash: the input of the derivation but for the
// password, and what it must give.
type argonHash struct {
	variant int
	params  Params
	salt    []byte
	key     []byte
}

// newArgonHash draws the salt and a random key of a hash with these parameters.
// Until the key is derived it matches no password.
func newArgonHash(p Params) argonHash {
	return argonHash{argon2id, p, secret.Bytes(saltLength), secret.Bytes(keyLength)}
}

// blocks returns how many blocks the hash fills: RFC 9106 §3.2 step 3.
func (h argonHash) blocks() int {
	lanes := 4 * uint32(h.params.Threads)
	return int(max(h.params.Memory/lanes*lanes, 2*lanes))
}

// passes returns the work of the hash in KiB × passes.
func (h argonHash) passes() uint64 { return uint64(h.params.Memory) * uint64(h.params.Time) }

// match reports whether plain gives the hash's key.
func (h argonHash) match(mem []block, plain string) bool {
	return secret.Equal(h.derive(mem, plain), h.key)
}

// derive returns the key of plain. mem is h.blocks() blocks of zeros, which it
// fills and leaves for the owner to wipe.
func (h argonHash) derive(mem []block, plain string) []byte {
	lanes := uint32(h.params.Threads)
	perLane := len(mem) / int(lanes)
	seed := h.seed(plain)
	var first [1024]byte
	for lane := range lanes {
		// Steps 3 and 4: the first two blocks of each lane.
		for column := range uint32(2) {
			binary.LittleEndian.PutUint32(seed[blake2b.Size:], column)
			binary.LittleEndian.PutUint32(seed[blake2b.Size+4:], lane)
			longHash(first[:], seed[:])
			b := &mem[int(lane)*perLane+int(column)]
			for i := range b {
				b[i] = binary.LittleEndian.Uint64(first[8*i:])
			}
		}
	}
	processBlocks(mem, h.params.Time, uint32(len(mem)), lanes, h.variant)

	// Steps 7 and 8: the last column's blocks, added up and hashed.
	var sum block
	for lane := range int(lanes) {
		for i, v := range mem[(lane+1)*perLane-1] {
			sum[i] ^= v
		}
	}
	for i, v := range sum {
		binary.LittleEndian.PutUint64(first[8*i:], v)
	}
	key := make([]byte, len(h.key))
	longHash(key, first[:])
	return key
}

// seed returns H0 (step 1) with room for the two counters of steps 3 and 4.
func (h argonHash) seed(plain string) (seed [blake2b.Size + 8]byte) {
	b, err := blake2b.New512(nil)
	if err != nil {
		panic("password: " + err.Error()) // only a key that is too long fails
	}
	var head []byte
	for _, v := range []uint32{uint32(h.params.Threads), uint32(len(h.key)), h.params.Memory,
		h.params.Time, argon2.Version, uint32(h.variant), uint32(len(plain))} {
		head = binary.LittleEndian.AppendUint32(head, v)
	}
	b.Write(head)
	b.Write([]byte(plain))
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(h.salt))))
	b.Write(h.salt)
	b.Write(make([]byte, 8)) // no secret value and no associated data: two lengths of zero
	b.Sum(seed[:0])
	return seed
}

// longHash fills out with the variable-length hash H' of in: RFC 9106 §3.3.
func longHash(out, in []byte) {
	sum := func(n int, parts ...[]byte) []byte {
		b, err := blake2b.New(n, nil)
		if err != nil {
			panic("password: " + err.Error()) // n is 1 to 64 here
		}
		for _, p := range parts {
			b.Write(p)
		}
		return b.Sum(nil)
	}
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(out)))
	if len(out) <= blake2b.Size {
		copy(out, sum(len(out), size, in))
		return
	}
	v := sum(blake2b.Size, size, in)
	for len(out) > blake2b.Size {
		copy(out, v[:32])
		out = out[32:]
		v = sum(min(len(out), blake2b.Size), v)
	}
	copy(out, v)
}

// String returns the hash as the PHC string format writes it.
func (h argonHash) String() string {
	name := "argon2id"
	if h.variant == argon2i {
		name = "argon2i"
	}
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", name, argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, raw64.EncodeToString(h.salt), raw64.EncodeToString(h.key))
}

// parseArgon reads $argon2id$v=19$m=…,t=…,p=…$salt$key and the same of argon2i.
// Version 16 and keyed hashes (keyid, data) are not verified.
func parseArgon(encoded string) (argonHash, bool) {
	f := strings.Split(encoded, "$")
	if len(f) != 6 || f[0] != "" || f[2] != "v=19" {
		return argonHash{}, false
	}
	h := argonHash{variant: argon2id}
	if f[1] == "argon2i" {
		h.variant = argon2i
	} else if f[1] != "argon2id" {
		return argonHash{}, false
	}
	v, ok := numbers(f[3], "m", "t", "p")
	if !ok || v[2] < 1 || v[2] > maxThreads || v[0] < 8*v[2] || v[0] > maxMemory || v[1] < 1 || v[1] > maxPasses/v[0] {
		return argonHash{}, false
	}
	h.params = Params{Memory: uint32(v[0]), Time: uint32(v[1]), Threads: uint8(v[2])}
	if h.salt, ok = decode64(f[4], 8, 64); !ok {
		return argonHash{}, false
	}
	h.key, ok = decode64(f[5], 16, 64)
	return h, ok
}
