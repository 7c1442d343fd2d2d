package yaml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type colour string

func (c *colour) UnmarshalText(b []byte) error {
	if s := string(b); s != "red" && s != "blue" {
		return fmt.Errorf("%q is not a colour; use red or blue", s)
	}
	*c = colour(b)
	return nil
}

func (c colour) MarshalText() ([]byte, error) { return []byte(c), nil }

type common struct {
	Note string `yaml:"note,omitempty"`
}

type item struct {
	Name   string   `yaml:"name"`
	URIs   []string `yaml:"redirect_uris,omitempty"`
	Colour colour   `yaml:"colour,omitempty"`
	common `yaml:",inline"`
}

type file struct {
	Listen string            `yaml:"listen"`
	Count  int               `yaml:"count"`
	Small  int8              `yaml:"small"`
	Size   uint16            `yaml:"size"`
	Ratio  float64           `yaml:"ratio"`
	On     bool              `yaml:"on"`
	Wait   time.Duration     `yaml:"wait"`
	Until  time.Time         `yaml:"until"`
	Hosts  map[string]string `yaml:"hosts"`
	Items  []item            `yaml:"items"`
	Maybe  *item             `yaml:"maybe"`
	Free   any               `yaml:"free"`
	Hidden string            `yaml:"-"`
	Plain  string
}

func TestDecodeFillsEveryKind(t *testing.T) {
	got := file{Listen: "default", Count: 7}
	doc, err := Decode("f.yaml", []byte(`
count: 0x10
small: -5
size: 65535
ratio: 1
on: true
wait: 1h30m
until: 2026-01-31
hosts: {auth.example.com: accountmaker}
items:
  - &first
    name: one
    redirect_uris: [http://a/, http://b/]
    colour: red
    note: inlined
  - *first
maybe: {name: "12"}
free: {a: [1, 2.5, text, true, null], b: {c: 2026-01-01}}
plain: off
listen:
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	one := item{Name: "one", URIs: []string{"http://a/", "http://b/"}, Colour: "red", common: common{Note: "inlined"}}
	want := file{
		Listen: "default", Count: 16, Small: -5, Size: 65535, Ratio: 1, On: true, Wait: 90 * time.Minute,
		Until: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
		Hosts: map[string]string{"auth.example.com": "accountmaker"},
		Items: []item{one, one}, Maybe: &item{Name: "12"},
		Free: map[string]any{
			"a": []any{int64(1), 2.5, "text", true, nil},
			"b": map[string]any{"c": "2026-01-01"},
		},
		Plain: "off",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for path, line := range map[string]int{
		"": 2, "count": 2, `hosts["auth.example.com"]`: 9, "items": 10, "items[0].redirect_uris[1]": 13,
		"items[0].absent": 11, "items[1]": 16, "absent": 2, "free.b.c": 18, `hosts["other.example"].deeper[3]`: 9,
	} {
		if got := doc.Line(path); got != line {
			t.Errorf("Line(%q): got %d, want %d", path, got, line)
		}
	}
	if !doc.Has("listen") || doc.Has("absent") {
		t.Errorf("Has: got listen %v, absent %v; want true, false", doc.Has("listen"), doc.Has("absent"))
	}
}

func TestDecodeReportsEveryMistakeByLine(t *testing.T) {
	var got file
	doc, err := Decode("f.yaml", []byte(`lissen: x
count: many
small: 1000
size: -1
ratio: [1]
on: yes
wait: soon
until: tomorrow
hosts: [a]
items:
  - name: 12
    redirect_url: x
    colour: green
  - plain
maybe: {name: [x]}
listen: a
listen: b
hidden: x
? [complex]
: x
1: {a: 1}
`), &got)
	if all, ok := errors.AsType[*Mistakes](err); !ok || len(all.List) == 0 {
		t.Fatalf("got %v, want *Mistakes", err)
	}
	doc.Mistake("items[0].redirect_uris", "needs %d entries", 2)
	want := `f.yaml:1: lissen: unknown key; did you mean "listen"?
f.yaml:2: count: must be a whole number, not text
f.yaml:3: small: the number 1000 is out of range
f.yaml:4: size: the number -1 is out of range
f.yaml:5: ratio: must be a number, not a list
f.yaml:6: on: must be true or false, not text
f.yaml:7: wait: must be a duration like 90s, 15m or 720h
f.yaml:8: until: must be a date like 2026-01-31 or an instant like 2026-01-31T12:00:00Z
f.yaml:9: hosts: must be a mapping of keys to values, not a list
f.yaml:11: items[0].name: must be text; put 12 in quotes
f.yaml:11: items[0].redirect_uris: needs 2 entries
f.yaml:12: items[0].redirect_url: unknown key; did you mean "redirect_uris"?
f.yaml:13: items[0].colour: "green" is not a colour; use red or blue
f.yaml:14: items[1]: must be a mapping of keys to values, not text
f.yaml:15: maybe.name: must be text, not a list
f.yaml:17: listen: is here a second time; the first is on line 16
f.yaml:18: hidden: unknown key
f.yaml:19: a key must be plain text
f.yaml:21: 1: unknown key`
	if got := doc.Err().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got.Listen != "a" || got.Items[0].Colour != "" {
		t.Errorf("what could be read is kept: got listen %q, colour %q", got.Listen, got.Items[0].Colour)
	}
}

func TestDecodeRefusesWholeDocuments(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"not YAML":     {"a: b\nc: [1\n", "not valid YAML"},
		"two":          {"listen: a\n---\nlisten: b\n", "f.yaml:2: a file holds one document"},
		"a list":       {"- a\n", "f.yaml:1: must be a mapping of keys to values, not a list"},
		"text":         {"hello\n", "f.yaml:1: must be a mapping of keys to values, not text"},
		"merge key":    {"maybe: &a {name: x}\nitems:\n  - <<: *a\n", "f.yaml:3: items[0]: a key must be plain text"},
		"custom tag":   {"listen: !secret x\n", "f.yaml:1: listen: must be text"},
		"wrong tag":    {"on: !!bool maybe\n", "must be true or false"},
		"not UTF-8":    {"listen: \xff\n", "not valid YAML"},
		"deep":         {"free: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", "nested deeper than 100 levels"},
		"self-nesting": {"free: &a [*a, *a]\n", "the alias *a stands for a value that holds it"},
		"billion laughs": {"free:\n  a0: &a0 x\n" + func() (s string) {
			for i := range 12 {
				s += fmt.Sprintf("  a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
			}
			return s
		}(), "aliases stand for more than 10000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode("f.yaml", []byte(c.in), &file{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestDecodeOfNothingKeepsDefaults(t *testing.T) {
	for _, in := range []string{"", "\n", "# only a comment\n", "---\n", "null\n"} {
		got := file{Listen: "default"}
		doc, err := Decode("f.yaml", []byte(in), &got)
		if err != nil || got.Listen != "default" {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
		doc.Mistake("listen", "is missing")
		if err := doc.Err(); err == nil || !strings.Contains(err.Error(), "listen: is missing") {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

func TestEncodeIsStableAndReadsBack(t *testing.T) {
	in := map[string][]item{
		"z": {{Name: "off", URIs: []string{"http://a/"}}},
		"a": {{Name: "12", Colour: "blue", common: common{Note: "two\nlines"}}},
	}
	want := `a:
  - name: "12"
    colour: blue
    note: |-
      two
      lines
z:
  - name: "off"
    redirect_uris:
      - http://a/
`
	data, err := Encode(in)
	if err != nil || string(data) != want {
		t.Fatalf("got:\n%s%v\nwant:\n%s", data, err, want)
	}
	var back map[string][]item
	if _, err := Decode("f.yaml", data, &back); err != nil || !reflect.DeepEqual(back, in) {
		t.Errorf("got %+v, %v; want %+v", back, err, in)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"a: b", "items: [{name: x}]", "free: &a [*a]", "on: !!bool x", "? [a]\n: b", "hosts: {\"a]\": b}", "until: 2026-01-01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v file
		doc, err := Decode("f.yaml", data, &v)
		if err != nil {
			all, ok := errors.AsType[*Mistakes](err)
			if !ok || len(all.List) == 0 {
				t.Fatalf("got %v, want *Mistakes", err)
			}
			for _, m := range all.List {
				doc.Line(m.Path)
			}
		}
	})
}

func TestParentCutsOneStep(t *testing.T) {
	for path, want := range map[string]string{
		"a": "", "a.b": "a", "a[3]": "a", Key("a", "b.c"): "a", Key("", "b.c"): "", Key("a", `x["y"]`): "a", Index(Key("a", `["`), 2): Key("a", `["`),
	} {
		if got := parent(path); got != want {
			t.Errorf("parent(%s): got %q, want %q", path, got, want)
		}
	}
}
