package scim

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// expression is a condition on a resource, or on one value of an attribute.
type expression interface {
	// holds judges a resource, or a value within one.
	holds(v map[string]any) bool
}

// The bounds of a filter. What is beyond them is no filter that anybody writes.
const (
	maxFilter = 8 << 10
	maxTerms  = 100
	maxNested = 16
)

var errFilter = &problem{status: 400, kind: "invalidFilter", detail: "The filter cannot be understood, or asks for something that cannot be asked for."}

// parseFilter reads a filter on a resource type (RFC 7644 §3.4.2.2).
func parseFilter(t resourceType, s string) (expression, error) {
	if len(s) > maxFilter || !utf8.ValidString(s) {
		return nil, errFilter
	}
	p := &parser{s: s, t: t}
	e, err := p.or(maxNested)
	if err != nil || p.space() < len(p.s) {
		return nil, errFilter
	}
	return e, nil
}

// parser reads filters and paths. within is the attribute whose values a filter in
// brackets is about, nil outside of brackets.
type parser struct {
	s      string
	i      int
	t      resourceType
	within *attribute
	terms  int
}

// space skips blanks and returns where it is.
func (p *parser) space() int {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
	return p.i
}

// accept takes a character if it comes next.
func (p *parser) accept(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// keyword takes a word in any case of letters if it comes next, by itself.
func (p *parser) keyword(w string) bool {
	at := p.space()
	end := at + len(w)
	if end > len(p.s) || !strings.EqualFold(p.s[at:end], w) || end < len(p.s) && strings.IndexByte(" ()]", p.s[end]) < 0 {
		return false
	}
	p.i = end
	return true
}

func (p *parser) or(depth int) (expression, error) {
	left, err := p.and(depth)
	for err == nil && p.keyword("or") {
		var right expression
		if right, err = p.and(depth); err == nil {
			left = either{left, right}
		}
	}
	return left, err
}

func (p *parser) and(depth int) (expression, error) {
	left, err := p.not(depth)
	for err == nil && p.keyword("and") {
		var right expression
		if right, err = p.not(depth); err == nil {
			left = both{left, right}
		}
	}
	return left, err
}

func (p *parser) not(depth int) (expression, error) {
	if depth == 0 {
		return nil, errFilter
	}
	negated := p.keyword("not")
	p.space()
	if !negated && !strings.HasPrefix(p.s[p.i:], "(") {
		return p.term()
	}
	if !p.accept('(') {
		return nil, errFilter
	}
	e, err := p.or(depth - 1)
	if err != nil {
		return nil, err
	}
	p.space()
	if !p.accept(')') {
		return nil, errFilter
	}
	if negated {
		e = opposite{e}
	}
	return e, nil
}

// term reads "attribute operator value", "attribute pr" or "attribute[filter]".
func (p *parser) term() (expression, error) {
	if p.terms++; p.terms > maxTerms {
		return nil, errFilter
	}
	at, err := p.path()
	if err != nil {
		return nil, err
	}
	if at.attr.returned == "never" {
		return nil, errFilter
	}
	if at.filter != nil && at.sub.name == "" {
		return some{at}, nil
	}
	if p.keyword("pr") {
		return term{at: at, op: "pr"}, nil
	}
	for _, op := range []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"} {
		if p.keyword(op) {
			v, err := p.value()
			return term{at, op, v}, err
		}
	}
	return nil, errFilter
}

// path reads a path, as far as it goes.
func (p *parser) path() (path, error) {
	name := p.name()
	var at path
	var err error
	if p.within != nil {
		var ok bool
		if at.attr, ok = named(p.within.subs, name); !ok {
			return path{}, errFilter
		}
		return at, nil
	}
	if at, err = resolve(p.t, name); err != nil || !p.accept('[') {
		return at, err
	}
	if !at.attr.multi || len(at.attr.subs) == 0 || at.sub.name != "" {
		return path{}, errPath
	}
	p.within = &at.attr
	at.filter, err = p.or(maxNested)
	p.within = nil
	if p.space(); err != nil || !p.accept(']') {
		return path{}, errFilter
	}
	if p.accept('.') {
		var ok bool
		if at.sub, ok = named(at.attr.subs, p.name()); !ok {
			return path{}, errPath
		}
	}
	return at, nil
}

// name reads an attribute's name with what may stand before and behind it.
func (p *parser) name() string {
	start := p.space()
	for p.i < len(p.s) && nameByte(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(":.$_-", c) >= 0
}

// value reads what is compared with: a JSON text, number, boolean or null, or a bare word,
// which Entra's own documents show.
func (p *parser) value() (any, error) {
	start := p.space()
	if p.accept('"') {
		for p.i < len(p.s) && p.s[p.i] != '"' {
			if p.s[p.i] == '\\' {
				p.i++
			}
			p.i++
		}
		if p.i >= len(p.s) {
			return nil, errFilter
		}
		p.i++
		var s string
		if json.Unmarshal([]byte(p.s[start:p.i]), &s) != nil || strings.IndexByte(s, 0) >= 0 {
			return nil, errFilter
		}
		return s, nil
	}
	for p.i < len(p.s) && strings.IndexByte(` ()[]"`, p.s[p.i]) < 0 {
		p.i++
	}
	switch word := p.s[start:p.i]; strings.ToLower(word) {
	case "":
		return nil, errFilter
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil //nolint:nilnil // null is a value here
	default:
		return word, nil
	}
}
