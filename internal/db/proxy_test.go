package db_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between the program and PostgreSQL and cuts or freezes their connections.
type proxy struct {
	addr   string
	server string

	mu     sync.Mutex
	ln     net.Listener
	conns  map[net.Conn]bool
	on     string // bytes from the program that set off act once
	act    action
	frozen chan struct{} // not nil: nothing is passed on until it is closed
}

type action int

const (
	pass      action = iota
	cutBefore        // cut, and the bytes never reach the server
	cutAfter         // the server gets the bytes, its answer gets nowhere
)

// viaProxy starts a proxy and gives the URL that leads through it.
func viaProxy(t *testing.T, raw string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	p.start(t)
	t.Cleanup(p.stop)
	u.Host = p.addr
	return p, u.String()
}

func (p *proxy) start(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	p.mu.Lock()
	p.ln = ln
	p.mu.Unlock()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", p.server)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns[c], p.conns[s] = true, true
			p.mu.Unlock()
			go p.copy(s, c, true)
			go p.copy(c, s, false)
		}
	}()
}

// stop makes the server look gone.
func (p *proxy) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ln.Close()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// cutOn makes the next bytes from the program that hold text end in act.
func (p *proxy) cutOn(text string, act action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on, p.act = text, act
}

// freeze keeps all connections open and passes nothing on.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *proxy) copy(dst, src net.Conn, fromProgram bool) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		act, frozen := pass, p.frozen
		if fromProgram && p.act != pass && bytes.Contains(buf[:n], []byte(p.on)) {
			act, p.act = p.act, pass
		}
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
			return
		}
		switch act {
		case cutBefore:
			return
		case cutAfter:
			src.Close() // first, so that no answer gets through
			dst.Write(buf[:n])
			io.Copy(io.Discard, dst) // until the server has done its part
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}
