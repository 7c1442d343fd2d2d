package org_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/org"
)

func (w town) claim(id org.ID, name string, at time.Time) (d org.Domain) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		d, err = org.Claim(ctx, tx, id, name, at)
		return err
	})
	return d
}

func (w town) prove(d org.Domain, at time.Time) error {
	return w.try(func(ctx context.Context, tx *db.Tx) error { return org.Prove(ctx, tx, d, at) })
}

func (w town) due(n int, at time.Time) (all []org.Domain) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = org.DueProofs(ctx, tx, n, at)
		return err
	})
	return all
}

func (w town) missed(d org.Domain, at time.Time) (lapsed bool) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		lapsed, _, err = org.Missed(ctx, tx, d, at)
		return err
	})
	return lapsed
}

func TestClaimExpires(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		id := w.found(org.Org{}, w.user("jane"), now).OrgID
		first := w.claim(id, "acme.com", now)
		late := now.Add(org.ClaimLifetime)
		if err := w.prove(first, late); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("proved too late: got %v", err)
		}
		if again := w.claim(id, "acme.com", late.Add(-time.Second)); again.Token != first.Token || !again.ExpiresAt.Equal(late) {
			t.Errorf("claimed again in time: got %+v", again)
		}
		anew := w.claim(id, "acme.com", late)
		if anew.Token == first.Token || !anew.ExpiresAt.Equal(late.Add(org.ClaimLifetime)) || anew.ID != first.ID {
			t.Errorf("claimed anew: got %+v after %+v", anew, first)
		}
		if err := w.prove(first, late); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("proved by the token of before: got %v", err)
		}
		if err := w.prove(anew, late); err != nil {
			t.Fatal(err)
		}
		if kept := w.claim(id, "acme.com", late.Add(time.Hour*24*30)); kept.Token != anew.Token || kept.VerifiedAt.IsZero() {
			t.Errorf("claimed again when proved: got %+v", kept)
		}
		if err := w.prove(anew, late.Add(time.Hour*24*30)); err != nil {
			t.Errorf("proved again: %v", err)
		}
	})
}

// Of two organizations that prove a domain at once one has it.
func TestOneOrgProvesADomain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		claims := make([]org.Domain, 4)
		for i := range claims {
			claims[i] = w.claim(w.found(org.Org{}, jane, now).OrgID, "acme.com", now)
		}
		errs := make([]error, len(claims))
		race(len(claims), func(i int) { errs[i] = w.prove(claims[i], now) })
		winner := slices.Index(errs, nil)
		for i, err := range errs {
			if i != winner && !errors.Is(err, org.ErrDomainTaken) {
				t.Errorf("%d: got %v, want ErrDomainTaken", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody proved it")
		}
	})
}

func TestProofIsLookedForAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		jane := w.user("jane")
		id := w.found(org.Org{}, jane, now).OrgID
		mine, vouched := w.claim(id, "acme.com", now), w.claim(id, "vouched.com", now)
		w.claim(id, "pending.com", now)
		w.write(func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(org.Prove(ctx, tx, mine, now), org.Verify(ctx, tx, id, vouched.Name, now))
		})
		if all := w.due(10, now.Add(org.ProofHolds-time.Second)); len(all) != 0 {
			t.Errorf("due too early: %v", all)
		}
		at := now.Add(org.ProofHolds)
		for miss := 1; miss <= org.ProofMisses; miss++ {
			var mu = make(chan org.Domain, 8)
			race(8, func(int) {
				for _, d := range w.due(10, at) {
					mu <- d
				}
			})
			close(mu)
			got := <-mu
			if more, ok := <-mu; ok || got.Name != "acme.com" {
				t.Fatalf("miss %d: got %q and %q, want one caller to have acme.com", miss, got.Name, more.Name)
			}
			if lapsed := w.missed(got, at); lapsed != (miss == org.ProofMisses) {
				t.Errorf("miss %d: lapsed %v", miss, lapsed)
			}
			at = at.Add(org.ProofHolds)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			lapsed, err := org.DomainOf(ctx, tx, id, "acme.com")
			if err != nil || !lapsed.VerifiedAt.IsZero() || !lapsed.CheckAt.IsZero() || lapsed.Failures != 0 || !lapsed.ExpiresAt.After(at.Add(-org.ProofHolds)) {
				t.Errorf("got %+v %v", lapsed, err)
			}
			kept, err := org.DomainOf(ctx, tx, id, "vouched.com")
			if err != nil || kept.VerifiedAt.IsZero() {
				t.Errorf("vouched for: got %+v %v", kept, err)
			}
			return nil
		})
		if w.missed(mine, at) {
			t.Error("lapsed twice")
		}
	})
}

// Two misses, then a hit: the count begins anew.
func TestProofFoundAgainForgetsMisses(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		mine := w.claim(w.found(org.Org{}, w.user("jane"), now).OrgID, "acme.com", now)
		if err := w.prove(mine, now); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			for range org.ProofMisses - 1 {
				if w.missed(mine, now) {
					t.Fatalf("round %d: lapsed", round)
				}
			}
			if err := w.prove(mine, now); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestContestedDomainIsLookedAtSoon(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := town{t, d}
		mine := w.claim(w.found(org.Org{}, w.user("jane"), now).OrgID, "acme.com", now)
		if err := w.prove(mine, now); err != nil {
			t.Fatal(err)
		}
		contest := func(at time.Time) int {
			w.write(func(ctx context.Context, tx *db.Tx) error { return org.Contest(ctx, tx, "acme.com", at) })
			return len(w.due(10, at))
		}
		if n := contest(now.Add(time.Hour)); n != 0 {
			t.Error("looked at within a day of the proof")
		}
		if n := contest(now.Add(25 * time.Hour)); n != 1 {
			t.Error("not looked at")
		}
	})
}
