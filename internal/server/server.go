// Package server is a running Sallyport: it builds every part once from the
// configuration, puts the surfaces where they belong, listens, and stops
// without losing a request. It decides nothing about people, clients or
// secrets; what it adds of its own is what a process needs: probes, metrics,
// logs, periodic work, signing keys at first start.
//
//	New    database ─ schema ─ keys ─ cores ─ surfaces ─ mounts      (fails with one sentence)
//	Run    listen ─ serve ─ ctx ends ─ finish what is in flight ─ close
//
// A request passes, from the outside in: its visit (for metrics), wire.Requests,
// wire.SecurityHeaders, body limit and deadline, then the mount, which is found
// by host, by prefix, or is the root; see newMounts.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/job"
	"sallyport/internal/jwks"
	"sallyport/internal/logout"
	"sallyport/internal/mail"
	"sallyport/internal/outbound"
	"sallyport/internal/password"
	"sallyport/internal/surface/dev"
	"sallyport/internal/upstream"
	"sallyport/internal/webhook"
	"sallyport/internal/wire"
)

// Bounds of a request.
const (
	maxBody         = 4 << 20 // the largest upload that a surface takes, with room for its envelope
	requestDeadline = 20 * time.Second
	probeTimeout    = 3 * time.Second
	scrapeTimeout   = 5 * time.Second
)

// firstContact is how long the database has to answer at start.
const firstContact = 15 * time.Second

// Options are the parts that a caller brings. Config is required; the rest is
// made from it where it is left out.
type Options struct {
	Config    config.Config
	Log       *slog.Logger
	Now       func() time.Time
	DB        *db.DB // is not closed by the server if it is brought
	Mail      mail.Sender
	Passwords password.PoolOptions
	Listener  net.Listener // open already, in place of Config.Listen
	Inbox     *dev.Inbox   // takes the mail and shows it to everybody: for a playground
	// TuneMemory lets the server set the process's soft memory limit. It is for
	// a process that is nothing else, and whose operator has not set one.
	TuneMemory bool
}

// Server is a Sallyport that is ready to serve.
type Server struct {
	cfg       config.Config
	log       *slog.Logger
	now       func() time.Time
	db        *db.DB
	ownsDB    bool
	listener  net.Listener
	passwords *password.Pool
	mail      mail.Sender
	courier   *webhook.Courier
	farewell  *logout.Courier
	keys      *Keys
	documents *outbound.Documents
	providers *outbound.Documents // of organizations
	broker    *upstream.Broker
	settings  *settings
	ready     *ready
	metrics   *counters
	jobs      *job.Runner
	handler   http.Handler
	siblings  http.Handler // for HackIllinois' private listener

	stopDeadline time.Duration
}

// New builds a server. On a database without a schema it makes one; a schema
// that is older or newer than the program is refused. Nothing listens yet. The
// caller ends the server with Run or Close.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	s := &Server{cfg: o.Config, log: o.Log, now: o.Now, db: o.DB, mail: o.Mail, listener: o.Listener, stopDeadline: stopWithin}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.db == nil {
		if s.db, err = OpenDB(ctx, s.cfg); err != nil {
			return nil, err
		}
		s.ownsDB = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	applied, err := PrepareSchema(ctx, s.db)
	if err != nil {
		return nil, err
	}
	if len(applied) > 0 {
		s.log.Info("made the schema", "migrations", applied)
	}
	if o.Inbox != nil {
		s.mail = o.Inbox
	}
	if s.mail == nil {
		if s.mail, err = newSender(s.cfg, s.log); err != nil {
			return nil, err
		}
	}
	s.courier = &webhook.Courier{
		DB: s.db, Key: s.cfg.SecretKey, Now: s.now,
		Client: outbound.Client(outbound.Options{Allow: s.cfg.OutboundAllow, Timeout: webhook.Timeout}),
	}
	s.passwords = password.NewPool(o.Passwords)
	s.keys = &Keys{DB: s.db, Key: s.cfg.SecretKey, Now: s.now, Ring: &jwks.Ring{}}
	if err := s.keys.Ensure(ctx); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	s.farewell = &logout.Courier{
		DB: s.db, Keys: s.keys.Ring, Now: s.now,
		Client: outbound.Client(outbound.Options{Allow: s.cfg.OutboundAllow, Timeout: logout.Timeout}),
	}
	s.documents = outbound.NewDocuments(outbound.Options{Allow: s.cfg.OutboundAllow}, s.now)
	// Who sets a provider up tries again at once after mending it there.
	s.providers = outbound.NewDocuments(outbound.Options{Allow: s.cfg.OutboundAllow, Timeout: upstream.DefaultTimeout, Patience: time.Second}, s.now)
	s.broker = upstream.NewBroker(upstream.Options{Now: s.now, Allow: s.cfg.OutboundAllow})
	s.settings = &settings{db: s.db}
	if err := s.settings.load(ctx); err != nil {
		return nil, err
	}
	s.settings.warn(s.log)
	s.ready = &ready{db: s.db, ring: s.keys.Ring, now: s.now}
	s.metrics = newMetrics(s.db, s.passwords)
	c := s.newCores()
	s.jobs = s.newRunner(c, o.TuneMemory)
	all, err := s.surfaces(c, o.Inbox)
	if err != nil {
		return nil, err
	}
	if err := checkHosts(s.cfg, all); err != nil {
		return nil, err
	}
	s.handler = s.wrap(newMounts(s.probes(), all, s.cfg, s.log))
	if o.Inbox != nil {
		s.handler = dev.OwnName(dev.NewProviders(s.cfg.PublicURL, s.now).Wrap(s.handler))
	}
	return s, nil
}

// OpenDB opens the database that the configuration names.
func OpenDB(ctx context.Context, c config.Config) (*db.DB, error) {
	d, err := db.Open(ctx, c.Database.Reveal())
	if err != nil {
		return nil, fmt.Errorf("cannot open the database (setting database): %w", oneLine{err})
	}
	return d, nil
}

// oneLine is an error whose text is one line: drivers break theirs.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e oneLine) Unwrap() error { return e.error }

// newSender makes the mail sender of the configuration.
func newSender(c config.Config, log *slog.Logger) (mail.Sender, error) {
	if c.Mail.Reveal() == "log" {
		return mail.Log{Logger: log}, nil
	}
	smtp, err := mail.NewSMTP(c.Mail.Reveal(), c.MailFrom)
	if err != nil {
		return nil, fmt.Errorf("setting mail: %w", err)
	}
	return smtp, nil
}

// SchemaError reports a database that this program does not fit.
type SchemaError struct {
	Pending []string // migrations that have not been applied
	Unknown []string // migrations that this program does not know
}

// Error says what to do.
func (e *SchemaError) Error() string {
	if len(e.Unknown) > 0 {
		return "the database was made by a newer release (it has " + strings.Join(e.Unknown, ", ") + "); run that release"
	}
	return "the database is older than this release (it lacks " + strings.Join(e.Pending, ", ") + "); run: sallyport migrate"
}

// CheckSchema returns a *SchemaError unless the schema is this program's.
func CheckSchema(s db.Schema) error {
	if len(s.Unknown) > 0 || len(s.Pending) > 0 {
		return &SchemaError{Pending: s.Pending, Unknown: s.Unknown}
	}
	return nil
}

// PrepareSchema makes the schema of an empty database, naming the migrations it
// applied, and checks any other with CheckSchema.
func PrepareSchema(ctx context.Context, d *db.DB) (applied []string, err error) {
	// A server behind a wall that drops packets must not look like a start that
	// takes long.
	soon, cancel := context.WithTimeout(ctx, firstContact)
	defer cancel()
	s, err := d.Schema(soon)
	if err != nil {
		return nil, fmt.Errorf("cannot use the database (setting database): %w", oneLine{err})
	}
	if !s.Fresh {
		return nil, CheckSchema(s)
	}
	if applied, err = d.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("cannot make the schema of the database: %w", err)
	}
	return applied, nil
}

// wrap puts everything around the mounts that every request passes.
func (s *Server) wrap(m http.Handler) http.Handler {
	secure := strings.HasPrefix(s.cfg.PublicURL, "https:")
	h := wire.SecurityHeaders(secure, wire.LimitBody(maxBody, wire.Deadline(requestDeadline, m)))
	h = wire.Recover(s.log, crash, h)
	return withVisit(wire.Requests{Trusted: s.cfg.TrustedProxies, ProxyOnly: s.cfg.ClientCert, Now: s.now, Log: s.log, Observe: s.metrics.observe}.Wrap(h))
}

// crash answers for a panic that no surface has words for.
func crash(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusInternalServerError, status{Status: "error"})
}

// Handler serves requests as a listener of Run would.
func (s *Server) Handler() http.Handler { return s.handler }

// Jobs does the background work. Run runs it; a test may do it step by step.
func (s *Server) Jobs() *job.Runner { return s.jobs }

// Close ends a server that Run has not ended.
func (s *Server) Close() error {
	if s.courier != nil {
		s.courier.Client.CloseIdleConnections()
	}
	if s.farewell != nil {
		s.farewell.Client.CloseIdleConnections()
	}
	if s.documents != nil {
		s.documents.Close()
		s.providers.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
	if !s.ownsDB {
		return nil
	}
	return s.db.Close()
}
