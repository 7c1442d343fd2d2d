package limit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/limit"
)

// node is one of several that count one rule in lots.
type node struct {
	d     *db.DB
	purse limit.Purse
	lots  atomic.Int64
}

var errDenied = errors.New("denied")

// admit counts a request as a surface does.
func (n *node) admit(r limit.Rule, lot int, now time.Time) (limit.State, error) {
	if s, ok := n.purse.Pay(r, now); ok {
		return s, nil
	}
	var out limit.State
	err := n.d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		states, wait, _, err := limit.Count(ctx, tx, now, r.Lots(lot))
		if err == nil && wait > 0 {
			err = errDenied
		}
		if err == nil {
			out = states[0]
		}
		return err
	})
	if err != nil {
		return limit.State{}, err
	}
	n.lots.Add(1)
	return n.purse.Fill(r, lot, out, now), nil
}

func TestPurseAdmitsTheRuleExactly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		n, r := &node{d: d}, limit.Rule{Name: "all", Key: "192.0.2.1", N: 50, Per: 15 * time.Minute}

		for i := range 50 {
			s, err := n.admit(r, 10, now)
			if err != nil || s.Left != 49-i {
				t.Fatalf("request %d: %+v, %v", i+1, s, err)
			}
		}
		if _, err := n.admit(r, 10, now); !errors.Is(err, errDenied) {
			t.Errorf("request 51: %v", err)
		}
		if n.lots.Load() != 5 {
			t.Errorf("%d writes for 50 requests", n.lots.Load())
		}
		other := r
		other.Key = "192.0.2.2"
		if _, err := n.admit(other, 10, now); err != nil {
			t.Errorf("another address: %v", err)
		}
		if s, err := n.admit(r, 10, now.Add(15*time.Minute)); err != nil || s.Left != 49 {
			t.Errorf("a window later: %+v, %v", s, err)
		}
	})
}

// However many nodes and callers there are, no more are admitted than the rule says, and
// no fewer than it says less what is left in the purses.
func TestPursesOfSeveralNodesAdmitNoMore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, admitted := limit.Rule{Name: "all", Key: "192.0.2.1", N: 50, Per: 15 * time.Minute}, atomic.Int64{}
		var all sync.WaitGroup
		for _, n := range []*node{{d: d}, {d: d}} {
			for range 4 {
				all.Go(func() {
					for range 20 {
						if _, err := n.admit(r, 10, now); err == nil {
							admitted.Add(1)
						} else if !errors.Is(err, errDenied) {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		if n := admitted.Load(); n > 50 || n < 50-2*9 {
			t.Errorf("%d were admitted", n)
		}
	})
}

func TestPurseForgetsWhatIsOld(t *testing.T) {
	p, r := limit.Purse{}, limit.Rule{Name: "all", Key: "a", N: 50, Per: time.Minute}
	if s := p.Fill(r, 10, limit.State{Left: 4, Full: time.Minute}, now); s.Left != 49 {
		t.Errorf("got %+v", s)
	}
	if _, ok := p.Pay(r, now.Add(time.Minute)); ok {
		t.Error("coins of a window that is over were good")
	}
	if s, ok := p.Pay(r, now.Add(30*time.Second)); !ok || s.Left != 48 || s.Full != 30*time.Second {
		t.Errorf("got %+v, %v", s, ok)
	}
}
