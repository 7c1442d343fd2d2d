package password

import (
	"context"
)

// slot is the right to compute one hash, with the memory for it.
type slot struct {
	size  int // blocks of the pool's own hashes
	mem   []block
	free  func()
	dirty int  // blocks of mem that hold what was computed last
	used  bool // since the last Trim
}

// use calls f with n blocks of zeros. Of the slot's own memory they stay dirty
// until wipe; more than that is allocated for this one use.
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
	s.dirty, s.used = n, true
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

// Trim gives the memory of slots back to the system that have hashed nothing
// since the last Trim. Called now and then it lets a server be small again after
// a burst, while one that is busy keeps its memory: having it anew costs the next
// hash about a fifth of its time in page faults.
func (p *Pool) Trim() {
	var free []*slot
	for range cap(p.slots) {
		select {
		case s := <-p.slots:
			free = append(free, s)
		default: // in use
		}
	}
	for _, s := range free {
		if !s.used {
			s.drop()
		}
		s.used = false
		p.slots <- s
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
		s.wipe()
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
