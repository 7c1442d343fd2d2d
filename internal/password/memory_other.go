//go:build !linux

package password

// allocate returns n blocks of zeros, and what gives them back: here the heap's,
// wiped and left to the collector.
func allocate(n int) ([]block, func()) {
	b := make([]block, n)
	return b, func() { clear(b) }
}
