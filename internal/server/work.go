package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/job"
	"sallyport/internal/mail"
	"sallyport/internal/webhook"
)

// mailRetry is when a mail that was not taken is tried again: for a day, which
// is longer than a mail server is usually away, and than most links live.
var mailRetry = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// newRunner lists the background work of a node.
func (s *Server) newRunner(c cores, tune bool) *job.Runner {
	handlers := map[job.Kind]job.Handler{
		job.Mail:     {Run: s.deliverMail, Retry: mailRetry, Timeout: 45 * time.Second},
		webhook.Kind: s.courier.Handler(),
	}
	maps.Copy(handlers, s.farewell.Handlers())
	maps.Copy(handlers, c.signIn.Handlers())
	p := &published{db: s.db, key: s.cfg.SecretKey, broker: s.broker, log: s.log, failing: map[string]bool{}}
	r := &job.Runner{
		DB:       s.db,
		Now:      s.now,
		Log:      s.log,
		Handlers: handlers,
		Every: []job.Every{
			{Name: "load signing keys", Interval: keyReload, Run: func(ctx context.Context) error {
				_, err := s.keys.Load(ctx)
				return err
			}},
			{Name: "load settings", Interval: keyReload, Run: s.settings.load},
			{Name: "read upstreams", Interval: upstreamRefresh, Run: p.refresh},
			{Name: "rotate signing keys", Interval: time.Hour, Run: s.keys.Tend},
			{Name: "announce to webhooks", Interval: time.Second, Run: s.courier.FanOut},
			{Name: "sweep", Interval: sweepEvery, Run: func(ctx context.Context) error { return sweepAll(ctx, s.db, s.now) }},
			{Name: "trim memory", Interval: trimEvery, Run: func(context.Context) error { return trimMemory(s.passwords, tune) }},
		},
	}
	r.Every = append(r.Every, c.enterprise.Every()...)
	if tune {
		r.Every = append(r.Every, job.Every{Name: "adjust memory", Interval: adjustEvery, Run: adjustMemory})
	}
	return r
}

// deliverMail hands one packed mail to the sender. A mail that no repeat can
// deliver is given up.
func (s *Server) deliverMail(ctx context.Context, j job.Job) error {
	err := mail.Deliver(ctx, s.mail, s.cfg.SecretKey, j.Payload)
	if errors.Is(err, mail.ErrRefused) {
		return fmt.Errorf("%w: %w", job.ErrGiveUp, err)
	}
	return err
}

// countJobs sums the queue up for the metrics.
func countJobs(ctx context.Context, d *db.DB) (counts []job.Count, err error) {
	err = d.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		counts, err = job.Counts(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}
