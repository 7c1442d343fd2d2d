package org

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
)

// Proof is how long a proof of a domain holds before it is looked for again, and how
// many looks in a row may find nothing.
const (
	ProofHolds  = 7 * 24 * time.Hour
	ProofMisses = 3
)

// lookLease is how long a domain that somebody looks at is left alone by others.
const lookLease = time.Hour

// Prove notes that a claim's token was found in the domain's own records. Only the
// claim that was looked for counts, in time: d is as it was read before the look.
// ErrDomainTaken means that another organization has proved it, db.ErrNotFound that
// the claim is gone, was made anew or came too late.
func Prove(ctx context.Context, tx *db.Tx, d Domain, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE org_domains SET verified_at = COALESCE(verified_at, $4), checked_at = $4, check_at = $5, failures = 0
		WHERE id = $1 AND token = $2 AND (verified_at IS NOT NULL OR expires_at > $4)
		AND NOT EXISTS (SELECT 1 FROM org_domains x WHERE x.name = $3 AND x.id <> $1 AND x.verified_at IS NOT NULL)`,
		d.ID, d.Token, d.Name, db.At(now), db.At(now.Add(ProofHolds)))
	switch {
	case errors.Is(err, db.ErrConflict): // another proved it meanwhile
		return ErrDomainTaken
	case err != nil || n == 1:
		return err
	}
	taken, err := db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM org_domains WHERE name = $2 AND id <> $1 AND verified_at IS NOT NULL)`, d.ID, d.Name)
	if err == nil && taken {
		return ErrDomainTaken
	} else if err != nil {
		return err
	}
	return db.ErrNotFound
}

// Unproved notes that the token of a claim that waits for its proof was not found.
func Unproved(ctx context.Context, tx *db.Tx, d Domain, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE org_domains SET checked_at = $3, failures = failures + 1 WHERE id = $1 AND token = $2 AND verified_at IS NULL`,
		d.ID, d.Token, db.At(now))
	return err
}

// Contest has the proof of a domain looked for soon, because somebody else has one:
// at most once a day.
func Contest(ctx context.Context, tx *db.Tx, name string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE org_domains SET check_at = $2 WHERE name = $1 AND verified_at IS NOT NULL AND check_at > $2 AND checked_at < $3`,
		name, db.At(now), db.At(now.Add(-24*time.Hour)))
	return err
}

// DueProofs takes up to n domains whose proof is to be looked for now. Who takes one
// has it for a while; of any number of callers one does.
func DueProofs(ctx context.Context, tx *db.Tx, n int, now time.Time) ([]Domain, error) {
	all, err := db.All(ctx, tx, scanDomain, `UPDATE org_domains SET check_at = $2 WHERE check_at <= $1 AND verified_at IS NOT NULL AND id IN (
		SELECT id FROM org_domains WHERE check_at <= $1 ORDER BY check_at LIMIT $3) RETURNING `+domainColumns, db.At(now), db.At(now.Add(lookLease)), n)
	if err != nil {
		return nil, fmt.Errorf("take domains to look at: %w", err)
	}
	return all, nil
}

// Missed notes that a proof was looked for and not there, if it is still the one that
// there was. After ProofMisses in a row the claim is one that waits for its proof again:
// lapsed reports that.
func Missed(ctx context.Context, tx *db.Tx, d Domain, now time.Time) (lapsed, missed bool, err error) {
	after, err := db.One(ctx, tx, scanDomain, `UPDATE org_domains SET checked_at = $3,
		failures = CASE WHEN failures + 1 < $4 THEN failures + 1 ELSE 0 END,
		verified_at = CASE WHEN failures + 1 < $4 THEN verified_at END,
		check_at = CASE WHEN failures + 1 < $4 THEN CAST($5 AS BIGINT) END,
		expires_at = CASE WHEN failures + 1 < $4 THEN expires_at ELSE $6 END
		WHERE id = $1 AND token = $2 AND verified_at IS NOT NULL AND check_at IS NOT NULL RETURNING `+domainColumns,
		d.ID, d.Token, db.At(now), ProofMisses, db.At(now.Add(ProofHolds)), db.At(now.Add(ClaimLifetime)))
	if errors.Is(err, db.ErrNotFound) { // taken back meanwhile
		return false, false, nil
	}
	return err == nil && after.VerifiedAt.IsZero(), err == nil, err
}
