package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// node is one process that serves a site.
type node struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  *journal
	gone chan struct{} // closed when the process has ended
}

// journal is the log of a process, readable while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// serve starts a node and waits until it listens. It ends with the test.
func (s *site) serve() *node {
	s.t.Helper()
	n, err := s.start()
	if err != nil {
		s.t.Fatalf("serve: %v\n%s", err, n.log)
	}
	return n
}

// start is serve for a node that may fail to.
func (s *site) start() (*node, error) {
	s.t.Helper()
	n := &node{t: s.t, cmd: s.exec("serve", "--json"), log: &journal{}, gone: make(chan struct{})}
	n.cmd.Stderr = n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	var listening struct{ Address string }
	err = json.NewDecoder(out).Decode(&listening)
	go func() {
		n.cmd.Wait()
		close(n.gone)
	}()
	s.t.Cleanup(func() {
		n.kill()
		if s.t.Failed() {
			s.t.Logf("log of process %d:\n%s", n.cmd.Process.Pid, n.log)
		}
	})
	return n, err
}

// kill ends the process as a power cut does, and waits for it.
func (n *node) kill() {
	select {
	case <-n.gone: // its id may be another's by now
	default:
		n.cmd.Process.Kill()
		<-n.gone
	}
}

// stop ends the process in order.
func (n *node) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && err != os.ErrProcessDone {
		n.t.Fatal(err)
	}
	select {
	case <-n.gone:
	case <-time.After(30 * time.Second):
		n.t.Fatalf("the program does not stop\n%s", n.log)
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.t.Errorf("stopped with exit code %d", code)
	}
}

// alive reports whether the process has not ended.
func (n *node) alive() bool {
	select {
	case <-n.gone:
		return false
	default:
		return true
	}
}
