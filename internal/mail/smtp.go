package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sallyport/internal/secret"
)

// Limits of one delivery: of each step, and of all of them.
const (
	stepTimeout = 10 * time.Second
	sendTimeout = 30 * time.Second
)

// SMTP sends each message over a connection of its own.
type SMTP struct {
	Roots *x509.CertPool // trusted certificate authorities; nil: the system's
	Step  time.Duration  // longest wait for the connection and then for the rest; 0: 10 s

	server server
	from   *netmail.Address
}

// NewSMTP returns the sender for a mail server as parseServer reads it, with
// from, "Name <address>" or a bare address, as the author of every message. It
// connects to nothing. Its errors hold no password.
func NewSMTP(url, from string) (*SMTP, error) {
	s, err := parseServer(url)
	if err != nil {
		return nil, err
	}
	a, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("mail: sender %q is not an address", from)
	}
	return &SMTP{server: s, from: a}, nil
}

// Send delivers m to the mail server. It returns within 30 seconds, or when ctx
// ends. Refusals of the recipient or the content with a 5xx reply are ErrRefused
// (RFC 5321 §4.2.1). All other failures may pass: a 5xx reply to the connection,
// to AUTH or to the sender's address is about the operator's settings, and the
// mail waits until they are mended.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	// The library watches ctx while it connects and has deadlines after that, and
	// it leaves a connection open that fails in the greeting. Hence our own dial:
	// its connection is closed when ctx ends, and that is when Send returns.
	client, err := gomail.NewClient(s.server.host, s.options(func(dialing context.Context, network, addr string) (net.Conn, error) {
		conn, err := s.dial(dialing, network, addr)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	})...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // after the server has accepted it, a failed goodbye is no failure
		return nil
	}
	if e, ok := errors.AsType[*gomail.SendError](err); ok && e.ErrorCode() >= 500 {
		switch e.Reason {
		case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return fmt.Errorf("mail: %w", err)
}

func (s *SMTP) options(dial gomail.DialContextFunc) []gomail.Option {
	o := []gomail.Option{
		gomail.WithPort(s.server.port),
		gomail.WithTimeout(s.step()),
		gomail.WithTLSConfig(s.tls()),
		gomail.WithDialContextFunc(dial),
	}
	switch {
	case s.server.implicit:
		o = append(o, gomail.WithSSL())
	case s.server.starttls:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	}
	if s.server.user == "" {
		return o
	}
	plain, login := gomail.SMTPAuthPlain, gomail.SMTPAuthLogin
	if s.server.loopback {
		plain, login = gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc
	}
	return append(o,
		gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, plain, login),
		gomail.WithUsername(s.server.user), gomail.WithPassword(s.server.password.Reveal()))
}

func (s *SMTP) step() time.Duration {
	if s.Step > 0 {
		return s.Step
	}
	return stepTimeout
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{
		ServerName:         s.server.host,
		MinVersion:         tls.VersionTLS12,
		RootCAs:            s.Roots,
		InsecureSkipVerify: !s.server.implicit && !s.server.starttls, //nolint:gosec // where no encryption would do, an unknown certificate does too (RFC 7435): relays on loopback have self-made ones
	}
}

func (s *SMTP) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil || !s.server.implicit {
		return conn, err
	}
	t := tls.Client(conn, s.tls())
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// message puts m into the library's form, or fails with ErrRefused.
func (s *SMTP) message(m Message) (*gomail.Msg, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Name != "" || to.Address != m.To {
		return nil, fmt.Errorf("%w: recipient is not a bare address", ErrRefused)
	}
	if m.ID == "" {
		m.ID = secret.Hex(16)
	}
	_, domain, _ := strings.Cut(s.from.Address, "@")
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(to)
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDate()
	msg.Subject(oneLine(m.Subject))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no vacation replies, please
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}
