package db

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"zombiezen.com/go/sqlite"
)

const (
	// busyTimeout is how long another process, such as an operator's command, may hold
	// the write lock before a write gives up with ErrUnavailable.
	busyTimeout = 5 * time.Second
	// statementsKept bounds the prepared statements of a connection. The program has far
	// fewer texts; the bound is for one built at run time.
	statementsKept = 512
)

// pragmas are the settings of every connection. FULL makes a commit survive a power cut;
// committing in groups pays for it. LIKE tells case apart, as PostgreSQL's does. The page
// caches are small because each commit of the writer empties those of the readers; the
// file is not mapped because each would then map it anew as well, which costs more than
// reading the few pages of a look-up.
var pragmas = []string{
	"PRAGMA synchronous = FULL",
	"PRAGMA foreign_keys = ON",
	"PRAGMA temp_store = MEMORY",
	"PRAGMA cache_size = -2000",
	"PRAGMA case_sensitive_like = ON",
}

// conn is one SQLite connection with its prepared statements. It is used by one goroutine
// at a time.
type conn struct {
	*sqlite.Conn
	stmts  map[string]*stmt
	broken bool // to be closed, not used again
}

// stmt is a prepared statement and what binding it needs to know.
type stmt struct {
	*sqlite.Stmt
	order   []int // argument number of each parameter in turn, from 1
	args    int   // the highest of them
	changes bool  // INSERT, UPDATE or DELETE
}

// openWriter opens the connection that writes, and puts a new file into WAL mode.
func openWriter(path string) (*conn, error) {
	c, err := openConn(path, pragmas...)
	if err != nil {
		return nil, err
	}
	if err := c.useWAL(); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.do("PRAGMA wal_autocheckpoint = 4000"); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// openReader opens a connection that refuses to write.
func openReader(path string) (*conn, error) {
	c, err := openConn(path, pragmas...)
	if err != nil {
		return nil, err
	}
	if err := c.do("PRAGMA query_only = ON"); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func openConn(path string, setup ...string) (*conn, error) {
	// Without OpenURI a path is taken as it is, also one with ? or %.
	raw, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, sqliteErr(err)
	}
	raw.SetBusyTimeout(busyTimeout)
	c := &conn{Conn: raw, stmts: make(map[string]*stmt)}
	for _, s := range setup {
		if err := c.do(s); err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return c, nil
}

// useWAL turns on the write-ahead log, or finds it on. Another process that does so at
// the same moment makes SQLite answer busy at once, without the busy timeout.
func (c *conn) useWAL() error {
	for try := 1; ; try++ {
		mode := ""
		err := c.query(context.Background(), "PRAGMA journal_mode = WAL", nil, func(r Row) bool {
			return r.Scan(&mode) != nil
		})
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("%w: the file system of the database has no shared memory for WAL mode", ErrUnavailable)
		case try == maxTries || sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy:
			return err
		}
		time.Sleep(busyTimeout / 100)
	}
}

// prepare gives the statement for query, made once per connection.
func (c *conn) prepare(query string) (*stmt, error) {
	if s := c.stmts[query]; s != nil {
		return s, nil
	}
	if len(c.stmts) >= statementsKept {
		for text, s := range c.stmts {
			s.Finalize()
			delete(c.stmts, text)
		}
	}
	raw, err := c.Conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	s := &stmt{Stmt: raw, order: make([]int, raw.BindParamCount())}
	switch firstWord(query) {
	case "INSERT", "UPDATE", "DELETE":
		s.changes = true
	case "WITH":
		s.changes = !reads(query)
	}
	for i := range s.order {
		// SQLite numbers $2 by where it stands; its name is what counts.
		name := raw.BindParamName(i + 1)
		n, err := strconv.Atoi(name[min(1, len(name)):])
		if err != nil || n < 1 {
			raw.Finalize()
			return nil, fmt.Errorf("db: parameter %q is not of the form $1", name)
		}
		s.order[i] = n
		s.args = max(s.args, n)
	}
	c.stmts[query] = s
	return s, nil
}

// start binds args; the caller steps the statement and resets it.
func (c *conn) start(query string, args []any) (*stmt, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	if s.args != len(args) {
		return nil, fmt.Errorf("db: statement has %d parameters, got %d arguments", s.args, len(args))
	}
	for i, n := range s.order {
		v, err := plain(args[n-1])
		if err != nil {
			return nil, fmt.Errorf("db: argument $%d: %w", n, err)
		}
		switch v := v.(type) {
		case nil:
			s.BindNull(i + 1)
		case string:
			s.BindText(i+1, v)
		case int64:
			s.BindInt64(i+1, v)
		case bool:
			s.BindBool(i+1, v)
		case []byte:
			s.BindBytes(i+1, v)
		}
	}
	return s, nil
}

func (c *conn) exec(_ context.Context, query string, args []any) (int64, error) {
	s, err := c.start(query, args)
	if err != nil {
		return 0, c.failed(err)
	}
	for more := true; more; {
		if more, err = s.Step(); err != nil {
			return 0, c.failed(err)
		}
	}
	var n int64
	if s.changes {
		n = int64(c.Changes())
	}
	return n, c.failed(s.Reset())
}

func (c *conn) query(_ context.Context, query string, args []any, row func(Row) bool) error {
	s, err := c.start(query, args)
	if err != nil {
		return c.failed(err)
	}
	// A cursor left open would keep the snapshot and refuse the commit, also after a
	// panic of the scan function.
	defer s.Reset()
	for {
		more, err := s.Step()
		if err != nil {
			return c.failed(err)
		}
		if !more || !row(s) {
			return c.failed(s.Reset())
		}
	}
}

// do runs one of the fixed statements that begin and end transactions.
func (c *conn) do(query string) error {
	_, err := c.exec(context.Background(), query, nil)
	return err
}

// failed notes whether err makes the connection unfit for further use.
func (c *conn) failed(err error) error {
	if err == nil {
		return nil
	}
	if damaged(err) {
		c.broken = true
	}
	return sqliteErr(err)
}

// Scan makes stmt the Row of its current row.
func (s *stmt) Scan(dest ...any) error {
	if n := s.ColumnCount(); n != len(dest) {
		return fmt.Errorf("db: row has %d columns, scanned into %d", n, len(dest))
	}
	for i, d := range dest {
		var v value
		switch s.ColumnType(i) {
		case sqlite.TypeInteger:
			v = value{kind: integer, n: s.ColumnInt64(i)}
		case sqlite.TypeText:
			v = value{kind: text, s: s.ColumnText(i)}
		case sqlite.TypeBlob:
			v = value{kind: blob, b: make([]byte, s.ColumnLen(i))}
			s.ColumnBytes(i, v.b)
		case sqlite.TypeFloat:
			return fmt.Errorf("db: column %d is a floating point number", i+1)
		}
		if err := assign(d, v); err != nil {
			return fmt.Errorf("db: column %d: %w", i+1, err)
		}
	}
	return nil
}
