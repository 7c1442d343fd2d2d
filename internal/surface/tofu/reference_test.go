package tofu_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// pythonVariable is what scripts/test sets: a python with Django, Django REST
// Framework, SimpleJWT, PyJWT and requests.
const pythonVariable = "SALLYPORT_TEST_PYTHON"

// python returns that python. Without it a test says so, and fails where it is to
// be there.
func python(t *testing.T) string {
	t.Helper()
	if p := os.Getenv(pythonVariable); p != "" {
		return p
	}
	why := "set " + pythonVariable + ", or run scripts/test, to compare with Django REST Framework and SimpleJWT"
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	fmt.Fprintf(os.Stderr, "%s: SKIPPED: %s\n", t.Name(), why)
	t.Skip(why)
	return ""
}

// reference is testdata/reference.py: the original's stack.
type reference struct {
	t  *testing.T
	at string // host and port

	mu  sync.Mutex
	in  io.Writer
	out *bufio.Scanner
}

func startReference(t *testing.T) *reference {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python(t), "-W", "ignore", "testdata/reference.py", secretKey)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	r := &reference{t: t, in: in, out: bufio.NewScanner(out)}
	r.out.Buffer(nil, 1<<20)
	var hello struct{ At string }
	r.read(&hello)
	r.at = strings.TrimPrefix(hello.At, "http://")
	return r
}

// do asks the reference something; see testdata/reference.py.
func (r *reference) do(ask map[string]any, answer any) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	line, err := json.Marshal(ask)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.in.Write(append(line, '\n')); err != nil {
		r.t.Fatal(err)
	}
	r.read(answer)
}

func (r *reference) read(v any) {
	r.t.Helper()
	if !r.out.Scan() {
		r.t.Fatalf("the reference has ended: %v", r.out.Err())
	}
	if err := json.Unmarshal(r.out.Bytes(), v); err != nil {
		r.t.Fatalf("the reference said %s: %v", r.out.Bytes(), err)
	}
}

// ask is one request, sent as it is.
type ask struct {
	method, target string
	headers        []string
	body           string
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// send writes a request by hand: net/http would repair what is to be shown.
func send(t *testing.T, at string, q ask) reply {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", q.method, q.target)
	for _, h := range q.headers {
		text.WriteString(h + "\r\n")
	}
	if q.body != "" || q.method == http.MethodPost {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(q.body))
	}
	text.WriteString("\r\n" + q.body)
	if _, err := conn.Write(text.Bytes()); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: q.method})
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.target, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(body)}
}
