package mail_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/internal/mail"
	"sallyport/internal/mail/mailtest"
	"sallyport/internal/secret"
)

const from = "Sallyport <no-reply@example.com>"

func smtp(t *testing.T, url string) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(url, from)
	if err != nil {
		t.Fatal(err)
	}
	s.Roots = mailtest.Roots()
	return s
}

var hello = mail.Message{To: "jane@example.com", Subject: "Grüße", Text: "Hello,\n\nhttps://example.com/" + strings.Repeat("x", 200) + "\n.\n", HTML: "<p>Hello</p>"}

func TestSMTPDelivers(t *testing.T) {
	for name, o := range map[string]mailtest.Options{
		"plain":             {},
		"starttls":          {StartTLS: true},
		"implicit TLS":      {Implicit: true},
		"auth":              {User: "sally", Password: "p@ss:w/rd?#"},
		"auth and starttls": {StartTLS: true, User: "sally", Password: "secret"},
		"auth and TLS":      {Implicit: true, User: "sally", Password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := mailtest.New(t, o)
			if err := smtp(t, sink.URL()).Send(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
			m := sink.WaitFor(t, hello.To)
			if m.Subject != hello.Subject || m.Text != hello.Text || m.HTML != hello.HTML || m.From != "no-reply@example.com" {
				t.Errorf("got %+v, want %+v", m, hello)
			}
			if want := o.Implicit || o.StartTLS; m.Encrypted != want {
				t.Errorf("encrypted %v, want %v", m.Encrypted, want)
			}
		})
	}
}

func TestSMTPHeaders(t *testing.T) {
	sink := mailtest.New(t, mailtest.Options{})
	s := smtp(t, sink.URL())
	m := hello
	m.ID = "abc123"
	for range 2 {
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	first, second, third := sink.WaitFor(t, m.To).Header, sink.WaitFor(t, m.To).Header, sink.WaitFor(t, m.To).Header
	for name, want := range map[string]string{
		"From": `"Sallyport" <no-reply@example.com>`, "To": "<jane@example.com>", "Message-Id": "<abc123@example.com>",
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "User-Agent": "", "X-Mailer": "",
	} {
		if got := first.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if at, err := first.Date(); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("Date: %v, %v", at, err)
	}
	if first.Get("Message-Id") != second.Get("Message-Id") {
		t.Error("the repeat of a message has another Message-ID")
	}
	if id := third.Get("Message-Id"); id == first.Get("Message-Id") || !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("Message-ID of a message without one: %q", id)
	}
}

// TestSMTPHeaderInjection: line breaks in a subject or an address make no
// header, and no second command.
func TestSMTPHeaderInjection(t *testing.T) {
	sink := mailtest.New(t, mailtest.Options{})
	s := smtp(t, sink.URL())
	m := hello
	m.Subject = "Hi\r\nBcc: evil@example.com\r\n\r\n<b>body</b>\x00\u2028x\u202e"
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := sink.WaitFor(t, m.To)
	if want := "Hi Bcc: evil@example.com <b>body</b> x"; got.Subject != want || got.Header.Get("Bcc") != "" || got.Text != m.Text {
		t.Errorf("got subject %q, Bcc %q", got.Subject, got.Header.Get("Bcc"))
	}
	for _, to := range []string{
		"", "jane", "jane@example.com\r\nRCPT TO:<evil@example.com>", "jane@example.com, evil@example.com",
		"Jane <jane@example.com>", "<jane@example.com>", "jane@example.com\n", "jane@example.com>\r\nDATA", "jane doe@example.com",
	} {
		m.To = to
		if err := s.Send(t.Context(), m); !errors.Is(err, mail.ErrRefused) {
			t.Errorf("to %q: %v, want ErrRefused", to, err)
		}
	}
	if all := sink.Messages(); len(all) != 1 {
		t.Errorf("%d messages arrived, want 1", len(all))
	}
}

func TestSMTPRefusals(t *testing.T) {
	rcpt := func(code int) mailtest.Options {
		return mailtest.Options{Rcpt: func(string) error { return mailtest.Reply(code, "no") }}
	}
	data := func(code int) mailtest.Options {
		return mailtest.Options{Data: func(context.Context, string) error { return mailtest.Reply(code, "no") }}
	}
	for name, c := range map[string]struct {
		o       mailtest.Options
		forGood bool
	}{
		"recipient, later":    {rcpt(450), false},
		"recipient, greylist": {rcpt(451), false},
		"recipient, unknown":  {rcpt(550), true},
		"recipient, moved":    {rcpt(551), true},
		"content, later":      {data(452), false},
		"content, refused":    {data(554), true},
	} {
		t.Run(name, func(t *testing.T) {
			sink := mailtest.New(t, c.o)
			err := smtp(t, sink.URL()).Send(t.Context(), hello)
			if err == nil || errors.Is(err, mail.ErrRefused) != c.forGood {
				t.Errorf("got %v, want refused for good %v", err, c.forGood)
			}
		})
	}
}

// TestSMTPSettingsAreNotTheMessagesFault: a wrong password is the operator's to
// mend, so the mail stays in the queue.
func TestSMTPSettingsAreNotTheMessagesFault(t *testing.T) {
	sink := mailtest.New(t, mailtest.Options{StartTLS: true, User: "sally", Password: "right"})
	for _, url := range []string{strings.Replace(sink.URL(), "right", "wrong-one", 1), "smtp://" + sink.Addr} {
		err := smtp(t, url).Send(t.Context(), hello)
		if err == nil || errors.Is(err, mail.ErrRefused) {
			t.Errorf("%s: %v, want an error that may pass", url, err)
		}
		if strings.Contains(err.Error(), "wrong-one") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestSMTPDemandsTLS(t *testing.T) {
	plain := mailtest.New(t, mailtest.Options{})
	if err := smtp(t, plain.URL()+"?starttls=required").Send(t.Context(), hello); err == nil {
		t.Error("starttls=required sends without TLS")
	}
	if n := len(plain.Messages()); n != 0 {
		t.Errorf("%d messages arrived without TLS", n)
	}

	// A certificate of an unknown authority is good enough only where none is needed.
	starttls := mailtest.New(t, mailtest.Options{StartTLS: true})
	implicit := mailtest.New(t, mailtest.Options{Implicit: true})
	for url, want := range map[string]bool{
		starttls.URL(): true, starttls.URL() + "?starttls=required": false, implicit.URL(): false,
	} {
		s := smtp(t, url)
		s.Roots = nil
		if err := s.Send(t.Context(), hello); (err == nil) != want {
			t.Errorf("%s with an unknown authority: %v, want sent %v", url, err, want)
		}
	}
}

func TestSMTPUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if err := smtp(t, "smtp://"+addr).Send(t.Context(), hello); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("nobody listens: %v, want an error that may pass", err)
	}
}

// TestSMTPSlowServer: a server that says nothing, or stops half-way, holds a
// delivery for the step timeout and no longer, and its connection is closed.
func TestSMTPSlowServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // blocks until the other side gives up
			c.Close()
		}
		closed <- err
	}()
	defer l.Close()
	s := smtp(t, "smtp://"+l.Addr().String())
	s.Step = 50 * time.Millisecond
	if err := s.Send(t.Context(), hello); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("silent server: %v, want an error that may pass", err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("the connection stays open")
	}

	sink := mailtest.New(t, mailtest.Options{Data: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }})
	s = smtp(t, sink.URL())
	s.Step = 200 * time.Millisecond
	if err := s.Send(t.Context(), hello); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("server that stops half-way: %v, want an error that may pass", err)
	}
}

func TestSMTPEndsWithItsContext(t *testing.T) {
	reached := make(chan struct{})
	sink := mailtest.New(t, mailtest.Options{Data: func(ctx context.Context, _ string) error {
		close(reached)
		<-ctx.Done()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if err := smtp(t, sink.URL()).Send(ctx, hello); err == nil {
		t.Error("sent, though the context ended before the server answered")
	}
}

func TestNewSMTPRefusesBadSettings(t *testing.T) {
	for _, url := range []string{
		"", "log", "mail.example.com", "mail.example.com:25", "http://mail.example.com", "smtp:mail.example.com", "smtp://",
		"smtp://:25", "smtp://host:0", "smtp://host:", "smtp://host:99999", "smtp://host:x", "smtp://host/path", "smtp://host#x",
		"smtp://user@host", "smtp://:S3cret@host", "smtp://user:@host", "smtp://user:S3cret@host:x", "smtp://us er:S3cret@host",
		"smtp://user:S3cr%et@host", "smtp://user:S3cret#@host", "smtp://user:S3cret/@host", "ftp://user:S3cret@host",
		"smtp://host?tls=on", "smtp://host?starttls=maybe", "smtp://host?starttls=required&starttls=optional",
		"smtps://host?starttls=optional", "smtp://user:S3cret@host?starttls=optional", "user:S3cret@host", "smtp://host?%zz",
	} {
		_, err := mail.NewSMTP(url, from)
		if err == nil {
			t.Errorf("%q is taken", url)
			continue
		}
		if strings.Contains(err.Error(), "S3cr") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
	for _, a := range []string{"", "nobody", "a@example.com, b@example.com", "a@example.com\r\nBcc: b@example.com"} {
		if _, err := mail.NewSMTP("smtp://127.0.0.1", a); err == nil {
			t.Errorf("sender %q is taken", a)
		}
	}
}

func TestLogWritesTheText(t *testing.T) {
	var b bytes.Buffer
	l := mail.Log{Logger: slog.New(slog.NewTextHandler(&b, nil))}
	if err := l.Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{hello.To, hello.Subject, "https://example.com/x"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the log lacks %q: %s", want, b.String())
		}
	}
}

func TestDeliverSendsWhatWasPacked(t *testing.T) {
	k := key(t)
	payload := mail.Pack(k, mail.MagicLink, "jane@example.com", mail.Data{ClientName: "Demo", Link: "https://example.com/l?token=T0KEN", Minutes: 15})
	if bytes.Contains(payload, []byte("T0KEN")) || bytes.Contains(payload, []byte("jane")) {
		t.Error("the packed mail can be read")
	}
	sink := mailtest.New(t, mailtest.Options{})
	s := smtp(t, sink.URL())
	for range 2 {
		if err := mail.Deliver(t.Context(), s, k, payload); err != nil {
			t.Fatal(err)
		}
	}
	a, b := sink.WaitFor(t, "jane@example.com"), sink.WaitFor(t, "jane@example.com")
	if got := a.Link(); got != "https://example.com/l?token=T0KEN" || a.Subject != "Sign in to Demo" {
		t.Errorf("got link %q, subject %q", got, a.Subject)
	}
	if a.Header.Get("Message-Id") != b.Header.Get("Message-Id") {
		t.Error("the repeat of a packed mail has another Message-ID")
	}

	for name, payload := range map[string][]byte{
		"other key":        mail.Pack(key(t), mail.MagicLink, "jane@example.com", mail.Data{}),
		"not sealed":       []byte("{}"),
		"unknown template": mail.Pack(k, "nonsense", "jane@example.com", mail.Data{}),
		"dangerous link":   mail.Pack(k, mail.MagicLink, "jane@example.com", mail.Data{Link: "javascript:alert(1)"}),
	} {
		if err := mail.Deliver(t.Context(), s, k, payload); !errors.Is(err, mail.ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
}

func key(t *testing.T) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
