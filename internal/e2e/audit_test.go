package e2e

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// check compares a site that serves again with what it acknowledged. Families
// live on, so that their chains get long, but for a sample that is ended by
// showing one of its old tokens, and those in doubt.
func (l *ledger) check(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	families, ended, people := l.families, l.ended, l.people
	l.families, l.ended, l.people = nil, nil, nil
	l.mu.Unlock()

	c := &checker{t: t, l: l, slots: make(chan struct{}, 16)}
	for _, email := range people {
		c.each(func() { c.person(email) })
	}
	if len(people) > 0 {
		email := people[rand.IntN(len(people))]
		c.each(func() { c.password(email) })
	}
	for _, f := range ended {
		c.each(func() { c.dead(f) })
	}
	for _, f := range families {
		c.each(func() { c.family(f) })
	}
	c.all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for raw, n := range l.used {
		if n > 1 {
			t.Errorf("refresh token %s… was answered with tokens %d times", raw[:16], n)
		}
	}
}

// checker is one check under way.
type checker struct {
	t     testing.TB
	l     *ledger
	slots chan struct{}
	all   sync.WaitGroup
}

func (c *checker) each(do func()) {
	c.all.Go(func() {
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
		do()
	})
}

// status is the answer to a request that must have one now.
func (c *checker) status(path string, in fields, out any) int {
	status, err := c.l.call(c.t.Context(), path, in, out)
	if err != nil || status == 0 {
		c.t.Errorf("%s, after recovery: %d, %v", path, status, err)
	}
	return status
}

// person asks for an account that an acknowledged sign-up made: it costs no hash.
func (c *checker) person(email string) {
	in := fields{"email": email, "password": ledgerPassword, "display_name": "Person", "app_id": modern}
	if got := c.status("/auth/signup", in, nil); got != 400 {
		c.t.Errorf("the acknowledged sign-up of %s is gone: signing up again got %d", email, got)
	}
}

func (c *checker) password(email string) {
	in := fields{"email": email, "password": ledgerPassword, "app_id": modern}
	if got := c.status("/auth/login", in, nil); got != 200 {
		c.t.Errorf("%s cannot sign in any more: %d", email, got)
	}
}

// use presents a refresh token, and notes if it was answered with another.
func (c *checker) use(raw string) (next string, good bool) {
	var tk tokens
	got := c.status("/token/refresh", fields{"refresh_token": raw, "app_id": modern}, &tk)
	if got == 200 {
		c.l.mu.Lock()
		c.l.used[raw]++
		c.l.mu.Unlock()
	} else if got != 401 {
		c.t.Errorf("refresh after recovery: got %d", got)
	}
	return tk.Refresh, got == 200
}

// dead presents tokens of a family that has ended.
func (c *checker) dead(f *family) {
	for _, raw := range sample(f.tokens, 3) {
		if _, good := c.use(raw); good {
			c.t.Errorf("a token of a revoked family works: its revocation was acknowledged")
		}
	}
}

func (c *checker) family(f *family) {
	doubt := f.doubt
	next, good := c.use(f.last())
	switch {
	case !good && !doubt:
		c.t.Errorf("an acknowledged refresh token is gone, after %d rotations", len(f.tokens)-1)
		return
	case !good:
		// The request that nobody answered was carried out; and if it was a
		// refresh, showing its token again has ended the family.
		c.dead(f)
		return
	}
	f.tokens, f.doubt = append(f.tokens, next), false
	if !doubt && rand.IntN(4) > 0 {
		c.l.give(f)
		return
	}
	// Every token but the last one was answered for. Any of them ends the family.
	if _, good := c.use(f.tokens[rand.IntN(len(f.tokens)-1)]); good {
		c.t.Errorf("a refresh token worked twice")
	}
	if _, good := c.use(f.last()); good {
		c.t.Errorf("the family of a reused token goes on")
	}
}

// sample is up to n of all, the last one among them.
func sample(all []string, n int) []string {
	picked := []string{all[len(all)-1]}
	for _, i := range rand.Perm(len(all) - 1)[:min(n, len(all))-1] {
		picked = append(picked, all[i])
	}
	return picked
}
