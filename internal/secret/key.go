package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// KeySize is the length of the process key in bytes.
const KeySize = 32

// ErrSeal reports bytes that were not sealed by this key under this label for
// this place, or were changed since.
var ErrSeal = errors.New("secret: not sealed by this key for this purpose")

// sealV1 is the first byte of everything sealed, so that the format or the key
// can change while old rows are still read:
//
//	0x01 ‖ nonce (12) ‖ ciphertext ‖ tag (16)
const sealV1 = 1

// sealV2 is the first byte of what has a key of its own:
//
//	0x02 ‖ salt (24) ‖ ciphertext ‖ tag (16)
const sealV2 = 2

// saltSize is so large that no two of 2^64 messages share a key but once in
// 2^64 times.
const saltSize = 24

// Key is the process key: 32 bytes of configuration that seal what the
// database holds and key its short hashes. Losing it loses every sealed secret.
// A Key may be used by any number of goroutines and prints nothing.
type Key struct {
	prk     []byte
	sealers sync.Map // label → cipher.AEAD
	macs    sync.Map // label → []byte, the HMAC key
}

// NewKey takes the 32 random bytes of the process key and keeps a derived copy.
func NewKey(b []byte) (*Key, error) {
	if len(b) != KeySize {
		return nil, fmt.Errorf("secret: the process key has %d bytes, want %d", len(b), KeySize)
	}
	prk, err := hkdf.Extract(sha256.New, b, []byte("sallyport process key"))
	if err != nil {
		return nil, fmt.Errorf("secret: derive process key: %w", err)
	}
	return &Key{prk: prk}, nil
}

// Seal encrypts and authenticates plain for the purpose that label names. bind
// names the place the sealed bytes are meant for, such as the id of their row:
// Open needs the same strings, so bytes copied to another row do not open.
//
// Labels are a closed set of constants: each one's subkey is kept for the life
// of the process. Anything that varies belongs in bind. Nonces are random, which
// is sound for 2^32 messages under one label (SP 800-38D §8.3).
func (k *Key) Seal(label string, plain []byte, bind ...string) []byte {
	a := k.sealer(label)
	out := make([]byte, 1, 1+len(plain)+a.Overhead())
	out[0] = sealV1
	return a.Seal(out, nil, plain, sealContext(bind))
}

// Open returns what Seal was given under the same label and bind, or ErrSeal.
func (k *Key) Open(label string, sealed []byte, bind ...string) ([]byte, error) {
	a := k.sealer(label)
	if len(sealed) < 1+a.Overhead() || sealed[0] != sealV1 {
		return nil, ErrSeal
	}
	plain, err := a.Open(nil, nil, sealed[1:], sealContext(bind))
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

// SealEach is Seal for what is made without end, such as a token for every
// request: under one key, random nonces run out after 2^32 messages, which a
// busy server makes in a week. Each message has a key of its own, the MAC of a
// random salt that stands before it, and so needs no nonce.
func (k *Key) SealEach(label string, plain []byte) []byte {
	out := make([]byte, 1+saltSize, 1+saltSize+len(plain)+16)
	out[0] = sealV2
	copy(out[1:], Bytes(saltSize))
	a := k.sealerOf(label, out[1:])
	return a.Seal(out, make([]byte, a.NonceSize()), plain, []byte{sealV2})
}

// OpenEach returns what SealEach was given under the same label, or ErrSeal.
func (k *Key) OpenEach(label string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+saltSize+16 || sealed[0] != sealV2 {
		return nil, ErrSeal
	}
	a := k.sealerOf(label, sealed[1:1+saltSize])
	plain, err := a.Open(nil, make([]byte, a.NonceSize()), sealed[1+saltSize:], []byte{sealV2})
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

func (k *Key) sealerOf(label string, salt []byte) cipher.AEAD {
	block, err := aes.NewCipher(k.MAC("seal each "+label, salt))
	if err != nil {
		panic("secret: " + err.Error()) // a 32-byte key always fits
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic("secret: " + err.Error()) // so does a 16-byte block
	}
	return a
}

// MAC returns the HMAC-SHA256 of parts under label's own subkey. Each part is
// framed by its length, so ("ab", "c") and ("a", "bc") differ.
func (k *Key) MAC(label string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, k.macKey(label))
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		m.Write(size[:])
		m.Write(p)
	}
	return m.Sum(nil)
}

// Format prints "[secret]".
func (k *Key) Format(s fmt.State, _ rune) { io.WriteString(s, hidden) }

// LogValue makes log/slog print "[secret]".
func (k *Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// sealContext is the additional data that is authenticated with a sealed
// message: the format's version and the framed binding.
func sealContext(bind []string) []byte {
	out := []byte{sealV1}
	for _, b := range bind {
		out = binary.BigEndian.AppendUint64(out, uint64(len(b)))
		out = append(out, b...)
	}
	return out
}

func (k *Key) sealer(label string) cipher.AEAD {
	if a, ok := k.sealers.Load(label); ok {
		return a.(cipher.AEAD)
	}
	block, err := aes.NewCipher(k.subkey("seal", label))
	if err != nil {
		panic("secret: " + err.Error()) // a 32-byte key always fits
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("secret: " + err.Error()) // so does a 16-byte block
	}
	kept, _ := k.sealers.LoadOrStore(label, a)
	return kept.(cipher.AEAD)
}

func (k *Key) macKey(label string) []byte {
	if m, ok := k.macs.Load(label); ok {
		return m.([]byte)
	}
	kept, _ := k.macs.LoadOrStore(label, k.subkey("mac", label))
	return kept.([]byte)
}

// subkey derives the 32 bytes for one use of one label; use has no colon, so no
// two pairs share an info string.
func (k *Key) subkey(use, label string) []byte {
	sub, err := hkdf.Expand(sha256.New, k.prk, use+":"+label, KeySize)
	if err != nil {
		panic("secret: " + err.Error()) // 32 bytes are within HKDF's limit
	}
	return sub
}
