package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/grant"
	"sallyport/internal/job"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
	"sallyport/internal/token"
	"sallyport/internal/upstream"
	"sallyport/internal/webhook"
)

const (
	// sweepEvery is how often rows that have expired are removed.
	sweepEvery = time.Minute
	// sweepBatch is how many rows one transaction removes, so that no request
	// waits long behind it; sweepBatches bounds one round.
	sweepBatch   = 500
	sweepBatches = 100

	// How long what has happened is remembered.
	auditKept    = 400 * 24 * time.Hour
	deadJobsKept = 30 * 24 * time.Hour

	// How long an API key is shown to its owner after it has expired.
	keysKept = 30 * 24 * time.Hour

	// How long a client of a metadata document is kept that nobody uses.
	documentsKept = 7 * 24 * time.Hour
)

// sweep removes up to n rows that are of no use at now, and reports how many.
type sweep struct {
	name string
	run  func(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error)
}

// before makes a sweep of rows older than kept.
func before(kept time.Duration, run func(context.Context, *db.Tx, time.Time, int) (int64, error)) func(context.Context, *db.Tx, time.Time, int) (int64, error) {
	return func(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
		return run(ctx, tx, now.Add(-kept), n)
	}
}

var sweeps = []sweep{
	{"sessions", session.Sweep},
	{"refresh families", token.Sweep},
	{"one-time secrets", onetime.Sweep},
	{"set-up links", sso.SweepSetupLinks},
	{"trusted browsers", factor.Sweep},
	{"grants", grant.Sweep},
	{"API keys", before(keysKept, apikey.Sweep)},
	{"upstream tokens", upstream.SweepKept},
	{"upstream answers", upstream.SweepSpent},
	{"client documents", before(documentsKept, client.SweepDocuments)},
	{"former slugs", org.SweepSlugs},
	{"limits", limit.Sweep},
	{"audit", before(auditKept, audit.Sweep)},
	{"webhook deliveries", webhook.Sweep},
	{"dead jobs", before(deadJobsKept, job.SweepDead)},
}

// sweepAll does every sweep in small transactions. One that fails does not keep
// the others from running.
func sweepAll(ctx context.Context, d *db.DB, now func() time.Time) error {
	var failed []error
	for _, s := range sweeps {
		for range sweepBatches {
			var n int64
			err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				n, err = s.run(ctx, tx, now(), sweepBatch)
				return err
			})
			if err != nil {
				failed = append(failed, fmt.Errorf("sweep %s: %w", s.name, err))
			}
			if err != nil || n < sweepBatch || ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(failed...)
}
