package wire

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxValues bounds how many values a body may hold: each takes a hundred bytes
// and more, where two of the body's are enough to spell one.
const maxValues = 4096

// maxDepth bounds how deeply a body may nest, its outermost object included.
const maxDepth = 32

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindList
	kindObject
)

// node is one JSON value. text holds a string's value, a number's digits as
// they were written, and "true" or "false".
type node struct {
	kind  kind
	text  string
	names []string // of an object, as many as items
	items []node
	raw   string // the value's own source text
}

func (n *node) member(name string) *node {
	for i, s := range n.names {
		if s == name {
			return &n.items[i]
		}
	}
	return nil
}

// The ways in which a text is not acceptable JSON. They reach the log only.
var (
	errSyntax    = errors.New("not JSON (RFC 8259)")
	errUTF8      = errors.New("not UTF-8")
	errNUL       = errors.New("a string holds NUL")
	errSurrogate = errors.New("a string holds half a surrogate pair")
	errDuplicate = errors.New("an object names a member twice")
	errDepth     = errors.New("nested too deeply")
	errValues    = errors.New("too many values")
)

// parse reads one JSON value that fills all of s. It is stricter than
// encoding/json: no duplicate names, invalid UTF-8, NUL or lone surrogates,
// since two readers of one such text could understand two different things,
// and PostgreSQL cannot store them (RFC 7493 §2.1, §2.3).
func parse(s string) (node, error) { return parseMost(s, maxValues) }

// parseMost is parse with another bound on the number of values.
func parseMost(s string, most int) (node, error) {
	if !utf8.ValidString(s) {
		return node{}, errUTF8
	}
	p := parser{s: s, most: most}
	p.space()
	n, err := p.value(maxDepth)
	if err != nil {
		return node{}, err
	}
	p.space()
	if p.i != len(p.s) {
		return node{}, errSyntax
	}
	return n, nil
}

type parser struct {
	s      string
	i      int
	values int
	most   int
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end; a NUL is no part of JSON's
// syntax, so the two cannot be confused.
func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *parser) accept(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

func (p *parser) value(depth int) (n node, err error) {
	if depth == 0 {
		return n, errDepth
	}
	if p.values++; p.values > p.most {
		return n, errValues
	}
	start := p.i
	switch c := p.peek(); {
	case c == '{':
		n, err = p.object(depth)
	case c == '[':
		n, err = p.list(depth)
	case c == '"':
		n.kind = kindString
		n.text, err = p.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind = kindNumber
		n.text, err = p.number()
	default:
		n, err = p.word()
	}
	if err != nil {
		return node{}, err
	}
	n.raw = p.s[start:p.i]
	return n, nil
}

func (p *parser) word() (node, error) {
	for _, w := range []struct {
		text string
		kind kind
	}{{"null", kindNull}, {"true", kindBool}, {"false", kindBool}} {
		if len(p.s)-p.i >= len(w.text) && p.s[p.i:p.i+len(w.text)] == w.text {
			p.i += len(w.text)
			return node{kind: w.kind, text: w.text}, nil
		}
	}
	return node{}, errSyntax
}

func (p *parser) object(depth int) (node, error) {
	n := node{kind: kindObject}
	p.i++
	p.space()
	if p.accept('}') {
		return n, nil
	}
	var seen map[string]struct{} // only for objects that are worth it
	for {
		p.space()
		if p.peek() != '"' {
			return n, errSyntax
		}
		name, err := p.str()
		if err != nil {
			return n, err
		}
		if seen == nil && len(n.names) == 16 {
			seen = make(map[string]struct{}, 64)
			for _, s := range n.names {
				seen[s] = struct{}{}
			}
		}
		if seen == nil && n.member(name) != nil {
			return n, errDuplicate
		}
		if seen != nil {
			if _, twice := seen[name]; twice {
				return n, errDuplicate
			}
			seen[name] = struct{}{}
		}
		p.space()
		if !p.accept(':') {
			return n, errSyntax
		}
		p.space()
		v, err := p.value(depth - 1)
		if err != nil {
			return n, err
		}
		n.names, n.items = append(n.names, name), append(n.items, v)
		p.space()
		if p.accept('}') {
			return n, nil
		}
		if !p.accept(',') {
			return n, errSyntax
		}
	}
}

func (p *parser) list(depth int) (node, error) {
	n := node{kind: kindList}
	p.i++
	p.space()
	if p.accept(']') {
		return n, nil
	}
	for {
		p.space()
		v, err := p.value(depth - 1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, v)
		p.space()
		if p.accept(']') {
			return n, nil
		}
		if !p.accept(',') {
			return n, errSyntax
		}
	}
}

// number reads the number grammar of RFC 8259 §6 and returns it as written.
func (p *parser) number() (string, error) {
	start := p.i
	p.accept('-')
	if !p.accept('0') && !p.digits() {
		return "", errSyntax
	}
	if p.accept('.') && !p.digits() {
		return "", errSyntax
	}
	if p.accept('e') || p.accept('E') {
		if !p.accept('+') {
			p.accept('-')
		}
		if !p.digits() {
			return "", errSyntax
		}
	}
	return p.s[start:p.i], nil
}

func (p *parser) digits() bool {
	start := p.i
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.i++
	}
	return p.i > start
}

// str reads a string. One without escapes shares the memory of the body.
func (p *parser) str() (string, error) {
	p.i++
	start := p.i
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start : p.i-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", errSyntax
		}
		p.i++
	}
	return "", errSyntax
}

// escaped goes on with a string whose first escape stands at p.i.
func (p *parser) escaped(start int) (string, error) {
	out := append(make([]byte, 0, p.i-start+64), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(out), nil
		case c < 0x20:
			return "", errSyntax
		case c != '\\':
			out = append(out, c)
			continue
		}
		e := p.peek()
		if e == 0 {
			return "", errSyntax
		}
		p.i++
		switch e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", errSyntax
		}
	}
	return "", errSyntax
}

// unicode reads what follows "\u", and the second half of a surrogate pair.
func (p *parser) unicode() (rune, error) {
	r, err := p.hex4()
	switch {
	case err != nil:
		return 0, err
	case r == 0:
		return 0, errNUL
	case !utf16.IsSurrogate(r):
		return r, nil
	}
	if len(p.s)-p.i < 2 || p.s[p.i:p.i+2] != `\u` {
		return 0, errSurrogate
	}
	p.i += 2
	low, err := p.hex4()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, errSurrogate
	}
	return r, nil
}

func (p *parser) hex4() (rune, error) {
	if len(p.s)-p.i < 4 {
		return 0, errSyntax
	}
	v, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
	if err != nil {
		return 0, errSyntax
	}
	p.i += 4
	return rune(v), nil
}
