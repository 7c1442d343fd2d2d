package limit

import (
	"sync"
	"time"
)

// Purse lets a node count in lots: one write of Rule.Lot admits that many requests,
// which the node then pays out of memory. A limit on everything that somebody asks for
// would otherwise cost a write for each of it, reading included.
//
// What was paid for is never more than the rule admits, over any number of nodes: a lot
// is counted before it is paid out. What a node still holds when it stops is lost to the
// one who asked. The zero value is an empty purse.
type Purse struct {
	mu   sync.Mutex
	held map[string]coins
}

// coins are what is left of a lot. left and full are how the rule stood beyond it.
type coins struct {
	n, left int
	until   time.Time
	full    time.Time
}

// purseSize is how many subjects a purse holds coins for, at some 200 bytes each.
const purseSize = 50_000

// Lots is r as it is counted in lots of n requests.
func (r Rule) Lots(n int) Rule {
	r.N /= n
	return r
}

// Pay takes one request out of the purse and tells how the rule stands; false if there is
// nothing in it for the rule's subject, and a lot has to be counted.
func (p *Purse) Pay(r Rule, now time.Time) (State, bool) {
	key := rowKey(r.Name, r.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.held[key]
	if !ok || !now.Before(c.until) {
		return State{}, false
	}
	c.n--
	if c.n == 0 {
		delete(p.held, key)
	} else {
		p.held[key] = c
	}
	return State{Left: c.left + c.n, Full: c.full.Sub(now)}, true
}

// Fill puts a lot of n that was counted into the purse, less the request that it was
// counted for. s is how the rule stands, in lots; it returns it in requests.
func (p *Purse) Fill(r Rule, n int, s State, now time.Time) State {
	out := State{Left: s.Left*n + n - 1, Full: s.Full}
	if n == 1 {
		return out
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil || len(p.held) >= purseSize {
		p.held = map[string]coins{} // a flood of strangers: they count anew
	}
	key := rowKey(r.Name, r.Key)
	more := n - 1
	if c, ok := p.held[key]; ok && now.Before(c.until) { // two lots were counted at once
		more += c.n
	}
	p.held[key] = coins{n: more, left: s.Left * n, until: now.Add(r.Per), full: now.Add(s.Full)}
	return out
}
