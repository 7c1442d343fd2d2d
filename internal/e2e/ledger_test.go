package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// ledger is what a site has acknowledged: a request counts here from the moment
// at which its answer was read. It puts load on the site, survives whatever
// happens to its processes, and can say afterwards whether anything is missing.
//
// A family that a request without an answer was about is in doubt: both what
// was before it and what it asked for may be true. Nothing else may.
type ledger struct {
	base string
	http *http.Client

	mu       sync.Mutex
	next     int
	people   []string       // addresses whose sign-up was acknowledged
	families []*family      // not owned by a worker now
	ended    []*family      // revoked, and acknowledged as such
	used     map[string]int // refresh token → times it was answered with tokens
	count    tally
}

// family is the refresh tokens of one sign-in, oldest first. The last one is
// good, unless doubt is set. It belongs to one goroutine at a time.
type family struct {
	tokens []string
	doubt  bool // the last request about it has no answer
}

func (f *family) last() string { return f.tokens[len(f.tokens)-1] }

// tally counts what was acknowledged, and what was not.
type tally struct{ signUps, refreshes, revocations, reuses, lost, unavailable int }

func (t tally) String() string {
	return fmt.Sprintf("%d sign-ups, %d refreshes, %d revocations, %d reuses acknowledged; %d requests without answer, %d answered 503",
		t.signUps, t.refreshes, t.revocations, t.reuses, t.lost, t.unavailable)
}

const ledgerPassword = "a-long-enough-password"

func newLedger(t testing.TB, base string) *ledger {
	tr := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(tr.CloseIdleConnections)
	return &ledger{base: base, http: &http.Client{Transport: tr, Timeout: 40 * time.Second}, used: map[string]int{}}
}

// call posts JSON from an address of its own. The status is 0 when there was no
// whole answer.
func (l *ledger) call(ctx context.Context, path string, in fields, out any) (status int, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", l.base+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", address())
	res, err := l.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	switch {
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "":
		return res.StatusCode, fmt.Errorf("%s: 503 without Retry-After: %s", path, b)
	case res.StatusCode == http.StatusOK && out != nil:
		return res.StatusCode, json.Unmarshal(b, out)
	}
	return res.StatusCode, nil
}

// work makes requests until ctx ends: mostly refreshes, some sign-ups, few
// revocations. A request that has begun is waited for. It returns what no
// outage explains.
func (l *ledger) work(ctx context.Context) error {
	for ctx.Err() == nil {
		var err error
		f := l.take()
		switch dice := rand.IntN(100); {
		case f == nil || dice < 8:
			err = l.signUp(ctx)
		case dice < 12:
			err = l.revoke(ctx, f)
			f = nil
		case dice < 15:
			err = l.duel(ctx, f)
			f = nil
		default:
			err = l.refresh(ctx, f)
		}
		l.give(f)
		if err != nil {
			return err
		}
		if f != nil && f.doubt { // let a process that is gone come back
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// take takes a family that nobody has and nothing is unknown about.
func (l *ledger) take() *family {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 8 {
		if len(l.families) == 0 {
			return nil
		}
		i := rand.IntN(len(l.families))
		if f := l.families[i]; !f.doubt {
			l.families = slices.Delete(l.families, i, i+1)
			return f
		}
	}
	return nil
}

func (l *ledger) give(f *family) {
	if f == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.families = append(l.families, f)
}

func (l *ledger) email(i int) string { return fmt.Sprintf("person-%d@example.com", i) }

func (l *ledger) signUp(ctx context.Context) error {
	l.mu.Lock()
	l.next++
	email := l.email(l.next)
	l.mu.Unlock()
	var tk tokens
	status, err := l.call(context.WithoutCancel(ctx), "/auth/signup",
		fields{"email": email, "password": ledgerPassword, "display_name": "Person", "app_id": modern}, &tk)
	l.mu.Lock()
	defer l.mu.Unlock()
	if status == http.StatusOK {
		l.count.signUps++
		l.people = append(l.people, email)
		l.families = append(l.families, &family{tokens: []string{tk.Refresh}})
	}
	return l.judge("sign-up", status, err)
}

// judge sorts what is no success: an outage is expected, anything else is a
// mistake. It is called with the lock held.
func (l *ledger) judge(what string, status int, err error) error {
	switch {
	case status == http.StatusOK && err == nil:
		return nil
	case status == 0:
		l.count.lost++
		return nil
	case status == http.StatusServiceUnavailable && err == nil:
		l.count.unavailable++
		return nil
	}
	return fmt.Errorf("%s: answered %d: %w", what, status, err)
}

// refresh rotates the last token of a family.
func (l *ledger) refresh(ctx context.Context, f *family) error {
	raw := f.last()
	var tk tokens
	status, err := l.call(context.WithoutCancel(ctx), "/token/refresh", fields{"refresh_token": raw, "app_id": modern}, &tk)
	l.mu.Lock()
	defer l.mu.Unlock()
	if status == http.StatusOK {
		l.count.refreshes++
		l.used[raw]++
		f.tokens = append(f.tokens, tk.Refresh)
	} else {
		f.doubt = true
	}
	return l.judge("refresh", status, err)
}

// revoke ends a family.
func (l *ledger) revoke(ctx context.Context, f *family) error {
	status, err := l.call(context.WithoutCancel(ctx), "/token/revoke", fields{"refresh_token": f.last()}, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	if status == http.StatusOK {
		l.count.revocations++
		l.ended = append(l.ended, f)
	} else {
		f.doubt = true
		l.families = append(l.families, f)
	}
	return l.judge("revocation", status, err)
}

// duel shows the last token of a family twice at once: one of the two may get
// tokens, and the other one ends the family.
func (l *ledger) duel(ctx context.Context, f *family) error {
	raw := f.last()
	var status [2]int
	var failed [2]error
	var both sync.WaitGroup
	for i := range status {
		both.Go(func() {
			status[i], failed[i] = l.call(context.WithoutCancel(ctx), "/token/refresh", fields{"refresh_token": raw, "app_id": modern}, nil)
		})
	}
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range status {
		if s == http.StatusOK {
			l.count.refreshes++
			l.used[raw]++
		}
	}
	if slices.Contains(status[:], http.StatusUnauthorized) {
		l.count.reuses++
		l.ended = append(l.ended, f)
		return nil
	}
	// Its token, if it has one, got lost.
	f.doubt = true
	l.families = append(l.families, f)
	return errors.Join(l.judge("refresh", status[0], failed[0]), l.judge("refresh", status[1], failed[1]))
}

// load runs n workers until the returned function is called, which waits for
// them and returns their mistakes.
func (l *ledger) load(t testing.TB, n int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			if err := l.work(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return func() {
		t.Helper()
		cancel()
		workers.Wait()
	}
}

// total is the tally so far.
func (l *ledger) total() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
