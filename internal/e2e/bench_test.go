package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/password"
)

type ctx = context.Context

// The benchmarks drive a node through real HTTP from connections that send the
// next request when they have the answer to the last. Besides the time of an
// operation (the reciprocal of the rate) they report
//
//	p50-ms, p99-ms     how long a caller waits
//	server-cpu-ms/op   processor time of the node
//	pg-cpu-ms/op       and of PostgreSQL's processes that serve it
//	writes/commit      how many transactions share a commit

// people is how many a benchmark has: two for each of 32 connections, so that
// no two requests under way are about one person.
const people = 64

// onEngines runs a benchmark on a stand on each engine.
func onEngines(b *testing.B, f func(b *testing.B, st *stand)) {
	b.Helper()
	for _, e := range engines {
		b.Run("engine="+e.name, func(b *testing.B) { f(b, newStand(b, e.database(b), people)) })
	}
}

// engines are the databases to measure on.
var engines = []struct {
	name     string
	database func(b *testing.B) string
}{
	{"sqlite", func(b *testing.B) string { return dbtest.SQLiteURL(b) }},
	{"postgres", func(b *testing.B) string { return durable(b, dbtest.PostgresURL(b)) }},
}

// durable asks PostgreSQL for what an operator has: commits that last, and the
// pool's own size. Its connections get a name by which they are found.
func durable(b testing.TB, database string) string {
	b.Helper()
	u, err := url.Parse(database)
	if err != nil {
		b.Fatal(err)
	}
	q := u.Query()
	q.Del("pool_max_conns")
	q.Set("synchronous_commit", "on")
	q.Set("application_name", "bench-"+q.Get("search_path"))
	u.RawQuery = q.Encode()
	return u.String()
}

// application is the name that durable gave.
func application(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return ""
	}
	return u.Query().Get("application_name")
}

// measure does b.N operations and reports.
func (st *stand) measure(b *testing.B, conns int, op func(l *line, worker int) error) {
	b.Helper()
	before := st.gauge(b)
	b.ResetTimer()
	took := st.drive(b, conns, b.N, op)
	b.StopTimer()
	after := st.gauge(b)
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(ms(quantile(took, 0.5)), "p50-ms")
	b.ReportMetric(ms(quantile(took, 0.99)), "p99-ms")
	b.ReportMetric(ms(after.server-before.server)/n, "server-cpu-ms/op")
	if st.database != "" {
		b.ReportMetric(ms(after.database-before.database)/n, "pg-cpu-ms/op")
	}
	if commits := after.commits - before.commits; commits > n/100 {
		b.ReportMetric((after.writes-before.writes)/commits, "writes/commit")
	}
	if hashes := after.hashing - before.hashing; hashes > 0 {
		b.ReportMetric(hashes/n, "hashes/op")
	}
}

// The applications by the algorithm of their access tokens. RS256 is what the
// Keymaster contract wants, and ES256 what an operator may choose.
var byAlg = []struct{ alg, app string }{{"ES256", modern}, {"RS256", demo}}

// BenchmarkRefresh rotates refresh tokens. On one connection it shows what the
// commit of one transaction costs, on 32 what sharing it gains.
func BenchmarkRefresh(b *testing.B) {
	onEngines(b, func(b *testing.B, st *stand) {
		for _, c := range byAlg {
			st.signAllIn(b, c.app)
			for _, conns := range []int{1, 32} {
				b.Run(fmt.Sprintf("alg=%s/conns=%d", c.alg, conns), func(b *testing.B) {
					turn := make([]int, conns)
					st.measure(b, conns, func(l *line, w int) error {
						turn[w]++
						return st.refresh(l, &st.people[w+32*(turn[w]%2)], c.app)
					})
				})
			}
		}
	})
}

func (st *stand) refresh(l *line, p *person, app string) error {
	status, body, err := l.post("/token/refresh", "10.0.0.1", `{"refresh_token":"`+p.refresh+`","app_id":"`+app+`"}`)
	p.refresh = member(body, "refresh_token")
	return unless(200, "refresh", status, body, err)
}

// signAllIn gives everybody tokens of an application.
func (st *stand) signAllIn(b testing.TB, app string) {
	b.Helper()
	var next atomic.Int64
	st.drive(b, 4, len(st.people), func(l *line, _ int) error {
		return st.mustSignIn(l, &st.people[next.Add(1)-1], app)
	})
}

// BenchmarkLogin signs in by password. Nearly all of it is the password's hash,
// which hash=argon2id measures by itself: what a sign-in costs besides is the
// difference of the two cpu-ms/op.
func BenchmarkLogin(b *testing.B) {
	b.Run("hash=argon2id", func(b *testing.B) {
		pool := password.NewPool(password.PoolOptions{})
		encoded, err := pool.Hash(b.Context(), standPassword)
		if err != nil {
			b.Fatal(err)
		}
		b.SetParallelism(2)
		before := ownCPU(b)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if ok, _, err := pool.Verify(b.Context(), encoded, standPassword); !ok {
					b.Errorf("got %v, %v", ok, err)
				}
			}
		})
		b.ReportMetric(ms(ownCPU(b)-before)/float64(b.N), "cpu-ms/op")
	})
	onEngines(b, func(b *testing.B, st *stand) {
		for _, c := range byAlg {
			b.Run(fmt.Sprintf("alg=%s/conns=32", c.alg), func(b *testing.B) {
				turn := make([]int, 32)
				st.measure(b, 32, func(l *line, w int) error {
					turn[w]++
					return st.mustSignIn(l, &st.people[w+32*(turn[w]%2)], c.app)
				})
			})
		}
	})
}

// ownCPU is the processor time of this process.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkVerify checks access tokens that were checked before, as an API
// behind Sallyport has it done.
func BenchmarkVerify(b *testing.B) {
	onEngines(b, func(b *testing.B, st *stand) {
		for _, c := range byAlg {
			st.signAllIn(b, c.app)
			bodies := make([]string, len(st.people))
			for i, p := range st.people {
				bodies[i] = `{"token":"` + p.access + `","audience":"` + c.app + `"}`
			}
			b.Run(fmt.Sprintf("alg=%s/conns=32", c.alg), func(b *testing.B) {
				st.measure(b, 32, func(l *line, w int) error { return verify(l, bodies[w]) })
			})
		}
	})
}

func verify(l *line, body string) error {
	status, answer, err := l.post("/token/verify", "10.0.0.1", body)
	if !strings.HasPrefix(string(answer), `{"valid":true,`) {
		status = 0
	}
	return unless(200, "verify", status, answer, err)
}

// BenchmarkSignup makes accounts: one hash each, and a mail to confirm the
// address, which is sent meanwhile.
func BenchmarkSignup(b *testing.B) {
	onEngines(b, func(b *testing.B, st *stand) {
		b.Run("alg=ES256/conns=32", func(b *testing.B) {
			st.measure(b, 32, func(l *line, _ int) error {
				return st.signUp(l, &person{email: "new-" + address() + "@example.com"})
			})
		})
	})
}
