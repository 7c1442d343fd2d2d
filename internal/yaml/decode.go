package yaml

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Bounds of a document: how deep it nests, and how many values it gets by
// aliases, so that a few lines cannot stand for billions.
const (
	maxDepth   = 100
	maxAliased = 10_000
)

// decoder walks the nodes of one document beside the value they go into.
type decoder struct {
	doc       *Document
	aliased   int          // values reached through aliases so far
	following []*yaml.Node // what the aliases on the way here stand for
}

func (d *decoder) wrong(n *yaml.Node, path, format string, args ...any) {
	d.doc.add(n.Line, path, fmt.Sprintf(format, args...))
}

// enter notes where path stands and reports whether its value may be read.
func (d *decoder) enter(n *yaml.Node, path string, depth int) bool {
	if depth > maxDepth {
		d.wrong(n, path, "nested deeper than %d levels", maxDepth)
		return false
	}
	if len(d.following) > 0 {
		if d.aliased++; d.aliased > maxAliased {
			if d.aliased == maxAliased+1 {
				d.wrong(n, path, "aliases stand for more than %d values", maxAliased)
			}
			return false
		}
	}
	if _, seen := d.doc.lines[path]; !seen {
		d.doc.lines[path] = n.Line
	}
	return true
}

// alias decodes what n stands for.
func (d *decoder) alias(n *yaml.Node, v reflect.Value, path string, depth int) {
	if slices.Contains(d.following, n.Alias) {
		d.wrong(n, path, "the alias *%s stands for a value that holds it", n.Value)
		return
	}
	d.following = append(d.following, n.Alias)
	d.value(n.Alias, v, path, depth)
	d.following = d.following[:len(d.following)-1]
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// value decodes n into v. A null leaves v as it is, but for pointers and any.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	if !d.enter(n, path, depth) {
		return
	}
	if n.Kind == yaml.AliasNode {
		d.alias(n, v, path, depth)
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		if k := v.Kind(); k == reflect.Pointer || k == reflect.Interface {
			v.SetZero()
		}
		return
	}
	switch {
	case v.Type() == timeType:
		d.instant(n, v, path)
		return
	case v.Type() == durationType:
		d.duration(n, v, path)
		return
	case v.Kind() != reflect.Pointer && v.CanAddr() && v.Addr().Type().Implements(textType):
		d.text(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path, depth)
	case reflect.Struct:
		d.fields(n, v, path, depth)
	case reflect.Map:
		d.entries(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, path, depth)
	case reflect.Interface:
		if got := d.free(n, path, depth); got != nil {
			v.Set(reflect.ValueOf(got))
		}
	default:
		d.scalar(n, v, path)
	}
}

// mapping calls entry for each key of n that is text and new.
func (d *decoder) mapping(n *yaml.Node, path string, entry func(key *yaml.Node, path string, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "must be a mapping of keys to values, not %s", kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" {
			d.wrong(k, path, "a key must be plain text")
			continue
		}
		p := Key(path, k.Value)
		if first, dup := seen[k.Value]; dup {
			d.wrong(k, p, "is here a second time; the first is on line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		d.doc.lines[p] = k.Line
		entry(k, p, value)
	}
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string, depth int) {
	known := map[string]reflect.Value{}
	var names []string
	collect(v, known, &names)
	d.mapping(n, path, func(key *yaml.Node, p string, value *yaml.Node) {
		if f, ok := known[key.Value]; ok {
			d.value(value, f, p, depth+1)
			return
		}
		delete(d.doc.lines, p)
		msg := "unknown key"
		if near := nearest(key.Value, names); near != "" {
			msg += "; did you mean " + strconv.Quote(near) + "?"
		}
		d.wrong(key, p, "%s", msg)
	})
}

// collect gathers the settable fields of v by the name they have in a file.
func collect(v reflect.Value, known map[string]reflect.Value, names *[]string) {
	for f, value := range v.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			collect(value, known, names)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		known[name] = value
		*names = append(*names, name)
	}
}

func (d *decoder) entries(n *yaml.Node, v reflect.Value, path string, depth int) {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		panic("yaml: map key of type " + t.Key().String())
	}
	m := reflect.MakeMap(t)
	d.mapping(n, path, func(key *yaml.Node, p string, value *yaml.Node) {
		one := reflect.New(t.Elem()).Elem()
		d.value(value, one, p, depth+1)
		m.SetMapIndex(reflect.ValueOf(key.Value).Convert(t.Key()), one)
	})
	v.Set(m)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "must be a list, not %s", kindOf(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, list.Index(i), Index(path, i), depth+1)
	}
	v.Set(list)
}

// free decodes a value whose type nobody fixed.
func (d *decoder) free(n *yaml.Node, path string, depth int) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		d.entries(n, reflect.ValueOf(&m).Elem(), path, depth)
		return m
	case yaml.SequenceNode:
		var list []any
		d.list(n, reflect.ValueOf(&list).Elem(), path, depth)
		return list
	}
	switch n.ShortTag() {
	case "!!bool":
		var b bool
		d.scalar(n, reflect.ValueOf(&b).Elem(), path)
		return b
	case "!!int":
		var i int64
		d.scalar(n, reflect.ValueOf(&i).Elem(), path)
		return i
	case "!!float":
		var f float64
		d.scalar(n, reflect.ValueOf(&f).Elem(), path)
		return f
	case "!!str", "!!timestamp":
		return n.Value
	}
	d.wrong(n, path, "%s is not supported", n.ShortTag())
	return nil
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return n.Value
	case "!!timestamp":
		return "a date"
	}
	return "a single value"
}
