package mailtest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"slices"
	"strings"
)

// Message is a received mail, decoded.
type Message struct {
	From, To  string // of the envelope
	Header    mail.Header
	Subject   string
	Text      string // lines end in "\n"
	HTML      string
	Encrypted bool // it came over TLS
}

// Links returns the URLs that stand alone on a line of the text, in order.
func (m Message) Links() []string {
	return slices.Collect(func(yield func(string) bool) {
		for line := range strings.Lines(m.Text) {
			line = strings.TrimSpace(line)
			if u, err := url.Parse(line); err == nil && u.Scheme != "" && strings.HasPrefix(line, u.Scheme+"://") && !yield(line) {
				return
			}
		}
	})
}

// Link returns the only link of m, or "" if there is not exactly one.
func (m Message) Link() string {
	if ls := m.Links(); len(ls) == 1 {
		return ls[0]
	}
	return ""
}

// parse reads a message with a plain text part, an HTML part, or both as
// multipart/alternative (RFC 2046 §5.1.4).
func parse(r io.Reader) (Message, error) {
	raw, err := mail.ReadMessage(r)
	if err != nil {
		return Message{}, err
	}
	m := Message{Header: raw.Header}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(raw.Header.Get("Subject")); err != nil {
		return Message{}, fmt.Errorf("subject: %w", err)
	}
	kind, params, err := mime.ParseMediaType(raw.Header.Get("Content-Type"))
	if err != nil {
		return Message{}, fmt.Errorf("content type: %w", err)
	}
	if kind != "multipart/alternative" {
		return m, m.part(kind, raw.Header.Get("Content-Transfer-Encoding"), raw.Body)
	}
	parts := multipart.NewReader(raw.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return Message{}, err
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			return Message{}, fmt.Errorf("content type of a part: %w", err)
		}
		if err := m.part(kind, p.Header.Get("Content-Transfer-Encoding"), p); err != nil {
			return Message{}, err
		}
	}
}

func (m *Message) part(kind, encoding string, body io.Reader) error {
	switch encoding {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "", "7bit", "8bit":
	default:
		return fmt.Errorf("transfer encoding %q", encoding)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	s := strings.ReplaceAll(string(b), "\r\n", "\n")
	switch kind {
	case "text/plain":
		m.Text = s
	case "text/html":
		m.HTML = s
	default:
		return fmt.Errorf("part of type %q", kind)
	}
	return nil
}
