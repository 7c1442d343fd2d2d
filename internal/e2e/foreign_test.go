package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
)

// Environment that scripts/test sets; without it the tests look for themselves.
const (
	nodeVariable     = "SALLYPORT_TEST_NODE"      // node
	nodePathVariable = "SALLYPORT_TEST_NODE_PATH" // a node_modules with jose in it
	pythonVariable   = "SALLYPORT_TEST_PYTHON"    // a python with PyJWT
)

// The libraries, where a test has to fetch them.
const (
	jose  = "jose@6.2.17"
	pyJWT = "PyJWT[crypto]==2.15.1"
)

// TestForeignVerification hands our tokens and the URL of our key set to the
// libraries that relying parties use. They keep the set, as those do, and go on
// verifying through rotations made by the command line beside the node.
func TestForeignVerification(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, *site, string) *verifier{"jose": byJose, "PyJWT": byPyJWT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, dbtest.SQLiteURL(t), options{})
			s.serve()
			for alg, app := range map[string]string{"RS256": demo, "ES256": modern} {
				t.Run(alg, func(t *testing.T) {
					t.Parallel()
					verifyThroughRotation(t, s, alg, app, start(t, s, app))
				})
			}
		})
	}
}

func verifyThroughRotation(t *testing.T, s *site, alg, app string, by *verifier) {
	t.Helper()
	v := s.visitor(t)
	email := strings.ToLower(alg) + "@example.com"
	tk := v.post("/auth/signup", fields{"email": email, "password": "their_password", "display_name": "Jane Doe", "app_id": app}).tokens()
	first := by.good(tk.Access, alg, email)
	by.bad(tk.Access[:len(tk.Access)-8] + "AAAAAAAA")
	old := tk.Access

	// The key of the first rotation has been published from the start: a set
	// that a relying party keeps covers it. A second one at once does not wait
	// for that, so they have to look again.
	published := string(v.get("/.well-known/jwks.json").want(200).body)
	kid := first
	for i := range 2 {
		s.command("keys", "rotate", "--alg", alg, "--force")
		eventually(t, time.Minute, "the node signs with the new key", func() bool {
			tk = v.post("/token/refresh", fields{"refresh_token": tk.Refresh, "app_id": app}).tokens()
			return kidOf(t, tk.Access) != kid
		})
		kid = by.good(tk.Access, alg, email)
		if i == 0 && !strings.Contains(published, kid) {
			t.Errorf("%s: key %s signs, and was not published before", alg, kid)
		}
		if by.good(old, alg, email) != first {
			t.Error("the old token names another key")
		}
	}
}

// kidOf reads the key's id from a token's header.
func kidOf(t *testing.T, raw string) string {
	t.Helper()
	var h struct{ Kid string }
	head, _, _ := strings.Cut(raw, ".")
	if err := json.NewDecoder(base64url(head)).Decode(&h); err != nil || h.Kid == "" {
		t.Fatalf("no kid in %s: %v", head, err)
	}
	return h.Kid
}

// verifier is a process with a foreign library in it.
type verifier struct {
	t     *testing.T
	mu    sync.Mutex
	in    io.Writer
	out   *bufio.Scanner
	label string
}

type verdict struct {
	Error  string
	Claims map[string]any
	Header struct{ Alg, Kid string }
}

// good demands that a token verifies, and returns its key's id.
func (f *verifier) good(raw, alg, email string) (kid string) {
	f.t.Helper()
	got := f.ask(raw)
	if got.Error != "" || got.Claims["email"] != email || got.Header.Alg != alg {
		f.t.Fatalf("%s: got %+v, want the claims of %s by %s", f.label, got, email, alg)
	}
	return got.Header.Kid
}

func (f *verifier) bad(raw string) {
	f.t.Helper()
	if got := f.ask(raw); got.Error == "" {
		f.t.Errorf("%s takes a token with another signature", f.label)
	}
}

func (f *verifier) ask(raw string) (v verdict) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := fmt.Fprintln(f.in, raw); err != nil {
		f.t.Fatalf("%s: %v", f.label, err)
	}
	if !f.out.Scan() {
		f.t.Fatalf("%s has ended: %v", f.label, f.out.Err())
	}
	if err := json.Unmarshal(f.out.Bytes(), &v); err != nil {
		f.t.Fatalf("%s: %v\n%s", f.label, err, f.out.Bytes())
	}
	return v
}

// verifier starts a verifier for an application's tokens.
func (s *site) verifier(t *testing.T, label string, cmd *exec.Cmd, app string) *verifier {
	t.Helper()
	cmd.Args = append(cmd.Args, s.base+"/.well-known/jwks.json", s.base, app)
	var log journal
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", label, err, &log)
		}
	})
	return &verifier{t: t, in: in, out: bufio.NewScanner(out), label: label}
}

func byJose(t *testing.T, s *site, app string) *verifier {
	t.Helper()
	node, modules := os.Getenv(nodeVariable), os.Getenv(nodePathVariable)
	if node == "" || modules == "" {
		node, modules = look(t, "node"), filepath.Join(cache(t), "node", "node_modules")
		install(t, filepath.Join(modules, "jose", "package.json"),
			exec.CommandContext(t.Context(), look(t, "npm"), "install", "--prefix", filepath.Dir(modules), "--no-audit", "--no-fund", "--loglevel=error", jose))
	}
	return s.verifier(t, "jose", exec.Command(node, beside(t, modules, "verify.mjs")), app)
}

func byPyJWT(t *testing.T, s *site, app string) *verifier {
	t.Helper()
	python := os.Getenv(pythonVariable)
	if python == "" {
		dir := filepath.Join(cache(t), "python")
		python = filepath.Join(dir, "bin", "python")
		script := `"$0" -m venv "$1" && "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2" && touch "$1/ready"`
		install(t, filepath.Join(dir, "ready"), exec.CommandContext(t.Context(), "sh", "-c", script, look(t, "python3"), dir, pyJWT))
	}
	return s.verifier(t, "PyJWT", exec.Command(python, "testdata/verify.py"), app)
}

// look finds a program, without which a library of another language cannot run.
func look(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		loudly(t, name+" is missing")
	}
	return path
}

// loudly skips the test and says so even when nobody asked for details.
func loudly(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "%s: SKIPPED: %s\n", t.Name(), why)
	t.Skip(why)
}

// cache is where fetched libraries stay from one run to the next.
func cache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "sallyport-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

var installing sync.Mutex

// install runs cmd unless the file that it leaves is there.
func install(t *testing.T, leaves string, cmd *exec.Cmd) {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	if _, err := os.Stat(leaves); err == nil {
		return
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		loudly(t, fmt.Sprintf("%v cannot be fetched: %v\n%s", cmd.Args, err, out))
	}
}

func base64url(s string) io.Reader {
	return base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(s))
}
