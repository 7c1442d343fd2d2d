package waitlist_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/waitlist"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// hall is a database with a client, two organizations and two people in both.
type hall struct {
	*testing.T
	d      *db.DB
	client client.ID
	orgs   [2]org.ID
	people [2]identity.UserID
}

func open(t *testing.T, d *db.DB) hall {
	t.Helper()
	h := hall{T: t, d: d, client: client.NewID()}
	h.write(func(ctx context.Context, tx *db.Tx) error {
		if err := client.Create(ctx, tx, client.Client{ID: h.client, Name: "Shop", Active: true, CreatedAt: now}); err != nil {
			return err
		}
		for i, name := range []string{"jane", "john"} {
			u := identity.User{ID: identity.NewUserID(), Email: name + "@example.com", Status: identity.Active, CreatedAt: now}
			s, err := org.Create(ctx, tx, org.Org{Name: name}, now)
			if err := errors.Join(err, identity.Create(ctx, tx, u)); err != nil {
				return err
			}
			h.people[i], h.orgs[i] = u.ID, s.ID
		}
		return nil
	})
	return h
}

func (h hall) write(fn func(context.Context, *db.Tx) error) {
	h.Helper()
	if err := h.d.Write(h.Context(), fn); err != nil {
		h.Fatal(err)
	}
}

func (h hall) join(o, u int, feature string, at time.Time) (e waitlist.Entry, made bool) {
	h.Helper()
	h.write(func(ctx context.Context, tx *db.Tx) (err error) {
		e, made, err = waitlist.Join(ctx, tx, waitlist.Entry{OrgID: h.orgs[o], UserID: h.people[u], Feature: feature, ClientID: h.client}, at)
		return err
	})
	return e, made
}

func (h hall) list(o, u int) (names string) {
	h.Helper()
	h.write(func(ctx context.Context, tx *db.Tx) error {
		names = ""
		all, err := waitlist.List(ctx, tx, h.orgs[o], h.people[u])
		for _, e := range all {
			names += e.Feature + " "
		}
		return err
	})
	return names
}

func TestJoiningAgainChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		first, made := h.join(0, 0, "beta", now)
		again, madeAgain := h.join(0, 0, "beta", now.Add(time.Hour))
		if diff := cmp.Diff(first, again); !made || madeAgain || diff != "" {
			t.Errorf("made %v, then %v: %s", made, madeAgain, diff)
		}
	})
}

func TestListsAreOfOneUserInOneOrg(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		h.join(0, 0, "older", now)
		h.join(0, 0, "newer", now.Add(time.Second))
		h.join(0, 0, "Newer", now.Add(2*time.Second)) // features are told apart by case
		h.join(0, 1, "his", now)
		h.join(1, 0, "elsewhere", now)
		if got := h.list(0, 0); got != "Newer newer older " {
			t.Errorf("got %q, newest first", got)
		}
		leave := func() (was bool) {
			h.write(func(ctx context.Context, tx *db.Tx) (err error) {
				was, err = waitlist.Leave(ctx, tx, h.orgs[0], h.people[0], "newer")
				return err
			})
			return was
		}
		if !leave() || leave() {
			t.Error("leaving twice is not true once")
		}
		if a, b, c := h.list(0, 0), h.list(0, 1), h.list(1, 0); a != "Newer older " || b != "his " || c != "elsewhere " {
			t.Errorf("after leaving: %q %q %q", a, b, c)
		}
	})
}

func TestOneJoinAndOneDecisionWins(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		var made, decided atomic.Int64
		var id atomic.Value
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				e, first := h.join(0, 0, "beta", now)
				id.Store(e.ID)
				if first {
					made.Add(1)
				}
			})
		}
		wg.Wait()
		for i := range 8 {
			becomes := []waitlist.Status{waitlist.Approved, waitlist.Rejected}[i%2]
			wg.Go(func() {
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					e, won, err := waitlist.Decide(ctx, tx, id.Load().(string), becomes)
					if won && e.Status != becomes {
						t.Errorf("won with %s, which is %s", becomes, e.Status)
					}
					if won {
						decided.Add(1)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || decided.Load() != 1 {
			t.Errorf("made %d times and decided %d times, want once each", made.Load(), decided.Load())
		}
		h.write(func(ctx context.Context, tx *db.Tx) error {
			if told, err := waitlist.Notified(ctx, tx, id.Load().(string), now, now); err != nil || told {
				t.Errorf("who does not wait is told that they do: %v %v", told, err)
			}
			e, err := waitlist.Of(ctx, tx, h.orgs[0], h.people[0], "beta")
			if err != nil || e.Status == waitlist.Waiting {
				t.Errorf("got %+v %v", e, err)
			}
			return nil
		})
	})
}

func TestWhoWaitsIsToldOnceInAWhile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		e, _ := h.join(0, 0, "beta", now)
		for i, at := range []time.Time{now, now.Add(59 * time.Minute), now.Add(time.Hour), now.Add(time.Hour)} {
			want := i == 0 || i == 2
			h.write(func(ctx context.Context, tx *db.Tx) error {
				told, err := waitlist.Notified(ctx, tx, e.ID, at.Add(-time.Hour), at)
				if told != want {
					t.Errorf("at %s: told is %v", at, told)
				}
				return err
			})
		}
		h.write(func(ctx context.Context, tx *db.Tx) error {
			e, err := waitlist.ByID(ctx, tx, e.ID)
			if !e.NotifiedAt.Equal(now.Add(time.Hour)) {
				t.Errorf("told last at %s", e.NotifiedAt)
			}
			return err
		})
	})
}

func TestFeatureNames(t *testing.T) {
	for s, want := range map[string]bool{
		"beta-export": true, "A": true, "9.x_y-z": true, strings.Repeat("a", 64): true,
		"": false, "-a": false, ".a": false, "a b": false, "a/b": false, "é": false, "a\n": false, strings.Repeat("a", 65): false,
	} {
		if waitlist.Feature(s) != want {
			t.Errorf("Feature(%q) is not %v", s, want)
		}
	}
}
