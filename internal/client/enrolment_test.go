package client_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// people makes a client and a user.
func people(t *testing.T, d *db.DB) (client.Client, identity.User) {
	t.Helper()
	c := client.Client{ID: client.NewID(), Name: "Demo", Active: true, CreatedAt: now, UpdatedAt: now,
		Policy: client.Policy{RedirectURIs: []string{"https://app.example.com/cb"}}.WithDefaults()}
	u := identity.User{ID: identity.NewUserID(), Email: "jane@example.com", Status: identity.Active, CreatedAt: now}
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		return errors.Join(client.Create(ctx, tx, c), identity.Create(ctx, tx, u))
	})
	return c, u
}

// winners counts how many of a hundred parallel writes report true.
func winners(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) (bool, error)) int {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			var ok bool
			err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
				ok, err = fn(ctx, tx)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	return int(won.Load())
}

func TestEnrolmentIsMadeAndMovedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c, u := people(t, d)
		e := client.Enrolment{UserID: u.ID, ClientID: c.ID, Status: client.Pending, Roles: []string{"user"}, CreatedAt: now}
		if n := winners(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) { return client.Enrol(ctx, tx, e) }); n != 1 {
			t.Errorf("%d callers enrolled", n)
		}
		if n := winners(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) {
			return client.Move(ctx, tx, u.ID, c.ID, client.Pending, client.Active, now)
		}); n != 1 {
			t.Errorf("%d callers approved", n)
		}
	})
}

func TestActivateTakesMissingAndPendingOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c, u := people(t, d)
		if n := winners(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) {
			return client.Activate(ctx, tx, u.ID, c.ID, []string{"a"}, now)
		}); n != 1 {
			t.Errorf("%d callers activated a missing enrolment", n)
		}
		for _, s := range []struct {
			was  client.Status
			want bool
		}{{client.Pending, true}, {client.Active, false}, {client.Suspended, false}} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				if err := client.PutEnrolment(ctx, tx, client.Enrolment{UserID: u.ID, ClientID: c.ID, Status: s.was, Roles: []string{"b"}}, now); err != nil {
					return err
				}
				if ok, err := client.Activate(ctx, tx, u.ID, c.ID, []string{"c"}, now); ok != s.want || err != nil {
					t.Errorf("%s: %v, %v", s.was, ok, err)
				}
				return nil
			})
		}
	})
}

// Two who change a client at once do not undo each other unseen.
func TestUpdateSeesThatItCameLate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c, _ := people(t, d)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			read, err := client.ByID(ctx, tx, c.ID)
			if err != nil {
				return err
			}
			read.Name = "First"
			return client.Update(ctx, tx, read, now)
		})
		late := c
		late.Name = "Late"
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, late, now) })
		if !errors.Is(err, db.ErrConflict) {
			t.Errorf("late update: %v", err)
		}
	})
}

func TestOriginsFollowTheClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c, _ := people(t, d)
		allowed := func(origin string) (ok bool) {
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
				ok, err = client.AllowsOrigin(ctx, tx, origin)
				return err
			})
			return ok
		}
		if !allowed("https://app.example.com") || allowed("https://evil.example") || allowed("null") || allowed("") {
			t.Error("origins of a new client are wrong")
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			read, err := client.ByID(ctx, tx, c.ID)
			if err != nil {
				return err
			}
			read.Active = false
			return client.Update(ctx, tx, read, now)
		})
		if allowed("https://app.example.com") {
			t.Error("a client that is switched off still lets its pages in")
		}
	})
}

func TestTenantPolicyBindsItsClients(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tenant := client.Tenant{ID: client.TenantID(identity.NewID()), Slug: "acme", Name: "Acme", Password: client.PasswordPolicy{MinLength: 14}, CreatedAt: now}
		c := client.Client{ID: client.NewID(), Tenant: tenant, Name: "Demo", Active: true, CreatedAt: now, Policy: client.Policy{}.WithDefaults()}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := errors.Join(client.CreateTenant(ctx, tx, tenant), client.Create(ctx, tx, c)); err != nil {
				return err
			}
			got, err := client.ByID(ctx, tx, c.ID)
			if got.Password().MinLength != 14 || got.Tenant.Slug != "acme" {
				t.Errorf("tenant %+v, password %+v", got.Tenant, got.Password())
			}
			return err
		})
		again := tenant
		again.ID = client.TenantID(identity.NewID())
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return client.CreateTenant(ctx, tx, again) })
		if !errors.Is(err, client.ErrSlugTaken) {
			t.Errorf("second tenant of a slug: %v", err)
		}
	})
}

// An upstream account may come without an address, and its user is there like any
// other.
func TestUsersWithoutAnAddressHaveAPlace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		app := application(t, d)
		u := place(t, d, "", app, "user")
		place(t, d, "jane@example.com", app, "user")
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			s, err := client.StandingOf(ctx, tx, u, app)
			if s.User.ID != u || s.User.Email != "" || s.User.EmailVerified || s.Enrolment != client.Active {
				t.Errorf("standing %+v", s)
			}
			for search, want := range map[string]int{"": 2, "jane@": 1, "nobody": 0} {
				all, total, errAll := client.Enrolled(ctx, tx, app, "", search, 10, 0)
				if len(all) != want || total != want {
					t.Errorf("%q: %d of %d, want %d", search, len(all), total, want)
				}
				err = errors.Join(err, errAll)
			}
			all, total, errList := identity.List(ctx, tx, "", 10, 0)
			if len(all) != 2 || total != 2 {
				t.Errorf("listed %d of %d", len(all), total)
			}
			return errors.Join(err, errList)
		})
	})
}
