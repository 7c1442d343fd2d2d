package db

import "sync/atomic"

// counters are what the engines count as they go.
type counters struct {
	transactions, commits, rollbacks, retries, alone, unknown, reads, statements atomic.Int64
}

// Stats is a count of work since Open, and the state of the connections now.
type Stats struct {
	Reads        int64 // read transactions
	Statements   int64 // statements in transactions of either kind
	Transactions int64 // write transactions that were committed
	Commits      int64 // commits of the engine; on SQLite one commit carries up to 64 transactions
	Rollbacks    int64 // write transactions that ended with an error
	Retries      int64 // functions run again after 40001, 40P01 or a lost connection
	Alone        int64 // SQLite: transactions run again alone because their group could not commit
	Unknown      int64 // PostgreSQL: commits whose outcome was lost with the connection

	Open, InUse, Limit int // connections
}

// Stats reads the counters.
func (d *DB) Stats() Stats {
	s := Stats{
		Reads:        d.stats.reads.Load(),
		Statements:   d.stats.statements.Load(),
		Transactions: d.stats.transactions.Load(),
		Commits:      d.stats.commits.Load(),
		Rollbacks:    d.stats.rollbacks.Load(),
		Retries:      d.stats.retries.Load(),
		Alone:        d.stats.alone.Load(),
		Unknown:      d.stats.unknown.Load(),
	}
	s.Open, s.InUse, s.Limit = d.engine.pool()
	return s
}
