package job

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
)

const columns = `id, kind, payload, attempts, created_at, run_at`

func scan(r db.Row) (j Job, err error) {
	var created, lease db.Time
	err = r.Scan(&j.ID, &j.Kind, &j.Payload, &j.Attempts, &created, &lease)
	j.CreatedAt, j.lease = created.Time, lease.Time
	return j, err
}

// Enqueue stores a job that is due at runAt and returns its id. It belongs in
// the transaction of what causes the job.
func Enqueue(ctx context.Context, tx *db.Tx, kind Kind, payload []byte, runAt, now time.Time) (string, error) {
	id := identity.NewID()
	if payload == nil {
		payload = []byte{}
	}
	_, err := tx.Exec(ctx, `INSERT INTO jobs (id, kind, payload, run_at, attempts, dead, last_error, created_at) VALUES ($1, $2, $3, $4, 0, FALSE, '', $5)`,
		id, kind, payload, db.At(runAt), db.At(now))
	if err != nil {
		return "", fmt.Errorf("enqueue %s: %w", kind, err)
	}
	return id, nil
}

// due counts the jobs of a kind that can be claimed, up to limit.
func due(ctx context.Context, tx *db.Tx, kind Kind, limit int, now time.Time) (int64, error) {
	return db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE NOT dead AND kind = $1 AND run_at <= $2 LIMIT $3) AS waiting`,
		kind, db.At(now), limit)
}

// claim takes up to n due jobs of a kind, leaving out the first skip of them,
// until the lease ends. The condition stands twice: the inner one chooses, the
// outer one decides when another node has chosen the same.
func claim(ctx context.Context, tx *db.Tx, kind Kind, n, skip int, now, lease time.Time) ([]Job, error) {
	return db.All(ctx, tx, scan, `UPDATE jobs SET run_at = $5, attempts = attempts + 1 WHERE NOT dead AND kind = $1 AND run_at <= $2 AND id IN (
		SELECT id FROM jobs WHERE NOT dead AND kind = $1 AND run_at <= $2 ORDER BY run_at, id LIMIT $3 OFFSET $4) RETURNING `+columns,
		kind, db.At(now), n, skip, db.At(lease))
}

// ours is the fence: the claim that a result belongs to is still the last one.
const ours = `id = $1 AND attempts = $2 AND run_at = $3 AND NOT dead`

// finish removes a job that is done; false if it is no longer ours.
func finish(ctx context.Context, tx *db.Tx, j Job) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM jobs WHERE `+ours, j.ID, j.Attempts, db.At(j.lease))
	return n == 1, err
}

// postpone makes a job that failed due again at next; false if it is no longer
// ours.
func postpone(ctx context.Context, tx *db.Tx, j Job, next time.Time, reason string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE jobs SET run_at = $4, last_error = $5 WHERE `+ours, j.ID, j.Attempts, db.At(j.lease), db.At(next), reason)
	return n == 1, err
}

// bury marks a job as dead, at the time in run_at; false if it is no longer ours.
func bury(ctx context.Context, tx *db.Tx, j Job, now time.Time, reason string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE jobs SET dead = TRUE, run_at = $4, last_error = $5 WHERE `+ours, j.ID, j.Attempts, db.At(j.lease), db.At(now), reason)
	return n == 1, err
}

// Count is how many jobs of a kind there are.
type Count struct {
	Kind   Kind
	Live   int       // waiting or running
	Dead   int       //
	Oldest time.Time // when the first live one is due, a running one at the end of its lease; zero: there is none
}

// Counts returns the numbers of jobs by kind, for metrics.
func Counts(ctx context.Context, tx *db.Tx) ([]Count, error) {
	return db.All(ctx, tx, func(r db.Row) (c Count, err error) {
		var oldest db.Time
		err = r.Scan(&c.Kind, &c.Live, &c.Dead, &oldest)
		c.Oldest = oldest.Time
		return c, err
	}, `SELECT kind, SUM(CASE WHEN dead THEN 0 ELSE 1 END), SUM(CASE WHEN dead THEN 1 ELSE 0 END), MIN(CASE WHEN dead THEN NULL ELSE run_at END)
		FROM jobs GROUP BY kind ORDER BY kind`)
}

// Dead is a job that was given up.
type Dead struct {
	ID        string
	Kind      Kind
	Attempts  int
	Error     string
	CreatedAt time.Time
	DiedAt    time.Time
}

// ListDead returns up to n dead jobs, the last to die first.
func ListDead(ctx context.Context, tx *db.Tx, n int) ([]Dead, error) {
	return db.All(ctx, tx, func(r db.Row) (d Dead, err error) {
		var created, died db.Time
		err = r.Scan(&d.ID, &d.Kind, &d.Attempts, &d.Error, &created, &died)
		d.CreatedAt, d.DiedAt = created.Time, died.Time
		return d, err
	}, `SELECT id, kind, attempts, last_error, created_at, run_at FROM jobs WHERE dead ORDER BY run_at DESC, id LIMIT $1`, n)
}

// Revive makes a dead job due now, with all its attempts before it again;
// db.ErrNotFound if there is no such dead job.
func Revive(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE jobs SET dead = FALSE, attempts = 0, run_at = $2 WHERE id = $1 AND dead`, id, db.At(now))
	if err == nil && n == 0 {
		return db.ErrNotFound
	}
	return err
}

// SweepDead deletes up to n jobs that died before the given time, and reports
// how many that were.
func SweepDead(ctx context.Context, tx *db.Tx, before time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM jobs WHERE dead AND id IN (SELECT id FROM jobs WHERE dead AND run_at < $1 LIMIT $2)`, db.At(before), n)
}

// maxReason is how many bytes of an error's text are kept.
const maxReason = 500

// reason is the text of err as a column takes it.
func reason(err error) string {
	s := strings.ReplaceAll(err.Error(), "\x00", "")
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.ToValidUTF8(s, "")
}
