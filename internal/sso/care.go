package sso

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/org"
	"sallyport/internal/secret"
)

// Care is how a connection was looked after: how often in a row what its provider
// publishes could not be read, and for which end of a certificate its owners were
// warned last, how many days before it.
type Care struct {
	Connection
	LookFailures int
	WarnedFor    time.Time
	WarnedDays   int
}

// CareEvery is how often a connection is looked after; a look that failed on our side
// is repeated after careLease.
const (
	CareEvery = 24 * time.Hour
	careLease = time.Hour
)

// DueCare takes up to n connections, of whatever kind, that are to be looked after now.
// Who takes one has it for a while; of any number of callers one does.
func DueCare(ctx context.Context, tx *db.Tx, k *secret.Key, n int, now time.Time) ([]Care, error) {
	ids, err := db.All(ctx, tx, db.Text, `UPDATE sso_connections SET look_at = $2 WHERE look_at <= $1 AND org_id IN (
		SELECT org_id FROM sso_connections WHERE look_at <= $1 ORDER BY look_at LIMIT $3) RETURNING org_id`, db.At(now), db.At(now.Add(careLease)), n)
	if err != nil {
		return nil, fmt.Errorf("take connections to look after: %w", err)
	}
	var all []Care
	for _, id := range ids {
		c, err := CareOf(ctx, tx, k, org.ID(id))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// CareOf returns a connection with how it was looked after, or db.ErrNotFound.
func CareOf(ctx context.Context, tx *db.Tx, k *secret.Key, id org.ID) (Care, error) {
	return db.One(ctx, tx, func(from db.Row) (c Care, err error) {
		var r row
		var warned db.Time
		if err := from.Scan(append(r.dest(), &c.LookFailures, &warned, &c.WarnedDays)...); err != nil {
			return c, err
		}
		c.WarnedFor = warned.Time
		c.Connection, err = r.opened(k)
		return c, err
	}, `SELECT `+columns+`, k.look_failures, k.warned_for, k.warned_days FROM sso_connections k WHERE k.org_id = $1`, id)
}

// Cared notes how a connection was looked after, and that it need not be for a while.
func Cared(ctx context.Context, tx *db.Tx, c Care, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE sso_connections SET look_at = $2, look_failures = $3, warned_for = $4, warned_days = $5 WHERE org_id = $1`,
		c.OrgID, db.At(now.Add(CareEvery)), c.LookFailures, db.AtOrNull(c.WarnedFor), c.WarnedDays)
	return err
}
