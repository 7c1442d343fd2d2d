// Package yaml reads and writes the files that an operator writes by hand: the
// server's configuration and the resource file. Reading is strict, and every
// mistake of a document is found in one go, with its line: unknown and repeated
// keys, wrong types, values that a type refuses. What the values mean is for
// the caller to judge; it adds its own findings to the Document, which knows
// the line of every path.
//
// The format is YAML 1.2's core schema as far as people write it: one document,
// string keys, anchors and aliases, no merge keys and no custom tags.
package yaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Mistake is one thing wrong in a document. Line counts from 1; 0 means that
// the mistake has no place in the file. Path is as in Document.Line, "" for the
// whole document.
type Mistake struct {
	File string
	Line int
	Path string
	Msg  string
}

// String is the mistake as one line: "file:line: path: message".
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		b.WriteString(":" + strconv.Itoa(m.Line))
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	b.WriteString(m.Msg)
	return b.String()
}

// Mistakes is the error of a document that has any: all of them, by line.
type Mistakes struct{ List []Mistake }

// Error lists the mistakes one a line.
func (m *Mistakes) Error() string {
	lines := make([]string, len(m.List))
	for i, one := range m.List {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Document is a file that was read: where its values stand and what is wrong
// with it. It is never nil, also when decoding failed.
type Document struct {
	file     string
	lines    map[string]int
	mistakes []Mistake
}

// Decode reads data, the contents of the file called file (a name for messages;
// nothing is opened), into the struct or map that into points to. What data
// does not name keeps its value, so that defaults may stand there before. The
// error is nil or *Mistakes; after a mistake into holds what could be read, and
// the caller may go on and judge that, so that everything is reported at once.
//
// Struct fields are named by their tag `yaml:"name"`, else by their name in
// lower case; "-" is skipped and ",inline" embeds a struct. Scalars go to
// strings, numbers, booleans, time.Duration, time.Time (RFC 3339 or a date) and
// everything that unmarshals text; fields of type any get string, int64,
// float64, bool, nil, []any or map[string]any.
func Decode(file string, data []byte, into any) (*Document, error) {
	doc := &Document{file: file, lines: map[string]int{}}
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("yaml: Decode wants a pointer")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) {
			doc.syntax(err)
		}
		return doc, doc.Err()
	}
	d := &decoder{doc: doc}
	if len(root.Content) == 1 {
		d.value(root.Content[0], v.Elem(), "", 0)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		doc.add(second.Line, "", "a file holds one document; remove what follows the second \"---\"")
	} else if !errors.Is(err, io.EOF) {
		doc.syntax(err)
	}
	return doc, doc.Err()
}

// syntax takes over a parser's error. The parser has no typed error, so its
// line number is read from the front of the text.
func (d *Document) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if number, after, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, msg = n, after
			}
		}
	}
	d.add(line, "", "not valid YAML: "+msg)
}

func (d *Document) add(line int, path, msg string) {
	d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: line, Path: path, Msg: msg})
}

// Line returns the line of what stands at path, such as
// `clients[0].redirect_uris[1]` (see Key and Index), of what encloses it if it
// is not in the file, and 0 for an empty document.
func (d *Document) Line(path string) int {
	for {
		if line, ok := d.lines[path]; ok || path == "" {
			return line
		}
		path = parent(path)
	}
}

// Has reports whether the file gives a value at path, be it null.
func (d *Document) Has(path string) bool {
	_, ok := d.lines[path]
	return ok
}

// Mistake adds a finding about the value at path.
func (d *Document) Mistake(path, format string, args ...any) {
	d.add(d.Line(path), path, fmt.Sprintf(format, args...))
}

// Err returns every mistake found so far as *Mistakes, by line, or nil.
func (d *Document) Err() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	list := slices.Clone(d.mistakes)
	slices.SortStableFunc(list, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
	return &Mistakes{List: list}
}

// Key is the path of a mapping's entry. A key that is not plain (a host name,
// say) is quoted: `hosts["auth.example.com"]`.
func Key(path, key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	switch {
	case !plain:
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// Index is the path of a list's element, counted from 0.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent cuts the last step off a path that Key and Index built.
func parent(path string) string {
	if strings.HasSuffix(path, `"]`) {
		// The opening quote is the last `["` whose rest unquotes.
		for i := len(path) - 2; i > 0; i-- {
			if path[i] == '"' && path[i-1] == '[' {
				if _, err := strconv.Unquote(path[i : len(path)-1]); err == nil {
					return path[:i-1]
				}
			}
		}
	}
	if i := strings.LastIndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return ""
}

// Encode writes v with struct fields in their order, map keys sorted and two
// spaces a level, so that equal values give equal bytes. Fields are named as
// for Decode; `yaml:"name,omitempty"` leaves a zero value out.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode YAML: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode YAML: %w", err)
	}
	return b.Bytes(), nil
}
