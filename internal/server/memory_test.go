package server

import (
	"runtime/metrics"
	"slices"
	"testing"
)

func TestMemoryLimitFollowsUse(t *testing.T) {
	t.Parallel()
	for inUse, want := range map[uint64]int64{0: leastLimit, 20 << 20: leastLimit, 100 << 20: 133 << 20} {
		if got := limitFor(inUse); got != want {
			t.Errorf("%d MiB in use: got %d MiB, want %d", inUse>>20, got>>20, want>>20)
		}
	}
}

// A name that the runtime does not know would read as nothing in use.
func TestMemoryIsReadByTheRuntimesNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{heapLive, heapFree, stacks} {
		known := slices.ContainsFunc(metrics.All(), func(d metrics.Description) bool { return d.Name == name && d.Kind == metrics.KindUint64 })
		if !known {
			t.Errorf("the runtime has no %s", name)
		}
	}
}
