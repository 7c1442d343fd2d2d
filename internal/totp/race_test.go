package totp_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/totp"
)

// race lets n callers use their codes at once and counts the winners.
func (x fixture) race(n int, codeOf func(i int) string, at time.Time) int64 {
	var won atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			switch err := x.use(codeOf(i), at); err {
			case nil:
				won.Add(1)
			case totp.ErrCode:
			default:
				x.t.Errorf("a loser got %v, want ErrCode", err)
			}
		})
	}
	close(start)
	wg.Wait()
	return won.Load()
}

func TestOneOfAHundredUsesAStep(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		base32, _ := x.enable()
		c := code(t, base32, later(60))
		if won := x.race(100, func(int) string { return c }, later(60)); won != 1 {
			t.Errorf("%d of 100 used the same code, want 1", won)
		}
	})
}

func TestOneOfAHundredUsesABackupCode(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		_, backup := x.enable()
		if won := x.race(100, func(i int) string { return backup[i%2] }, now); won != 2 {
			t.Errorf("%d of 100 used the same two codes, want 2", won)
		}
		x.want(true, 8)
	})
}

func TestOneOfManyConfirms(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		base32, err := x.begin(now)
		if err != nil {
			t.Fatal(err)
		}
		c := code(t, base32, now)
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				switch _, err := x.confirm(c, now); err {
				case nil:
					won.Add(1)
				case totp.ErrNotStarted:
				default:
					t.Errorf("a loser got %v, want ErrNotStarted", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 30 confirmed, want 1", won.Load())
		}
		x.want(true, 10)
	})
}

func TestConcurrentNewBackupCodesLeaveOneSet(t *testing.T) {
	each(t, func(t *testing.T, x fixture) {
		x.enable()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := x.newBackupCodes(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		x.want(true, 10)
	})
}
