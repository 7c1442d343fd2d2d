// Package limit owns rate limits: how often something may be done by, or to,
// one subject. Which limits there are is said by the surface that has them in
// its contract and by the core; this package only counts.
//
// It is the generic cell rate algorithm (GCRA, ITU-T I.371): a rule of N in Per
// admits N at once and then one each Per/N. A bucket is one number, the
// theoretical arrival time of the next cell (tat): what was admitted has paid
// for all time up to there. Something is admitted at now if
//
//	tat ≤ now + (N−1)·Per/N
//
// and moves tat to max(tat, now) + Per/N. One guarded statement does both for
// all rules of a request, so the limits are exact over any number of nodes, and
// a bucket whose tat has passed is as good as none, so rows can be swept.
//
// The table holds no e-mail and no network address: a row's key is a hash. It
// is not keyed, so whoever has the table can still test a guessed address.
package limit

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/secret"
)

// Rule is a limit on one subject. Name tells rules apart ("keymaster login per
// email"), Key is the subject (an address, a user id); both together are the
// bucket, so two surfaces share a limit only if they name it alike. N actions
// are admitted within Per, which counts in whole microseconds for each of them.
type Rule struct {
	Name string
	Key  string
	N    int
	Per  time.Duration
}

// Most is how many rules one call takes.
const Most = 4

// ErrRule reports a rule that admits nothing or cannot be counted, two rules
// for one bucket, or more than Most rules: a mistake in the program.
var ErrRule = errors.New("limit: bad rule")

// interval is the time in microseconds that one action costs.
func (r Rule) interval() int64 {
	return r.Per.Microseconds() / int64(r.N)
}

// burst is how far, in microseconds, tat may lie ahead for one more action.
func (r Rule) burst() int64 { return int64(r.N-1) * r.interval() }

// bucket is a rule made ready for a statement.
type bucket struct {
	key             string
	index           int // of the rule among the caller's
	interval, burst int64
}

// buckets checks the rules and returns them in the order of their keys, in
// which every transaction touches rows, so that none waits for another in a
// circle.
func buckets(rules []Rule) ([]bucket, error) {
	if len(rules) > Most {
		return nil, fmt.Errorf("%w: %d rules", ErrRule, len(rules))
	}
	out := make([]bucket, len(rules))
	for i, r := range rules {
		if r.N < 1 || r.Per.Microseconds() < int64(r.N) || r.Per > maxPer {
			return nil, fmt.Errorf("%w: %d in %v for %q", ErrRule, r.N, r.Per, r.Name)
		}
		out[i] = bucket{rowKey(r.Name, r.Key), i, r.interval(), r.burst()}
	}
	slices.SortFunc(out, func(a, b bucket) int { return cmp.Compare(a.key, b.key) })
	for i := 1; i < len(out); i++ {
		if out[i-1].key == out[i].key {
			return nil, fmt.Errorf("%w: %q twice", ErrRule, rules[out[i].index].Name)
		}
	}
	return out, nil
}

// maxPer keeps sums of instants and intervals far from the end of int64.
const maxPer = 366 * 24 * time.Hour

// rowKey is the key of a bucket's row: half a SHA-256, which is more than
// enough to keep buckets apart.
func rowKey(name, key string) string {
	return hex.EncodeToString(secret.Hash(fmt.Sprintf("%d:%s:%s", len(name), name, key))[:16])
}

// RetryAfter is a wait in whole seconds, rounded up, at least 1: what a
// Retry-After header (RFC 9110 §10.2.3) says.
func RetryAfter(wait time.Duration) int {
	return int(max(1, (wait+time.Second-1)/time.Second))
}
