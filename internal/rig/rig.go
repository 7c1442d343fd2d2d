// Package rig puts a whole Sallyport together for tests: its cores over a real
// database, a clock that the test moves, a mailbox behind real SMTP, and a few
// named applications and people. It is for tests only.
package rig

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/dns/dnstest"
	"sallyport/internal/enterprise"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/jwks"
	"sallyport/internal/logout"
	"sallyport/internal/mail"
	"sallyport/internal/mail/mailtest"
	"sallyport/internal/oauth"
	"sallyport/internal/outbound"
	"sallyport/internal/password"
	"sallyport/internal/provision"
	"sallyport/internal/secret"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// Base is the public URL of a rig.
const Base = "https://auth.example.com"

// loopback is where the other parties of a test are.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// Start is when a rig's clock begins.
var Start = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// Rig is one Sallyport under test.
type Rig struct {
	DB        *db.DB
	Key       *secret.Key
	Passwords *password.Pool
	Keys      *jwks.Ring
	Tokens    *token.Cache
	SignIn    *signin.Core
	Broker    *upstream.Broker
	OAuth     *oauth.Core
	Self      *self.Core
	Admin     *admin.Core
	Provision *provision.Core
	// Enterprise asks Names, a DNS server that knows what a test tells it.
	Enterprise *enterprise.Core
	Names      *dnstest.Server
	Jobs       *job.Runner
	Sink       *mailtest.Sink
	// Documents may reach loopback; Settings are the provider's, for a test to set
	// before it asks.
	Documents *outbound.Documents
	Settings  oauth.Settings

	t     testing.TB
	mux   wire.Mux
	clock clock
	taken map[string]int
}

type clock struct {
	mu   sync.Mutex
	now  time.Time
	read time.Time // the keys
}

// keys are made once for all rigs of a test binary: an RSA key takes long.
var keys = sync.OnceValues(func() ([]jwks.Key, error) {
	var all []jwks.Key
	for _, alg := range []string{jwks.RS256, jwks.RS256, jwks.ES256, jwks.ES256} {
		k, err := jwks.Generate(alg)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
})

// New returns a Sallyport over d. Its password hashes are real but cheap.
func New(t testing.TB, d *db.DB) *Rig {
	t.Helper()
	key, err := secret.NewKey(secret.Bytes(32))
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{
		DB: d, Key: key, Keys: new(jwks.Ring), t: t, taken: map[string]int{}, clock: clock{now: Start},
		Passwords: password.NewPool(password.PoolOptions{Params: password.Params{Memory: 64, Time: 1, Threads: 1}, Queue: 1000, Wait: time.Minute}),
		Sink:      mailtest.New(t, mailtest.Options{}),
	}
	r.Tokens = token.NewCache(r.Keys, 1000)
	r.Broker = upstream.NewBroker(upstream.Options{Now: r.Now, Timeout: brokerTimeout, Allow: []netip.Prefix{loopback}})
	t.Cleanup(r.Broker.Close)
	r.SignIn = &signin.Core{DB: d, Now: r.Now, Key: key, Passwords: r.Passwords, Broker: r.Broker}
	r.Documents = outbound.NewDocuments(outbound.Options{Allow: []netip.Prefix{loopback}}, r.Now)
	t.Cleanup(r.Documents.Close)
	r.OAuth = &oauth.Core{DB: d, Now: r.Now, Key: key, Keys: r.Keys, Documents: r.Documents, Broker: r.Broker, Settings: func() oauth.Settings { return r.Settings }}
	r.Self = &self.Core{DB: d, Now: r.Now, Key: key, Passwords: r.Passwords, Issuer: "Keymaster"}
	r.Provision = &provision.Core{DB: d, Now: r.Now, Key: key}
	r.Admin = &admin.Core{DB: d, Now: r.Now, Key: key, Passwords: r.Passwords}
	r.Names = dnstest.New(t)
	r.Enterprise = &enterprise.Core{DB: d, Now: r.Now, Key: key, Broker: r.Broker, Documents: r.Documents, Names: r.Names.Resolver(), Outbound: []netip.Prefix{loopback}}
	r.Jobs = r.runner()
	r.loadKeys()
	return r
}

func (r *Rig) runner() *job.Runner {
	sender, err := mail.NewSMTP("smtp://"+r.Sink.Addr, "Sallyport <no-reply@example.com>")
	if err != nil {
		r.t.Fatal(err)
	}
	out := outbound.Client(outbound.Options{Allow: []netip.Prefix{loopback}, Timeout: logout.Timeout})
	r.t.Cleanup(out.CloseIdleConnections)
	farewell := &logout.Courier{DB: r.DB, Keys: r.Keys, Client: out, Now: r.Now}
	handlers := map[job.Kind]job.Handler{
		job.Mail: {Run: func(ctx context.Context, j job.Job) error { return mail.Deliver(ctx, sender, r.Key, j.Payload) }},
	}
	maps.Copy(handlers, farewell.Handlers())
	maps.Copy(handlers, r.SignIn.Handlers())
	return &job.Runner{DB: r.DB, Now: r.Now, Handlers: handlers, Log: slog.New(slog.DiscardHandler)}
}

func (r *Rig) loadKeys() {
	fresh, err := keys()
	if err != nil {
		r.t.Fatal(err)
	}
	var all []jwks.Key
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		if err := jwks.Ensure(ctx, tx, r.Key, fresh, r.Now()); err != nil {
			return err
		}
		all, err = jwks.Load(ctx, tx, r.Key)
		return err
	})
	now := r.Now()
	r.Keys.Set(all, now)
	r.clock.mu.Lock()
	r.clock.read = now
	r.clock.mu.Unlock()
}

// Now is the rig's clock.
func (r *Rig) Now() time.Time {
	r.clock.mu.Lock()
	defer r.clock.mu.Unlock()
	return r.clock.now
}

// Advance moves the clock. Keys are read again as in a server: not at each moment,
// but by Advance(0), which a node does that looks for new ones.
func (r *Rig) Advance(d time.Duration) {
	r.clock.mu.Lock()
	r.clock.now = r.clock.now.Add(d)
	stale := d == 0 || r.clock.now.Sub(r.clock.read) >= time.Second
	r.clock.mu.Unlock()
	if stale {
		r.loadKeys()
	}
}

// Write runs fn in a write transaction and fails the test if it fails.
func (r *Rig) Write(fn func(context.Context, *db.Tx) error) {
	r.t.Helper()
	if err := r.DB.Write(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

// Work does all queued jobs that are due.
func (r *Rig) Work() {
	r.t.Helper()
	for {
		n, err := r.Jobs.RunOnce(context.Background())
		if err != nil {
			r.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// Mail does all queued work and takes the newest mail to an address that was
// not taken before.
func (r *Rig) Mail(to string) (string, bool) {
	r.Work()
	var got []mailtest.Message
	for _, m := range r.Sink.Messages() {
		if m.To == to {
			got = append(got, m)
		}
	}
	if len(got) == r.taken[to] {
		return "", false
	}
	r.taken[to] = len(got)
	return got[len(got)-1].Text, true
}

// Mount adds a surface's routes at the root.
func (r *Rig) Mount(routes []wire.Route, notAllowed http.HandlerFunc) { r.mux.Add(routes, notAllowed) }

// NotFound answers, in a surface's own words, what none that was mounted has.
func (r *Rig) NotFound(h http.HandlerFunc) { r.mux.NotFound = h }

// Handler serves what was mounted, behind the middleware of a real server.
// Every caller is a trusted proxy, so a test may come from any address.
func (r *Rig) Handler() http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m := wire.Mount{Base: Base, Secure: true}
		r.mux.ServeHTTP(w, req.WithContext(wire.WithMount(req.Context(), m)))
	})
	return wire.Requests{Trusted: []netip.Prefix{loopback}, Now: r.Now}.
		Wrap(wire.SecurityHeaders(true, h))
}

// Client makes an application. Its policy starts from: open registration, by
// password and magic link, back to https://app.example.com/callback.
func (r *Rig) Client(name string, change func(*client.Client)) client.Client {
	r.t.Helper()
	c := client.Client{
		ID: client.NewID(), Name: name, Active: true, CreatedAt: r.Now(), UpdatedAt: r.Now(),
		Policy: client.Policy{
			Registration: client.Open, Methods: []string{client.MethodPassword, client.MethodMagicLink},
			RedirectURIs: []string{"https://app.example.com/callback"},
			Roles:        client.Roles{Available: []string{"user", "manager", "admin"}, Default: []string{"user"}},
		},
	}
	if change != nil {
		change(&c)
	}
	c.Policy = c.Policy.WithDefaults()
	r.Write(func(ctx context.Context, tx *db.Tx) error { return client.Create(ctx, tx, c) })
	return c
}

// User makes a person with a verified address and, unless it is empty, a
// password, active with the role "user" in the given applications.
func (r *Rig) User(email, name, plain string, in ...client.Client) identity.User {
	r.t.Helper()
	u := identity.User{
		ID: identity.NewUserID(), Email: email, EmailVerified: true, DisplayName: name, Status: identity.Active,
		CreatedAt: r.Now(), UpdatedAt: r.Now(),
	}
	u.GivenName, u.FamilyName = identity.Names(name)
	if plain != "" {
		var err error
		if u.PasswordHash, err = r.Passwords.Hash(context.Background(), plain); err != nil {
			r.t.Fatal(err)
		}
	}
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		if err := identity.Create(ctx, tx, u); err != nil {
			return err
		}
		for _, c := range in {
			e := client.Enrolment{UserID: u.ID, ClientID: c.ID, Status: client.Active, Roles: []string{"user"}}
			if err := client.PutEnrolment(ctx, tx, e, r.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return u
}

// Enrol puts a user's place in an application into a state.
func (r *Rig) Enrol(u identity.User, c client.Client, s client.Status, roles ...string) {
	r.t.Helper()
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return client.PutEnrolment(ctx, tx, client.Enrolment{UserID: u.ID, ClientID: c.ID, Status: s, Roles: roles}, r.Now())
	})
}
