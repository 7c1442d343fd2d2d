package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := Source{
		Getenv: func(name string) (string, bool) {
			v, ok := map[string]string{"SET": " value ", "EMPTY": ""}[name]
			return v, ok
		},
		ReadFile: System.ReadFile,
	}
	for _, c := range []struct {
		in, want string
		kind     Kind
		err      string
	}{
		{"plain", "plain", Literal, ""},
		{"", "", Literal, ""},
		{"environment:X", "environment:X", Literal, ""},
		{"env:SET", " value ", Env, ""},
		{"env:UNSET", "", Env, "the environment variable UNSET is not set"},
		{"env:EMPTY", "", Env, "the environment variable EMPTY is empty"},
		{"env:", "", Env, "needs the name of a variable"},
		{"file:" + write("a", "secret\n"), "secret", File, ""},
		{"file:" + write("b", "secret \r\n"), "secret ", File, ""},
		{"file:" + write("c", "two\nlines\n\n"), "two\nlines\n", File, ""},
		{"file:" + write("d", "\n"), "", File, "is empty"},
		{"file:" + write("e", "\xff"), "", File, "is not text"},
		{"file:" + write("f", strings.Repeat("x", maxFile+10)), "", File, "is larger than"},
		{"file:" + write("g", strings.Repeat("x", maxFile)+"\n"), strings.Repeat("x", maxFile), File, ""},
		{"file:" + filepath.Join(dir, "absent"), "", File, "no such file"},
		{"file:", "", File, "needs a path"},
	} {
		got, kind, err := s.Resolve(c.in)
		if got != c.want || kind != c.kind || KindOf(c.in) != c.kind {
			t.Errorf("Resolve(%.40q): got %.40q, %s; want %.40q, %s", c.in, got, kind, c.want, c.kind)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Resolve(%.40q): got error %v, want %q", c.in, err, c.err)
		}
	}
}

func TestResolveReadsTheProcess(t *testing.T) {
	t.Setenv("SALLYPORT_REFERENCE_TEST", "from the environment")
	if got, _, err := System.Resolve("env:SALLYPORT_REFERENCE_TEST"); err != nil || got != "from the environment" {
		t.Errorf("got %q, %v", got, err)
	}
}
