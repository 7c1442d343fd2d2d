package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"sallyport/internal/config"
)

// stopWithin is how long requests and jobs in flight have to finish.
const stopWithin = 20 * time.Second

// Run listens, serves and does the background work until ctx ends, then stops:
// no new connections, requests and jobs in flight finish, the database is
// closed. listening, if it is not nil, is told the address once requests are
// answered there. The error is nil after a clean stop, and one sentence
// otherwise.
func (s *Server) Run(ctx context.Context, listening func(net.Addr)) (err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	main := s.listener
	if main == nil {
		if main, err = listen(ctx, "setting listen", s.cfg.Listen); err != nil {
			return err
		}
	}
	servers := map[*http.Server]net.Listener{s.newHTTP(s.handler): main}
	for _, other := range []struct {
		setting, address string
		handler          http.Handler
	}{
		{"metrics_listen", s.cfg.MetricsListen, s.operations()},
		{"hackillinois_private_listen", s.cfg.HackPrivate, s.wrap(s.siblings)},
	} {
		if other.address == "" {
			continue
		}
		ln, err := listen(ctx, "setting "+other.setting, other.address)
		if err != nil {
			for _, ln := range servers {
				err = errors.Join(err, ln.Close())
			}
			return err
		}
		servers[s.newHTTP(other.handler)] = ln
	}

	// Jobs outlive requests: those may enqueue some until the last is answered.
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJobs()
	idle := make(chan error, 1)
	go func() { idle <- s.jobs.Run(jobs) }()

	broken := make(chan error, len(servers))
	for srv, ln := range servers {
		go func() { broken <- srv.Serve(ln) }()
	}
	s.log.Info("listening", "address", main.Addr().String(), "public_url", s.cfg.PublicURL, "database", s.db.Engine())
	if listening != nil {
		listening(main.Addr())
	}

	var failed error
	select {
	case <-ctx.Done():
	case err := <-broken:
		failed = fmt.Errorf("stopped listening: %w", err)
	}
	s.log.Info("stopping", "deadline", s.stopDeadline)
	s.ready.stop()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.stopDeadline)
	defer cancel()
	var all sync.WaitGroup
	for srv := range servers {
		all.Go(func() {
			if err := srv.Shutdown(deadline); err != nil {
				s.log.Warn("requests were cut off", "error", err)
				srv.Close()
			}
		})
	}
	all.Wait()
	stopJobs()
	select {
	case err := <-idle:
		failed = errors.Join(failed, err)
	case <-deadline.Done():
		s.log.Warn("jobs were left unfinished; they run again when their lease ends")
	}
	s.log.Info("stopped")
	return failed
}

// listen opens a listener, or says what cannot be had and where it was asked
// for.
func listen(ctx context.Context, where, address string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%s): %w", address, where, errors.Unwrap(err))
	}
	return ln, nil
}

// newHTTP gives a handler the time-outs that keep slow or stuck clients from
// holding a connection for ever.
func (s *Server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// operations is what the listener of metrics_listen serves.
func (s *Server) operations() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("GET /healthz", healthz)
	mux.Handle("GET /readyz", s.ready)
	return mux
}

// NewLog makes the process's logger.
func NewLog(w io.Writer, c config.Log) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
