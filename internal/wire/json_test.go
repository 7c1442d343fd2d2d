package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseRefusesWhatTwoReadersCouldReadDifferently(t *testing.T) {
	for text, want := range map[string]error{
		`{"a":1,"a":2}`:                 errDuplicate,
		`{"a":1,"\u0061":2}`:            errDuplicate,
		`{"o":{"a":1,"b":2,"a":3}}`:     errDuplicate,
		"{\"a\":\"\xff\"}":              errUTF8,
		"{\"a\":\"\xed\xa0\x80\"}":      errUTF8, // a surrogate in UTF-8
		`{"a":"x\u0000y"}`:              errNUL,
		`{"\u0000":1}`:                  errNUL,
		"{\"a\":\"\x00\"}":              errSyntax,
		`{"a":"\ud800"}`:                errSurrogate,
		`{"a":"\ud800\ud800"}`:          errSurrogate,
		`{"a":"\ud800x"}`:               errSurrogate,
		`{"a":"\udc00"}`:                errSurrogate,
		strings.Repeat("[", maxDepth+1): errDepth,
		strings.Repeat(`{"a":`, 1000):   errDepth,
		"":                              errSyntax,
		" ":                             errSyntax,
		"{":                             errSyntax,
		`{"a"}`:                         errSyntax,
		`{"a":}`:                        errSyntax,
		`{"a":1,}`:                      errSyntax,
		`{a:1}`:                         errSyntax,
		`{'a':1}`:                       errSyntax,
		`[1,]`:                          errSyntax,
		`[1 2]`:                         errSyntax,
		`{} {}`:                         errSyntax,
		`{}x`:                           errSyntax,
		"\ufeff{}":                      errSyntax, // RFC 8259 §8.1: no byte order mark
		`"`:                             errSyntax,
		`"\`:                            errSyntax,
		`"\x"`:                          errSyntax,
		`"\u12"`:                        errSyntax,
		`"\u12g4"`:                      errSyntax,
		`"\u+123"`:                      errSyntax,
		"\"a\nb\"":                      errSyntax,
		"\"\\n\nb\"":                    errSyntax,
		`01`:                            errSyntax,
		`-`:                             errSyntax,
		`+1`:                            errSyntax,
		`1.`:                            errSyntax,
		`.5`:                            errSyntax,
		`1e`:                            errSyntax,
		`0x1`:                           errSyntax,
		`NaN`:                           errSyntax,
		`nul`:                           errSyntax,
		`True`:                          errSyntax,
		`// no comments`:                errSyntax,
	} {
		if _, err := parse(text); !errors.Is(err, want) {
			t.Errorf("parse(%.40q): got %v, want %v", text, err, want)
		}
	}
}

func TestParseSeesADuplicateAmongMany(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1,`)
	}
	if _, err := parse("{" + b.String() + `"last":1}`); err != nil {
		t.Errorf("100 names: %v", err)
	}
	for _, again := range []string{"k", "kxxxxxxxxxxxxxxxx", "k" + strings.Repeat("x", 99)} {
		if _, err := parse("{" + b.String() + `"` + again + `":1}`); !errors.Is(err, errDuplicate) {
			t.Errorf("%.20s twice: got %v, want %v", again, err, errDuplicate)
		}
	}
}

func TestParseDepthIsExact(t *testing.T) {
	ok := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	if _, err := parse(ok); err != nil {
		t.Errorf("depth %d: %v", maxDepth, err)
	}
}

// FuzzParse holds our parser against encoding/json: what we take, it takes and
// reads the same; what only it takes breaks one of our stricter rules.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"email":"jane@example.com","n":-1.5e+3,"ok":true,"no":null,"l":[1,"a",{}]}`,
		`{"a":"\u00e9\ud83d\ude00\n\"\\\/"}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"a":"\u0000"}`, `[[[[`, ` [ 1 , 2 ] `, `"\ud800"`, `-0`, `1e999`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parse(s)
		if err != nil {
			strict := errors.Is(err, errUTF8) || errors.Is(err, errNUL) || errors.Is(err, errSurrogate) ||
				errors.Is(err, errDuplicate) || errors.Is(err, errDepth)
			if json.Valid([]byte(s)) && !strict {
				t.Fatalf("%q is JSON, got %v", s, err)
			}
			return
		}
		dec := json.NewDecoder(strings.NewReader(s))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q is not JSON: %v", s, err)
		}
		if got := plain(t, n); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %#v, want %#v", s, got, want)
		}
	})
}

// plain turns a node into what encoding/json makes, and checks what holds for
// every node.
func plain(t *testing.T, n node) any {
	if !json.Valid([]byte(n.raw)) {
		t.Fatalf("raw text %q is not JSON", n.raw)
	}
	switch n.kind {
	case kindBool:
		return n.text == "true"
	case kindNumber:
		return json.Number(n.text)
	case kindString:
		if !utf8.ValidString(n.text) || strings.IndexByte(n.text, 0) >= 0 {
			t.Fatalf("string %q got through", n.text)
		}
		return n.text
	case kindList:
		l := make([]any, len(n.items))
		for i, e := range n.items {
			l[i] = plain(t, e)
		}
		return l
	case kindObject:
		m := map[string]any{}
		for i, e := range n.items {
			m[n.names[i]] = plain(t, e)
		}
		if len(m) != len(n.items) {
			t.Fatalf("%d names for %d members", len(m), len(n.items))
		}
		return m
	}
	return nil
}
