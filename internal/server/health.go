package server

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/jwks"
	"sallyport/internal/wire"
)

// readyFor is how long an answer of ready stands: probes may come from
// anywhere, and each one that is not answered from here writes to the database.
const readyFor = time.Second

// ready finds out whether this process can serve.
type ready struct {
	db   *db.DB
	ring *jwks.Ring
	now  func() time.Time

	mu       sync.Mutex
	at       time.Time
	failing  []string
	stopping bool
}

// stop makes every later answer "stopping", so that a load balancer looks for
// another node while this one finishes.
func (h *ready) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// check names what keeps the process from serving: "stopping", "database" (not
// reachable, or cannot be written), "schema" (not migrated), "signing_key". One
// caller at a time finds out; the others share its answer.
func (h *ready) check(ctx context.Context) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return []string{"stopping"}
	}
	if now := h.now(); h.at.IsZero() || now.Sub(h.at).Abs() >= readyFor {
		// A prober that gives up must not make the database look gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		h.failing, h.at = h.probe(ctx), now
	}
	return h.failing
}

func (h *ready) probe(ctx context.Context) []string {
	failing := []string{}
	switch s, err := h.db.Schema(ctx); {
	case err != nil:
		failing = append(failing, "database")
	case len(s.Pending) > 0:
		failing = append(failing, "schema")
	default:
		if err := h.db.Ping(ctx); err != nil {
			failing = append(failing, "database")
		}
	}
	for _, alg := range keyAlgorithms {
		if _, err := h.ring.Active(alg, ""); err != nil {
			failing = append(failing, "signing_key")
			break
		}
	}
	return failing
}

// status is the body of both probes.
type status struct {
	Status  string   `json:"status"`
	Failing []string `json:"failing,omitempty"`
}

// ServeHTTP answers GET /readyz: 200 if requests can be served, else 503.
func (h *ready) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if failing := h.check(r.Context()); len(failing) > 0 {
		w.Header().Set("Retry-After", "1")
		wire.WriteJSON(w, http.StatusServiceUnavailable, status{"unavailable", failing})
		return
	}
	wire.WriteJSON(w, http.StatusOK, status{Status: "ok"})
}

// probes are the server's own routes, at the root of the public URL before
// anything else. Metrics move to a listener of their own if there is one.
func (s *Server) probes() surface {
	p := surface{name: "server", notFound: http.NotFound, notAllowed: notAllowed, crash: crash, routes: []wire.Route{
		{Method: http.MethodGet, Pattern: "/healthz", Handler: healthz},
		{Method: http.MethodGet, Pattern: "/readyz", Handler: s.ready.ServeHTTP},
	}}
	if s.cfg.MetricsListen == "" {
		p.routes = append(p.routes, wire.Route{Method: http.MethodGet, Pattern: "/metrics", Handler: localOnly(s.metrics.handler())})
	}
	return p
}

// localOnly answers this machine alone: the counts tell, of a request that
// answers everybody alike, what it did.
func localOnly(h http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a, err := netip.ParseAddr(wire.ClientIP(r.Context())); err != nil || !a.IsLoopback() || len(r.Header["X-Forwarded-For"]) > 0 {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}
}

func notAllowed(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusMethodNotAllowed, status{Status: "error"})
}

// healthz answers GET /healthz: the process is up and its HTTP side works.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	wire.WriteJSON(w, http.StatusOK, status{Status: "ok"})
}
