package limit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/db"
)

// takes[n] admits an action under n rules at once. $1 is now; each rule has a
// key, a tat for an empty bucket, and the greatest tat that admits one more.
// A rule that denies leaves its row as it is and is missing in the answer.
var takes = func() (texts [Most + 1]string) {
	for n := 1; n <= Most; n++ {
		rows, guards := make([]string, n), make([]string, n)
		for i := range n {
			key, tat, most := 3*i+2, 3*i+3, 3*i+4
			rows[i] = fmt.Sprintf("($%d, $%d)", key, tat)
			guards[i] = fmt.Sprintf("(limits.key = $%d AND limits.tat <= $%d)", key, most)
		}
		// excluded.tat is now plus the rule's interval.
		texts[n] = `INSERT INTO limits (key, tat) VALUES ` + strings.Join(rows, ", ") + `
			ON CONFLICT (key) DO UPDATE
			SET tat = CASE WHEN limits.tat > $1 THEN limits.tat - $1 + excluded.tat ELSE excluded.tat END
			WHERE ` + strings.Join(guards, " OR ") + `
			RETURNING key, tat`
	}
	return texts
}()

// Take counts one action under every rule, in one statement. A wait of zero
// means that all admitted it, or that there are none. Otherwise rules[hit] is
// the first that denied, and wait is the time after which all of them would
// admit it if nothing else came.
// A rule that denies counts nothing, but the others have counted: the caller
// fails, and so rolls back, unless they are meant to count.
//
// A transaction takes all its rules in one call: two calls may lock the same
// rows in opposite order as another transaction, which then has to be repeated.
func Take(ctx context.Context, tx *db.Tx, now time.Time, rules ...Rule) (wait time.Duration, hit int, err error) {
	_, wait, hit, err = Count(ctx, tx, now, rules...)
	return wait, hit, err
}

// State is how a rule stands: how many actions more it admits at once, and how
// long it takes until it admits all of them again.
type State struct {
	Left int
	Full time.Duration
}

// Count is Take for who tells the caller how each rule stands, in their order.
func Count(ctx context.Context, tx *db.Tx, now time.Time, rules ...Rule) (states []State, wait time.Duration, hit int, err error) {
	bs, err := buckets(rules)
	if err != nil || len(bs) == 0 {
		return nil, 0, 0, err
	}
	at := db.At(now)
	args := make([]any, 1, 1+3*len(bs))
	args[0] = at
	for _, b := range bs {
		args = append(args, b.key, at+b.interval, at+b.burst)
	}
	admitted, err := db.All(ctx, tx, scan, takes[len(bs)], args...)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("count a limit: %w", err)
	}
	if len(admitted) < len(bs) {
		denied := slices.DeleteFunc(slices.Clone(bs), func(b bucket) bool {
			return slices.ContainsFunc(admitted, func(l level) bool { return l.key == b.key })
		})
		// The denying rows are locked by the statement above, so they stand still.
		if wait, hit, err = waits(ctx, tx, at, denied); err != nil {
			return nil, 0, 0, err
		}
		wait = max(wait, time.Microsecond)
	}
	states = make([]State, len(rules))
	for _, b := range bs {
		states[b.index] = State{Full: wait + time.Duration(b.burst)*time.Microsecond}
		for _, l := range admitted {
			if l.key == b.key {
				ahead := l.tat - at
				states[b.index] = State{Left: int((b.burst + b.interval - ahead) / b.interval), Full: time.Duration(ahead) * time.Microsecond}
			}
		}
	}
	return states, wait, hit, nil
}

// Wait tells how Take would answer, and counts nothing. It refuses early and
// cheaply, in a read transaction, what Take would refuse anyway.
func Wait(ctx context.Context, tx *db.Tx, now time.Time, rules ...Rule) (wait time.Duration, hit int, err error) {
	bs, err := buckets(rules)
	if err != nil || len(bs) == 0 {
		return 0, 0, err
	}
	return waits(ctx, tx, db.At(now), bs)
}

type level struct {
	key string
	tat int64
}

func scan(r db.Row) (l level, err error) {
	err = r.Scan(&l.key, &l.tat)
	return l, err
}

// waits returns the longest wait among the buckets and the least index of one
// that has to wait, or zeros.
func waits(ctx context.Context, tx *db.Tx, at int64, bs []bucket) (wait time.Duration, hit int, err error) {
	marks, args := keys(bs)
	levels, err := db.All(ctx, tx, scan, `SELECT key, tat FROM limits WHERE key IN (`+marks+`)`, args...)
	if err != nil {
		return 0, 0, fmt.Errorf("read a limit: %w", err)
	}
	hit = Most
	for _, b := range bs {
		for _, l := range levels {
			over := time.Duration(l.tat-b.burst-at) * time.Microsecond
			if l.key == b.key && over > 0 {
				wait, hit = max(wait, over), min(hit, b.index)
			}
		}
	}
	if wait == 0 {
		hit = 0
	}
	return wait, hit, nil
}

// Give takes back what one Take counted under the rules: for limits on failures
// alone, which count before they know.
func Give(ctx context.Context, tx *db.Tx, rules ...Rule) error {
	bs, err := buckets(rules)
	if err != nil {
		return err
	}
	for _, b := range bs {
		if _, err := tx.Exec(ctx, `UPDATE limits SET tat = tat - $2 WHERE key = $1`, b.key, b.interval); err != nil {
			return fmt.Errorf("give back a limit: %w", err)
		}
	}
	return nil
}

// Reset forgets everything counted under the rules, in one statement: a sign-in
// that succeeds does this. Nothing orders its rows, so two transactions that
// hold the same subject's buckets may, rarely, have to be repeated.
func Reset(ctx context.Context, tx *db.Tx, rules ...Rule) error {
	bs, err := buckets(rules)
	if err != nil || len(bs) == 0 {
		return err
	}
	marks, args := keys(bs)
	if _, err := tx.Exec(ctx, `DELETE FROM limits WHERE key IN (`+marks+`)`, args...); err != nil {
		return fmt.Errorf("reset a limit: %w", err)
	}
	return nil
}

// Sweep deletes up to n buckets that are full again and reports how many it
// did. Fewer than n means that there are no more.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	// The outer condition holds off a bucket that was counted in meanwhile.
	return tx.Exec(ctx, `DELETE FROM limits WHERE tat <= $1 AND key IN (
		SELECT key FROM limits WHERE tat <= $1 ORDER BY tat LIMIT $2)`, db.At(now), n)
}

// keys is the buckets' keys as placeholders and arguments.
func keys(bs []bucket) (marks string, args []any) {
	for i, b := range bs {
		if i > 0 {
			marks += ", "
		}
		marks += fmt.Sprintf("$%d", i+1)
		args = append(args, b.key)
	}
	return marks, args
}
