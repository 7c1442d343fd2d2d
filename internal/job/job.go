// Package job owns background work: a queue of jobs in the database that any
// number of nodes take from, and work that every node repeats at an interval.
// It does not know what a job does: a kind has a handler, and the payload is
// the handler's own (sealed, if it is secret).
//
//	operation: change rows ─ Enqueue ─ commit
//	Runner:    claim (lease) ─ Handler.Run ─┬─ done: row deleted
//	                                        ├─ failed: row due again after a delay
//	                                        └─ failed for good: row dead, kept for the operator
//
// A claim is one guarded UPDATE that moves run_at to the end of the lease and
// counts the attempt; so run_at is when the row may next be claimed, whatever
// happens to the node, and both together are the fence: what a runner writes
// afterwards holds only if nobody has claimed the job since.
//
// A job runs at least once, and while its lease lasts on one node only. It
// runs again if the node stops before the result is written. Handlers are
// written for that.
package job

import (
	"context"
	"errors"
	"time"
)

// Kind names the handler of a job. The texts are stored.
type Kind string

// Mail is the kind of packed mails.
const Mail Kind = "mail"

// Job is one piece of work, as its handler gets it.
type Job struct {
	ID        string
	Kind      Kind
	Payload   []byte
	Attempts  int       // this one included
	CreatedAt time.Time // when it was enqueued
	lease     time.Time // until when it is ours
}

// Handler says how jobs of a kind are done.
type Handler struct {
	// Run does the work, within Timeout. An error or panic has it tried again,
	// unless the error is ErrGiveUp. It is not interrupted when the runner
	// stops: the runner waits for it.
	Run func(ctx context.Context, j Job) error
	// Retry holds the delays after the first attempt, the second and so on, each
	// changed at random by a tenth. When they are used up the job is dead.
	Retry []time.Duration
	// Timeout bounds one attempt; 0: 30 seconds.
	Timeout time.Duration
	// Parallel is how many jobs of the kind run at once on this node; 0: 4.
	Parallel int
}

// Every is work that is repeated on each node, such as a sweep. It must do no
// harm when several nodes do it at once, or when it is done too often.
type Every struct {
	Name     string
	Interval time.Duration // between the end of one run and the next, changed at random by a tenth
	Run      func(ctx context.Context) error
}

// ErrGiveUp says, wrapped by a handler's error, that no further attempt can
// help: the job is dead at once.
var ErrGiveUp = errors.New("job: no further attempt can help")

const (
	defaultTimeout  = 30 * time.Second
	defaultParallel = 4
	defaultPoll     = 200 * time.Millisecond
	// margin is how much longer than its attempt a lease lasts: time to write the
	// result, and for clocks to differ.
	margin = 30 * time.Second
	// crashes is how many attempts beyond the last retry a job is given that
	// ended with neither result nor failure, because the node stopped.
	crashes = 3
)

func (h Handler) timeout() time.Duration {
	if h.Timeout > 0 {
		return h.Timeout
	}
	return defaultTimeout
}

func (h Handler) parallel() int {
	if h.Parallel > 0 {
		return h.Parallel
	}
	return defaultParallel
}
