package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
)

// client makes requests of programs under test, each on a connection of its own.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// child is the program in a process of its own.
type child struct {
	cmd *exec.Cmd
	out *bufio.Reader
	log *strings.Builder
}

func spawn(t *testing.T, c command, args ...string) *child {
	t.Helper()
	p := &child{cmd: exec.CommandContext(t.Context(), os.Args[0], args...), log: &strings.Builder{}}
	p.cmd.Env = append(c.env, childVariable+"=1")
	p.cmd.Dir = t.TempDir()
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// address waits until the server listens and returns its URL.
func (p *child) address(t *testing.T) string {
	t.Helper()
	var at struct{ Address string }
	if err := json.NewDecoder(p.out).Decode(&at); err != nil {
		p.cmd.Wait()
		t.Fatalf("no address: %v\n%s", err, p.log)
	}
	return "http://" + at.Address
}

// exit waits for the end and returns the exit code.
func (p *child) exit(t *testing.T) int {
	t.Helper()
	if _, err := io.Copy(io.Discard, p.out); err != nil {
		t.Error(err)
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func TestServeStopsOnSignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := spawn(t, with(t, dbtest.SQLiteURL(t)), "serve", "--json")
		url := p.address(t)
		res, err := client.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("/readyz: got %d", res.StatusCode)
		}
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if code := p.exit(t); code != exitOK {
			t.Errorf("%v: exit %d\n%s", sig, code, p.log)
		}
		for _, want := range []string{`"msg":"listening"`, `"msg":"request"`, `"msg":"stopping"`, `"msg":"stopped"`} {
			if !strings.Contains(p.log.String(), want) {
				t.Errorf("no %s in the log:\n%s", want, p.log)
			}
		}
		if strings.Contains(p.log.String(), strings.Repeat("0f", 32)) {
			t.Error("the log holds the secret key")
		}
	}
}

func TestSecondSignalQuits(t *testing.T) {
	t.Parallel()
	p := spawn(t, with(t, dbtest.SQLiteURL(t)), "serve", "--json")
	url := p.address(t)
	// A request that is still being sent keeps the server from stopping.
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The handler asks for the body: the request is in flight now.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q, %v", line, err)
	}
	quits := func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	quits()
	stopped := make(chan int, 1)
	go func() { stopped <- p.exit(t) }()
	// The first signal stops the listener; from then on the second one is heard.
	for {
		res, err := client.Get(url + "/healthz")
		if err != nil {
			break
		}
		res.Body.Close()
	}
	quits()
	select {
	case code := <-stopped:
		if code == exitOK {
			t.Error("it ended as if it had stopped in order")
		}
	case <-time.After(time.Minute):
		t.Error("it did not quit")
	}
	if answer, _ := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("the request was answered: %s", answer)
	}
}

func TestProgramExitsWithTheCode(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{"--help": exitOK, "--nonsense": exitMisuse, "clients": exitFailed} {
		p := spawn(t, with(t, "sqlite:/nonexistent/x.db"), strings.Fields(args)...)
		if got := p.exit(t); got != want {
			t.Errorf("%s: exit %d, want %d", args, got, want)
		}
	}
}

func TestDevPrintsWhatToDo(t *testing.T) {
	t.Parallel()
	p := spawn(t, command{t: t}, "dev", "--listen", "127.0.0.1:0", "--json")
	var play struct {
		URL      string
		Commands []struct{ About, Shell string }
	}
	if err := json.NewDecoder(p.out).Decode(&play); err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	curl, err := exec.LookPath("curl")
	for _, c := range play.Commands {
		if err != nil {
			t.Logf("no curl here: not run: %s", c.Shell)
			continue
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(c.Shell, "curl ", curl+" -f ")).CombinedOutput()
		if err != nil || !json.Valid(out) {
			t.Errorf("%s: %v\n%s", c.Shell, err, out)
		}
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, p.log)
	}
}
