package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
)

// line is a kept-alive connection to a node. It speaks just enough HTTP/1.1 for
// load: it shares the processors with what it measures, so it has to be cheaper
// than net/http's client.
type line struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
	body []byte
	// location and cookie are those of the last answer, "" if it had none.
	location, cookie string
}

func dial(host string) (*line, error) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &line{conn: c, r: bufio.NewReader(c)}, nil
}

// post sends JSON and returns the status and the body, which is good until the
// next call.
func (l *line) post(path, ip, body string) (status int, answer []byte, err error) {
	l.out = fmt.Appendf(l.out[:0], "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Forwarded-For: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, ip, len(body), body)
	return l.exchange(path)
}

// get is post for a browser that follows a link with its cookie.
func (l *line) get(path, ip, cookie string) (status int, answer []byte, err error) {
	l.out = fmt.Appendf(l.out[:0], "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\nX-Forwarded-For: %s\r\n\r\n", path, cookie, ip)
	return l.exchange(path)
}

// exchange sends what stands in out, and reads the answer.
func (l *line) exchange(path string) (status int, answer []byte, err error) {
	l.location, l.cookie = "", ""
	if _, err := l.conn.Write(l.out); err != nil {
		return 0, nil, err
	}
	first, err := l.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(first) < 12 {
		return 0, nil, fmt.Errorf("status line %q", first)
	}
	if status, err = strconv.Atoi(string(first[9:12])); err != nil {
		return 0, nil, fmt.Errorf("status line %q", first)
	}
	length := -1
	for {
		field, err := l.r.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		if field = bytes.TrimRight(field, "\r\n"); len(field) == 0 {
			break
		}
		name, value, _ := bytes.Cut(field, []byte(": "))
		switch textproto.CanonicalMIMEHeaderKey(string(name)) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, err
			}
		case "Location":
			l.location = string(value)
		case "Set-Cookie":
			l.cookie, _, _ = strings.Cut(string(value), ";")
		}
	}
	if length < 0 {
		return 0, nil, fmt.Errorf("%s: an answer without a length", path)
	}
	l.body = slices.Grow(l.body[:0], length)[:length]
	_, err = io.ReadFull(l.r, l.body)
	return status, l.body, err
}

// member is the text of a member of a JSON object, which holds no escapes.
func member(body []byte, name string) string {
	_, rest, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

// stand is a node under load, and whose processor time is counted.
type stand struct {
	*site
	*node
	host     string
	database string // of PostgreSQL, else ""
	people   []person
}

// person is one who can sign in, and their tokens in an application.
type person struct {
	email, access, refresh string
}

// newStand serves a site of a database and makes people for it.
func newStand(b testing.TB, database string, people int) *stand {
	b.Helper()
	o := options{log: "warn"}
	st := &stand{site: newSite(b, database, o)}
	if strings.HasPrefix(database, "postgres") {
		st.database = database
	}
	st.node = st.serve()
	st.host = strings.TrimPrefix(st.base, "http://")
	st.people = make([]person, people)
	var next atomic.Int64
	st.drive(b, 4, people, func(l *line, _ int) error {
		p := &st.people[next.Add(1)-1]
		p.email = fmt.Sprintf("user-%s@example.com", address())
		return st.signUp(l, p)
	})
	return st
}

const standPassword = "a-long-enough-password"

func (st *stand) signUp(l *line, p *person) error {
	status, body, err := l.post("/auth/signup", address(), `{"email":"`+p.email+`","password":"`+standPassword+`","display_name":"User","app_id":"`+modern+`"}`)
	p.access, p.refresh = member(body, "access_token"), member(body, "refresh_token")
	return unless(200, "sign-up", status, body, err)
}

// signIn signs a person in, or returns another status.
func (st *stand) signIn(l *line, p *person, app string) (status int, err error) {
	status, body, err := l.post("/auth/login", address(), `{"email":"`+p.email+`","password":"`+standPassword+`","app_id":"`+app+`"}`)
	if status == 200 {
		p.access, p.refresh = member(body, "access_token"), member(body, "refresh_token")
	}
	return status, err
}

// mustSignIn is signIn for whom nothing is in the way.
func (st *stand) mustSignIn(l *line, p *person, app string) error {
	status, err := st.signIn(l, p, app)
	return unless(200, "sign-in", status, nil, err)
}

// unless makes an error of an answer that is not the expected one.
func unless(want int, what string, status int, body []byte, err error) error {
	if err == nil && status == want {
		return nil
	}
	return errors.Join(fmt.Errorf("%s: got %d %s", what, status, body), err)
}

// errOver is how an operation ends the others.
var errOver = errors.New("over")

// drive does n operations on a number of connections and returns how long each
// took, sorted. op is told which connection it has.
func (st *stand) drive(b testing.TB, conns, n int, op func(l *line, worker int) error) []time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	took := make([][]time.Duration, conns)
	var workers sync.WaitGroup
	for i := range conns {
		l, err := dial(st.host)
		if err != nil {
			b.Fatal(err)
		}
		defer l.conn.Close()
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := op(l, i); err != nil {
					left.Store(0)
					if !errors.Is(err, errOver) {
						b.Error(err)
					}
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	workers.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all
}

// quantile of a sorted list.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// gauge is what the node, its database and its metrics count at one moment.
type gauge struct {
	server, database         time.Duration // processor time
	writes, commits, hashing float64
}

func (st *stand) gauge(b testing.TB) gauge {
	b.Helper()
	m := st.metrics(b)
	g := gauge{
		server: cpu(st.cmd.Process.Pid),
		writes: m[`sallyport_db_writes_total{outcome="committed"}`], commits: m["sallyport_db_commits_total"],
		hashing: m["sallyport_password_hashes_total"],
	}
	for _, pid := range st.backends(b) {
		g.database += cpu(pid)
	}
	return g
}

// metrics reads /metrics.
func (st *stand) metrics(b testing.TB) map[string]float64 {
	b.Helper()
	m := map[string]float64{}
	for line := range strings.Lines(string(st.visitor(b).get(st.status + "/metrics").want(200).body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	return m
}

// backends are the processes of PostgreSQL that serve the node.
func (st *stand) backends(b testing.TB) []int {
	b.Helper()
	if st.database == "" {
		return nil
	}
	d, err := db.Open(b.Context(), strings.Replace(st.database, "application_name=", "application_name=gauge-", 1))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	var pids []int
	err = d.Read(b.Context(), func(ctx ctx, tx *db.Tx) error {
		all, err := db.All(ctx, tx, db.Int, `SELECT pid FROM pg_stat_activity WHERE application_name = $1`, application(st.database))
		for _, pid := range all {
			pids = append(pids, int(pid))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return pids
}

// cpu is the processor time that a process has used, 0 where /proc does not say.
func cpu(pid int) time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold spaces; utime and stime are the 12th and
	// 13th field after it, in hundredths of a second (proc_pid_stat(5)).
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is what a process holds in RAM now and held at most, in MiB; 0 where
// /proc does not say.
func memory(pid int) (now, peak float64) {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			now = kib / 1024
		case "VmHWM":
			peak = kib / 1024
		}
	}
	return now, peak
}
