package password

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBurstStaysSmall lets a thousand callers come at once, in a process of its
// own so that its peak memory is only this: two slots' memory and the little
// that a waiting caller costs.
func TestBurstStaysSmall(t *testing.T) {
	const child = "SALLYPORT_TEST_BURST"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBurstStaysSmall$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	p := NewPool(PoolOptions{Slots: 2, Queue: 1000, Wait: time.Second})
	var hashed, busy atomic.Int64
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			switch _, _, err := p.Verify(context.Background(), "", "a password"); {
			case err == nil:
				hashed.Add(1)
			case errors.Is(err, ErrBusy):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if hashed.Load() < 2 || hashed.Load()+busy.Load() != 1000 {
		t.Errorf("%d hashed and %d turned away, want 1000 together", hashed.Load(), busy.Load())
	}
	p.Trim() // has seen the slots used
	p.Trim() // and now not
	most, now := resident(t, "VmHWM:"), resident(t, "VmRSS:")
	t.Logf("%d hashed, %d turned away; peak %d KiB, now %d KiB", hashed.Load(), busy.Load(), most, now)
	if !raceEnabled && most > 70<<10 {
		t.Errorf("the process reached %d KiB, want at most 70 MiB for two hashes of 19 MiB", most)
	}
	if !raceEnabled && now > 35<<10 {
		t.Errorf("the idle process holds %d KiB, want the slots' memory given back by Trim", now)
	}
}

// resident reads one of the process's memory figures, in KiB.
func resident(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), name)
	value, _, ok2 := strings.Cut(strings.TrimSpace(rest), " kB")
	n, err := strconv.Atoi(value)
	if !ok || !ok2 || err != nil {
		t.Fatalf("no %s in %s", name, b)
	}
	return n
}
