package scim

import (
	"strings"
	"time"
)

type (
	either   struct{ left, right expression }
	both     struct{ left, right expression }
	opposite struct{ of expression }
	// some holds where one of an attribute's values is as its filter says.
	some struct{ at path }
	// term compares an attribute with a value.
	term struct {
		at    path
		op    string
		value any
	}
)

func (e either) holds(v map[string]any) bool   { return e.left.holds(v) || e.right.holds(v) }
func (e both) holds(v map[string]any) bool     { return e.left.holds(v) && e.right.holds(v) }
func (e opposite) holds(v map[string]any) bool { return !e.of.holds(v) }

func (e some) holds(v map[string]any) bool { return len(e.at.values(v)) > 0 }

// holds is true if one of the attribute's values is as the term says; "ne" if none is
// equal.
func (e term) holds(v map[string]any) bool {
	found := e.at.values(v)
	switch {
	case e.op == "pr":
		return len(found) > 0
	case e.value == nil: // absence is null (RFC 7643 §2.5)
		return (e.op == "eq") == (len(found) == 0)
	}
	attr := e.at.compared()
	one := func(op string) bool {
		for _, f := range found {
			if attr.compare(op, f, e.value) {
				return true
			}
		}
		return false
	}
	if e.op == "ne" {
		return !one("eq")
	}
	return one(e.op)
}

// compared is the attribute whose values are compared: of one with parts that is named
// alone, its "value".
func (p path) compared() attribute {
	if p.sub.name != "" {
		return p.sub
	}
	if a, ok := named(p.attr.subs, "value"); ok {
		return a
	}
	return p.attr
}

// values are what a path leads to in a resource, or in one value of an attribute.
func (p path) values(v map[string]any) []any {
	if p.ext != "" {
		v, _ = v[p.ext].(map[string]any)
	}
	var all []any
	switch found := v[p.attr.name].(type) {
	case nil:
		return nil
	case []any:
		all = found
	default:
		all = []any{found}
	}
	var out []any
	for _, one := range all {
		parts, ok := one.(map[string]any)
		if p.filter != nil && (!ok || !p.filter.holds(parts)) {
			continue
		}
		if ok && (p.sub.name != "" || len(p.attr.subs) > 0 && p.filter == nil && p.compared().name == "value") {
			if one, ok = parts[p.compared().name]; !ok {
				continue
			}
		}
		out = append(out, one)
	}
	return out
}

// compare compares a value of the attribute with what a filter names.
func (a attribute) compare(op string, have, want any) bool {
	switch h := have.(type) {
	case bool:
		w, ok := truth(want)
		return ok && op == "eq" && h == w
	case string:
		w, ok := want.(string)
		if !ok {
			return false
		}
		if a.kind == instant {
			return compareTimes(op, h, w)
		}
		if !a.exact {
			h, w = strings.ToLower(h), strings.ToLower(w)
		}
		return compareText(op, h, w)
	}
	return false
}

func compareText(op, h, w string) bool {
	switch op {
	case "eq":
		return h == w
	case "co":
		return strings.Contains(h, w)
	case "sw":
		return strings.HasPrefix(h, w)
	case "ew":
		return strings.HasSuffix(h, w)
	}
	return ordered(op, strings.Compare(h, w))
}

func compareTimes(op, h, w string) bool {
	have, err := time.Parse(time.RFC3339Nano, h)
	want, err2 := time.Parse(time.RFC3339Nano, w)
	if err != nil || err2 != nil {
		return false
	}
	return op == "eq" && have.Equal(want) || ordered(op, have.Compare(want))
}

func ordered(op string, c int) bool {
	switch op {
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	return false
}

// truth is what somebody means by a boolean: Entra writes "True" and "False".
func truth(v any) (value, ok bool) {
	switch b := v.(type) {
	case bool:
		return b, true
	case string:
		switch strings.ToLower(b) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}
