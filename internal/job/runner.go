package job

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/secret"
)

// Runner does the jobs of its handlers' kinds, and the periodic work, on one
// node. Jobs of other kinds wait for a node that knows them, as during an
// upgrade. The fields are set before Run and not changed after.
type Runner struct {
	DB       *db.DB
	Now      func() time.Time
	Handlers map[Kind]Handler
	Every    []Every
	Log      *slog.Logger
	Poll     time.Duration // how often an idle runner looks for jobs; 0: 200 ms
}

// Run works until ctx ends and then waits for the jobs in flight; periodic work
// ends with ctx. Its error is always nil but for a runner that cannot work.
func (r *Runner) Run(ctx context.Context) error {
	for _, e := range r.Every {
		if e.Interval <= 0 || e.Run == nil {
			return fmt.Errorf("job: periodic work %q has no interval or nothing to do", e.Name)
		}
	}
	var loops sync.WaitGroup
	for kind, h := range r.Handlers {
		loops.Go(func() { r.serve(ctx, kind, h) })
	}
	for _, e := range r.Every {
		loops.Go(func() { r.repeat(ctx, e) })
	}
	loops.Wait()
	return nil
}

// RunOnce does the jobs that are due when it is called, without delay and
// without periodic work, and returns how many it tried. With several kinds, a
// kind's jobs may enqueue another's: a caller that wants all of it done calls
// until there are none.
func (r *Runner) RunOnce(ctx context.Context) (int, error) {
	total := 0
	for kind, h := range r.Handlers {
		for {
			jobs, _, err := r.claim(ctx, kind, h, h.parallel())
			if err != nil {
				return total, err
			}
			if len(jobs) == 0 {
				break
			}
			total += len(jobs)
			var batch sync.WaitGroup
			for _, j := range jobs {
				batch.Go(func() { r.attempt(ctx, j, h) })
			}
			batch.Wait()
		}
	}
	return total, nil
}

// serve keeps up to h.Parallel jobs of a kind running until ctx ends.
func (r *Runner) serve(ctx context.Context, kind Kind, h Handler) {
	var inFlight sync.WaitGroup
	defer inFlight.Wait()
	slots := make(chan struct{}, h.parallel())
	down := false
	for {
		// A claimed job starts at once, so that its lease covers all of it: claim
		// only what there are free slots for, at least one.
		select {
		case slots <- struct{}{}:
			<-slots
		case <-ctx.Done():
			return
		}
		free := cap(slots) - len(slots)
		jobs, more, err := r.claim(ctx, kind, h, free)
		if err != nil && ctx.Err() == nil && !down {
			r.Log.Error("cannot claim jobs", "kind", kind, "error", err) // once, until it works again
		}
		down = err != nil
		for _, j := range jobs {
			slots <- struct{}{}
			inFlight.Go(func() {
				defer func() { <-slots }()
				r.attempt(ctx, j, h)
			})
		}
		if more && err == nil {
			continue
		}
		if !pause(ctx, r.poll()) {
			return
		}
	}
}

// claim takes up to n due jobs, and reports whether there seem to be more. An
// idle node only reads. A busy one claims a window of the backlog at a random
// place, so that nodes seldom choose the same rows; those that lose find their
// next ones at once.
func (r *Runner) claim(ctx context.Context, kind Kind, h Handler, n int) (jobs []Job, more bool, err error) {
	now := r.Now()
	var waiting int64
	err = r.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		waiting, err = due(ctx, tx, kind, 16*n, now)
		return err
	})
	if err != nil || waiting == 0 {
		return nil, false, err
	}
	skip := 0
	if room := int(waiting) - n; room > 0 {
		skip = int(random() * float64(room+1))
	}
	err = r.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		jobs, err = claim(ctx, tx, kind, n, skip, now, now.Add(h.timeout()+margin))
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return jobs, waiting > int64(len(jobs)), nil
}

// attempt does a claimed job and writes down what came of it. The end of ctx
// stops neither.
func (r *Runner) attempt(ctx context.Context, j Job, h Handler) {
	ctx = context.WithoutCancel(ctx)
	log := r.Log.With("job", j.ID, "kind", j.Kind, "attempt", j.Attempts)
	var err error
	if last := len(h.Retry) + 1; j.Attempts > last+crashes {
		err = fmt.Errorf("%w: %d attempts ended without a result", ErrGiveUp, j.Attempts-last)
	} else {
		err = safely(ctx, h.timeout(), func(ctx context.Context) error { return h.Run(ctx, j) })
	}

	var ours bool
	write := func(fn func(ctx context.Context, tx *db.Tx) (bool, error)) error {
		ctx, cancel := context.WithTimeout(ctx, margin)
		defer cancel()
		return r.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			ours, err = fn(ctx, tx)
			return err
		})
	}
	now := r.Now()
	var failed error
	switch {
	case err == nil:
		failed = write(func(ctx context.Context, tx *db.Tx) (bool, error) { return finish(ctx, tx, j) })
	case errors.Is(err, ErrGiveUp) || j.Attempts > len(h.Retry):
		log.Error("job given up", "error", err)
		failed = write(func(ctx context.Context, tx *db.Tx) (bool, error) { return bury(ctx, tx, j, now, reason(err)) })
	default:
		delay := jitter(h.Retry[j.Attempts-1])
		log.Warn("job failed and will be tried again", "error", err, "delay", delay)
		failed = write(func(ctx context.Context, tx *db.Tx) (bool, error) {
			return postpone(ctx, tx, j, now.Add(delay), reason(err))
		})
	}
	switch {
	case failed != nil:
		log.Error("cannot write the result of a job; it runs again when its lease ends", "lease", j.lease, "error", failed)
	case !ours:
		log.Error("job outlived its lease and was claimed again", "lease", j.lease)
	}
}

// repeat does e now and then at its interval until ctx ends.
func (r *Runner) repeat(ctx context.Context, e Every) {
	for {
		err := safely(ctx, 0, e.Run)
		if err != nil && ctx.Err() == nil {
			r.Log.Error("periodic work failed", "name", e.Name, "error", err)
		}
		if !pause(ctx, jitter(e.Interval)) {
			return
		}
	}
}

func (r *Runner) poll() time.Duration {
	if r.Poll > 0 {
		return jitter(r.Poll)
	}
	return jitter(defaultPoll)
}

// safely calls run, for at most timeout if there is one, and turns a panic into
// an error with its stack.
func safely(ctx context.Context, timeout time.Duration, run func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return run(ctx)
}

// pause waits for d; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter changes d by up to a tenth, so that nodes and jobs spread out.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((random()-0.5)/5*float64(d))
}

// random is a number from 0 up to, not including, 1.
func random() float64 {
	return float64(binary.BigEndian.Uint64(secret.Bytes(8))>>11) / (1 << 53)
}
