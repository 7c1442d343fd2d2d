package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Params are the named values of a form body or a query. Its methods work like
// Body's. A nil *Params is an empty one that notes nothing.
type Params struct {
	at   string // "body" or "query"
	vals map[string][]string
	note sheet
}

// ReadForm reads a body of type application/x-www-form-urlencoded of at most
// limit bytes. A parameter that is given twice is Malformed (RFC 6749 §3.2), and
// so are NUL, invalid UTF-8 and broken escapes. The error is always a *BodyError.
func ReadForm(w http.ResponseWriter, r *http.Request, limit int64) (*Params, error) {
	if err := contentType(r, "application/x-www-form-urlencoded"); err != nil {
		return nil, err
	}
	text, err := readAll(w, r, limit)
	if err != nil {
		return nil, err
	}
	vals, err := url.ParseQuery(text)
	if err != nil {
		return nil, &BodyError{Malformed, errors.New("not form-encoded")}
	}
	for name, vs := range vals {
		switch {
		case !clean(name) || !clean(vs[0]):
			return nil, &BodyError{Malformed, errors.New("a parameter holds NUL or is not UTF-8")}
		case len(vs) > 1:
			return nil, &BodyError{Malformed, fmt.Errorf("parameter given %d times", len(vs))}
		}
	}
	return &Params{at: "body", vals: vals}, nil
}

// Query returns the parameters of the request's query. Nothing is refused until
// it is asked for: links pick up parameters of others' on their way, twice too.
func Query(r *http.Request) *Params {
	vals, _ := url.ParseQuery(r.URL.RawQuery) // keeps what it could read
	return &Params{at: "query", vals: vals}
}

func clean(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// Problems returns what was wrong with the parameters asked for so far.
func (p *Params) Problems() Problems {
	if p == nil {
		return nil
	}
	return p.note.list
}

// Err returns Problems as an error, nil when there are none.
func (p *Params) Err() error {
	if ps := p.Problems(); len(ps) > 0 {
		return ps
	}
	return nil
}

// Fail notes a problem of the caller's own with the named parameter.
func (p *Params) Fail(name, kind, msg string) {
	if p != nil {
		p.note.add([]string{p.at, name}, kind, msg)
	}
}

// Has reports whether the parameter is there, empty or not.
func (p *Params) Has(name string) bool { return p != nil && len(p.vals[name]) > 0 }

// String returns the parameter as it was sent, untrimmed; "" when it is absent
// or wrong. One that is given twice is wrong, as is one with NUL or invalid
// UTF-8.
func (p *Params) String(name string, rules ...Rule) string {
	s, _ := p.OptString(name, rules...)
	return s
}

// OptString is String, and reports whether the parameter is there and right.
func (p *Params) OptString(name string, rules ...Rule) (string, bool) {
	if !p.Has(name) {
		if isRequired(rules) {
			p.Fail(name, Missing, "field required")
		}
		return "", false
	}
	vs := p.vals[name]
	kind, msg := checkText(vs[0], rules)
	switch {
	case len(vs) > 1:
		kind, msg = Repeated, "given more than once"
	case !clean(vs[0]):
		kind, msg = BadEncoding, "not UTF-8 or holds NUL"
	}
	if kind != "" {
		p.Fail(name, kind, msg)
		return "", false
	}
	return vs[0], true
}

// Int returns an integer parameter; 0 when it is absent or wrong.
func (p *Params) Int(name string, rules ...Rule) int {
	n, _ := p.OptInt(name, rules...)
	return n
}

// OptInt is Int, and reports whether the parameter is there and right. Rules
// bound its value.
func (p *Params) OptInt(name string, rules ...Rule) (int, bool) {
	var only []Rule
	if isRequired(rules) {
		only = []Rule{Required}
	}
	s, ok := p.OptString(name, only...)
	if !ok {
		return 0, false
	}
	n, kind, msg := checkInt(s, rules)
	if kind != "" {
		p.Fail(name, kind, msg)
	}
	return n, kind == ""
}
