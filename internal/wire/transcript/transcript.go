// Package transcript replays recorded HTTP conversations in tests, over a real
// server, and reports routes that no conversation visits. It owns the format of
// testdata/*.http; what is on the other side, its clock, its mail and its people
// are the test's own.
//
// A transcript is a text file, read line by line:
//
//	# A comment; it cites the sentence of the contract that follows.
//	> POST /auth/login
//	> User-Agent: curl/8
//	> {"email":"jane@example.com","password":"nope","app_id":"<demo>"}
//	< 401
//	< Cache-Control: no-store
//	<! Set-Cookie
//	< {"detail":"Invalid email or password"}
//
// A request is its first line, headers, and a body of any number of lines; an
// empty ">" before the body ends headers where the body looks like one. With a
// body and no Content-Type it is sent as application/json; "Content-Type: none"
// sends none. Cookies are kept and sent as a browser does, unless a Cookie header
// says what to send ("none": nothing, and nothing is kept). An absolute URL is
// asked for by its path, at the server under test.
//
// Of a response, the status, each listed header and the body are compared. "<!"
// names a header that must be absent. A body that is not given must be empty
// (but for redirects), "< *" takes any, and each "<~" line is a regular
// expression that the body must hold. A body given as JSON must be labelled so.
//
// <name> stands for a value. In a response its first use captures what stands
// there, and every later use must be equal; in a request it must be known. A kind
// narrows what is captured: <id:uuid>, <t:hex64>, <t:hex>, <t:jwt>, <at:time>,
// <n:int>, <s:base32>, or a pattern, <s:/[a-z]{5}/>. <_> takes a value and keeps
// nothing. <name|query> is the value escaped for a query. Named groups of a "<~"
// line capture too.
//
// Lines with "@" do what is not HTTP:
//
//	@ advance 16m                        move the clock
//	@ mail jane@example.com <link>       take the newest mail; capture its first link
//	@ mail jane@example.com capture /token=([0-9a-f]{64})/ as reset
//	@ no-mail jane@example.com           there is no mail that was not taken
//	@ totp <secret> as code              the TOTP code of now (RFC 6238)
//	@ claims <access> {"sub":"<jane>"}   the payload of a JWT, to the byte
//	@ times 5                            send the next request five times
//	@ browser other                      go on with another browser's cookies
//	@ prefix /keymaster                  put this before the paths that follow
//	@ run NAME                           call the test's own hook
package transcript

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Host is the system that a transcript talks to.
type Host interface {
	// Handler serves it.
	Handler() http.Handler
	// Now is its clock.
	Now() time.Time
	// Advance moves its clock.
	Advance(time.Duration)
	// Mail takes the newest mail to an address, after all queued work is done,
	// and returns its text; ok is false when there is none that was not taken.
	Mail(to string) (text string, ok bool)
}

// Stage is what one transcript is played on.
type Stage struct {
	Host Host
	// Vars are values known from the start, by name.
	Vars map[string]string
	// Hooks are what "@ run" can call; they may read and set vars.
	Hooks map[string]func(t *testing.T, vars map[string]string)
	// Authority is the Host header to send; empty means the test server's own.
	Authority string
}

// Run plays every *.http file in dir as a subtest of its own, each on a stage of
// its own, in parallel.
func Run(t *testing.T, dir string, start func(t *testing.T) Stage) {
	t.Helper()
	for _, f := range files(t, dir) {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".http"), func(t *testing.T) {
			t.Parallel()
			steps, err := load(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := perform(t, f, steps, start(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// perform plays steps until the first that goes wrong, which the error names.
func perform(t *testing.T, file string, steps []step, stage Stage) error {
	srv := httptest.NewServer(stage.Host.Handler())
	defer srv.Close()
	p := newPlayer(t, stage, srv.Listener.Addr().String())
	for _, s := range steps {
		if err := p.play(s); err != nil {
			return fmt.Errorf("%s:%d: %w", file, s.line, err)
		}
	}
	return nil
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.http"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no transcripts in %s", dir)
	}
	return found
}

func load(file string) ([]step, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, string(text))
}
