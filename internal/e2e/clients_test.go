package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
)

// The client libraries in other languages, where a test has to fetch them.
var (
	nodeClients   = []string{"openid-client@6.8.9", "oauth4webapi@3.8.8", "@modelcontextprotocol/sdk@1.32.2"}
	pythonClients = []string{"Authlib==1.9.9", "requests==2.34.2"}
)

// api is a resource that tokens may be asked for.
const api = "https://api.example.com"

// eachProvider runs f against the program as an OpenID provider, on each engine:
// whoever likes may register.
func eachProvider(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	dbtest.EachURL(t, func(t *testing.T, database string) {
		t.Parallel()
		s := newSite(t, database, options{config: "outbound_allow: [127.0.0.0/8]\n"})
		s.provide(api)
		f(t, s)
	})
}

// provide lets whoever likes register, and ask for tokens for a resource.
func (s *site) provide(resource string) {
	s.t.Helper()
	surface := fmt.Sprintf("surfaces:\n  oidc: {registration: open, resources: [%q]}\n", resource)
	s.command("apply", s.write("provider.yaml", strings.Replace(resources(s.t), "surfaces:\n", surface, 1)))
}

// jane signs up, by the API of one of the applications.
func (s *site) jane(t *testing.T) account {
	t.Helper()
	who := account{email: "jane@example.com", name: "Jane Doe", password: "jane-has-a-password"}
	s.visitor(t).post("/auth/signup", fields{"email": who.email, "password": who.password, "display_name": who.name, "app_id": demo}).tokens()
	return who
}

// relying is a process with somebody else's client library in it. What it cannot
// do by itself it asks for, in lines of JSON, and each is answered by one:
//
//	{"open": URL}    what the browser came back with: {"callback": URL}
//	{"device": URL}  a person went there and let the device in: {}
//	{"told": true}   the logout token that came on the back channel: {"logout_token": …}
//	{"done": {…}}    what came of it all; no answer
type relying struct {
	t    *testing.T
	who  account
	at   *visitor
	told <-chan string
}

// ask is a line of a relying process.
type ask struct {
	Open   string
	Device string
	Told   bool
	Done   map[string]any
}

// run runs the process to its end and returns what it says of it.
func (f *relying) run(label string, cmd *exec.Cmd) map[string]any {
	f.t.Helper()
	var log journal
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatalf("%s: %v", label, err)
	}
	f.t.Cleanup(func() { cmd.Process.Kill() })
	done := f.converse(in, bufio.NewScanner(out))
	in.Close()
	if err := cmd.Wait(); err != nil || done == nil {
		f.t.Fatalf("%s: %v\n%s", label, err, &log)
	}
	return done
}

// converse answers what a process asks until it is done, or has ended.
func (f *relying) converse(in io.Writer, out *bufio.Scanner) map[string]any {
	f.t.Helper()
	for out.Scan() {
		var a ask
		if err := json.Unmarshal(out.Bytes(), &a); err != nil {
			f.t.Fatalf("%v: %s", err, out.Bytes())
		}
		said := fields{}
		switch {
		case a.Done != nil:
			return a.Done
		case a.Open != "":
			said["callback"] = f.open(a.Open)
		case a.Device != "":
			f.letIn(a.Device)
		case a.Told:
			said["logout_token"] = <-f.told
		}
		if err := json.NewEncoder(in).Encode(said); err != nil {
			f.t.Fatal(err)
		}
	}
	return nil
}

// open takes the browser to an address of ours, and on until it leaves us.
func (f *relying) open(to string) string {
	f.t.Helper()
	tr := f.at.walk(f.at.get(to), f.who, true)
	if page, ok := tr.last.form("/logout"); ok {
		page.values.Set("do", "sign-out")
		tr = f.at.walk(f.at.submit(page.action, page.values), f.who, true)
	}
	if tr.to == "" {
		f.t.Fatalf("%s came to %d %s", to, tr.last.status, tr.last.body)
	}
	return tr.to + "?" + tr.reply.Encode()
}

// letIn goes to the address that a device shows, and lets it in.
func (f *relying) letIn(to string) {
	f.t.Helper()
	tr := f.at.walk(f.at.get(to), f.who, true)
	for range 2 { // the code, then the answer
		for _, path := range []string{"/device", "/device/answer"} {
			if page, ok := tr.last.form(path); ok {
				if name := page.buttons["allow"]; name != "" {
					page.values.Set(name, "allow")
				}
				tr = f.at.walk(f.at.submit(page.action, page.values), f.who, true)
				break
			}
		}
	}
	if tr.last.status != 200 || !strings.Contains(string(tr.last.body), "Your device is connected") {
		f.t.Fatalf("%s came to %d %s", to, tr.last.status, tr.last.body)
	}
}

// script is a script in the language of node beside the libraries it needs.
func script(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	node, modules := os.Getenv(nodeVariable), os.Getenv(nodePathVariable)
	if node == "" || modules == "" {
		node, modules = look(t, "node"), filepath.Join(cache(t), "clients", "node_modules")
		args := append([]string{"install", "--prefix", filepath.Dir(modules), "--no-audit", "--no-fund", "--loglevel=error", jose}, nodeClients...)
		install(t, filepath.Join(modules, "@modelcontextprotocol", "sdk", "package.json"), exec.CommandContext(t.Context(), look(t, "npm"), args...))
	}
	return exec.Command(node, beside(t, modules, name))
}

// beside copies a script, and what the scripts have in common, to where modules
// are found: one is looked up from the script's own directory.
func beside(t *testing.T, modules, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{name, "relying.mjs"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, name)
}

// parameters are those of an address.
func parameters(t *testing.T, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}
