// Package dnstest is a resolver for tests: a real DNS server over UDP and TCP that
// answers from a table, follows CNAMEs as recursive resolvers do, and can be silent or
// broken. It is for tests only.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"sallyport/internal/dns"
)

// Server is the resolver.
type Server struct {
	Addr string

	mu    sync.Mutex
	names map[string]entry
	asked map[string]int
}

type entry struct {
	texts  []string
	hosts  []netip.Addr
	cname  string
	silent bool
	broken bool
}

// New starts a server that ends with the test. It knows no name.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{names: map[string]entry{}, asked: map[string]int{}}
	var tcp net.Listener
	var udp net.PacketConn
	var listen net.ListenConfig
	var err error
	for range 20 { // both need the same port, which something else may have
		if tcp, err = listen.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = listen.ListenPacket(t.Context(), "udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = tcp.Addr().String()
	var running sync.WaitGroup
	running.Go(func() { s.serveUDP(udp) })
	running.Go(func() { s.serveTCP(tcp, &running) })
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		running.Wait()
	})
	return s
}

// Resolver asks the server.
func (s *Server) Resolver() dns.Resolver { return dns.Resolver{Server: s.Addr} }

// Net is the same for addresses.
func (s *Server) Net() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Addr)
	}}
}

// TXT gives a name text records in place of what it has; none leave a name that
// exists.
func (s *Server) TXT(name string, texts ...string) { s.set(name, entry{texts: texts}) }

// CNAME points a name elsewhere.
func (s *Server) CNAME(name, target string) { s.set(name, entry{cname: key(target)}) }

// Host gives a name an address; of several each is the answer to one question, in
// turn.
func (s *Server) Host(name string, addresses ...netip.Addr) { s.set(name, entry{hosts: addresses}) }

// Silence leaves questions about a name without an answer.
func (s *Server) Silence(name string) { s.set(name, entry{silent: true}) }

// Break answers questions about a name with a failure (SERVFAIL).
func (s *Server) Break(name string) { s.set(name, entry{broken: true}) }

// Remove forgets a name: it does not exist.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, key(name))
}

// Asked is how often a name was asked for.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[key(name)]
}

func (s *Server) set(name string, e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[key(name)] = e
}

func key(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (s *Server) serveUDP(c net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := s.answer(buf[:n], 512); out != nil {
			_, _ = c.WriteTo(out, from)
		}
	}
}

func (s *Server) serveTCP(l net.Listener, running *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			defer c.Close()
			size := make([]byte, 2)
			if _, err := io.ReadFull(c, size); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(size))
			if _, err := io.ReadFull(c, question); err != nil {
				return
			}
			if out := s.answer(question, 65535); out != nil {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
			}
		})
	}
}

// answer makes the answer to a question, nil for none. One that is larger than most
// bytes is empty and says so.
func (s *Server) answer(question []byte, most int) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true, RecursionDesired: h.RecursionDesired},
		Questions: []dnsmessage.Question{q},
	}
	if silent := s.fill(&m, q); silent {
		return nil
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	if len(out) > most {
		m.Truncated, m.Answers = true, nil
		out, _ = m.Pack()
	}
	return out
}

// fill looks up what was asked for, over CNAMEs.
func (s *Server) fill(m *dnsmessage.Message, q dnsmessage.Question) (silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := key(q.Name.String())
	s.asked[at]++
	for range 16 {
		e, ok := s.names[at]
		switch {
		case !ok && strings.Count(at, ".") == 0:
			return false // a suffix: it exists, and has nothing
		case !ok:
			m.RCode = dnsmessage.RCodeNameError
			return false
		case e.silent:
			return true
		case e.broken:
			m.RCode, m.Answers = dnsmessage.RCodeServerFailure, nil
			return false
		}
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(at + "."), Class: dnsmessage.ClassINET, TTL: 60}
		if e.cname == "" {
			m.Answers = append(m.Answers, s.records(at, e, h, q.Type)...)
			return false
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(e.cname + ".")}})
		at = e.cname
	}
	m.RCode, m.Answers = dnsmessage.RCodeServerFailure, nil // in a circle
	return false
}

// records are those of a type at a name.
func (s *Server) records(at string, e entry, h dnsmessage.ResourceHeader, t dnsmessage.Type) (all []dnsmessage.Resource) {
	for _, text := range e.texts {
		if t == dnsmessage.TypeTXT {
			all = append(all, dnsmessage.Resource{Header: h, Body: &dnsmessage.TXTResource{TXT: pieces(text)}})
		}
	}
	if len(e.hosts) == 0 {
		return all
	}
	switch a := e.hosts[0]; {
	case t == dnsmessage.TypeA && a.Is4():
		all = append(all, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
	case t == dnsmessage.TypeAAAA && !a.Is4():
		all = append(all, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
	default:
		return all
	}
	e.hosts = append(slices.Clone(e.hosts[1:]), e.hosts[0])
	s.names[at] = e
	return all
}

// pieces are a text as a record has it: strings of at most 255 bytes.
func pieces(text string) []string {
	var all []string
	for len(text) > 255 {
		all, text = append(all, text[:255]), text[255:]
	}
	return append(all, text)
}
