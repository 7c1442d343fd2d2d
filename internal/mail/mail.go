// Package mail owns what Sallyport's mails say and how they leave: the message
// templates, in text and HTML, and the senders, SMTP or the log. It does not
// decide who is mailed, and it has no queue: an operation packs a mail as the
// payload of a job in its own transaction, and the job delivers it.
//
//	operation: change rows ─ job.Enqueue(Pack(template, to, data)) ─ commit
//	job:       Deliver: Unpack ─ Render ─ Sender.Send
//
// A packed mail is sealed, because it holds a link or code that signs somebody
// in. What people chose themselves (names of users and clients) reaches
// a mail as plain words on one line: no header, no markup, no further line of
// text can be made with it.
//
// Messages follow RFC 5322 and RFC 2046 (multipart/alternative), SMTP is RFC 5321
// with STARTTLS (RFC 3207), implicit TLS (RFC 8314) and AUTH (RFC 4954).
package mail

import (
	"context"
	"errors"
	"log/slog"
)

// Message is a mail to one address, ready to be sent.
type Message struct {
	ID      string // left part of the Message-ID; empty: a random one
	To      string // a bare address
	Subject string
	Text    string
	HTML    string
}

// Sender hands a message to whoever carries it on. It returns once the message
// is accepted; an error that is ErrRefused will not go away by a repeat.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// ErrRefused reports a mail that no repeat can deliver: the address is not one,
// the server refused the recipient or the content for good, or the packed mail
// cannot be read.
var ErrRefused = errors.New("mail: refused for good")

// Log is the sender for installations without a mail server: it writes the
// text of each message to the log, links and codes included, so it is for
// development only.
type Log struct{ Logger *slog.Logger }

// Send writes m to the log.
func (l Log) Send(ctx context.Context, m Message) error {
	l.Logger.InfoContext(ctx, "mail", "to", m.To, "subject", m.Subject, "text", m.Text)
	return nil
}
