package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/internal/mail/mailtest"
)

// The applications of testdata/resources.yaml.
const (
	demo    = "00000000-0000-4000-8000-000000000001" // open, RS256
	modern  = "00000000-0000-4000-8000-000000000002" // open, ES256
	members = "00000000-0000-4000-8000-000000000003" // by invitation
	vetted  = "00000000-0000-4000-8000-000000000004" // by approval
	strict  = "00000000-0000-4000-8000-000000000005" // demands a second factor
	links   = "00000000-0000-4000-8000-000000000006" // has no passwords
	closed  = "00000000-0000-4000-8000-000000000007" // not active
	lengthy = "00000000-0000-4000-8000-000000000008" // wants long passwords
	console = "00000000-0000-4000-8000-000000000009" // makes operators of its admins
	robot   = "00000000-0000-4000-8000-00000000000a" // acts for itself
)

const (
	operatorEmail    = "olive@example.com"
	operatorPassword = "olive-has-a-password"
	callback         = "http://localhost:3000/callback"
)

// options are what a test wants different.
type options struct {
	log  string // the log's level; info
	mail string // the mail setting; a sink of the site
	host string // what it is called by; 127.0.0.1
	// config is what stands in the configuration besides.
	config string
}

// site is an installation. Its address, database and key outlive its processes.
type site struct {
	t      testing.TB
	dir    string
	config string
	base   string // public URL
	status string // URL of the listener for metrics
	sink   *mailtest.Sink
	env    []string // of its processes, besides the test's own
}

// newSite writes the configuration for a database and applies the resources.
func newSite(t testing.TB, database string, o options) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	address := freeAddress(t)
	s.base = "http://" + address
	if o.host != "" {
		s.base = strings.Replace(s.base, "127.0.0.1", o.host, 1)
	}
	metrics := freeAddress(t)
	s.status = "http://" + metrics
	if o.mail == "" {
		s.sink = mailtest.New(t, mailtest.Options{})
		o.mail = s.sink.URL()
	}
	if o.log == "" {
		o.log = "info"
	}
	s.config = s.write("sallyport.yaml", fmt.Sprintf(`listen: %s
metrics_listen: %s
public_url: %s
database: %q
secret_key: %s
mail: %s
log: {format: json, level: %s}
%s`, address, metrics, s.base, database, strings.Repeat("5a", 32), o.mail, o.log, o.config))
	s.command("apply", s.write("resources.yaml", resources(t)))
	return s
}

// resources is what every site begins with.
func resources(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/resources.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write puts a file beside the configuration and returns its path.
func (s *site) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// exec is the program with arguments, not started.
func (s *site) exec(args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--config", s.config}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

// command runs a command that must succeed and returns what it printed.
func (s *site) command(args ...string) string {
	s.t.Helper()
	cmd := s.exec(args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("sallyport %v: %v\n%s%s", args, err, &out, &problems)
	}
	return out.String()
}

// The ports of our own processes are below those that a system gives to whoever
// asks for any: between two starts of a process nobody gets its port by chance.
const (
	firstPort = 20_000
	lastPort  = 30_000
)

var nextPort atomic.Int64

// freeAddress is a loopback address that nobody listens on now.
func freeAddress(t testing.TB) string {
	t.Helper()
	start := int64(os.Getpid()) * 61 // not where the tests of another checkout begin
	for range 1000 {
		port := firstPort + (start+nextPort.Add(1))%(lastPort-firstPort)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
