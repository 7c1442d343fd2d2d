package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/client"
)

// The bounds of what a client may say of itself.
const (
	maxMetadata = 64 << 10 // bytes in all
	maxList     = 50       // elements of a list
	maxAddress  = 2048     // bytes of a URI
	maxWords    = 200      // characters of a name
)

// members reads the members of a JSON object, by exactly their names, and keeps
// the first mistake. null counts as absent (RFC 7591 §2 leaves it open), and
// unknown members are left alone.
type members struct {
	all map[string]json.RawMessage
	err error
}

var errMemberTwice = errors.New("a member comes twice")

// readMembers reads a JSON object of which each member comes once, so that no
// two readers see two different clients in it.
func readMembers(raw []byte) (*members, error) {
	malformed := func(err error) error {
		return &Error{Code: InvalidClientMetadata, Description: "not a JSON object of client metadata", Err: err}
	}
	if len(raw) > maxMetadata || !utf8.Valid(raw) {
		return nil, malformed(errors.New("too large, or not UTF-8"))
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, malformed(err)
	}
	m := &members{all: map[string]json.RawMessage{}}
	for d.More() {
		var value json.RawMessage
		name, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		key, ok := name.(string)
		if err != nil || !ok {
			return nil, malformed(err)
		}
		if _, twice := m.all[key]; twice {
			return nil, malformed(errMemberTwice)
		}
		m.all[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed(errors.New("something follows"))
	}
	return m, nil
}

func (m *members) wrong(name, format string, args ...any) {
	if m.err != nil {
		return
	}
	code := InvalidClientMetadata
	if name == "redirect_uris" {
		code = InvalidRedirectURI
	}
	m.err = refuse(code, name+" "+fmt.Sprintf(format, args...))
}

// raw is a member's own text, nil if it is absent or null.
func (m *members) raw(name string) json.RawMessage {
	if v, ok := m.all[name]; ok && string(v) != "null" {
		return v
	}
	return nil
}

func (m *members) has(name string) bool { return m.raw(name) != nil }

func (m *members) read(name string, v any, kind string) {
	if raw := m.raw(name); raw != nil {
		if err := json.Unmarshal(raw, v); err != nil {
			m.wrong(name, "is not %s", kind)
		}
	}
}

// text is a string of at most maxAddress bytes, all of them printable.
func (m *members) text(name string) (s string) {
	m.read(name, &s, "a string")
	if len(s) > maxAddress || strings.ContainsFunc(s, unprintable) {
		m.wrong(name, "is too long, or has characters that cannot be shown")
		return ""
	}
	return s
}

// words is a text that people see: no marks that turn the direction of writing,
// by which a name could be made to read like another.
func (m *members) words(name string) string {
	s := strings.TrimSpace(m.text(name))
	if utf8.RuneCountInString(s) > maxWords {
		m.wrong(name, "has more than %d characters", maxWords)
	}
	return s
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// texts is a list of strings.
func (m *members) texts(name string) (list []string) {
	m.read(name, &list, "a list of strings")
	if len(list) > maxList {
		m.wrong(name, "has more than %d elements", maxList)
		return nil
	}
	for _, s := range list {
		if s == "" || len(s) > maxAddress || strings.ContainsFunc(s, unprintable) {
			m.wrong(name, "has an element that is empty, too long, or has characters that cannot be shown")
			return nil
		}
	}
	return list
}

func (m *members) truth(name string) (b bool) {
	m.read(name, &b, "true or false")
	return b
}

// seconds is a number of whole seconds, nil if it is absent.
func (m *members) seconds(name string) (n *int64) {
	m.read(name, &n, "a number of seconds")
	if n != nil && (*n < 0 || *n > 10*365*24*3600) {
		m.wrong(name, "is not a number of seconds")
		return nil
	}
	return n
}

// oneOf is a string that is one of those we know, or absent.
func (m *members) oneOf(name string, known ...string) string {
	s := m.text(name)
	if s != "" && !slices.Contains(known, s) {
		m.wrong(name, "is none of %s", strings.Join(known, ", "))
		return ""
	}
	return s
}

// page is the address of a page that people may be sent to (RFC 7591 §2): never
// a script, and nothing that another program opens.
func (m *members) page(name string) string {
	s := m.text(name)
	if s != "" && !webPage(s) {
		m.wrong(name, "is not an https URL")
		return ""
	}
	return s
}

// webPage reports whether s is an https URL, or http on a loopback host.
func webPage(s string) bool {
	return client.CheckRedirectURI(s) == nil && client.Origin(s) != ""
}
