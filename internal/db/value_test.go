package db_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

type color string

type mood struct {
	Name  string   `json:"name"`
	Marks []string `json:"marks"`
}

// valueTable has a column of each type in use.
const valueTable = `CREATE TABLE vals (id BIGINT PRIMARY KEY, s TEXT, n BIGINT, b BOOLEAN, d BYTEA)`

type vals struct {
	text   string
	color  color
	n      int64
	small  int
	b      bool
	data   []byte
	at     time.Time
	mood   mood
	pMood  *mood
	marker map[string]any
}

func scanVals(r db.Row) (vals, error) {
	// What was there before must be gone after a scan of NULL.
	v := vals{text: "x", color: "x", n: 9, small: 9, b: true, data: []byte("x"), mood: mood{"x", []string{"x"}},
		pMood: &mood{"x", nil}, marker: map[string]any{"x": 1}}
	at := db.Time{Time: time.Unix(9, 0)}
	err := r.Scan(&v.text, &v.color, &v.n, &v.small, &v.b, &v.data, &at, db.JSON(&v.mood), db.JSON(&v.pMood), db.JSON(&v.marker))
	v.at = at.Time
	return v, err
}

const selectVals = `SELECT s, s, n, n, b, d, n, j, j, j FROM (SELECT id, s, n, b, d, $2 AS j FROM vals WHERE id = $1) AS v`

// modes are the ways in which pgx may talk to the server, all of which an operator can
// choose in the URL; SQLite has the one.
func modes(t *testing.T, f func(t *testing.T, d *db.DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, dbtest.SQLite(t)) })
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run("postgres/"+mode, func(t *testing.T) {
			d, err := db.Open(t.Context(), dbtest.PostgresURL(t)+"&default_query_exec_mode="+mode)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			if _, err := d.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			f(t, d)
		})
	}
}

func write(t *testing.T, d *db.DB, fn func(ctx context.Context, tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestValuesComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 1, 2, 3, 456789000, time.FixedZone("x", 3600))
	modes(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, valueTable)
			return err
		})
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO vals (id, s, n, b, d) VALUES ($1, $2, $3, $4, $5)`,
				1, color("blåbær '\\"), db.At(at), true, []byte{0, 1, 0xff, '\\'})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO vals (id, s, n, b, d) VALUES ($1, $2, $3, $4, $5)`, 2, nil, nil, nil, []byte(nil))
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO vals (id, s, n, b, d) VALUES ($1, $2, $3, $4, $5)`, 3, "", int64(-1<<63), false, []byte{})
			return err
		})
		read := func(id int, json any) (v vals) {
			t.Helper()
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
				v, err = db.One(ctx, tx, scanVals, strings.Replace(selectVals, "$2", "CAST($2 AS TEXT)", 1), id, json)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		v := read(1, db.JSON(mood{"<glad>", []string{"a"}}))
		if v.text != "blåbær '\\" || v.color != "blåbær '\\" || v.n != at.UnixMicro() || int64(v.small) != v.n || !v.b {
			t.Errorf("got %+v", v)
		}
		if !slices.Equal(v.data, []byte{0, 1, 0xff, '\\'}) {
			t.Errorf("bytes: got %x", v.data)
		}
		if !v.at.Equal(at) || v.at.Location() != time.UTC {
			t.Errorf("time: got %v, want %v in UTC", v.at, at)
		}
		if v.mood.Name != "<glad>" || !slices.Equal(v.mood.Marks, []string{"a"}) || v.pMood.Name != "<glad>" {
			t.Errorf("JSON: got %+v", v.mood)
		}
		v = read(2, nil)
		if v.text != "" || v.color != "" || v.n != 0 || v.small != 0 || v.b || v.data != nil || !v.at.IsZero() ||
			v.mood.Name != "" || v.mood.Marks != nil || v.pMood != nil || v.marker != nil {
			t.Errorf("NULL is not the zero value: %+v", v)
		}
		v = read(3, `{"marks":null}`)
		if v.text != "" || v.n != -1<<63 || v.b || v.data == nil || len(v.data) != 0 || v.mood.Name != "" {
			t.Errorf("empty values: got %+v", v)
		}
	})
}

func TestScanRefusesTheWrongType(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, d *db.DB) {
		scans := map[string]struct {
			query string
			dest  any
		}{
			"integer into text":     {`SELECT updated_at FROM settings`, new(string)},
			"integer into named":    {`SELECT updated_at FROM settings`, new(color)},
			"integer into bytes":    {`SELECT updated_at FROM settings`, new([]byte)},
			"integer into JSON":     {`SELECT updated_at FROM settings`, db.JSON(new(int))},
			"big integer into bool": {`SELECT updated_at FROM settings`, new(bool)},
			"text into integer":     {`SELECT name FROM settings`, new(int64)},
			"text into int":         {`SELECT name FROM settings`, new(int)},
			"text into bool":        {`SELECT name FROM settings`, new(bool)},
			"text into bytes":       {`SELECT name FROM settings`, new([]byte)},
			"text into time":        {`SELECT name FROM settings`, new(db.Time)},
			"text that is not JSON": {`SELECT name FROM settings`, db.JSON(new(int))},
			"JSON into no pointer":  {`SELECT name FROM settings`, db.JSON(1)},
			"into time.Time":        {`SELECT updated_at FROM settings`, new(time.Time)},
			"into nothing":          {`SELECT name FROM settings`, nil},
			"into a value":          {`SELECT name FROM settings`, ""},
			"floating point":        {`SELECT 1e0 / 3 FROM settings`, new(int64)},
			"two columns into one":  {`SELECT name, value FROM settings`, new(string)},
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := set("n", "v")(ctx, tx); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE settings SET updated_at = 7`)
			return err
		})
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for name, s := range scans {
				_, err := db.One(ctx, tx, func(r db.Row) (int, error) { return 0, r.Scan(s.dest) }, s.query)
				if err == nil {
					t.Errorf("%s: no error", name)
				}
			}
			// None of them has spoilt the transaction.
			_, err := db.One(ctx, tx, db.Text, `SELECT name FROM settings`)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, d *db.DB) {
		for name, args := range map[string][]any{
			"time":              {time.Now()},
			"db.Time":           {db.Time{Time: time.Now()}},
			"pointer":           {new(string)},
			"float":             {1.5},
			"named bytes":       {jsonBytes("{}")},
			"NUL in text":       {"a\x00b"},
			"NUL in named text": {color("a\x00b")},
			"invalid UTF-8":     {"a\xffb"},
			"JSON of a channel": {db.JSON(make(chan int))},
			"too many":          {"a", "b"},
			"too few":           {},
		} {
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := db.One(ctx, tx, db.Text, `SELECT name FROM settings WHERE name = $1`, args...)
				return err
			})
			if err == nil || errors.Is(err, db.ErrNotFound) || errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%s: got %v, want a refusal", name, err)
			}
			err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE settings SET value = '' WHERE name = $1`, args...)
				return err
			})
			if err == nil || errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%s in a write: got %v, want a refusal", name, err)
			}
		}
		write(t, d, set("after", "all"))
	})
}

type jsonBytes []byte

func TestAtOrNull(t *testing.T) {
	t.Parallel()
	if got := db.AtOrNull(time.Time{}); got != nil {
		t.Errorf("zero time: got %v, want nil", got)
	}
	if got := db.AtOrNull(time.UnixMicro(5)); got != int64(5) {
		t.Errorf("got %v, want 5", got)
	}
}

// Expressions have types of their own on PostgreSQL, which must not show.
func TestExpressionsScanAlike(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, d *db.DB) {
		write(t, d, set("a", "v"))
		write(t, d, set("b", "v"))
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for query, want := range map[string]int64{
				`SELECT count(*) FROM settings`:                                 2,
				`SELECT sum(updated_at) FROM settings`:                          2,
				`SELECT max(updated_at) FROM settings`:                          1,
				`SELECT coalesce(max(updated_at), 0) FROM settings WHERE 1 = 0`: 0,
				`SELECT sum(updated_at) FROM settings WHERE 1 = 0`:              0,
				`SELECT 1`: 1,
				`SELECT length(name) FROM settings WHERE name = 'a'`:                        1,
				`SELECT EXISTS (SELECT 1 FROM settings)`:                                    1,
				`SELECT CASE WHEN name = 'a' THEN 5 ELSE 6 END FROM settings ORDER BY name`: 5,
			} {
				got, err := db.One(ctx, tx, db.Int, query)
				if err != nil || got != want {
					t.Errorf("%s: got %d, %v, want %d", query, got, err, want)
				}
			}
			yes, err := db.One(ctx, tx, db.Bool, `SELECT EXISTS (SELECT 1 FROM settings WHERE name = $1)`, "a")
			if err != nil || !yes {
				t.Errorf("EXISTS: got %v, %v", yes, err)
			}
			no, err := db.One(ctx, tx, db.Bool, `SELECT name LIKE 'A%' FROM settings WHERE name = $1`, "a")
			if err != nil || no {
				t.Errorf("LIKE ignores case: got %v, %v", no, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
