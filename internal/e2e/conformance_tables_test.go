package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tables are the documents that say which test shows what.
var tables = []string{"../../docs/conformance.md", "../../docs/rfc9700.md"}

var (
	testName = regexp.MustCompile("`(?:([a-z0-9/]+)\\.)?(Test[A-Za-z0-9_]+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

func TestTablesNameTestsThatExist(t *testing.T) {
	t.Parallel()
	known := map[string]map[string]bool{}
	exists := func(pkg, name string) bool {
		if pkg == "" {
			pkg = "e2e"
		}
		if known[pkg] == nil {
			known[pkg] = testsOf(t, pkg)
		}
		return known[pkg][name]
	}
	for _, path := range tables {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		named := testName.FindAllStringSubmatch(string(text), -1)
		for _, m := range named {
			if !exists(m[1], m[2]) {
				t.Errorf("%s names %s, and there is no such test", path, m[0])
			}
		}
		for line := range strings.Lines(string(text)) {
			row := strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---") && !strings.HasSuffix(line, "| Test |\n")
			if row && !testName.MatchString(line) {
				t.Errorf("%s: no test in %s", path, line)
			}
		}
		if len(named) < 20 {
			t.Errorf("%s names %d tests", path, len(named))
		}
	}
}

// testsOf are the tests of a package below internal.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			all[m[1]] = true
		}
	}
	return all
}
