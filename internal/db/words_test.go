package db_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// forbidden is what only one engine knows, what keeps the program from running on several
// nodes or behind a pooler, and what hides which columns are read.
var forbidden = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\b(NOW\s*\(|CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|DATETIME\s*\()`), "time is an argument"},
	{regexp.MustCompile(`(?i)\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b`), "decide with a guarded statement"},
	{regexp.MustCompile(`(?i)\bSKIP\s+LOCKED\b`), "claim with a guarded UPDATE"},
	{regexp.MustCompile(`(?i)\bSELECT\s+([a-z_]+\.)?\*`), "name the columns"},
	{regexp.MustCompile(`(?i)\bRETURNING\s+\*`), "name the columns"},
	{regexp.MustCompile(`(?i)\bILIKE\b`), "store the folded form"},
	{regexp.MustCompile(`\b(LISTEN|NOTIFY)\b`), "poll"},
	{regexp.MustCompile(`(?i)\bpg_(try_)?advisory`), "use a row"},
	{regexp.MustCompile(`(?i)\b(BIG|SMALL)?SERIAL\b|\bGENERATED\s+(ALWAYS|BY)\b|\bNEXTVAL\b|\bAUTOINCREMENT\b|\bSEQUENCE\b`), "mint the id"},
	{regexp.MustCompile(`(?i)\bCREATE\s+(OR\s+REPLACE\s+)?(TEMP|TEMPORARY|TRIGGER|FUNCTION|PROCEDURE)\b`), "write it in Go"},
	{regexp.MustCompile(`::[a-z]`), "CAST"},
	{regexp.MustCompile(`->>?|\bjsonb?_|@>`), "read JSON in Go"},
	{regexp.MustCompile(`(?i)\bARRAY\s*\[|=\s*ANY\s*\(`), "IN with an argument for each"},
	{regexp.MustCompile(`(?i)\b(INSERT\s+OR|REPLACE\s+INTO|IFNULL|STRFTIME|ROWID|WITHOUT\s+ROWID)\b`), "ON CONFLICT, coalesce"},
	{regexp.MustCompile(`(?i)\bINTERVAL\s+'`), "instants are microseconds"},
	{regexp.MustCompile(`(?i)\bCREATE\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY\b`), "a plain index"},
}

// statement recognises a string that is SQL by how it begins, past its white space.
var statement = regexp.MustCompile(`^\s*(--[^\n]*\n\s*)*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP)\s`)

func TestStatementsRunOnEveryEngine(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		switch filepath.Ext(path) {
		case ".sql":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			check(t, path, string(text))
		case ".go":
			// What is in db for one engine is run on that one only.
			if filepath.Dir(path) == "../db" {
				return nil
			}
			seen += checkGo(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d statements", seen)
}

// checkGo checks the strings in one file, joined where the file joins them with +.
func checkGo(t *testing.T, path string) (seen int) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return 0 // the compiler will say so
	}
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		text := literal(e)
		if text == "" || !statement.MatchString(text) && filepath.Base(path) != "sql.go" {
			return true
		}
		seen++
		check(t, set.Position(n.Pos()).String(), text)
		return false
	})
	return seen
}

// literal is the text of a string or of a sum of strings; what is not constant in it is a space.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, _ := strconv.Unquote(e.Value)
			return s
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			if left := literal(e.X); left != "" {
				return left + " " + literal(e.Y)
			}
		}
	}
	return ""
}

func check(t *testing.T, where, text string) {
	t.Helper()
	for _, f := range forbidden {
		if found := f.pattern.FindString(text); found != "" {
			t.Errorf("%s: %q is not for every engine: %s", where, found, f.instead)
		}
	}
}

func TestForbiddenWordsAreFound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`SELECT * FROM users`, `SELECT u.* FROM users u`, `UPDATE jobs SET run_at = now()`, `SELECT id FROM jobs FOR UPDATE SKIP LOCKED`,
		`SELECT id FROM jobs WHERE name ILIKE $1`, `SELECT pg_advisory_lock(1)`, `CREATE TABLE x (id BIGSERIAL)`, `LISTEN x`,
		`CREATE TRIGGER x`, `SELECT id::text FROM x`, `SELECT data->>'a' FROM x`, `SELECT id FROM x WHERE id = ANY($1)`,
	} {
		hit := false
		for _, f := range forbidden {
			hit = hit || f.pattern.MatchString(text)
		}
		if !hit {
			t.Errorf("%s: not found", text)
		}
	}
}
