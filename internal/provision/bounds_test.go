package provision_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/provision"
)

// Ids are no secrets, and no key either.
func TestDirectoriesAreApart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		ctx := t.Context()
		jane := w.create(w.acme, person("jane@acme.com"))
		g, err := w.Provision.CreateGroup(ctx, w.acme, "Staff", "", []identity.UserID{jane.ID})
		if err != nil {
			t.Fatal(err)
		}
		own := w.create(w.evil, person("own@evil.example"))
		_, err = w.Provision.User(ctx, w.evil, jane.ID)
		w.refused("read", err, provision.NotFound)
		_, err = w.set(w.evil, jane.ID, provision.Person{Name: "x", Email: "x@evil.example"})
		w.refused("replace", err, provision.NotFound)
		w.refused("delete", w.Provision.DeleteUser(ctx, w.evil, jane.ID, 0), provision.NotFound)
		_, err = w.Provision.Group(ctx, w.evil, g.ID)
		w.refused("read group", err, provision.NotFound)
		_, err = w.Provision.ChangeGroup(ctx, w.evil, g.ID, 0, []provision.GroupStep{{Add: []identity.UserID{own.ID}}})
		w.refused("change group", err, provision.NotFound)
		w.refused("delete group", w.Provision.DeleteGroup(ctx, w.evil, g.ID, 0), provision.NotFound)
		_, err = w.Provision.CreateGroup(ctx, w.evil, "Theirs", "", []identity.UserID{own.ID, jane.ID})
		w.refused("another's people", err, provision.Invalid)
		members, err := w.Provision.Members(ctx, w.evil, g.ID)
		if err != nil || len(members[g.ID]) != 0 {
			t.Errorf("members: %v %v", members, err)
		}
		for _, e := range []directory.Exact{{ID: string(jane.ID)}, {Name: "jane@acme.com"}, {Address: "jane@acme.com"}} {
			if _, n, err := w.Provision.Users(ctx, w.evil, provision.Query{Exact: e, Start: 1, Count: 10}, nil); err != nil || n != 0 {
				t.Errorf("%+v: found %d %v", e, n, err)
			}
		}
		_, groups, err := w.Provision.Groups(ctx, w.evil, provision.Query{Start: 1, Count: 10}, nil)
		if err != nil || groups != 0 {
			t.Errorf("%d groups, %v", groups, err)
		}
		if got, err := w.Provision.User(ctx, w.acme, jane.ID); err != nil || !got.Active || len(got.Groups) != 1 {
			t.Errorf("after all: %+v %v", got, err)
		}
	})
}

// Of somebody whose address is none of theirs any more, only the place here is to take.
func TestLostDomain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		p := person("jane@acme.com")
		u := w.create(w.acme, p)
		w.settle(u.ID)
		w.lose(w.acme, "acme.com")
		other := p
		other.Email = "janet@acme.com"
		_, err := w.set(w.acme, u.ID, other)
		w.refused("another address", err, provision.Foreign)
		p.DisplayName, p.Active = "Owned", false
		w.must(w.set(w.acme, u.ID, p))
		if a := w.account(u.ID); a.Status != identity.Active || a.DisplayName != "Jane Doe" || w.role(w.acme, u.ID) != "" {
			t.Errorf("got %+v, role %q", a, w.role(w.acme, u.ID))
		}
		// The session and its tokens that acme's provider gave, and the key for acme.
		if got := w.left(u.ID); got != "1 2 1 1 1 " {
			t.Errorf("left %s", got)
		}
		_, err = w.Provision.CreateUser(t.Context(), w.acme, person("new@acme.com"))
		w.refused("somebody new", err, provision.Foreign)
	})
}

// A directory gives an account back that a directory disabled, and no other.
func TestOperatorsWordStands(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		status := func(id identity.UserID, s identity.Status) {
			w.Write(func(ctx context.Context, tx *db.Tx) error { return identity.SetStatus(ctx, tx, id, s, w.Now()) })
		}
		for name, c := range map[string]struct{ before, between, want identity.Status }{
			"suspended before":  {identity.Suspended, "", identity.Suspended},
			"suspended between": {"", identity.Suspended, identity.Suspended},
			"disabled before":   {identity.Disabled, "", identity.Disabled},
			"nobody else":       {"", "", identity.Active},
		} {
			p := person(fmt.Sprintf("x%d@acme.com", len(name)))
			u := w.create(w.acme, p)
			if c.before != "" {
				status(u.ID, c.before)
			}
			p.Active = false
			w.must(w.set(w.acme, u.ID, p))
			if c.between != "" {
				status(u.ID, c.between)
			}
			p.Active = true
			w.must(w.set(w.acme, u.ID, p))
			if got := w.account(u.ID).Status; got != c.want {
				t.Errorf("%s: got %s, want %s", name, got, c.want)
			}
		}
		// A domain that goes to another organization takes its people along.
		p := person("moves@acme.com")
		u := w.create(w.acme, p)
		p.Active = false
		w.must(w.set(w.acme, u.ID, p))
		w.lose(w.acme, "acme.com")
		w.Write(func(ctx context.Context, tx *db.Tx) error { return w.take(ctx, tx, w.evil, "acme.com") })
		p.Active = true
		w.must(w.set(w.acme, u.ID, p))
		if got := w.account(u.ID).Status; got != identity.Disabled {
			t.Errorf("who lost the domain: %s", got)
		}
		w.create(w.evil, p)
		if got := w.account(u.ID).Status; got != identity.Active {
			t.Errorf("who has the domain: %s", got)
		}
	})
}

// The organization keeps an owner, who cannot sign in; ownership is not the directory's to
// give.
func TestOwners(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		p := person("boss@acme.com")
		p.Active = false
		w.settle(w.boss.ID)
		w.must(w.set(w.acme, w.boss.ID, p))
		if w.role(w.acme, w.boss.ID) != org.Owner || w.account(w.boss.ID).Status != identity.Disabled || w.left(w.boss.ID) != "0 0 0 0 0 " {
			t.Errorf("the last owner: %s, %s, left %s", w.role(w.acme, w.boss.ID), w.account(w.boss.ID).Status, w.left(w.boss.ID))
		}
		second := w.create(w.acme, person("second@acme.com"))
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return org.SetRole(ctx, tx, w.acme.OrgID, second.ID, org.Owner, w.Now())
		})
		p.Active = true
		w.must(w.set(w.acme, w.boss.ID, p))
		if w.role(w.acme, w.boss.ID) != org.Owner || w.account(w.boss.ID).Status != identity.Active {
			t.Errorf("back: %s, %s", w.role(w.acme, w.boss.ID), w.account(w.boss.ID).Status)
		}
		p.Active = false
		w.must(w.set(w.acme, w.boss.ID, p))
		if got := w.role(w.acme, w.boss.ID); got != "" {
			t.Errorf("one of two owners: %s", got)
		}
		p.Active = true
		w.must(w.set(w.acme, w.boss.ID, p))
		if got := w.role(w.acme, w.boss.ID); got != org.Admin {
			t.Errorf("one of two owners, back: %s, want admin", got)
		}
	})
}

func TestOneOfManyMakesSomebody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.Provision.CreateUser(t.Context(), w.acme, person("race@acme.com")) })
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else {
				w.refused("the others", err, provision.Taken)
			}
		}
		if made != 1 {
			t.Errorf("made %d times", made)
		}
		u, _, err := w.Provision.Users(t.Context(), w.acme, provision.Query{Exact: directory.Exact{Name: "race@acme.com"}, Start: 1, Count: 1}, nil)
		if err != nil || len(u) != 1 {
			t.Fatal(u, err)
		}
		for i := range errs { // each sees one version: one of them changes it
			p := person("race@acme.com")
			p.ExternalID = fmt.Sprint(i)
			wg.Go(func() { _, errs[i] = w.Provision.ReplaceUser(t.Context(), w.acme, u[0].ID, u[0].Version, p) })
		}
		wg.Wait()
		changed := 0
		for _, err := range errs {
			if err == nil {
				changed++
			} else {
				w.refused("the others", err, provision.Changed)
			}
		}
		if changed != 1 {
			t.Errorf("changed %d times", changed)
		}
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		ctx := t.Context()
		raw := ""
		w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			raw, _, err = directory.MakeToken(ctx, tx, w.acme.OrgID, w.Now())
			return err
		})
		who, err := w.Provision.Open(ctx, provision.Visit{Token: raw, Agent: "Okta"})
		if err != nil || who.OrgID != w.acme.OrgID {
			t.Fatal(who, err)
		}
		// As after 2,999 of a minute, each of which costs 20 ms (package limit).
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE limits SET tat = $1`, db.At(w.Now().Add(2999*20*time.Millisecond)))
			return err
		})
		if _, err := w.Provision.Open(ctx, provision.Visit{Token: raw}); err != nil {
			t.Errorf("the 3000th: %v", err)
		}
		if _, err := w.Provision.Open(ctx, provision.Visit{Token: raw}); !fault.Is(err, fault.RateLimited) {
			t.Errorf("the 3001st: %v", err)
		}
	})
}

// More people than a filter is asked of are found only by what has an index. What decides is
// ours, so one engine is enough for ten thousand of them.
func TestNoFilterGoesThroughEverybody(t *testing.T) {
	t.Parallel()
	w := newTown(t, dbtest.SQLite(t))
	ctx := t.Context()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		const many = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 10000) `
		_, err := tx.Exec(ctx, `INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at) `+many+
			`SELECT 'u' || i, '', '', '', 'active', '', 0, 0 FROM n`)
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO directory_users (org_id, user_id, name, name_key, external_id, active, disabled, gone, role, attributes, version, created_at, updated_at) `+many+
				`SELECT $1, 'u' || i, 'n' || i, 'n' || i, '', TRUE, FALSE, FALSE, 'member', '', 1, 0, 0 FROM n`, w.acme.OrgID)
		}
		return err
	})
	keep := func(directory.User) bool { return true }
	_, _, err := w.Provision.Users(ctx, w.acme, provision.Query{Start: 1, Count: 1}, keep)
	w.refused("a scan", err, provision.TooMany)
	found, n, err := w.Provision.Users(ctx, w.acme, provision.Query{Exact: directory.Exact{Name: "N77"}, Start: 1, Count: 1}, keep)
	if err != nil || n != 1 || found[0].Name != "n77" {
		t.Errorf("by name: %v %d %v", found, n, err)
	}
}
