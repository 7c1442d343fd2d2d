package server

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sallyport/internal/db"
	"sallyport/internal/password"
	"sallyport/internal/wire"
)

// counters are what the process does, for Prometheus. Labels come from
// closed sets: nothing that a client sends, no user, no address.
type counters struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newMetrics registers everything; each gauge is read when it is asked for.
func newMetrics(d *db.DB, pool *password.Pool) *counters {
	m := &counters{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_requests_total", Help: "HTTP requests answered.",
		}, []string{"surface", "method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sallyport_request_duration_seconds", Help: "Time to answer an HTTP request.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"surface", "route"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&gauges{d: d, pool: pool})
	return m
}

// handler answers GET /metrics.
func (m *counters) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// observe counts one request.
func (m *counters) observe(ctx context.Context, d wire.Done) {
	surface := surfaceOf(ctx)
	m.requests.WithLabelValues(surface, d.Method, d.Pattern, strconv.Itoa(d.Status)).Inc()
	m.seconds.WithLabelValues(surface, d.Pattern).Observe(d.Duration.Seconds())
}

// gauges reads the state of the parts at each scrape.
type gauges struct {
	d    *db.DB
	pool *password.Pool
	mu   sync.Mutex
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sallyport_"+name, help, labels, nil)
}

var (
	descReads     = desc("db_reads_total", "Read transactions.")
	descWrites    = desc("db_writes_total", "Write transactions by outcome.", "outcome")
	descCommits   = desc("db_commits_total", "Commits of the engine; on SQLite one carries many write transactions.")
	descRetries   = desc("db_retries_total", "Transactions run again.")
	descConns     = desc("db_connections", "Connections by state.", "state")
	descHashes    = desc("password_hashes_total", "Password hashes computed.")
	descRefused   = desc("password_refused_total", "Callers turned away because too many hashes were waiting.")
	descSlots     = desc("password_slots", "Password hash slots by state.", "state")
	descWaiting   = desc("password_waiting", "Callers waiting for a hash slot.")
	descJobs      = desc("jobs", "Jobs in the queue by kind and state.", "kind", "state")
	descJobsError = desc("jobs_scrape_failed", "1 if the queue could not be counted.")
)

// Describe lists what Collect sends.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descReads, descWrites, descCommits, descRetries, descConns,
		descHashes, descRefused, descSlots, descWaiting, descJobs, descJobsError,
	} {
		ch <- d
	}
}

// Collect reads every part once.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	s := g.d.Stats()
	count(descReads, s.Reads)
	count(descWrites, s.Transactions, "committed")
	count(descWrites, s.Rollbacks, "rolled_back")
	count(descWrites, s.Unknown, "unknown")
	count(descCommits, s.Commits)
	count(descRetries, s.Retries)
	gauge(descConns, int64(s.Open), "open")
	gauge(descConns, int64(s.InUse), "in_use")
	gauge(descConns, int64(s.Limit), "limit")
	p := g.pool.Stats()
	count(descHashes, int64(p.Hashes))
	count(descRefused, int64(p.Refused))
	gauge(descSlots, int64(p.Slots), "all")
	gauge(descSlots, int64(p.Busy), "busy")
	gauge(descWaiting, int64(p.Waiting))
	// One scrape at a time asks the database.
	g.mu.Lock()
	defer g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	counts, err := countJobs(ctx, g.d)
	if err != nil {
		gauge(descJobsError, 1)
		return
	}
	gauge(descJobsError, 0)
	for _, c := range counts {
		gauge(descJobs, int64(c.Live), string(c.Kind), "live")
		gauge(descJobs, int64(c.Dead), string(c.Kind), "dead")
	}
}
