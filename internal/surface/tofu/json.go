package tofu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// This is a reader of JSON that fails as CPython's does, because the contract
// shows its texts and positions to clients (§2.3). Package wire's is stricter and
// keeps its reasons to itself. Two things differ from CPython: nesting ends at
// maxDepth, and of a member that comes twice the first is not remembered.

// kind is what a value is called in Python.
type kind string

const (
	none   kind = "NoneType"
	truth  kind = "bool"
	whole  kind = "int"
	float  kind = "float"
	text   kind = "str"
	list   kind = "list"
	dict   kind = "dict"
	nobody kind = "" // a member that is not there
)

// value is one JSON value. text is what Python's str makes of a text or a number;
// half a surrogate pair in it is written as UTF-8 would write it.
type value struct {
	kind    kind
	text    string
	members map[string]value // of a dict
}

// maxDepth bounds the nesting; CPython gives up at about a thousand.
const maxDepth = 500

// syntaxError is json.JSONDecodeError: pos counts characters of doc.
type syntaxError struct {
	msg string
	doc []rune
	pos int
}

func (e *syntaxError) Error() string {
	before := e.doc[:e.pos]
	line := 1
	for _, c := range before {
		if c == '\n' {
			line++
		}
	}
	column := e.pos + 1
	if i := slices.Index(reversed(before), '\n'); i >= 0 {
		column = i + 1
	}
	return fmt.Sprintf("%s: line %d column %d (char %d)", e.msg, line, column, e.pos)
}

// valueError is any other of CPython's, whose texts begin as they like.
type valueError string

func (e valueError) Error() string { return string(e) }

func reversed(s []rune) []rune {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// parseJSON reads a document that is one value.
func parseJSON(doc []rune) (value, error) {
	p := parser{doc: doc}
	if len(doc) > 0 && doc[0] == '\ufeff' {
		return value{}, p.fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
	}
	p.space()
	v, err := p.value(maxDepth)
	if err != nil {
		return value{}, err
	}
	if p.space(); p.i != len(doc) {
		return value{}, p.fail("Extra data", p.i)
	}
	return v, nil
}

type parser struct {
	doc []rune
	i   int
}

func (p *parser) fail(msg string, at int) error { return &syntaxError{msg, p.doc, at} }

func (p *parser) space() {
	for p.i < len(p.doc) && strings.ContainsRune(" \t\n\r", p.doc[p.i]) {
		p.i++
	}
}

// at reports whether the next character is c.
func (p *parser) at(c rune) bool { return p.i < len(p.doc) && p.doc[p.i] == c }

// constants are words that stand for a value; of an empty kind are those that
// Python would take and DRF refuses.
var constants = []struct {
	word string
	kind kind
}{{"null", none}, {"true", truth}, {"false", truth}, {"NaN", nobody}, {"Infinity", nobody}, {"-Infinity", nobody}}

func (p *parser) value(depth int) (value, error) {
	if depth == 0 {
		return value{}, valueError("maximum recursion depth exceeded while decoding a JSON object from a unicode string")
	}
	switch {
	case p.at('"'):
		s, err := p.str()
		return value{kind: text, text: s}, err
	case p.at('{'):
		return p.dict(depth)
	case p.at('['):
		return p.list(depth)
	}
	for _, c := range constants {
		if n := len(c.word); p.i+n <= len(p.doc) && string(p.doc[p.i:p.i+n]) == c.word {
			if c.kind == nobody {
				return value{}, valueError("Out of range float values are not JSON compliant: '" + c.word + "'")
			}
			p.i += n
			return value{kind: c.kind}, nil
		}
	}
	return p.number()
}

func (p *parser) dict(depth int) (value, error) {
	v := value{kind: dict, members: map[string]value{}}
	p.i++
	p.space()
	if p.at('}') {
		p.i++
		return v, nil
	}
	for {
		if !p.at('"') {
			return v, p.fail("Expecting property name enclosed in double quotes", p.i)
		}
		name, err := p.str()
		if err != nil {
			return v, err
		}
		if p.space(); !p.at(':') {
			return v, p.fail("Expecting ':' delimiter", p.i)
		}
		p.i++
		p.space()
		if v.members[name], err = p.value(depth - 1); err != nil {
			return v, err
		}
		p.space()
		if p.at('}') {
			p.i++
			return v, nil
		}
		if !p.at(',') {
			return v, p.fail("Expecting ',' delimiter", p.i)
		}
		p.i++
		p.space()
	}
}

func (p *parser) list(depth int) (value, error) {
	v := value{kind: list}
	p.i++
	p.space()
	if p.at(']') {
		p.i++
		return v, nil
	}
	for {
		if _, err := p.value(depth - 1); err != nil {
			return v, err
		}
		p.space()
		if p.at(']') {
			p.i++
			return v, nil
		}
		if !p.at(',') {
			return v, p.fail("Expecting ',' delimiter", p.i)
		}
		p.i++
		p.space()
	}
}

// number reads as much of a number as is one: what follows is somebody else's
// mistake.
func (p *parser) number() (value, error) {
	start := p.i
	if p.at('-') {
		p.i++
	}
	digits := p.i
	if p.at('0') {
		p.i++
	} else {
		p.digits()
	}
	if p.i == digits {
		p.i = start
		return value{}, p.fail("Expecting value", start)
	}
	end := p.i
	isFloat := p.part(".", "") // not short of the other: a number may have both
	isFloat = p.part("eE", "+-") || isFloat
	source := string(p.doc[start:p.i])
	if isFloat {
		f, _ := strconv.ParseFloat(source, 64) // too large is an infinity here, too
		return value{kind: float, text: pythonFloat(f)}, nil
	}
	if n := end - digits; n > maxDigits {
		return value{}, valueError(fmt.Sprintf("Exceeds the limit (%d digits) for integer string conversion: value has %d digits; "+
			"use sys.set_int_max_str_digits() to increase the limit", maxDigits, n))
	}
	if source == "-0" {
		source = "0"
	}
	return value{kind: whole, text: source}, nil
}

// maxDigits is how long an integer may be in Python.
const maxDigits = 4300

func (p *parser) digits() bool {
	start := p.i
	for p.i < len(p.doc) && p.doc[p.i] >= '0' && p.doc[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

// part reads a fraction or an exponent, or nothing.
func (p *parser) part(first, sign string) bool {
	start := p.i
	if p.i < len(p.doc) && strings.ContainsRune(first, p.doc[p.i]) {
		p.i++
		if p.i < len(p.doc) && strings.ContainsRune(sign, p.doc[p.i]) {
			p.i++
		}
		if p.digits() {
			return true
		}
	}
	p.i = start
	return false
}

// escapes are those of one letter.
var escapes = map[rune]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// str reads a text whose quote stands at p.i.
func (p *parser) str() (string, error) {
	begin := p.i
	var out []byte
	for p.i++; p.i < len(p.doc); p.i++ {
		switch c := p.doc[p.i]; {
		case c == '"':
			p.i++
			return string(out), nil
		case c < ' ':
			return "", p.fail("Invalid control character at", p.i)
		case c != '\\':
			out = appendRune(out, c)
		default:
			p.i++
			if p.i == len(p.doc) {
				return "", p.fail("Unterminated string starting at", begin)
			}
			if p.doc[p.i] == 'u' {
				r, err := p.unicode()
				if err != nil {
					return "", err
				}
				out = appendRune(out, r)
				continue
			}
			e, ok := escapes[p.doc[p.i]]
			if !ok {
				return "", p.fail(`Invalid \escape`, p.i-1)
			}
			out = append(out, e)
		}
	}
	return "", p.fail("Unterminated string starting at", begin)
}

// unicode reads the digits after \u, whose letter stands at p.i, and with the
// first half of a surrogate pair the second, if it follows. It ends at the last
// character that it took.
func (p *parser) unicode() (rune, error) {
	letter := p.i
	// CPython wants one character more than the digits: the quote at the end.
	if letter+5 >= len(p.doc) {
		return 0, p.fail(`Invalid \uXXXX escape`, letter)
	}
	r, ok := hex4(p.doc[letter+1 : letter+5])
	if !ok {
		return 0, p.fail(`Invalid \uXXXX escape`, letter)
	}
	p.i = letter + 4
	next := letter + 5
	if r >= 0xd800 && r < 0xdc00 && next+6 < len(p.doc) && p.doc[next] == '\\' && p.doc[next+1] == 'u' {
		low, ok := hex4(p.doc[next+2 : next+6])
		if !ok {
			return 0, p.fail(`Invalid \uXXXX escape`, next+1)
		}
		if low >= 0xdc00 && low < 0xe000 {
			p.i = next + 5
			return utf16.DecodeRune(r, low), nil
		}
	}
	return r, nil
}

func hex4(digits []rune) (rune, bool) {
	n, err := strconv.ParseUint(string(digits), 16, 16)
	return rune(n), err == nil
}

// appendRune is utf8.AppendRune that keeps half a surrogate pair.
func appendRune(out []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(out, byte(0xe0|r>>12), byte(0x80|r>>6&0x3f), byte(0x80|r&0x3f))
	}
	return append(out, string(r)...)
}

// surrogate finds the first half of a surrogate pair in a text.
func surrogate(s string) (rune, bool) {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == 0xed && s[i+1] >= 0xa0 {
			return rune(s[i]&0xf)<<12 | rune(s[i+1]&0x3f)<<6 | rune(s[i+2]&0x3f), true
		}
	}
	return 0, false
}
