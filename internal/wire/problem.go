package wire

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The kinds of Problem, spelt as the validation lists of FastAPI spell them.
const (
	Missing     = "missing"
	NotString   = "string_type"
	NotInt      = "int_type"
	NotBool     = "bool_type"
	NotList     = "list_type"
	NotObject   = "dict_type"
	TooShort    = "string_too_short"
	TooLong     = "string_too_long"
	TooSmall    = "greater_than_equal"
	TooGreat    = "less_than_equal"
	Repeated    = "duplicate"
	BadEncoding = "encoding"
	Invalid     = "value_error" // for a surface's own checks
)

// Problem is one thing wrong with a request that could be read. Loc leads to
// the field: where it stands ("body" or "query"), then names and, in lists,
// positions from 0. It encodes as an element of a FastAPI 422 list.
type Problem struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Kind string   `json:"type"`
}

// Problems are all that is wrong with a request, in the order it was noticed.
// As an error they name places and kinds, never a value.
type Problems []Problem

// Error lists the problems for a log.
func (ps Problems) Error() string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = strings.Join(p.Loc, ".") + ": " + p.Kind
	}
	return "invalid request: " + strings.Join(parts, ", ")
}

// Rule narrows what a field may hold. Without a rule a field is optional.
type Rule uint64

// Required asks that the field is there and not null.
const Required Rule = 1 << 62

const (
	ruleMin  Rule = 1 << 61
	ruleMax  Rule = 1 << 60
	ruleBits      = Required | ruleMin | ruleMax
)

// Min asks for at least n: characters of a string (Unicode code points), the
// value of an integer, elements of a list. n is not negative.
func Min(n int) Rule { return ruleMin | Rule(max(n, 0)) }

// Max asks for at most n, counted as Min does.
func Max(n int) Rule { return ruleMax | Rule(max(n, 0)) }

func isRequired(rules []Rule) bool { return slices.Contains(rules, Required) }

// sheet collects the problems of one request.
type sheet struct{ list Problems }

func (s *sheet) add(loc []string, kind, msg string) {
	s.list = append(s.list, Problem{Loc: loc, Kind: kind, Msg: msg})
}

// checkSize holds the length of a string or a list against the rules; the kind
// is "" when it is right.
func checkSize(n int, unit string, rules []Rule) (kind, msg string) {
	for _, r := range rules {
		limit := int(r &^ ruleBits)
		switch {
		case r&ruleMin != 0 && n < limit:
			return TooShort, "must have at least " + count(limit, unit)
		case r&ruleMax != 0 && n > limit:
			return TooLong, "must have at most " + count(limit, unit)
		}
	}
	return "", ""
}

func checkText(v string, rules []Rule) (kind, msg string) {
	return checkSize(utf8.RuneCountInString(v), "character", rules)
}

// checkInt reads an integer exactly (no fraction, no exponent, no overflow) and
// holds it against the rules.
func checkInt(v string, rules []Rule) (n int, kind, msg string) {
	n, err := strconv.Atoi(v)
	if err != nil || v[0] == '+' {
		return 0, NotInt, words[NotInt]
	}
	for _, r := range rules {
		limit := int(r &^ ruleBits)
		switch {
		case r&ruleMin != 0 && n < limit:
			return 0, TooSmall, "must be at least " + strconv.Itoa(limit)
		case r&ruleMax != 0 && n > limit:
			return 0, TooGreat, "must be at most " + strconv.Itoa(limit)
		}
	}
	return n, "", ""
}

// words says what was wanted where another kind of value was found.
var words = map[string]string{
	NotBool:   "must be true or false",
	NotInt:    "must be an integer",
	NotString: "must be a string",
	NotList:   "must be a list",
	NotObject: "must be an object",
}

// count says "1 character", "2 characters".
func count(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}
