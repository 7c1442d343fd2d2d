package wire

import (
	"strings"
	"testing"
)

// A body of 64 KiB is not unpacked to megabytes: two bytes spell a value, which
// takes a hundred.
func TestBodiesDoNotUnpackToMegabytes(t *testing.T) {
	for name, body := range map[string]string{
		"numbers": `{"a":[` + strings.Repeat("0,", MaxBody/2-8) + `0]}`,
		"lists":   `{"a":[` + strings.Repeat("[],", MaxBody/3-8) + `[]]}`,
	} {
		if n := testing.Benchmark(func(b *testing.B) {
			for range b.N {
				_, _ = parse(body)
			}
		}).AllocedBytesPerOp(); n > 2<<20 {
			t.Errorf("%s: %d bytes of JSON take %d bytes", name, len(body), n)
		}
	}
}
