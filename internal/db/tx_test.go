package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func set(name, value string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, 1)`, name, value)
		return err
	}
}

func settings(t *testing.T, d *db.DB) []string {
	t.Helper()
	var names []string
	err := d.Read(context.Background(), func(ctx context.Context, tx *db.Tx) (err error) {
		names, err = db.All(ctx, tx, db.Text, `SELECT name FROM settings ORDER BY name`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestParametersAreBoundByNumber(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO settings (value, name, updated_at) VALUES ($2, $1, $3)`, "n", "v", 7)
			return err
		})
		// Eleven of them, out of order and repeated: $10 is neither $1 nor the tenth in the text.
		query := `SELECT name FROM settings WHERE name = $11 AND updated_at = $2 AND value = $10 AND name = $11
			AND '1' = $1 AND '3' = $3 AND '4' = $4 AND '5' = $5 AND '6' = $6 AND '7' = $7 AND '8' = $8 AND '9' = $9 AND value = $10`
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for range 2 { // the second finds the statement prepared
				got, err := db.One(ctx, tx, db.Text, query, "1", 7, "3", "4", "5", "6", "7", "8", "9", "v", "n")
				if err != nil || got != "n" {
					return fmt.Errorf("got %q, %w", got, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestNestedTransactionFails(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		inner := func(context.Context, *db.Tx) error { return nil }
		doors := []func(context.Context, func(context.Context, *db.Tx) error) error{d.Read, d.Write}
		for _, outer := range doors {
			for _, second := range doors {
				err := outer(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					if second(ctx, inner) == nil {
						t.Error("a transaction opened inside another")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestConstraintsAreNamed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		user := func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO users (id, display_name, given_name, family_name, status, password_hash, created_at, updated_at)
				VALUES ('u', '', '', '', 'active', '', 0, 0)`)
			return err
		}
		email := func(user string) func(ctx context.Context, tx *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO emails (address, user_id, is_primary, created_at) VALUES ($1, $2, TRUE, 0)`, user+"@example.com", user)
				return err
			}
		}
		write(t, d, user)
		write(t, d, email("u"))
		if err := d.Write(t.Context(), user); !errors.Is(err, db.ErrConflict) {
			t.Errorf("second user: got %v, want ErrConflict", err)
		}
		if err := d.Write(t.Context(), email("nobody")); !errors.Is(err, db.ErrReference) {
			t.Errorf("email of nobody: got %v, want ErrReference", err)
		}
		// SQLite looks at references when the statement ends, which is after its row.
		returning := `INSERT INTO emails (address, user_id, is_primary, created_at) VALUES ($1, $2, TRUE, 0) RETURNING address`
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := db.One(ctx, tx, db.Text, returning, "x@example.com", "nobody")
			return err
		})
		if !errors.Is(err, db.ErrReference) {
			t.Errorf("One row of nobody: got %v, want ErrReference", err)
		}
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := db.All(ctx, tx, db.Text, returning, "x@example.com", "nobody")
			return err
		})
		if !errors.Is(err, db.ErrReference) {
			t.Errorf("All rows of nobody: got %v, want ErrReference", err)
		}
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE users SET status = 'absent' WHERE id = 'u'`)
			return err
		})
		if err == nil || errors.Is(err, db.ErrConflict) || errors.Is(err, db.ErrReference) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("failed check: got %v, want a plain error", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			n, err := tx.Exec(ctx, `DELETE FROM users WHERE id = 'u'`)
			if n != 1 { // the cascade is not counted
				t.Errorf("delete: %d rows, want 1", n)
			}
			left, err2 := db.One(ctx, tx, db.Int, `SELECT count(*) FROM emails`)
			if left != 0 {
				t.Errorf("%d emails left, want 0", left)
			}
			return errors.Join(err, err2)
		})
	})
}

func TestFailedStatementSpoilsTheTransaction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, set("taken", ""))
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := set("mine", "")(ctx, tx); err != nil {
				return err
			}
			if err := set("taken", "")(ctx, tx); !errors.Is(err, db.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
			if err := set("other", "")(ctx, tx); err == nil {
				t.Error("a statement ran after one that failed")
			}
			if _, err := db.One(ctx, tx, db.Int, `SELECT 1`); err == nil {
				t.Error("a query ran after one that failed")
			}
			return nil
		})
		if !errors.Is(err, db.ErrConflict) {
			t.Errorf("dropped error: got %v, want ErrConflict", err)
		}
		if got := settings(t, d); !slices.Equal(got, []string{"taken"}) {
			t.Errorf("rows %v, want taken", got)
		}
	})
}

func TestOneTakesTheFirstRow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, n := range []string{"a", "b", "c"} {
			write(t, d, set(n, ""))
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			for range 2 {
				got, err := db.One(ctx, tx, db.Text, `SELECT name FROM settings ORDER BY name`)
				if err != nil || got != "a" {
					t.Errorf("got %q, %v, want a", got, err)
				}
			}
			if _, err := db.One(ctx, tx, db.Text, `SELECT name FROM settings WHERE name = 'z'`); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			// All rows change, though one is taken.
			_, err := db.One(ctx, tx, db.Text, `UPDATE settings SET value = 'seen' RETURNING name`)
			return err
		})
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			n, err := db.One(ctx, tx, db.Int, `SELECT count(*) FROM settings WHERE value = 'seen'`)
			if n != 3 {
				t.Errorf("%d rows changed, want 3", n)
			}
			none, err2 := db.All(ctx, tx, db.Text, `SELECT name FROM settings WHERE name = 'z'`)
			if len(none) != 0 {
				t.Errorf("got %v, want none", none)
			}
			return errors.Join(err, err2)
		})
	})
}

func TestExecCountsRows(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			for _, step := range []struct {
				query string
				want  int64
			}{
				{`INSERT INTO settings (name, value, updated_at) VALUES ('a', '', 0), ('b', '', 0)`, 2},
				{`INSERT INTO settings (name, value, updated_at) VALUES ('a', '', 0) ON CONFLICT DO NOTHING`, 0},
				{`INSERT INTO settings (name, value, updated_at) VALUES ('a', '', 0) ON CONFLICT (name) DO UPDATE SET value = 'x'`, 1},
				{`INSERT INTO settings (name, value, updated_at) VALUES ('a', '', 0) ON CONFLICT (name) DO UPDATE SET value = 'x' WHERE settings.value = 'y'`, 0},
				{`SELECT name FROM settings`, 0},
				{`UPDATE settings SET value = 'z' RETURNING name`, 2},
				{`UPDATE settings SET value = 'z' WHERE name = 'q'`, 0},
				{`CREATE TABLE extra (id BIGINT PRIMARY KEY)`, 0},
				{`WITH old AS (SELECT name FROM settings WHERE value = 'z') DELETE FROM settings WHERE name IN (SELECT name FROM old)`, 2},
				{`-- a comment
				  DELETE FROM settings`, 0},
			} {
				got, err := tx.Exec(ctx, step.query)
				if err != nil || got != step.want {
					t.Errorf("%s: got %d, %v, want %d", step.query, got, err, step.want)
				}
			}
			return nil
		})
	})
}

func TestReadTakesOnlyReadingStatements(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, query := range []string{
			`INSERT INTO settings (name, value, updated_at) VALUES ('a', '', 0)`,
			`insert into settings (name, value, updated_at) values ('a', '', 0) returning name`,
			`DELETE FROM settings`, `DROP TABLE settings`, `COMMIT`, ``,
			`WITH x AS (SELECT 1) INSERT INTO settings (name, value, updated_at) SELECT 'a', '', 0`,
		} {
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, query)
				return err
			})
			if err == nil {
				t.Errorf("%s: no error", query)
			}
		}
		for _, query := range []string{
			`SELECT 1`, "\n\tselect 1", "-- why\nSELECT 1", `WITH x AS (SELECT updated_at FROM settings) SELECT count(*) FROM x`,
		} {
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := db.One(ctx, tx, db.Int, query)
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		if got := settings(t, d); len(got) != 0 {
			t.Errorf("rows %v, want none", got)
		}
	})
}

func TestFunctionCannotEndItsTransaction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, query := range []string{`COMMIT`, ` commit`, `ROLLBACK`, `BEGIN`, `SAVEPOINT x`, `RELEASE x`, `END`} {
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				if err := set("a", "")(ctx, tx); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, query)
				return err
			})
			if err == nil {
				t.Errorf("%s: no error", query)
			}
		}
		if got := settings(t, d); len(got) != 0 {
			t.Errorf("rows %v, want none", got)
		}
	})
}

func TestTxEndsWithItsFunction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var kept []*db.Tx
		keep := func(_ context.Context, tx *db.Tx) error {
			kept = append(kept, tx)
			return nil
		}
		write(t, d, keep)
		if err := d.Read(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		for _, tx := range kept {
			if _, err := db.One(t.Context(), tx, db.Int, `SELECT 1`); err == nil {
				t.Error("a transaction served after its end")
			}
		}
	})
}

func TestStatementInsideARowFails(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, set("a", ""))
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := db.All(ctx, tx, func(r db.Row) (int64, error) {
				if _, err := db.One(ctx, tx, db.Int, `SELECT 1`); err == nil {
					t.Error("a statement ran inside a row")
				}
				return 0, nil
			}, `SELECT name FROM settings`)
			return err
		})
	})
}

func TestErrorOfTheFunctionComesOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		mine := errors.New("mine")
		fail := func(context.Context, *db.Tx) error { return mine }
		if err := d.Write(t.Context(), fail); err != mine {
			t.Errorf("write: got %v", err)
		}
		if err := d.Read(t.Context(), fail); err != mine {
			t.Errorf("read: got %v", err)
		}
		// So does that of a scan, and it does not spoil the transaction.
		write(t, d, set("a", ""))
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			bad := func(db.Row) (int, error) { return 0, mine }
			if _, err := db.One(ctx, tx, bad, `SELECT name FROM settings`); err != mine {
				t.Errorf("One: got %v", err)
			}
			if _, err := db.All(ctx, tx, bad, `SELECT name FROM settings`); err != mine {
				t.Errorf("All: got %v", err)
			}
			return set("b", "")(ctx, tx)
		})
	})
}
