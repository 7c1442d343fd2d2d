package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
)

// killsVariable says how often each crash test kills. The release is tested
// with 50.
const killsVariable = "SALLYPORT_TEST_KILLS"

func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(killsVariable))
	if os.Getenv(killsVariable) == "" {
		n, err = 8, nil
	}
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is not a number of kills", killsVariable, os.Getenv(killsVariable))
	}
	return n
}

// TestCrash kills the program at random moments under load, as a power cut
// would. What it acknowledged is there afterwards, and no refresh token works
// twice.
func TestCrash(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		t.Parallel()
		s := newSite(t, url, options{log: "warn", mail: "log"})
		l := newLedger(t, s.base)
		for range kills(t) {
			n := s.serve()
			l.check(t)
			stop := l.load(t, 12)
			pause(t, moment())
			n.kill()
			stop()
			if t.Failed() {
				break
			}
		}
		s.serve()
		l.check(t)
		t.Logf("%d kills: %v", kills(t), l.total())
	})
}

// TestDatabaseCrash kills the PostgreSQL server below: one of its processes,
// upon which the others restart, or all of them. In every third round the
// program goes down with it.
func TestDatabaseCrash(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := newSite(t, c.url, options{log: "warn", mail: "log"})
	l := newLedger(t, s.base)
	n := s.serve()
	for i := range kills(t) {
		stop := l.load(t, 12)
		pause(t, moment())
		switch i % 3 {
		case 0:
			c.killBackend()
		case 1:
			c.kill()
			c.start()
		case 2:
			c.kill()
			n.kill()
		}
		pause(t, moment()/4)
		stop()
		if i%3 == 2 {
			c.start()
			n = s.serve()
		}
		healthy(t, s)
		l.check(t)
		if t.Failed() {
			break
		}
	}
	if got := l.total(); got.unavailable+got.lost == 0 {
		t.Error("the database was never missed")
	}
	t.Logf("%d kills: %v", kills(t), l.total())
}

// moment is a random time into the load: from before the first answers to well
// into it.
func moment() time.Duration { return time.Duration(20+rand.IntN(600)) * time.Millisecond }

// pause lets the load run.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// healthy waits until a site says that it can serve.
func healthy(t testing.TB, s *site) {
	t.Helper()
	v := s.visitor(t)
	eventually(t, time.Minute, "the site is ready", func() bool { return v.get("/readyz").status == 200 })
}

// eventually waits for something to become true.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	late := time.After(within)
	for !holds() {
		select {
		case <-late:
			t.Fatalf("after %v: not yet so that %s", within, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
