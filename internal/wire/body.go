package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MaxBody is the usual limit of a JSON or form body, in bytes.
const MaxBody = 64 << 10

// BodyKind says why a body could not be read at all.
type BodyKind uint8

// The reasons, with the status that most surfaces give them.
const (
	Malformed BodyKind = iota // 400 or 422: not what its Content-Type says it is
	WrongType                 // 415: missing, repeated or other Content-Type, or encoded
	TooLarge                  // 413
)

// BodyError reports a body that could not be read. Err says more, for a log:
// it never holds any of the body.
type BodyError struct {
	Kind BodyKind
	Err  error
}

// Error says what is wrong, for a log.
func (e *BodyError) Error() string { return "request body: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *BodyError) Unwrap() error { return e.Err }

// Body is a JSON object that was sent to us. Its methods read members by name
// and note what is wrong with them; a handler reads all it wants and then asks
// Err once. Members nobody asks for are ignored.
//
// A nil *Body is an object that is not there: it has no members and notes
// nothing.
type Body struct {
	at   *node
	loc  []string
	note *sheet
}

// ReadBody reads a JSON object of at most limit bytes. The request must say
// Content-Type: application/json, which also keeps other sites' forms out. The
// error is always a *BodyError.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) (*Body, error) {
	if err := contentType(r, "application/json"); err != nil {
		return nil, err
	}
	text, err := readAll(w, r, limit)
	if err != nil {
		return nil, err
	}
	n, err := parse(text)
	if err == nil && n.kind != kindObject {
		err = errors.New("not a JSON object")
	}
	if err != nil {
		return nil, &BodyError{Malformed, err}
	}
	return &Body{at: &n, loc: []string{"body"}, note: &sheet{}}, nil
}

// ReadJSON reads the text of a JSON object of at most limit bytes and most values, under
// any of the media types, where what may be in it is not known beforehand. The text is
// what parse takes, so that everybody understands the same by it. The error is always a
// *BodyError.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64, most int, types ...string) (json.RawMessage, error) {
	var err error
	for _, t := range types {
		if err = contentType(r, t); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	text, err := readAll(w, r, limit)
	if err != nil {
		return nil, err
	}
	n, err := parseMost(text, most)
	if err == nil && n.kind != kindObject {
		err = errors.New("not a JSON object")
	}
	if err != nil {
		return nil, &BodyError{Malformed, err}
	}
	return json.RawMessage(n.raw), nil
}

// contentType refuses a request whose body is not of type want, in UTF-8 and
// uncompressed.
func contentType(r *http.Request, want string) error {
	given := r.Header["Content-Type"]
	if len(r.Header["Content-Encoding"]) > 0 {
		return &BodyError{WrongType, errors.New("Content-Encoding is not supported")}
	}
	if len(given) != 1 {
		return &BodyError{WrongType, fmt.Errorf("%d Content-Type headers", len(given))}
	}
	if given[0] == want {
		return nil
	}
	t, params, err := mime.ParseMediaType(given[0])
	if err != nil || t != want {
		return &BodyError{WrongType, errors.New("Content-Type is not " + want)}
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return &BodyError{WrongType, errors.New("charset is not UTF-8")}
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keep returns a buffer to the pool unless it grew unusually large.
func keep(b *bytes.Buffer) {
	if b.Cap() <= MaxBody {
		b.Reset()
		buffers.Put(b)
	}
}

func readAll(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer keep(buf)
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return "", &BodyError{TooLarge, fmt.Errorf("over %d bytes", limit)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", &BodyError{Malformed, err}
	}
	return buf.String(), nil
}

// Problems returns what was wrong so far, in this object and those around and
// inside it.
func (b *Body) Problems() Problems {
	if b == nil {
		return nil
	}
	return b.note.list
}

// Err returns Problems as an error, nil when there are none.
func (b *Body) Err() error {
	if ps := b.Problems(); len(ps) > 0 {
		return ps
	}
	return nil
}

// Fail notes a problem of the caller's own with the named member; kind is a
// kind of Problem, usually Invalid.
func (b *Body) Fail(name, kind, msg string) {
	if b != nil {
		b.note.add(b.to(name), kind, msg)
	}
}

// Has reports whether the member is there and not null.
func (b *Body) Has(name string) bool {
	n := b.find(name)
	return n != nil && n.kind != kindNull
}

// Null reports whether the member is there and null.
func (b *Body) Null(name string) bool {
	n := b.find(name)
	return n != nil && n.kind == kindNull
}

// Names returns the names of all members, in the order they were sent.
func (b *Body) Names() []string {
	if b == nil {
		return nil
	}
	return slices.Clone(b.at.names)
}

// Raw returns the member's own JSON text, nil when it is not there. It is valid
// JSON without duplicate names, NUL or invalid UTF-8.
func (b *Body) Raw(name string) json.RawMessage {
	if n := b.find(name); n != nil {
		return json.RawMessage(n.raw)
	}
	return nil
}

// String returns a string member as it was sent, untrimmed; "" when it is
// absent, null or wrong.
func (b *Body) String(name string, rules ...Rule) string {
	s, _ := b.OptString(name, rules...)
	return s
}

// OptString is String, and reports whether the member is there and right.
func (b *Body) OptString(name string, rules ...Rule) (string, bool) {
	n := b.want(name, kindString, rules)
	if n == nil {
		return "", false
	}
	if kind, msg := checkText(n.text, rules); kind != "" {
		b.Fail(name, kind, msg)
		return "", false
	}
	return n.text, true
}

// Int returns an integer member; 0 when it is absent, null or wrong. 1.0 and
// 1e3 are not integers here.
func (b *Body) Int(name string, rules ...Rule) int {
	n, _ := b.OptInt(name, rules...)
	return n
}

// OptInt is Int, and reports whether the member is there and right.
func (b *Body) OptInt(name string, rules ...Rule) (int, bool) {
	n := b.want(name, kindNumber, rules)
	if n == nil {
		return 0, false
	}
	v, kind, msg := checkInt(n.text, rules)
	if kind != "" {
		b.Fail(name, kind, msg)
	}
	return v, kind == ""
}

// Bool returns a boolean member; false when it is absent, null or wrong.
func (b *Body) Bool(name string, rules ...Rule) bool {
	v, _ := b.OptBool(name, rules...)
	return v
}

// OptBool is Bool, and reports whether the member is there and right.
func (b *Body) OptBool(name string, rules ...Rule) (value, ok bool) {
	n := b.want(name, kindBool, rules)
	return n != nil && n.text == "true", n != nil
}

// Strings returns a list of strings; nil when it is absent, null or wrong, not
// nil when it is there and empty.
func (b *Body) Strings(name string, rules ...Rule) []string {
	n := b.list(name, rules)
	if n == nil {
		return nil
	}
	out := make([]string, len(n.items))
	for i, e := range n.items {
		if e.kind != kindString {
			b.note.add(append(b.to(name), strconv.Itoa(i)), NotString, words[NotString])
			return nil
		}
		out[i] = e.text
	}
	return out
}

// Object returns a member that is an object, nil when it is absent, null or
// wrong. What is wrong inside it is noted with b's own problems.
func (b *Body) Object(name string, rules ...Rule) *Body {
	n := b.want(name, kindObject, rules)
	if n == nil {
		return nil
	}
	return &Body{at: n, loc: b.to(name), note: b.note}
}

// Objects returns a list of objects; nil when it is absent, null or wrong.
func (b *Body) Objects(name string, rules ...Rule) []*Body {
	n := b.list(name, rules)
	if n == nil {
		return nil
	}
	out := make([]*Body, len(n.items))
	for i := range n.items {
		loc := append(b.to(name), strconv.Itoa(i))
		if n.items[i].kind != kindObject {
			b.note.add(loc, NotObject, words[NotObject])
			return nil
		}
		out[i] = &Body{at: &n.items[i], loc: loc, note: b.note}
	}
	return out
}

// list returns the member if it is a list of the right length.
func (b *Body) list(name string, rules []Rule) *node {
	n := b.want(name, kindList, rules)
	if n == nil {
		return nil
	}
	if kind, msg := checkSize(len(n.items), "element", rules); kind != "" {
		b.Fail(name, kind, msg)
		return nil
	}
	return n
}

func (b *Body) find(name string) *node {
	if b == nil {
		return nil
	}
	return b.at.member(name)
}

func (b *Body) to(name string) []string {
	return append(slices.Clip(b.loc), name)
}

// typeOf gives each kind of value the Problem of finding another one.
var typeOf = [...]string{
	kindBool: NotBool, kindNumber: NotInt, kindString: NotString, kindList: NotList, kindObject: NotObject,
}

// want returns the member if it is of kind k, and notes its absence or another
// kind. Null is absence, unless the member is required.
func (b *Body) want(name string, k kind, rules []Rule) *node {
	n := b.find(name)
	switch {
	case n == nil:
		if b != nil && isRequired(rules) {
			b.Fail(name, Missing, "field required")
		}
		return nil
	case n.kind == k:
		return n
	case n.kind != kindNull || isRequired(rules):
		b.Fail(name, typeOf[k], words[typeOf[k]])
	}
	return nil
}
