package identity

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A KSUID is an id as AccountMaker writes it: twenty bytes, the second since
// 1,400,000,000 (13 May 2014) in four and a payload in sixteen, big-endian, as
// 27 digits of base 62 in the order of ASCII (github.com/segmentio/ksuid,
// "How do KSUIDs work?"). Our payload is the UUID itself. The second is the one
// that a UUIDv7 tells, or 0 for a UUID that tells none, so that the text is made
// of the id alone, back and forth, and sorts as ids do.
const (
	ksuidEpoch  = 1_400_000_000
	ksuidBytes  = 4 + 16
	ksuidLength = 27
	ksuidDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// KSUID writes a UUID as prefix, "_" and a KSUID; "" for any other text.
func KSUID(prefix, id string) string {
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id {
		return ""
	}
	return prefix + "_" + base62(layout(u))
}

// FromKSUID reads the id that KSUID wrote with the prefix. It takes that one
// spelling and no other: two texts are never the same id.
func FromKSUID(prefix, s string) (id string, ok bool) {
	digits, ok := strings.CutPrefix(s, prefix+"_")
	if !ok {
		return "", false
	}
	raw, ok := unbase62(digits)
	if !ok {
		return "", false
	}
	u := uuid.UUID(raw[4:])
	return u.String(), layout(u) == raw
}

// NamedID is the id of what has none of its own, a name within the thing that
// has the id parent: a UUIDv5 (RFC 9562 §5.5).
func NamedID(parent, name string) string {
	return uuid.NewSHA1(uuid.MustParse(parent), []byte(name)).String()
}

// layout is a KSUID's bytes for a UUID. A time that four bytes do not hold is
// written as none.
func layout(u uuid.UUID) (raw [ksuidBytes]byte) {
	if at, ok := TimeOf(u.String()); ok {
		if second := at.Sub(time.Unix(ksuidEpoch, 0)) / time.Second; second > 0 && second <= 1<<32-1 {
			binary.BigEndian.PutUint32(raw[:4], uint32(second))
		}
	}
	copy(raw[4:], u[:])
	return raw
}

// base62 divides the number by 62 until nothing is left, a 32-bit limb at a time.
func base62(raw [ksuidBytes]byte) string {
	var limbs [ksuidBytes / 4]uint32
	for i := range limbs {
		limbs[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
	var out [ksuidLength]byte
	for i := len(out) - 1; i >= 0; i-- {
		var rest uint64
		for j, limb := range limbs {
			n := rest<<32 | uint64(limb)
			limbs[j], rest = uint32(n/62), n%62
		}
		out[i] = ksuidDigits[rest]
	}
	return string(out[:])
}

// unbase62 is the way back; false for what is not 27 digits or more than twenty
// bytes hold.
func unbase62(s string) (raw [ksuidBytes]byte, ok bool) {
	if len(s) != ksuidLength {
		return raw, false
	}
	var limbs [ksuidBytes / 4]uint32
	for _, c := range []byte(s) {
		digit := strings.IndexByte(ksuidDigits, c)
		if digit < 0 {
			return raw, false
		}
		carry := uint64(digit)
		for j := len(limbs) - 1; j >= 0; j-- {
			n := uint64(limbs[j])*62 + carry
			limbs[j], carry = uint32(n), n>>32
		}
		if carry > 0 {
			return raw, false
		}
	}
	for i, limb := range limbs {
		binary.BigEndian.PutUint32(raw[4*i:], limb)
	}
	return raw, true
}
