package dbtest

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db"
)

// Faults says how often the engine beneath a test goes wrong. The rates are between 0 and
// 1 and are rolled at each step of each write.
type Faults struct {
	Seed          uint64        // the same seed rolls the same dice
	Serialization float64       // statement or commit fails as with SQLSTATE 40001
	Lost          float64       // connection lost before the commit was sent
	Unknown       float64       // connection lost after it was sent: the caller gets ErrUnavailable though the rows are there
	Delay         time.Duration // at most this long before a step, to let others in between
}

// EachFaulty is Each with faults beneath every write. Without Unknown the test should not
// notice them: whatever it asks for happens once, whole, or not at all.
func EachFaulty(t *testing.T, f Faults, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	// Migrated in peace: that is not what the test is about.
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, migratedSQLite(t), db.Options{Fault: f.roll()})) })
	t.Run("postgres", func(t *testing.T) { test(t, open(t, borrowed(t), db.Options{Fault: f.roll()})) })
}

func (f Faults) roll() func(db.Step) error {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(f.Seed, 0))
	return func(s db.Step) error {
		mu.Lock()
		delay := time.Duration(dice.Float64() * float64(f.Delay))
		n := dice.Float64()
		mu.Unlock()
		time.Sleep(delay)
		switch {
		case s == db.AfterCommit && n < f.Unknown:
			return db.ErrConnectionLost
		case s == db.AfterCommit:
			return nil
		case n < f.Serialization:
			return db.ErrSerialization
		case n < f.Serialization+f.Lost:
			return db.ErrConnectionLost
		}
		return nil
	}
}
