// Package mailtest is a mail server on a loopback socket that keeps what it is
// sent, for tests of everything that mails. It speaks real SMTP (RFC 5321), with
// TLS, STARTTLS and AUTH if asked to, and refuses or dawdles on demand.
package mailtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Options are how a sink behaves. The zero value takes everything from
// everybody, without encryption.
type Options struct {
	Implicit bool                                       // TLS from the first byte
	StartTLS bool                                       // offer STARTTLS
	User     string                                     // with Password, demands AUTH PLAIN
	Password string                                     //
	Rcpt     func(to string) error                      // judges a recipient; Reply makes its errors
	Data     func(ctx context.Context, to string) error // judges a message, before it is kept
}

// Reply is an SMTP reply with which to refuse, such as Reply(451, "try later").
func Reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// Sink is the server and its mailbox.
type Sink struct {
	Addr string // host:port

	o     Options
	ctx   context.Context // ends with the server
	mu    sync.Mutex
	news  chan struct{} // closed and replaced when a message arrives
	all   []Message
	taken []bool // by index in all: given out by WaitFor
}

// New starts a sink that lives as long as the test.
func New(t testing.TB, o Options) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sink{Addr: l.Addr().String(), o: o, ctx: ctx, news: make(chan struct{})}
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{sink: s, conn: c}, nil }))
	srv.Domain = "mailtest"
	srv.AllowInsecureAuth = true
	srv.MaxLineLength = 4000
	srv.ErrorLog = log.New(io.Discard, "", 0)
	if o.StartTLS || o.Implicit {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate()}}
	}
	if o.Implicit {
		l = tls.NewListener(l, srv.TLSConfig)
		srv.TLSConfig = nil // no STARTTLS within TLS
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		cancel()
		srv.Close()
		if err := <-done; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Errorf("mailtest: %v", err)
		}
	})
	return s
}

// URL is the mail setting that sends to s, with user and password if it wants them.
func (s *Sink) URL() string {
	u := url.URL{Scheme: "smtp", Host: s.Addr}
	if s.o.Implicit {
		u.Scheme = "smtps"
	}
	if s.o.User != "" {
		u.User = url.UserPassword(s.o.User, s.o.Password)
	}
	return u.String()
}

// Messages returns all messages, oldest first.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// WaitFor returns the oldest message to an address that it has not returned
// before, waiting for one up to ten seconds.
func (s *Sink) WaitFor(t testing.TB, to string) Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := s.Next(ctx, to)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Next is WaitFor for callers without a test, until ctx ends.
func (s *Sink) Next(ctx context.Context, to string) (Message, error) {
	for {
		m, ok, news := s.take(to)
		if ok {
			return m, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("mailtest: no further mail to %s among %d", to, len(s.Messages()))
		}
	}
}

// take marks a message as given out, or returns a channel that is closed when
// there is something new.
func (s *Sink) take(to string) (Message, bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.all {
		if !s.taken[i] && strings.EqualFold(m.To, to) {
			s.taken[i] = true
			return m, true, nil
		}
	}
	return Message{}, false, s.news
}

func (s *Sink) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.taken = append(s.all, m), append(s.taken, false)
	close(s.news)
	s.news = make(chan struct{})
}

// session is one connection.
type session struct {
	sink   *Sink
	conn   *smtp.Conn
	authed bool
	from   string
	to     []string
}

func (c *session) AuthMechanisms() []string {
	if c.sink.o.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != c.sink.o.User || password != c.sink.o.Password {
			return smtp.ErrAuthFailed
		}
		c.authed = true
		return nil
	}), nil
}

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.sink.o.User != "" && !c.authed {
		return Reply(530, "authentication required")
	}
	c.from = from
	return nil
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if c.sink.o.Rcpt != nil {
		if err := c.sink.o.Rcpt(to); err != nil {
			return err
		}
	}
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for _, to := range c.to {
		if c.sink.o.Data != nil {
			if err := c.sink.o.Data(c.sink.ctx, to); err != nil {
				return err
			}
		}
		m, err := parse(bytes.NewReader(raw))
		if err != nil {
			return Reply(554, err.Error())
		}
		_, m.Encrypted = c.conn.TLSConnectionState()
		m.From, m.To = c.from, to
		c.sink.keep(m)
	}
	return nil
}

func (c *session) Reset() { c.from, c.to = "", nil }

func (c *session) Logout() error { return nil }
