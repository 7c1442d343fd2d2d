package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/mail/mailtest"
)

// childVariable makes the test binary be the program.
const childVariable = "SALLYPORT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// command is a way to run commands with an environment.
type command struct {
	t   *testing.T
	env []string
	in  string
}

func (c command) run(args ...string) result {
	c.t.Helper()
	var out, problems bytes.Buffer
	code := run(c.t.Context(), args, process{in: strings.NewReader(c.in), out: &out, err: &problems, environ: c.env})
	return result{code, out.String(), problems.String()}
}

// ok runs a command that must succeed and returns its output.
func (c command) ok(args ...string) string {
	c.t.Helper()
	r := c.run(args...)
	if r.code != exitOK {
		c.t.Fatalf("%v: exit %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// json runs a command that must succeed with --json.
func (c command) json(into any, args ...string) {
	c.t.Helper()
	out := c.ok(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		c.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// with is an environment for commands on a database.
func with(t *testing.T, database string, more ...string) command {
	return command{t: t, env: append([]string{
		"SALLYPORT_SECRET_KEY=" + strings.Repeat("0f", 32), "SALLYPORT_DATABASE=" + database, "SALLYPORT_MAIL=log",
		"SALLYPORT_PUBLIC_URL=http://localhost:8080", "SALLYPORT_LISTEN=127.0.0.1:0",
	}, more...)}
}

// file writes a file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// commands are all leaves of the command line.
var commands = []string{"dev", "serve", "plan", "apply", "pull", "migrate", "keys list", "keys rotate", "operator invite", "doctor", "clients"}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	c := command{t: t}
	for _, name := range append(commands, "") {
		out := c.ok(append(strings.Fields(name), "--help")...)
		if !strings.Contains(out, "Example:\n") || !strings.Contains(out, "sallyport "+name) || !strings.Contains(out, "--json") {
			t.Errorf("%s --help:\n%s", name, out)
		}
	}
	listed := 0
	for line := range strings.Lines(c.ok("--help")) {
		for _, name := range commands {
			if strings.HasPrefix(line, "  "+name+" ") {
				listed++
			}
		}
	}
	if listed != len(commands) {
		t.Errorf("--help lists %d of %d commands", listed, len(commands))
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	bad := file(t, "lissen: x\nlog: {format: xml}\n")
	database := dbtest.SQLiteURL(t)
	t.Cleanup(func() { // after all of them
		if _, err := os.Stat(strings.TrimPrefix(database, "sqlite:")); err == nil {
			t.Error("a command with mistakes made the database")
		}
	})
	for _, c := range []struct {
		name, args string
		env        []string
		want       []string // one line of standard error each
	}{
		{"no command", "", nil, []string{"sallyport: expected one of"}},
		{"unknown command", "frobnicate", nil, []string{"sallyport: unexpected argument frobnicate"}},
		{"unknown flag", "serve --port 1", nil, []string{"sallyport: unknown flag --port"}},
		{"missing argument", "apply", nil, []string{`sallyport: expected "<file>"`}},
		{"one argument too many", "operator invite a@b.example c", nil, []string{"sallyport: unexpected argument c"}},
		{"value that is none", "keys rotate --alg none", nil, []string{"sallyport: --alg must be one of"}},
		{"configuration that is not there", "serve --config /nonexistent.yaml", nil, []string{"sallyport: cannot read the configuration: open /nonexistent.yaml"}},
		{"mistakes in the configuration", "serve --config " + bad, []string{"SALLYPORT_LISTEN=nowhere"}, []string{
			"sallyport: " + bad + ":1: lissen: unknown key; did you mean \"listen\"?", "sallyport: " + bad + ":2: log.format: ",
			"sallyport: environment variable SALLYPORT_LISTEN: listen: ",
		}},
		{"resource file that is not there", "plan /nonexistent.yaml", nil, []string{"sallyport: cannot read the resource file: open /nonexistent.yaml"}},
		{"mistakes in the resource file", "apply " + file(t, "clients:\n  - {key: a, nam: A}\nclints: []\n"), nil, []string{
			":2: clients[0].nam: unknown key", ":2: clients[0].name: ", ":3: clints: unknown key",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := with(t, database, c.env...)
			r := cmd.run(strings.Fields(c.args)...)
			if r.code != exitMisuse || r.out != "" {
				t.Errorf("exit %d, output %q; want 2 and none", r.code, r.out)
			}
			lines := strings.Split(strings.TrimSpace(r.err), "\n")
			for i, want := range c.want {
				if i >= len(lines) || !strings.Contains(lines[i], want) {
					t.Errorf("got:\n%s\nwant %q in line %d", r.err, want, i+1)
				}
			}
			if len(lines) > len(c.want)+1 {
				t.Errorf("got %d lines for %d mistakes:\n%s", len(lines), len(c.want), r.err)
			}
			r = cmd.run(append(strings.Fields(c.args), "--json")...)
			var problem struct{ Errors []string }
			if err := json.Unmarshal([]byte(r.err), &problem); err != nil || r.code != exitMisuse || len(problem.Errors) < len(c.want) {
				t.Errorf("--json: exit %d, %v\n%s", r.code, err, r.err)
			}
		})
	}
}

func TestFailuresAreOneSentence(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	for _, c := range []struct{ name, args, env, want string }{
		{"busy address", "serve", "SALLYPORT_LISTEN=" + ln.Addr().String(), "cannot listen on " + ln.Addr().String() + " (setting listen)"},
		{"no directory", "migrate", "SALLYPORT_DATABASE=sqlite:/nonexistent/x.db", "cannot open the database (setting database)"},
		{"no PostgreSQL", "pull", "SALLYPORT_DATABASE=postgres://u:hunter2@127.0.0.1:1/x", "cannot use the database (setting database)"},
		{"not loopback", "dev --listen 0.0.0.0:1", "", "can be reached by other machines"},
		{"too soon", "keys rotate", "", "--force rotates at once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := with(t, dbtest.SQLiteURL(t), c.env).run(strings.Fields(c.args)...)
			lines := strings.Split(strings.TrimSpace(r.err), "\n")
			last := lines[len(lines)-1]
			if r.code != exitFailed || !strings.HasPrefix(last, "sallyport: ") || !strings.Contains(last, c.want) || strings.Contains(r.err, "hunter2") {
				t.Errorf("exit %d\n%s\nwant 1 and %q", r.code, r.err, c.want)
			}
		})
	}
}

// An operator can be invited into an empty installation: it gets a console.
func TestOperatorInviteMakesAConsole(t *testing.T) {
	t.Parallel()
	c := with(t, dbtest.SQLiteURL(t))
	link := c.ok("operator", "invite", "olive@example.com")
	var listed struct {
		Clients []struct{ Key, ID, Name string }
	}
	c.json(&listed, "clients")
	if len(listed.Clients) != 1 || !strings.HasPrefix(link, "http://localhost:8080/invite?app_id="+listed.Clients[0].ID+"&code=") {
		t.Errorf("got %s%+v", link, listed)
	}
	if r := c.run("operator", "invite", "nobody"); r.code != exitMisuse || r.err != "sallyport: \"nobody\" is not an e-mail address\n" {
		t.Errorf("no address: exit %d, %s", r.code, r.err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		c := with(t, url)
		for _, step := range []struct{ args, want string }{
			{"migrate --plan", "would apply 0001_core\n"},
			{"migrate", "applied 0001_core\n"},
			{"migrate", "nothing to do: the schema is this release's\n"},
			{"migrate --plan", "nothing to do: the schema is this release's\n"},
		} {
			if got := c.ok(strings.Fields(step.args)...); !strings.HasPrefix(got, step.want) {
				t.Errorf("%s: got %q, want %q", step.args, got, step.want)
			}
		}
		var none struct {
			Migrations []string
			Applied    bool
		}
		c.json(&none, "migrate")
		if none.Migrations == nil || len(none.Migrations) != 0 || !none.Applied {
			t.Errorf("migrate --json: got %+v", none)
		}
		d, err := db.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO migrations (name, applied_at) VALUES ('9999_later', 0)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"migrate", "serve", "pull", "keys list", "clients"} {
			if r := c.run(strings.Fields(name)...); r.code != exitFailed || !strings.Contains(r.err, "newer release (it has 9999_later)") {
				t.Errorf("%s on a newer schema: exit %d\n%s", name, r.code, r.err)
			}
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	c := with(t, dbtest.SQLiteURL(t))
	type list struct {
		Keys []struct{ ID, Alg, State string }
	}
	var before, after list
	c.json(&before, "keys", "list")
	if len(before.Keys) != 0 {
		t.Errorf("keys of an empty database: got %+v", before)
	}
	out := c.ok("keys", "rotate", "--alg", "ES256", "--force")
	c.json(&after, "keys", "list")
	states := map[string]string{}
	for _, k := range after.Keys {
		states[k.Alg+" "+k.State] = k.ID
	}
	if len(after.Keys) != 7 || states["ES256 retired"] == "" || out != fmt.Sprintf("ES256 signs with %s now\n", states["ES256 active"]) {
		t.Errorf("got %s%+v", out, after)
	}
	if text := c.ok("keys", "list"); strings.Count(text, "\n") != 8 || strings.Contains(text, "PRIVATE") {
		t.Errorf("keys list:\n%s", text)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	sink := mailtest.New(t, mailtest.Options{})
	c := with(t, dbtest.SQLiteURL(t), "SALLYPORT_MAIL="+sink.URL())
	c.ok("keys", "rotate", "--alg", "EdDSA", "--force")
	if out := c.ok("doctor"); !strings.Contains(out, "ok    database: sqlite") || !strings.Contains(out, "ok    mail: ") || !strings.Contains(out, "warn  public_url: ") {
		t.Errorf("healthy:\n%s", out)
	}
	type report struct {
		OK     bool
		Checks []struct{ Name, Verdict, Detail string }
	}
	var healthy report
	c.json(&healthy, "doctor")
	if !healthy.OK || len(healthy.Checks) < 5 {
		t.Errorf("healthy --json: %+v", healthy)
	}
	for _, env := range []string{"SALLYPORT_MAIL=smtp://127.0.0.1:1", "SALLYPORT_LISTEN=nowhere"} {
		bad := c
		bad.env = append(bad.env, env)
		r := bad.run("doctor")
		if r.code != exitFailed || !strings.Contains(r.out, "fail  ") || r.err != "" {
			t.Errorf("%s: exit %d\n%s%s", env, r.code, r.out, r.err)
		}
		r = bad.run("doctor", "--json")
		var sick report
		if err := json.Unmarshal([]byte(r.out), &sick); err != nil || sick.OK || r.code != exitFailed {
			t.Errorf("%s --json: exit %d, %v\n%s", env, r.code, err, r.out)
		}
	}
}

func TestDefaultFileIsRead(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("sallyport.yaml", []byte("database: sqlite:from-file.db\nmail: log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command{t: t, env: []string{"SALLYPORT_SECRET_KEY=" + strings.Repeat("0f", 32)}}
	c.ok("migrate")
	if _, err := os.Stat("from-file.db"); err != nil {
		t.Error(err)
	}
	if err := os.Rename("sallyport.yaml", "other.yaml"); err != nil {
		t.Fatal(err)
	}
	c.ok("migrate", "-c", "other.yaml")
	if _, err := os.Stat("sallyport.db"); err == nil {
		t.Error("--config was not read")
	}
	c.ok("migrate")
	if _, err := os.Stat("sallyport.db"); err != nil {
		t.Errorf("without a file: %v", err)
	}
	entries, err := fs.Glob(os.DirFS("."), "*.db")
	if err != nil || len(entries) != 2 {
		t.Errorf("got %q, %v", entries, err)
	}
}
