package e2e

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
)

// outage is a way in which a database fails beneath a program that runs.
type outage struct {
	begin, end func()
}

// TestOutage takes the database away under load and gives it back. In between
// whatever has to be written is answered with 503 and when to try again, and
// afterwards the same process serves on, with everything that it acknowledged.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, prepare := range fileOutages {
		t.Run("sqlite/"+name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, n, o := prepare(t, dir)
			endure(t, s, n, o)
		})
	}
	t.Run("postgres/lost", func(t *testing.T) {
		t.Parallel()
		p, database := viaProxy(t, dbtest.PostgresURL(t))
		s := newSite(t, database, options{log: "error", mail: "log"})
		endure(t, s, s.serve(), outage{begin: p.cut, end: func() { p.listen(t) }})
	})
}

// served is a site over an SQLite file in dir, and its process.
func served(t *testing.T, dir string) (*site, *node) {
	t.Helper()
	s := newSite(t, "sqlite:"+dir+"/sallyport.db", options{log: "error", mail: "log"})
	return s, s.serve()
}

func endure(t *testing.T, s *site, n *node, o outage) {
	t.Helper()
	l := newLedger(t, s.base)
	v := s.visitor(t)
	tk := v.post("/auth/signup", fields{"email": "before@example.com", "password": ledgerPassword, "display_name": "Before", "app_id": modern}).tokens()
	for range 2 { // it may happen again
		stop := l.load(t, 8)
		pause(t, 300*time.Millisecond)
		o.begin()
		missing := func() bool { return v.get("/readyz").status == http.StatusServiceUnavailable }
		eventually(t, 20*time.Second, "the site says that it cannot serve", missing)
		for _, a := range []answer{
			v.post("/auth/signup", fields{"email": "during@example.com", "password": ledgerPassword, "display_name": "During", "app_id": modern}),
			v.post("/token/refresh", fields{"refresh_token": tk.Refresh, "app_id": modern}),
			v.post("/auth/magic-link/request", fields{"email": "before@example.com", "app_id": modern}),
		} {
			a.refused(http.StatusServiceUnavailable, "Service temporarily unavailable")
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%s: 503 without Retry-After", a.what)
			}
		}
		// What needs no database goes on.
		var verified struct{ Valid bool }
		v.post("/token/verify", fields{"token": tk.Access, "audience": modern}).json(200, &verified)
		if !verified.Valid {
			t.Error("an access token does not verify while the database is away")
		}
		v.get("/.well-known/jwks.json").want(200)
		v.get("/healthz").want(200)
		o.end()
		stop()
		healthy(t, s)
		if !n.alive() {
			t.Fatal("the process has ended")
		}
		l.check(t)
		tk = v.post("/token/refresh", fields{"refresh_token": tk.Refresh, "app_id": modern}).tokens()
	}
	if got := l.total(); got.unavailable == 0 || got.lost > 0 {
		t.Errorf("%v: want every request answered, some with 503", got)
	}
	t.Log(l.total())
	n.stop()
}

// proxy stands between the program and PostgreSQL.
type proxy struct {
	server, address string

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
}

// viaProxy starts a proxy and gives the URL that leads through it.
func viaProxy(t *testing.T, database string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, address: freeAddress(t), conns: map[net.Conn]bool{}}
	p.listen(t)
	t.Cleanup(p.cut)
	u.Host = p.address
	return p, u.String()
}

// listen lets connections through, again at the address of before.
func (p *proxy) listen(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.ln, p.address = ln, ln.Addr().String()
	p.mu.Unlock()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", p.server)
			if err != nil || !p.keep(ln, c, s) {
				c.Close()
				continue
			}
			go pipe(s, c)
			go pipe(c, s)
		}
	}()
}

// keep notes a pair of connections, unless its listener was cut meanwhile.
func (p *proxy) keep(ln net.Listener, pair ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		if p.ln != ln {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return p.ln == ln
}

func pipe(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close()
		p.ln = nil
	}
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}
