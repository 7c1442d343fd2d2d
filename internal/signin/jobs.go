package signin

import (
	"context"
	"time"

	"sallyport/internal/job"
)

// retries are the delays after which a job that only writes rows is tried
// again: what makes it fail is the database, which is back within minutes.
var retries = []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}

// Handlers are the jobs of this core.
func (c *Core) Handlers() map[job.Kind]job.Handler {
	return map[job.Kind]job.Handler{
		JobRecover: {Retry: retries, Run: func(ctx context.Context, j job.Job) error {
			return c.Recover(ctx, j.Payload)
		}},
		JobSignUp: {Retry: retries, Run: func(ctx context.Context, j job.Job) error {
			return c.SignUpLater(ctx, j.Payload)
		}},
		JobVerify: {Retry: retries, Run: func(ctx context.Context, j job.Job) error {
			return c.Verify(ctx, j.Payload)
		}},
		JobMagicLink: {Retry: retries, Run: func(ctx context.Context, j job.Job) error {
			return c.SendMagicLink(ctx, j.Payload)
		}},
	}
}
