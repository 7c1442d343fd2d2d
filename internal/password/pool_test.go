package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// tiny are the cheapest parameters there are, for tests of the pool's ways
// rather than of its work.
var tiny = Params{Memory: 8, Time: 1, Threads: 1}

func TestHashVerifies(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{})
	for _, plain := range []string{"correct horse battery staple", "", "pässwörd\x00with a zero", strings.Repeat("x", 5000)} {
		encoded, err := p.Hash(t.Context(), plain)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("Hash = %s, want OWASP's parameters", encoded)
		}
		if ok, outdated, err := p.Verify(t.Context(), encoded, plain); !ok || outdated || err != nil {
			t.Errorf("right password: %v, %v, %v; want true, false, nil", ok, outdated, err)
		}
		if ok, _, err := p.Verify(t.Context(), encoded, plain+"x"); ok || err != nil {
			t.Errorf("wrong password: %v, %v; want false, nil", ok, err)
		}
		again, err := p.Hash(t.Context(), plain)
		if err != nil || again == encoded {
			t.Errorf("the same password hashed to the same text twice, or %v", err)
		}
	}
}

func TestOtherParametersAreOutdated(t *testing.T) {
	t.Parallel()
	old := NewPool(PoolOptions{Params: tiny})
	encoded, err := old.Hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	for params, want := range map[Params]bool{
		tiny:       false,
		{16, 1, 1}: true, {8, 2, 1}: true, {16, 1, 2}: true,
	} {
		ok, outdated, err := NewPool(PoolOptions{Params: params}).Verify(t.Context(), encoded, "a password")
		if !ok || outdated != want || err != nil {
			t.Errorf("pool of %+v: %v, %v, %v; want true, %v, nil", params, ok, outdated, err, want)
		}
	}
	// Our parameters in Django's notation are not how we would write them.
	if ok, outdated, err := old.Verify(t.Context(), "argon2"+encoded, "a password"); !ok || !outdated || err != nil {
		t.Errorf("Django's notation: %v, %v, %v; want true, true, nil", ok, outdated, err)
	}
}

func TestUnknownUserCostsTheSameWork(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{Params: Params{Memory: 64, Time: 3, Threads: 1}})
	encoded, err := p.Hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	work := func(encoded string) (hashes, passes uint64) {
		before := p.Stats()
		if ok, outdated, err := p.Verify(t.Context(), encoded, "a wrong password"); ok || outdated || err != nil {
			t.Errorf("Verify(%q) = %v, %v, %v; want false, false, nil", encoded, ok, outdated, err)
		}
		after := p.Stats()
		return after.Hashes - before.Hashes, after.Passes - before.Passes
	}
	wantHashes, wantPasses := work(encoded)
	if wantHashes != 1 || wantPasses != 64*3 {
		t.Fatalf("a wrong password cost %d hashes of %d KiB·passes, want 1 of 192", wantHashes, wantPasses)
	}
	for _, nothing := range []string{"", "!", "!unusable", "no format", "$argon2id$v=19$broken", encoded[:len(encoded)-1] + "$"} {
		if h, n := work(nothing); h != wantHashes || n != wantPasses {
			t.Errorf("Verify(%q) cost %d hashes of %d KiB·passes, want %d of %d", nothing, h, n, wantHashes, wantPasses)
		}
	}
	// An imported hash that costs nothing must not answer sooner than ours.
	light := "{SSHA}hgxIo8nl2NYy3e4xt53jkSCR5nE7x9i7"
	if h, n := work(light); h != 2 || n != wantPasses {
		t.Errorf("a cheap imported hash cost %d hashes of %d KiB·passes, want 2 of %d", h, n, wantPasses)
	}
}

func TestDummyMatchesNothing(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{Params: tiny})
	for _, plain := range []string{"", "x", string(p.dummy.argon.key), p.dummy.argon.String()} {
		if ok, _, err := p.Verify(t.Context(), "!", plain); ok || err != nil {
			t.Errorf("Verify(!, %q) = %v, %v; want false, nil", plain, ok, err)
		}
	}
}

func TestSlotsBoundHashesAtOnce(t *testing.T) {
	t.Parallel()
	const slots, callers = 3, 40
	p := NewPool(PoolOptions{Params: tiny, Slots: slots, Queue: callers, Wait: time.Minute})
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			err := p.hold(t.Context(), false, func(s *slot) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				s.use(8, func([]block) { runtime.Gosched() })
				now.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got > slots {
		t.Errorf("%d at once, want at most %d", got, slots)
	}
	if s := p.Stats(); s.Busy != 0 || s.Waiting != 0 || s.Slots != slots {
		t.Errorf("afterwards %+v, want all slots free", s)
	}
}

// occupy takes every slot of p until the returned function is called.
func occupy(t *testing.T, p *Pool) (release func()) {
	t.Helper()
	done := make(chan struct{})
	var taken, ended sync.WaitGroup
	for range cap(p.slots) {
		taken.Add(1)
		ended.Go(func() {
			if err := p.hold(t.Context(), false, func(*slot) { taken.Done(); <-done }); err != nil {
				t.Error(err)
			}
		})
	}
	taken.Wait()
	return func() { close(done); ended.Wait() }
}

func TestFullQueueIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolOptions{Params: tiny, Slots: 1, Queue: 2, Wait: time.Hour})
		release := occupy(t, p)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := p.Hash(t.Context(), "x"); err != nil {
					t.Errorf("a queued caller got %v", err)
				}
			})
		}
		synctest.Wait()
		if _, err := p.Hash(t.Context(), "x"); err != ErrBusy {
			t.Errorf("with the queue full: %v, want ErrBusy", err)
		}
		if _, _, err := p.Verify(t.Context(), "", "x"); err != ErrBusy {
			t.Errorf("a dummy check jumped the queue: %v, want ErrBusy", err)
		}
		if s := p.Stats(); s.Refused != 2 || s.Waiting != 2 || s.Busy != 1 {
			t.Errorf("stats %+v, want 2 refused, 2 waiting, 1 busy", s)
		}
		release()
		wg.Wait()
	})
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolOptions{Params: tiny, Slots: 1, Wait: 2 * time.Second})
		release := occupy(t, p)
		defer release()
		start := time.Now()
		if _, err := p.Hash(t.Context(), "x"); err != ErrBusy || time.Since(start) != 2*time.Second {
			t.Errorf("gave up with %v after %v, want ErrBusy after 2s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := p.Verify(ctx, "", "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller out of time got %v, want its own deadline", err)
		}
		if _, err := p.Hash(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that came too late got %v, want its own deadline", err)
		}
		if s := p.Stats(); s.Refused != 1 || s.Waiting != 0 {
			t.Errorf("stats %+v, want 1 refused and none waiting", s)
		}
	})
}

func TestOneLargeCheckAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolOptions{Params: tiny, Slots: 2, Wait: time.Hour})
		hold, done := make(chan struct{}), make(chan struct{})
		var order []string
		go func() {
			_ = p.hold(t.Context(), true, func(*slot) { <-hold })
			close(done)
		}()
		synctest.Wait()
		second := make(chan struct{})
		go func() {
			_ = p.hold(t.Context(), true, func(*slot) { order = append(order, "large") })
			close(second)
		}()
		synctest.Wait()
		// The second large one waits without a slot: an ordinary hash passes it.
		if _, err := p.Hash(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		order = append(order, "ordinary")
		close(hold)
		<-done
		<-second
		if got := strings.Join(order, " "); got != "ordinary large" {
			t.Errorf("order %q, want the ordinary hash first", got)
		}
		if s := p.Stats(); s.Busy != 0 || len(p.large) != 0 {
			t.Errorf("afterwards %+v, %d large; want all free", s, len(p.large))
		}
	})
}

func TestLargeWaiterThatGivesUpLetsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolOptions{Params: tiny, Slots: 1, Wait: time.Second})
		release := occupy(t, p)
		if err := p.hold(t.Context(), true, func(*slot) {}); err != ErrBusy {
			t.Errorf("got %v, want ErrBusy", err)
		}
		release()
		if err := p.hold(t.Context(), true, func(*slot) {}); err != nil {
			t.Errorf("the next large check got %v", err)
		}
	})
}

func TestPanicFreesTheSlot(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{Params: tiny, Slots: 1})
	func() {
		defer func() { _ = recover() }()
		_ = p.hold(t.Context(), true, func(s *slot) { panic("in a hash") })
	}()
	if s := p.Stats(); s.Busy != 0 || len(p.large) != 0 {
		t.Errorf("after a panic: %+v, %d large; want all free", s, len(p.large))
	}
}

func TestMemoryIsWipedAndGivenBack(t *testing.T) {
	t.Parallel()
	s := &slot{size: 64}
	fill := func(n int) {
		s.use(n, func(mem []block) {
			for i := range mem {
				if mem[i] != (block{}) {
					t.Errorf("block %d is not zero at the start", i)
				}
				mem[i][7] = 1
			}
		})
	}
	fill(64)
	fill(8) // straight after: the first use must not show
	fill(64)
	s.wipe()
	for i := range s.mem {
		if s.mem[i] != (block{}) {
			t.Fatalf("block %d is not zero after wipe", i)
		}
	}
	fill(200) // more than the slot's own
	fill(64)
	s.drop()
	if s.mem != nil {
		t.Error("drop kept the memory")
	}
	s.drop()
	fill(64)
	s.drop()
}

func TestTrimLeavesWhatIsInUse(t *testing.T) {
	t.Parallel()
	p := NewPool(PoolOptions{Params: tiny, Slots: 2})
	kept := func() (n int) {
		for range cap(p.slots) {
			s := <-p.slots
			if s.mem != nil {
				n++
			}
			p.slots <- s
		}
		return n
	}
	hash := func() {
		t.Helper()
		if _, err := p.Hash(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	hash()
	p.Trim()
	if got := kept(); got != 1 {
		t.Errorf("after a hash Trim left %d slots their memory, want 1", got)
	}
	p.Trim()
	if got := kept(); got != 0 {
		t.Errorf("after an idle time Trim left %d slots their memory, want none", got)
	}
	hash()
	release := occupy(t, p)
	p.Trim()
	p.Trim()
	release()
	if got := kept(); got != 1 {
		t.Errorf("Trim took memory from a slot in use: %d left, want 1", got)
	}
	hash()
}

func TestNewPoolRefusesBadParameters(t *testing.T) {
	t.Parallel()
	for _, params := range []Params{{7, 1, 1}, {64, 0, 1}, {64, 1, 0}, {maxMemory + 1, 1, 1}, {1 << 20, 2, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewPool took %+v", params)
				}
			}()
			NewPool(PoolOptions{Params: params})
		}()
	}
}

func BenchmarkHash(b *testing.B) {
	p := NewPool(PoolOptions{Queue: 1000, Wait: time.Minute})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Hash(context.Background(), "correct horse battery staple"); err != nil {
				b.Error(err)
			}
		}
	})
}
