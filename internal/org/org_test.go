package org_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// town is a database and what the tests do to it.
type town struct {
	*testing.T
	d *db.DB
}

func (w town) try(fn func(context.Context, *db.Tx) error) error { return w.d.Write(w.Context(), fn) }

func (w town) write(fn func(context.Context, *db.Tx) error) {
	w.Helper()
	if err := w.try(fn); err != nil {
		w.Fatal(err)
	}
}

func (w town) user(name string) identity.UserID {
	w.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: name + "@example.com", DisplayName: name, Status: identity.Active, CreatedAt: now}
	w.write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, u) })
	return u.ID
}

func (w town) found(o org.Org, owner identity.UserID, at time.Time) (s org.Seat) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = org.Found(ctx, tx, o, owner, at)
		return err
	})
	return s
}

func (w town) join(id org.ID, u identity.UserID, role org.Role, at time.Time) (m org.Membership, made bool) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		m, made, err = org.Join(ctx, tx, id, u, role, at)
		return err
	})
	return m, made
}

func (w town) setRole(id org.ID, u identity.UserID, role org.Role) error {
	return w.try(func(ctx context.Context, tx *db.Tx) error { return org.SetRole(ctx, tx, id, u, role, now) })
}

func (w town) leave(id org.ID, u identity.UserID) error {
	return w.try(func(ctx context.Context, tx *db.Tx) error { return org.Leave(ctx, tx, id, u) })
}

func (w town) owners(id org.ID) (n int) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) error {
		n = 0
		all, _, err := org.Members(ctx, tx, id, 1000, 0)
		for _, m := range all {
			if m.Role == org.Owner {
				n++
			}
		}
		return err
	})
	return n
}

func TestOrgComesBackAsItWasStored(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		parent := w.found(org.Org{Name: "Above"}, jane, now)
		s := w.found(org.Org{Slug: "acme-corp", Name: "Acme", Picture: "https://acme.example/a.png", Parent: parent.OrgID, Status: org.Trial, PaidUntil: now.Add(time.Hour)}, jane, now)
		w.write(func(ctx context.Context, tx *db.Tx) error {
			byID, err := org.ByID(ctx, tx, s.OrgID)
			if diff := cmp.Diff(s.Org, byID); err != nil || diff != "" {
				t.Errorf("by id: %v %s", err, diff)
			}
			bySlug, err := org.BySlug(ctx, tx, "acme-corp")
			if diff := cmp.Diff(s.Org, bySlug); err != nil || diff != "" {
				t.Errorf("by slug: %v %s", err, diff)
			}
			return nil
		})
		if s.Role != org.Owner || s.UserID != jane || s.Org.Status != org.Trial || parent.Org.Status != org.Active {
			t.Errorf("got %+v below %+v", s, parent)
		}
	})
}

func TestSlugIsOneOrgs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		w.found(org.Org{Slug: "acme"}, jane, now)
		other := w.found(org.Org{Slug: "other"}, jane, now)
		err := w.try(func(ctx context.Context, tx *db.Tx) error {
			_, err := org.Create(ctx, tx, org.Org{Slug: "acme"}, now)
			return err
		})
		if !errors.Is(err, org.ErrSlugTaken) {
			t.Errorf("create: got %v, want ErrSlugTaken", err)
		}
		other.Org.Slug = "acme"
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return org.Update(ctx, tx, other.Org, now) }); !errors.Is(err, org.ErrSlugTaken) {
			t.Errorf("update: got %v, want ErrSlugTaken", err)
		}
		for slug, want := range map[string]bool{"acme": true, "a1": true, "a-b-c": true, "a": false, "": false, "-a": false, "a-": false, "a--b": false, "Acme": false, "a b": false, "é1": false} {
			if org.Slug(slug) != want {
				t.Errorf("Slug(%q) is not %v", slug, want)
			}
		}
	})
}

func TestUpdateIsRefusedAfterAnother(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		s := w.found(org.Org{Name: "Acme"}, w.user("jane"), now)
		mine, theirs := s.Org, s.Org
		mine.Name, theirs.Status = "Acme Ltd", org.Suspended
		w.write(func(ctx context.Context, tx *db.Tx) error { return org.Update(ctx, tx, mine, now) }) // within one tick of the clock
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return org.Update(ctx, tx, theirs, now) }); !errors.Is(err, db.ErrConflict) {
			t.Errorf("got %v, want db.ErrConflict", err)
		}
		if mine.Open() != true || theirs.Open() {
			t.Error("Open does not follow the status")
		}
	})
}

func TestParentOfOthersIsNotDeleted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		top := w.found(org.Org{}, jane, now)
		below := w.found(org.Org{Parent: top.OrgID}, jane, now)
		lowest := w.found(org.Org{Parent: below.OrgID}, jane, now)
		aside := w.found(org.Org{}, jane, now)
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return org.Delete(ctx, tx, top.OrgID) }); !errors.Is(err, org.ErrHolds) {
			t.Errorf("got %v, want ErrHolds", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			for _, c := range []struct {
				id   org.ID
				want bool
			}{{lowest.OrgID, true}, {below.OrgID, true}, {top.OrgID, true}, {aside.OrgID, false}, {"none", false}} {
				if got, err := org.Within(ctx, tx, c.id, top.OrgID); err != nil || got != c.want {
					t.Errorf("%s within %s: got %v %v", c.id, top.OrgID, got, err)
				}
			}
			children, total, err := org.List(ctx, tx, org.Filter{Parent: top.OrgID})
			if err != nil || total != 1 || len(children) != 1 || children[0].ID != below.OrgID {
				t.Errorf("children: got %v of %d, %v", children, total, err)
			}
			if err := org.Delete(ctx, tx, lowest.OrgID); err != nil {
				t.Error(err)
			}
			if err := org.Delete(ctx, tx, lowest.OrgID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("deleted twice: got %v", err)
			}
			return nil
		})
	})
}

func TestJoinRaisesAndNeverLowers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		id := w.found(org.Org{}, w.user("owner"), now).OrgID
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			u := w.user(fmt.Sprintf("u%d", n))
			roles := rapid.SliceOfN(rapid.SampledFrom(org.Roles), 1, 4).Draw(rt, "roles")
			first := org.MembershipID("")
			want := org.Viewer
			for i, r := range roles {
				m, made := w.join(id, u, r, now.Add(time.Duration(i)*time.Second))
				if want.Below(r) {
					want = r
				}
				if i == 0 {
					first = m.ID
				}
				if made != (i == 0) || m.ID != first || m.Role != want {
					rt.Fatalf("%v: after %d got %+v made %v, want %s", roles, i, m, made, want)
				}
			}
		})
	})
}

func TestJoinMakesOneMembership(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		id, u := w.found(org.Org{}, w.user("owner"), now).OrgID, w.user("new")
		var made int
		var mu sync.Mutex
		race(8, func(i int) {
			_, first := w.join(id, u, org.Roles[i%3], now)
			mu.Lock()
			defer mu.Unlock()
			if first {
				made++
			}
		})
		if made != 1 {
			t.Errorf("%d callers made it, want 1", made)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			m, err := org.MembershipOf(ctx, tx, id, u)
			if err != nil || m.Role != org.Admin {
				t.Errorf("got %+v %v, want the highest of all", m, err)
			}
			return nil
		})
	})
}

func race(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func TestLastOwnerStays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane, john := w.user("jane"), w.user("john")
		id := w.found(org.Org{}, jane, now).OrgID
		w.join(id, john, org.Admin, now)
		if err := w.leave(id, jane); !errors.Is(err, org.ErrLastOwner) {
			t.Errorf("leave: got %v, want ErrLastOwner", err)
		}
		if err := w.setRole(id, jane, org.Admin); !errors.Is(err, org.ErrLastOwner) {
			t.Errorf("lower: got %v, want ErrLastOwner", err)
		}
		for name, err := range map[string]error{
			"owner to owner": w.setRole(id, jane, org.Owner), "admin to viewer": w.setRole(id, john, org.Viewer),
			"viewer to owner": w.setRole(id, john, org.Owner), "the other owner leaves": w.leave(id, jane),
		} {
			if err != nil && name != "the other owner leaves" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.leave(id, w.user("stranger")); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("a stranger: got %v", err)
		}
		if err := w.leave("none", jane); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("no such organization: got %v", err)
		}
	})
}

// Each of the owners sees the others and may go by that; one of them must not.
func TestOwnersLeavingAtOnceLeaveOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		for round := range 10 {
			var all []identity.UserID
			for i := range 4 {
				all = append(all, w.user(fmt.Sprintf("r%d-%d", round, i)))
			}
			id := w.found(org.Org{}, all[0], now).OrgID
			for _, u := range all[1:] {
				w.join(id, u, org.Owner, now)
			}
			errs := make([]error, len(all))
			race(len(all), func(i int) {
				if i%2 == 0 {
					errs[i] = w.leave(id, all[i])
				} else {
					errs[i] = w.setRole(id, all[i], org.Viewer)
				}
			})
			last := 0
			for _, err := range errs {
				switch {
				case errors.Is(err, org.ErrLastOwner):
					last++
				case err != nil:
					t.Error(err)
				}
			}
			if n := w.owners(id); n != 1 || last != 1 {
				t.Fatalf("round %d: %d owners are left and %d were refused, want 1 and 1", round, n, last)
			}
		}
	})
}

func TestChosenMembership(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		chosen := func() (id org.ID, preferred bool) {
			w.write(func(ctx context.Context, tx *db.Tx) error {
				s, err := org.Chosen(ctx, tx, jane)
				if errors.Is(err, db.ErrNotFound) {
					err = nil
				}
				id, preferred = s.OrgID, s.Preferred
				return err
			})
			return id, preferred
		}
		want := func(what string, id org.ID, preferred bool) {
			t.Helper()
			if got, p := chosen(); got != id || p != preferred {
				t.Errorf("%s: got %q %v, want %q %v", what, got, p, id, preferred)
			}
		}
		want("no membership", "", false)
		newer := w.found(org.Org{Name: "newer"}, jane, now)
		oldest := w.found(org.Org{Name: "oldest"}, jane, now.Add(-time.Hour))
		third := w.found(org.Org{Name: "third"}, jane, now.Add(time.Hour))
		w.join(third.OrgID, w.user("john"), org.Owner, now)
		want("the oldest", oldest.OrgID, false)
		prefer := func(s org.Seat) {
			w.write(func(ctx context.Context, tx *db.Tx) error { return org.Prefer(ctx, tx, s.Membership) })
		}
		prefer(newer)
		prefer(third)
		want("the preferred", third.OrgID, true)
		if err := w.leave(third.OrgID, jane); err != nil {
			t.Fatal(err)
		}
		want("the preferred is gone", oldest.OrgID, false)
		oldest.Org.Status = org.Suspended
		w.write(func(ctx context.Context, tx *db.Tx) error { return org.Update(ctx, tx, oldest.Org, now) })
		want("the oldest is suspended", newer.OrgID, false)
		prefer(oldest)
		want("a suspended one is preferred", newer.OrgID, false)
	})
}

// A person with a thousand memberships costs one statement, which both indexes serve.
func TestSeatsAreOneStatement(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane, boss := w.user("jane"), w.user("boss")
		const many = 1000
		w.write(func(ctx context.Context, tx *db.Tx) error {
			for i := range many {
				s, err := org.Found(ctx, tx, org.Org{Name: fmt.Sprint(i)}, boss, now.Add(time.Duration(i)*time.Second))
				if err != nil {
					return err
				}
				if _, _, err := org.Join(ctx, tx, s.OrgID, jane, org.Member, now.Add(time.Duration(i)*time.Second)); err != nil {
					return err
				}
			}
			return nil
		})
		before := d.Stats().Statements
		var all []org.Seat
		if err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			all, err = org.Seats(ctx, tx, jane)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n := d.Stats().Statements - before; n != 1 {
			t.Errorf("%d statements, want 1", n)
		}
		if len(all) != many || all[0].Org.Name != "0" || all[many-1].Org.Name != "999" {
			t.Errorf("got %d, from %s to %s", len(all), all[0].Org.Name, all[many-1].Org.Name)
		}
	})
}
