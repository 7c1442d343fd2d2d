package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema compares the migrations in the database with those in the program.
type Schema struct {
	Fresh   bool     // no migration has been applied
	Applied []string // in the database and in the program
	Pending []string // in the program only
	Unknown []string // in the database only: it was made by a newer program
}

// Schema reads what has been applied; it changes nothing.
func (d *DB) Schema(ctx context.Context) (Schema, error) {
	var s Schema
	var applied []string
	err := d.Read(ctx, func(ctx context.Context, tx *Tx) error {
		var err error
		applied = nil
		n, err := One(ctx, tx, Int, d.engine.hasLedger())
		if err != nil || n == 0 {
			return err
		}
		applied, err = All(ctx, tx, Text, `SELECT name FROM migrations ORDER BY name`)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("read schema: %w", err)
	}
	known := names()
	for _, name := range known {
		if slices.Contains(applied, name) {
			s.Applied = append(s.Applied, name)
		} else {
			s.Pending = append(s.Pending, name)
		}
	}
	for _, name := range applied {
		if !slices.Contains(known, name) {
			s.Unknown = append(s.Unknown, name)
		}
	}
	s.Fresh = len(applied) == 0
	return s, nil
}

// Migrate applies the pending migrations in order and names those it applied. Each is one
// transaction together with its line in the table of migrations. Two nodes may run it at
// once: the line is the lock, and the second finds the work done.
func (d *DB) Migrate(ctx context.Context) (applied []string, err error) {
	s, err := d.Schema(ctx)
	if err != nil || len(s.Pending) == 0 {
		return nil, err
	}
	if err := d.engine.ledger(ctx); err != nil {
		return nil, fmt.Errorf("make table of migrations: %w", err)
	}
	for _, name := range s.Pending {
		sql, err := migrations.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			return applied, err
		}
		did, err := d.engine.script(ctx, name, string(sql))
		if err != nil {
			return applied, fmt.Errorf("migrate %s: %w", name, err)
		}
		if did {
			applied = append(applied, name)
		}
	}
	return applied, nil
}

// names lists the migrations of the program in order, without their suffix.
func names() []string {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".sql")
	}
	slices.Sort(files)
	return files
}

const makeLedger = `CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL)`

func (e *sqliteEngine) hasLedger() string {
	return `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'migrations'`
}

func (e *sqliteEngine) ledger(ctx context.Context) error {
	return e.writer.do(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, makeLedger)
		return err
	})
}

// rowKey makes a BIGINT key the row's own number, which SQLite does for this one spelling
// only: else the key is an index beside the table, and each look-up goes through both.
var rowKey = strings.NewReplacer("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY")

func (e *sqliteEngine) script(ctx context.Context, name, text string) (bool, error) {
	did := false
	err := e.writer.do(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO migrations (name, applied_at)
			VALUES ($1, CAST(unixepoch('subsec') * 1000000 AS BIGINT)) ON CONFLICT DO NOTHING`, name)
		if did = n == 1; err != nil || !did {
			return err
		}
		return tx.after(sqliteErr(sqlitex.ExecuteScript(e.writer.conn.Conn, rowKey.Replace(text), nil)))
	})
	return did && err == nil, err
}

func (e *pgEngine) hasLedger() string {
	return `SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'migrations'`
}

// ledger may meet another node's: IF NOT EXISTS looks before it locks, and the loser gets
// an error of the catalogue. Its second look finds the table.
func (e *pgEngine) ledger(ctx context.Context) error {
	for try := 1; ; try++ {
		_, err := e.conns.Exec(ctx, makeLedger)
		pg, ok := errors.AsType[*pgconn.PgError](err)
		raced := ok && (pg.Code == "23505" || pg.Code == "42P07") // unique_violation, duplicate_table
		if !raced || try == maxTries {
			return pgErr(err)
		}
	}
}

func (e *pgEngine) script(ctx context.Context, name, text string) (did bool, err error) {
	err = e.retry(ctx, func(budget context.Context) (verdict, error) {
		did = false
		// No bound on the work: a migration may be long, or wait for another node's.
		p := &pgTx{engine: e, caller: ctx, budget: budget, work: ctx}
		defer p.end()
		n, err := p.exec(ctx, `INSERT INTO migrations (name, applied_at)
			VALUES ($1, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)) ON CONFLICT DO NOTHING`, []any{name})
		if err != nil || n == 0 {
			return judge(err), err
		}
		did = true
		// The simple protocol takes many statements at once.
		if _, err := p.conn.Conn().PgConn().Exec(ctx, text).ReadAll(); err != nil {
			err = p.failed(err)
			return judge(err), err
		}
		err = p.commit()
		return judge(err), err
	})
	return did && err == nil, err
}
