package yaml

import (
	"encoding"
	"reflect"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// scalar decodes text, a boolean or a number, each only from its own kind.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	tag := ""
	if n.Kind == yaml.ScalarNode {
		tag = n.ShortTag()
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		switch tag {
		case "!!str", "!!timestamp":
			v.SetString(n.Value)
		case "!!int", "!!float", "!!bool":
			// 0123 or 1e3 as text would be a guess at what was meant.
			d.wrong(n, path, "must be text; put %s in quotes", n.Value)
		default:
			d.wrong(n, path, "must be text, not %s", kindOf(n))
		}
	case reflect.Bool:
		b := false
		if b, err = strconv.ParseBool(n.Value); tag != "!!bool" || err != nil {
			d.wrong(n, path, "must be true or false, not %s", kindOf(n))
		} else {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var i int64
		if tag != "!!int" {
			d.wrong(n, path, "must be a whole number, not %s", kindOf(n))
		} else if i, err = strconv.ParseInt(n.Value, 0, v.Type().Bits()); err != nil {
			d.wrong(n, path, "the number %s is out of range", n.Value)
		} else {
			v.SetInt(i)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var u uint64
		if tag != "!!int" {
			d.wrong(n, path, "must be a whole number, not %s", kindOf(n))
		} else if u, err = strconv.ParseUint(n.Value, 0, v.Type().Bits()); err != nil {
			d.wrong(n, path, "the number %s is out of range", n.Value)
		} else {
			v.SetUint(u)
		}
	case reflect.Float32, reflect.Float64:
		var f float64
		if tag != "!!int" && tag != "!!float" {
			d.wrong(n, path, "must be a number, not %s", kindOf(n))
		} else if f, err = strconv.ParseFloat(n.Value, v.Type().Bits()); err != nil {
			d.wrong(n, path, "the number %s is out of range", n.Value)
		} else {
			v.SetFloat(f)
		}
	default:
		panic("yaml: field of type " + v.Type().String())
	}
}

// text gives the value, as it is written, to a type that reads text.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "must be a single value, not %s", kindOf(n))
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)); err != nil {
		d.wrong(n, path, "%v", err)
	}
}

func (d *decoder) instant(n *yaml.Node, v reflect.Value, path string) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, n.Value); err == nil && n.Kind == yaml.ScalarNode {
			v.Set(reflect.ValueOf(t.UTC()))
			return
		}
	}
	d.wrong(n, path, "must be a date like 2026-01-31 or an instant like 2026-01-31T12:00:00Z")
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	t, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.wrong(n, path, "must be a duration like 90s, 15m or 720h")
		return
	}
	v.SetInt(int64(t))
}

// nearest returns the name that given was probably meant to be, or "".
func nearest(given string, names []string) string {
	best, least := "", max(1, min(3, len(given)/3))+1
	for _, name := range names {
		if n := distance(given, name); n < least {
			best, least = name, n
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
