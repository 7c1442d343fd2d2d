package db

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Time reads an instant from a BIGINT of microseconds since the epoch. NULL is the zero time.
type Time struct{ time.Time }

// At is t as a column value. The zero time has none: use AtOrNull where it may occur.
func At(t time.Time) int64 { return t.UnixMicro() }

// AtOrNull is t as a column value, NULL for the zero time.
func AtOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// JSONValue is a value kept as JSON in a TEXT column; see JSON.
type JSONValue struct{ v any }

// JSON passes v as an argument marshalled to JSON text, or, when v is a pointer given to
// Scan, unmarshals the column into what v points to (NULL: its zero value).
func JSON(v any) JSONValue { return JSONValue{v} }

// kind is one of the four things a column may hold, on either engine.
type kind uint8

const (
	null kind = iota
	integer
	text
	blob
)

func (k kind) String() string { return [...]string{"NULL", "integer", "text", "bytes"}[k] }

// value is one column of one row as the engine gave it. A boolean is an integer 0 or 1,
// because that is all SQLite knows. b belongs to the receiver.
type value struct {
	kind kind
	n    int64
	s    string
	b    []byte
}

// assign stores v in dest: the one conversion for both engines, so that what scans on one
// scans on the other.
func assign(dest any, v value) error {
	switch d := dest.(type) {
	case *string:
		if v.kind == text || v.kind == null {
			*d = v.s
			return nil
		}
	case *int64:
		if v.kind == integer || v.kind == null {
			*d = v.n
			return nil
		}
	case *int:
		if v.kind == integer || v.kind == null {
			if v.n < math.MinInt || v.n > math.MaxInt {
				return fmt.Errorf("%d does not fit an int", v.n)
			}
			*d = int(v.n)
			return nil
		}
	case *bool:
		if v.kind == null || v.kind == integer && (v.n == 0 || v.n == 1) {
			*d = v.n == 1
			return nil
		}
	case *[]byte:
		if v.kind == blob || v.kind == null {
			*d = v.b
			return nil
		}
	case *Time:
		switch v.kind {
		case null:
			d.Time = time.Time{}
			return nil
		case integer:
			d.Time = time.UnixMicro(v.n).UTC()
			return nil
		}
	case JSONValue:
		return assignJSON(d.v, v)
	default:
		return assignNamed(dest, v)
	}
	return fmt.Errorf("cannot scan %v into %T", v.kind, dest)
}

func assignJSON(dest any, v value) error {
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("cannot scan JSON into %T: not a pointer", dest)
	}
	// Unmarshal merges into maps and structs; a scan replaces.
	p.Elem().SetZero()
	switch v.kind {
	case null:
		return nil
	case text:
		// Nothing is what most lists and objects hold.
		switch e := p.Elem(); {
		case v.s == "{}" && e.Kind() == reflect.Struct:
			return nil
		case v.s == "[]" && e.Kind() == reflect.Slice:
			e.Set(reflect.MakeSlice(e.Type(), 0, 0))
			return nil
		}
		return json.Unmarshal([]byte(v.s), dest)
	}
	return fmt.Errorf("cannot scan %v as JSON", v.kind)
}

// assignNamed stores text in a pointer to a named string type, such as an id.
func assignNamed(dest any, v value) error {
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Elem().Kind() != reflect.String {
		return fmt.Errorf("cannot scan into %T", dest)
	}
	if v.kind != text && v.kind != null {
		return fmt.Errorf("cannot scan %v into %T", v.kind, dest)
	}
	p.Elem().SetString(v.s)
	return nil
}

// plain turns an argument into what both drivers take: nil, string, int64, bool or []byte.
func plain(arg any) (any, error) {
	switch a := arg.(type) {
	case nil, int64, bool:
		return a, nil
	case []byte:
		if a == nil {
			return nil, nil // as NULL scans into a nil slice
		}
		return a, nil
	case string:
		return a, checkText(a)
	case int:
		return int64(a), nil
	case JSONValue:
		b, err := json.Marshal(a.v)
		if err != nil {
			return nil, err
		}
		return string(b), nil
	case time.Time, Time:
		return nil, fmt.Errorf("a %T is no argument: use db.At or db.AtOrNull", arg)
	}
	if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
		return v.String(), checkText(v.String())
	}
	return nil, fmt.Errorf("a %T is no argument", arg)
}

// checkText refuses what PostgreSQL cannot store as text, so that SQLite refuses it too.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("text is not valid UTF-8")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("text holds a NUL")
	}
	return nil
}
