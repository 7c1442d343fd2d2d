package org_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/org"
)

func TestSlugIsMadeOfTheName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Acme Corporation": "acme-corporation", "  Ann's  ": "ann-s", "A": "org-a", "": "org", "日本": "org", "Ünder 7": "nder-7",
		strings.Repeat("ab ", 40): strings.TrimSuffix(strings.Repeat("ab-", 17), "-"), "-a-b-": "a-b",
	} {
		if got := org.SlugOf(name); got != want || !org.Slug(got) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// Who takes a slug over while people still have addresses with it would get the
// sign-ins of those whom it belonged to.
func TestFormerSlugLeadsToItsOrgAndIsNobodyElses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		acme := w.found(org.Org{Slug: "acme"}, jane, now).Org
		other := w.found(org.Org{Slug: "other"}, jane, now).Org
		rename := func(o org.Org, slug string, at time.Time) error {
			return w.try(func(ctx context.Context, tx *db.Tx) error {
				o, err := org.ByID(ctx, tx, o.ID)
				if err != nil {
					return err
				}
				o.Slug = slug
				return org.Update(ctx, tx, o, at)
			})
		}
		leads := func(slug string, at time.Time, to org.ID) {
			t.Helper()
			w.write(func(ctx context.Context, tx *db.Tx) error {
				o, err := org.ByFormerSlug(ctx, tx, slug, at)
				if o.ID != to || to == "" && !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s leads to %q, %v; want %q", slug, o.ID, err, to)
				}
				return nil
			})
		}
		if err := rename(acme, "acme-corp", now); err != nil {
			t.Fatal(err)
		}
		leads("acme", now, acme.ID)
		leads("acme-corp", now, "")
		end := now.Add(org.FormerSlug + time.Second) // a change is later than the one before
		if err := rename(other, "acme", end.Add(-time.Minute)); !errors.Is(err, org.ErrSlugTaken) {
			t.Errorf("taken over by a rename: got %v, want ErrSlugTaken", err)
		}
		err := w.try(func(ctx context.Context, tx *db.Tx) error {
			_, err := org.Create(ctx, tx, org.Org{Slug: "acme"}, end.Add(-time.Minute))
			return err
		})
		if !errors.Is(err, org.ErrSlugTaken) {
			t.Errorf("taken over by a new one: got %v, want ErrSlugTaken", err)
		}
		leads("acme", end, "")
		if err := rename(acme, "acme", end.Add(-time.Minute)); err != nil { // back again
			t.Errorf("its own former one: %v", err)
		}
		leads("acme", end.Add(-time.Minute), "")
		leads("acme-corp", end, acme.ID)
		if err := rename(acme, "third", end); err != nil {
			t.Fatal(err)
		}
		if err := rename(other, "acme-corp", end.Add(org.FormerSlug)); err != nil {
			t.Errorf("after its time: %v", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			for _, want := range []int64{1, 0} { // the new owner's row went with the rename
				if n, err := org.SweepSlugs(ctx, tx, end.Add(org.FormerSlug), 10); err != nil || n != want {
					t.Errorf("swept %d, %v; want %d", n, err, want)
				}
			}
			return nil
		})
	})
}
