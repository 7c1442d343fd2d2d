// Package password owns what is known of a user's password: making hashes,
// verifying them (our own and those brought from elsewhere), and the policy for
// new ones. It does not own the row a hash lies in (package identity), counts
// no attempts (package limit) and writes no words for people.
//
// New hashes are argon2id (RFC 9106) with the parameters OWASP recommends, in
// the PHC string format. They are made on a Pool, which bounds how many run at
// once: a burst of sign-ins queues, or is turned away, where it would otherwise
// take all of the memory and every core from the other requests. One hash costs
// about 20 ms and 19 MiB, so callers hold no transaction while they wait.
package password

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"
)

// ErrBusy reports that the pool had no room: the queue was full, or no slot
// came free within the wait. The caller may try again in a second.
var ErrBusy = errors.New("password: too many hashes at once")

// Params are Argon2's costs.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// Default is OWASP's recommendation for argon2id.
var Default = Params{Memory: 19 * 1024, Time: 2, Threads: 1}

// PoolOptions are the bounds of a Pool. Every zero field has a default.
type PoolOptions struct {
	Params Params        // of new hashes; Default
	Slots  int           // hashes at once; GOMAXPROCS, or one less where there are 4 and more
	Queue  int           // callers that may wait for a slot; 64
	Wait   time.Duration // how long each waits at most; 2 s
}

// Pool makes and verifies hashes, a bounded number at once. It is for any
// number of goroutines, keeps none of its own and needs no closing. Each slot's
// memory is wiped after every hash and kept for the next one; Trim gives it back
// to the system.
type Pool struct {
	params  Params
	slots   chan *slot
	large   chan struct{} // held by the one check that needs more than a slot's memory
	queue   int64
	wait    time.Duration
	dummy   check
	waiting atomic.Int64
	hashes  atomic.Uint64
	passes  atomic.Uint64
	refused atomic.Uint64
}

// Stats is what a pool has done and does.
type Stats struct {
	Slots   int
	Busy    int    // slots in use now
	Waiting int    // callers waiting for one now
	Hashes  uint64 // hashes computed
	Passes  uint64 // KiB × passes of Argon2 in them
	Refused uint64 // callers turned away with ErrBusy
}

// NewPool returns a pool. Parameters that RFC 9106 does not allow, or that are
// past what Verify would take, are a programmer's mistake and panic.
func NewPool(o PoolOptions) *Pool {
	if o.Params == (Params{}) {
		o.Params = Default
	}
	if o.Slots <= 0 {
		o.Slots = runtime.GOMAXPROCS(0)
		if o.Slots >= 4 {
			o.Slots-- // one core for the requests that hash nothing
		}
	}
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.Wait <= 0 {
		o.Wait = 2 * time.Second
	}
	dummy := newArgonHash(o.Params)
	if _, ok := parseArgon(dummy.String()); !ok {
		panic("password: argon2 parameters out of range")
	}
	p := &Pool{
		params: o.Params,
		slots:  make(chan *slot, o.Slots),
		large:  make(chan struct{}, 1),
		queue:  int64(o.Queue),
		wait:   o.Wait,
		dummy:  check{argon: &dummy},
	}
	for range o.Slots {
		p.slots <- &slot{size: dummy.blocks()}
	}
	return p
}

// Full reports whether a caller would be turned away with ErrBusy at once. It
// may be otherwise a moment later.
func (p *Pool) Full() bool { return p.waiting.Load() >= p.queue }

// Hash returns a new hash of plain in the PHC string format. It fails with
// ErrBusy or with ctx's error.
func (p *Pool) Hash(ctx context.Context, plain string) (string, error) {
	h := newArgonHash(p.params)
	err := p.hold(ctx, false, func(s *slot) {
		s.use(h.blocks(), func(mem []block) { h.key = h.derive(mem, plain) })
		p.count(&h)
	})
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// Verify reports whether plain is the password that encoded was made of, and if
// so whether the hash is outdated: of another format, or with other parameters,
// than Hash makes now. It fails with ErrBusy or with ctx's error.
//
// Where there is nothing to verify, because encoded is empty, marked unusable
// ("!…") or of no known format, a dummy hash with the pool's own parameters
// takes the same way through the same slots. So "no such user", "no password"
// and "wrong password" cost the same work and wait in the same queue. Imported
// hashes that cost much less are followed by the dummy as well when they do not
// match. What is left to tell apart is an imported hash that costs more
// than ours, until its owner's next sign-in rewrites it.
func (p *Pool) Verify(ctx context.Context, encoded, plain string) (ok, outdated bool, err error) {
	c, known := parse(encoded)
	if !known {
		c = p.dummy
	}
	err = p.hold(ctx, c.memory() > p.dummy.memory(), func(s *slot) {
		ok = p.run(s, c, plain) && known
		if !ok && p.cheap(c) {
			p.run(s, p.dummy, plain)
		}
	})
	if err != nil {
		return false, false, err
	}
	return ok, ok && !p.current(c), nil
}

// Stats returns the pool's counters.
func (p *Pool) Stats() Stats {
	return Stats{
		Slots:   cap(p.slots),
		Busy:    cap(p.slots) - len(p.slots),
		Waiting: int(p.waiting.Load()),
		Hashes:  p.hashes.Load(),
		Passes:  p.passes.Load(),
		Refused: p.refused.Load(),
	}
}

// current reports whether c is what Hash makes now.
func (p *Pool) current(c check) bool {
	return c.argon != nil && !c.wrapped && c.argon.variant == argon2id && c.argon.params == p.params &&
		len(c.argon.salt) >= saltLength && len(c.argon.key) >= keyLength
}

// cheap reports whether c costs less than half of a hash of ours.
func (p *Pool) cheap(c check) bool {
	if c.argon != nil {
		return 2*c.argon.passes() < p.dummy.argon.passes()
	}
	return c.light
}

// run computes one check in the slot.
func (p *Pool) run(s *slot, c check, plain string) (ok bool) {
	p.count(c.argon)
	if c.argon == nil {
		return c.match(plain)
	}
	s.use(c.argon.blocks(), func(mem []block) { ok = c.argon.match(mem, plain) })
	return ok
}

func (p *Pool) count(h *argonHash) {
	p.hashes.Add(1)
	if h != nil {
		p.passes.Add(h.passes())
	}
}
