package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/password"
)

// crowd is how many sign in at once in a burst.
const crowd = 1000

// crowded is a site with a crowd in it, whose people have their password's hash
// from elsewhere: making a thousand takes long.
func crowded(b *testing.B, database string) (*stand, []person) {
	b.Helper()
	hash, err := password.NewPool(password.PoolOptions{}).Hash(b.Context(), standPassword)
	if err != nil {
		b.Fatal(err)
	}
	var more strings.Builder
	more.WriteString("users:\n")
	all := make([]person, crowd)
	for i := range all {
		all[i].email = fmt.Sprintf("crowd-%d@example.com", i)
		fmt.Fprintf(&more, "  - {email: %s, email_verified: true, password_hash: %q, enrolments: [{client: modern}]}\n", all[i].email, hash)
	}
	st := &stand{site: newSite(b, database, options{log: "warn", mail: "log"})}
	st.command("apply", st.write("crowd.yaml", strings.Replace(resources(b), "users:\n", more.String(), 1)))
	st.host = strings.TrimPrefix(st.base, "http://")
	return st, all
}

// BenchmarkStart is the time from the start of the process to its first answer,
// on a database that exists. idle-MiB is what the process holds in memory a few
// seconds later.
func BenchmarkStart(b *testing.B) {
	for _, e := range engines {
		b.Run("engine="+e.name, func(b *testing.B) {
			st, _ := crowded(b, e.database(b))
			var idle float64
			b.ResetTimer()
			for range b.N {
				n := st.launch(b)
				b.StopTimer()
				pause(b, 3*time.Second)
				now, _ := memory(n.cmd.Process.Pid)
				idle = max(idle, now)
				n.stop()
				b.StartTimer()
			}
			b.ReportMetric(idle, "idle-MiB")
			b.ReportMetric(ms(b.Elapsed())/float64(b.N), "start-ms")
		})
	}
}

// launch starts a node and waits for its first answer.
func (st *stand) launch(b *testing.B) *node {
	b.Helper()
	n := &node{t: b, cmd: st.exec("serve"), log: &journal{}, gone: make(chan struct{})}
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		n.cmd.Wait()
		close(n.gone)
	}()
	b.Cleanup(n.kill)
	for n.alive() {
		if c, err := net.Dial("tcp", st.host); err == nil {
			fmt.Fprint(c, "GET /healthz HTTP/1.0\r\n\r\n")
			answer, err := io.ReadAll(c)
			c.Close()
			if err == nil && strings.Contains(string(answer), " 200 OK") {
				return n
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	b.Fatalf("it does not start\n%s", n.log)
	return nil
}

// BenchmarkBurst is a thousand people who sign in at the same moment, each on a
// connection of their own, and come again when they are told to, while four
// connections have access tokens verified. An operation is the whole burst.
//
//	peak-MiB                 the most memory the process ever held
//	verify-p99-ms            how long a verification waited
//	told-to-wait/op          answers with 503 to sign-ins
//	shut-out/op              people who came again too often for the limits
func BenchmarkBurst(b *testing.B) {
	for _, e := range engines {
		b.Run("engine="+e.name, func(b *testing.B) {
			st, people := crowded(b, e.database(b))
			var peak float64
			var took []time.Duration
			var waited, shutOut int64
			for range b.N {
				st.node = st.launch(b)
				t, w, s := st.burst(b, people)
				took, waited, shutOut = append(took, t...), waited+w, shutOut+s
				_, most := memory(st.cmd.Process.Pid)
				peak = max(peak, most)
				st.node.stop()
			}
			slices.Sort(took)
			n := float64(b.N)
			b.ReportMetric(peak, "peak-MiB")
			b.ReportMetric((n*crowd-float64(shutOut))/b.Elapsed().Seconds(), "sign-ins/s")
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "verifies/s")
			b.ReportMetric(float64(waited)/n, "told-to-wait/op")
			b.ReportMetric(float64(shutOut)/n, "shut-out/op")
			b.ReportMetric(ms(quantile(took, 0.5)), "verify-p50-ms")
			b.ReportMetric(ms(quantile(took, 0.99)), "verify-p99-ms")
		})
	}
}

func (st *stand) burst(b *testing.B, people []person) (took []time.Duration, waited, shutOut int64) {
	b.Helper()
	one := people[0]
	st.drive(b, 1, 1, func(l *line, _ int) error { return st.mustSignIn(l, &one, modern) })
	body := `{"token":"` + one.access + `","audience":"` + modern + `"}`
	var over atomic.Bool
	var verifying, signingIn sync.WaitGroup
	verifying.Go(func() {
		took = st.drive(b, 4, 1<<30, func(l *line, _ int) error {
			if over.Load() {
				return errOver
			}
			return verify(l, body)
		})
	})
	var waits, shut atomic.Int64
	for i := range people {
		signingIn.Go(func() {
			l, err := dial(st.host)
			if err != nil {
				b.Error(err)
				return
			}
			defer l.conn.Close()
			for {
				switch status, err := st.signIn(l, &people[i], modern); {
				case err != nil:
					b.Error(err)
					return
				case status == http.StatusServiceUnavailable:
					waits.Add(1)
					pause(b, time.Second) // as Retry-After says
				case status == http.StatusTooManyRequests:
					shut.Add(1)
					return
				default:
					return
				}
			}
		})
	}
	signingIn.Wait()
	over.Store(true)
	verifying.Wait()
	return took, waits.Load(), shut.Load()
}
