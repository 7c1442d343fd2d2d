package org_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

func TestVerifiedDomainIsOneOrgs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		orgs := []org.ID{w.found(org.Org{}, jane, now).OrgID, w.found(org.Org{}, jane, now).OrgID, w.found(org.Org{}, jane, now).OrgID}
		tokens := map[string]bool{}
		for _, id := range orgs {
			w.write(func(ctx context.Context, tx *db.Tx) error {
				first, err := org.Claim(ctx, tx, id, "acme.com", now)
				if err != nil {
					return err
				}
				again, err := org.Claim(ctx, tx, id, "acme.com", now.Add(time.Hour))
				if diff := cmp.Diff(first, again); diff != "" {
					t.Errorf("claimed twice: %s", diff)
				}
				tokens[first.Token] = true
				if _, err := org.ByDomain(ctx, tx, "acme.com"); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("a claim is enough: %v", err)
				}
				return err
			})
		}
		if len(tokens) != len(orgs) {
			t.Errorf("%d different tokens, want %d", len(tokens), len(orgs))
		}
		errs := make([]error, len(orgs))
		race(len(orgs), func(i int) {
			errs[i] = w.try(func(ctx context.Context, tx *db.Tx) error { return org.Verify(ctx, tx, orgs[i], "acme.com", now) })
		})
		winner := slices.Index(errs, nil)
		for i, err := range errs {
			if i != winner && !errors.Is(err, org.ErrDomainTaken) {
				t.Errorf("got %v, want one winner and ErrDomainTaken", err)
			}
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			o, err := org.ByDomain(ctx, tx, "acme.com")
			if err != nil || o.ID != orgs[winner] {
				t.Errorf("got %s %v, want %s", o.ID, err, orgs[winner])
			}
			c := client.Client{ID: client.NewID(), Name: "Shop", Active: true, CreatedAt: now}
			if err := client.Create(ctx, tx, c); err != nil {
				return err
			}
			if err := org.SetDomainClient(ctx, tx, orgs[winner], "acme.com", c.ID); err != nil {
				return err
			}
			if got, err := org.ClientOf(ctx, tx, "acme.com"); err != nil || got != c.ID {
				t.Errorf("client: got %s %v", got, err)
			}
			if err := org.Unverify(ctx, tx, orgs[winner], "acme.com"); err != nil {
				return err
			}
			if _, err := org.ClientOf(ctx, tx, "acme.com"); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("client of an unverified domain: %v", err)
			}
			return org.Disclaim(ctx, tx, orgs[winner], "acme.com")
		})
		for in, want := range map[string]string{" Acme.COM. ": "acme.com", "a.b.example": "a.b.example", "localhost": "", "a..b": "", "x@y.z": "", "": "", "bücher.example": ""} {
			if got, ok := identity.NormalizeDomain(in); got != want || ok != (want != "") {
				t.Errorf("NormalizeDomain(%q): got %q %v", in, got, ok)
			}
		}
	})
}

func TestClientBelongsToOneOrg(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		first, second := w.found(org.Org{}, jane, now).OrgID, w.found(org.Org{}, jane, now).OrgID
		c := client.Client{ID: client.NewID(), Name: "Shop", Active: true, CreatedAt: now}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(client.Create(ctx, tx, c), org.HoldClient(ctx, tx, first, c.ID), org.HoldClient(ctx, tx, second, c.ID))
		})
		w.write(func(ctx context.Context, tx *db.Tx) error {
			none, err := org.Clients(ctx, tx, first)
			one, err2 := org.Clients(ctx, tx, second)
			holder, err3 := org.HolderOfClient(ctx, tx, c.ID)
			if err := errors.Join(err, err2, err3); err != nil || len(none) != 0 || len(one) != 1 || one[0].ID != c.ID || holder != second {
				t.Errorf("got %v, %v, %s, %v", none, one, holder, err)
			}
			return nil
		})
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return org.Delete(ctx, tx, second) }); !errors.Is(err, org.ErrHolds) {
			t.Errorf("delete: got %v, want ErrHolds", err)
		}
	})
}
