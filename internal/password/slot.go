package password

import (
	"context"
)

// slot is the right to compute one hash, with the memory for it.
type slot struct {
	size  int // blocks of the pool's own hashes
	mem   []block
	free  func()
	dirty int // blocks of mem that hold what was computed last
}

// use calls f with n blocks of zeros. Of the slot's own memory they stay dirty
// until wipe or drop; more than that is allocated for this one use.
func (s *slot) use(n int, f func(mem []block)) {
	if n > s.size {
		mem, free := allocate(n)
		defer free()
		f(mem)
		return
	}
	s.wipe()
	if s.mem == nil {
		s.mem, s.free = allocate(s.size)
	}
	s.dirty = n
	f(s.mem[:n])
}

// wipe makes the slot's memory zeros again.
func (s *slot) wipe() {
	clear(s.mem[:s.dirty])
	s.dirty = 0
}

// drop gives the slot's memory back.
func (s *slot) drop() {
	if s.mem != nil {
		s.free()
		s.mem, s.free, s.dirty = nil, nil, 0
	}
}

// hold calls f with a slot, waiting in the queue for one, and for the right to
// be the large check where one is needed. The slot is held for f only.
func (p *Pool) hold(ctx context.Context, large bool, f func(*slot)) error {
	s, err := p.acquire(ctx, large)
	if err != nil {
		return err
	}
	defer func() {
		// When nobody waits the burst is over, and an idle server should not sit
		// on the memory: whoever comes next pays the page faults.
		if p.waiting.Load() == 0 {
			s.drop()
		} else {
			s.wipe()
		}
		p.slots <- s
		if large {
			<-p.large
		}
	}()
	f(s)
	return nil
}

// acquire takes a slot, after the token for large checks, which is taken first
// so that nobody waits for it while holding a slot.
func (p *Pool) acquire(ctx context.Context, large bool) (*slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !large {
		select {
		case s := <-p.slots:
			return s, nil
		default:
		}
	}
	if p.waiting.Add(1) > p.queue {
		p.waiting.Add(-1)
		p.refused.Add(1)
		return nil, ErrBusy
	}
	defer p.waiting.Add(-1)
	wait, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	if large {
		select {
		case p.large <- struct{}{}:
		case <-wait.Done():
			return nil, p.gaveUp(ctx)
		}
	}
	select {
	case s := <-p.slots:
		return s, nil
	case <-wait.Done():
		if large {
			<-p.large
		}
		return nil, p.gaveUp(ctx)
	}
}

// gaveUp returns why a caller stopped waiting: its own context's error, or
// ErrBusy.
func (p *Pool) gaveUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.refused.Add(1)
	return ErrBusy
}
