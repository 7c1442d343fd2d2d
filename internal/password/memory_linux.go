package password

import (
	"syscall"
	"unsafe"
)

// allocate returns n blocks of zeros outside the Go heap, and what gives them
// back. Outside, they do not count as live memory, of which the collector lets
// as much again lie about as garbage; and the kernel is asked for large pages:
// Argon2 reads all over its memory, and with 4 KiB pages most reads miss the
// address cache too. What is given back is wiped: the kernel hands no page on
// as it was.
func allocate(n int) ([]block, func()) {
	size := n * int(unsafe.Sizeof(block{}))
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		heap := make([]block, n) // does as well, only at a higher price
		return heap, func() { clear(heap) }
	}
	// Both results are of no consequence: large pages are a wish, and the one
	// mistake munmap knows is a range that was never mapped.
	_ = syscall.Madvise(b, syscall.MADV_HUGEPAGE)
	return unsafe.Slice((*block)(unsafe.Pointer(&b[0])), n), func() { _ = syscall.Munmap(b) }
}
