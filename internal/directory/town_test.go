package directory_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// town is a database with two organizations, acme and evil, of which acme has proved
// its domain, and what the tests do to it.
type town struct {
	*testing.T
	d          *db.DB
	acme, evil org.ID
}

func newTown(t *testing.T, d *db.DB) town {
	w := town{T: t, d: d}
	boss := w.user("boss@elsewhere.example", true)
	for name, id := range map[string]*org.ID{"acme": &w.acme, "evil": &w.evil} {
		w.write(func(ctx context.Context, tx *db.Tx) error {
			s, err := org.Found(ctx, tx, org.Org{Slug: name}, boss, now)
			*id = s.OrgID
			return err
		})
	}
	w.write(func(ctx context.Context, tx *db.Tx) error {
		for _, id := range []org.ID{w.acme, w.evil} {
			if _, err := org.Claim(ctx, tx, id, "acme.com", now); err != nil {
				return err
			}
		}
		return org.Verify(ctx, tx, w.acme, "acme.com", now)
	})
	return w
}

func (w town) try(fn func(context.Context, *db.Tx) error) error { return w.d.Write(w.Context(), fn) }

func (w town) write(fn func(context.Context, *db.Tx) error) {
	w.Helper()
	if err := w.try(fn); err != nil {
		w.Fatal(err)
	}
}

func (w town) user(email string, verified bool) identity.UserID {
	w.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: email, EmailVerified: verified, DisplayName: "Jane Doe", GivenName: "Jane", FamilyName: "Doe", Status: identity.Active, CreatedAt: now}
	w.write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, u) })
	return u.ID
}

func (w town) token(id org.ID) (raw string, t directory.Token) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		raw, t, err = directory.MakeToken(ctx, tx, id, now)
		return err
	})
	return raw, t
}

// add puts somebody new into a directory.
func (w town) add(id org.ID, name string) identity.UserID {
	w.Helper()
	u := w.user(name, true)
	w.write(func(ctx context.Context, tx *db.Tx) error {
		return directory.Add(ctx, tx, directory.User{OrgID: id, ID: u, Name: name, Active: true, Role: org.Member}, now)
	})
	return u
}

func (w town) people(id org.ID, e directory.Exact) (names []string) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) error {
		all, total, err := directory.Users(ctx, tx, id, e, 100, 0)
		names = nil
		for _, u := range all {
			names = append(names, u.Name)
		}
		if total != len(all) {
			w.Errorf("total %d of %d", total, len(all))
		}
		return err
	})
	return names
}
