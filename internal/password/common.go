package password

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

//go:generate go run common_gen.go seclists.txt django.txt.gz

// commonFilter holds about 100,000 common passwords of at least Floor code
// points; README.md says whose lists they are. Each is the first 38 bits of the
// SHA-256 of the password in lower case. The first 14 of them choose a bucket,
// the other 24 are kept in its order:
//
//	(1<<14)+1 × 3 bytes  where each bucket begins, counted in entries
//	       n × 3 bytes  the entries
//
// It is read where it lies in the binary: start-up pays nothing for it, and a
// look-up touches two pages. Any one password not on the lists is taken for a
// common one with a chance of n / 2^38, three in ten million.
//
//go:embed common.bin
var commonFilter string

const (
	bucketBits  = 14
	commonIndex = 3 * (1<<bucketBits + 1) // bytes
	commonMost  = 64                      // bytes: no list has a longer password
)

// isCommon reports whether plain, in lower case, is on the list.
func isCommon(plain string) bool {
	var room [commonMost + utf8.UTFMax]byte
	lower := room[:0]
	for _, r := range plain {
		if lower = utf8.AppendRune(lower, unicode.ToLower(r)); len(lower) > commonMost {
			return false
		}
	}
	sum := sha256.Sum256(lower)
	bits := binary.BigEndian.Uint64(sum[:])
	bucket := int(bits >> (64 - bucketBits))
	want := int(bits >> (64 - bucketBits - 24) & (1<<24 - 1))
	for i := common24(3 * bucket); i < common24(3*bucket+3); i++ {
		if common24(commonIndex+3*i) == want {
			return true
		}
	}
	return false
}

// common24 reads three bytes of the filter.
func common24(at int) int {
	return int(commonFilter[at])<<16 | int(commonFilter[at+1])<<8 | int(commonFilter[at+2])
}
