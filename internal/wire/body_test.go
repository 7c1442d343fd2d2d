package wire_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/wire"
)

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func read(t *testing.T, body string) *wire.Body {
	t.Helper()
	b, err := wire.ReadBody(httptest.NewRecorder(), post("application/json", body), wire.MaxBody)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func problems(t *testing.T, ps wire.Problems) string {
	t.Helper()
	out, err := json.Marshal(ps)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestReadBodyRefusesByKind(t *testing.T) {
	gzip := post("application/json", "{}")
	gzip.Header.Set("Content-Encoding", "gzip")
	twice := post("application/json", "{}")
	twice.Header.Add("Content-Type", "application/json")
	broken := post("application/json", "")
	broken.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":`), failing{}))
	for name, c := range map[string]struct {
		r    *http.Request
		want wire.BodyKind
	}{
		"no type":       {post("", "{}"), wire.WrongType},
		"text":          {post("text/plain", "{}"), wire.WrongType},
		"form":          {post("application/x-www-form-urlencoded", "{}"), wire.WrongType},
		"other charset": {post("application/json; charset=latin1", "{}"), wire.WrongType},
		"suffix":        {post("application/scim+json", "{}"), wire.WrongType},
		"list of types": {post("application/json, text/plain", "{}"), wire.WrongType},
		"compressed":    {gzip, wire.WrongType},
		"two types":     {twice, wire.WrongType},
		"empty":         {post("application/json", ""), wire.Malformed},
		"list":          {post("application/json", "[]"), wire.Malformed},
		"string":        {post("application/json", `"a"`), wire.Malformed},
		"null":          {post("application/json", "null"), wire.Malformed},
		"duplicate":     {post("application/json", `{"a":1,"a":1}`), wire.Malformed},
		"NUL":           {post("application/json", `{"a":"\u0000"}`), wire.Malformed},
		"not UTF-8":     {post("application/json", "{\"a\":\"\xc3\"}"), wire.Malformed},
		"deep":          {post("application/json", strings.Repeat(`{"a":`, 9000)), wire.Malformed},
		"broken off":    {broken, wire.Malformed},
		"one byte over": {post("application/json", `{"a":"`+strings.Repeat("x", wire.MaxBody-7)+`"}`), wire.TooLarge},
		"much over":     {post("application/json", strings.Repeat(" ", 10*wire.MaxBody)), wire.TooLarge},
	} {
		_, err := wire.ReadBody(httptest.NewRecorder(), c.r, wire.MaxBody)
		e, ok := errors.AsType[*wire.BodyError](err)
		if !ok || e.Kind != c.want {
			t.Errorf("%s: got %v, want kind %d", name, err, c.want)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestReadJSONTakesItsTypes(t *testing.T) {
	types := []string{"application/scim+json", "application/json"}
	for name, c := range map[string]struct {
		r    *http.Request
		want string // the text, or how it is refused
	}{
		"the first type":  {post("application/scim+json; charset=utf-8", ` {"a":[1,2]} `), `{"a":[1,2]}`},
		"the second":      {post("application/json", `{}`), `{}`},
		"another":         {post("text/plain", `{}`), "1"},
		"none":            {post("", `{}`), "1"},
		"another charset": {post("application/scim+json; charset=latin1", `{}`), "1"},
		"too large":       {post("application/json", `{"a":"`+strings.Repeat("x", 64)+`"}`), "2"},
		"too many values": {post("application/json", `{"a":[1,2,3,4,5]}`), "0"},
		"a list":          {post("application/json", `[]`), "0"},
		"a name twice":    {post("application/json", `{"a":1,"a":2}`), "0"},
	} {
		got, err := wire.ReadJSON(httptest.NewRecorder(), c.r, 60, 5, types...)
		text := string(got)
		if bad, ok := errors.AsType[*wire.BodyError](err); ok {
			text = strconv.Itoa(int(bad.Kind))
		}
		if text != c.want {
			t.Errorf("%s: got %s, want %s", name, text, c.want)
		}
	}
}

func TestReadBodyTakes(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"plain":         post("application/json", "{}"),
		"charset":       post("Application/JSON; charset=UTF-8", "{}"),
		"white space":   post("application/json", "\r\n\t {} \n"),
		"limit reached": post("application/json", `{"a":"`+strings.Repeat("x", wire.MaxBody-8)+`"}`),
	} {
		if _, err := wire.ReadBody(httptest.NewRecorder(), r, wire.MaxBody); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBodyReadsValuesAsTheyWereSent(t *testing.T) {
	b := read(t, `{"s":" Jane\t\u00e9\ud83d\ude00 ","n":-12,"big":9007199254740993,"t":true,"f":false,"z":null,
		"l":["a","b"],"e":[],"o":{"x":"y"},"os":[{"i":1},{"i":2}],"r":{"k": [1, 2]}}`)
	if got, want := b.String("s"), " Jane\té😀 "; got != want {
		t.Errorf("string: got %q, want %q", got, want)
	}
	if got := b.Int("n"); got != -12 {
		t.Errorf("int: got %d, want -12", got)
	}
	if got := b.Int("big"); got != 9007199254740993 {
		t.Errorf("int above 2^53: got %d, want it exact", got)
	}
	if v, ok := b.OptBool("t"); !v || !ok {
		t.Errorf("true: got %v, %v", v, ok)
	}
	if v, ok := b.OptBool("f"); v || !ok {
		t.Errorf("false: got %v, %v", v, ok)
	}
	if b.Has("z") || !b.Null("z") || b.Null("s") || b.Has("gone") || b.Null("gone") {
		t.Error("null, absent and present are mixed up")
	}
	if got := strings.Join(b.Strings("l"), ","); got != "a,b" {
		t.Errorf("list: got %q, want a,b", got)
	}
	if b.Strings("e") == nil || b.Strings("gone") != nil || b.Strings("z") != nil {
		t.Error("an empty list is not nil, an absent one is")
	}
	if got := b.Object("o").String("x"); got != "y" {
		t.Errorf("object: got %q, want y", got)
	}
	if os := b.Objects("os"); len(os) != 2 || os[1].Int("i") != 2 {
		t.Errorf("objects: got %d", len(os))
	}
	if got := string(b.Raw("r")); got != `{"k": [1, 2]}` {
		t.Errorf("raw: got %s", got)
	}
	if got := strings.Join(b.Names(), " "); got != "s n big t f z l e o os r" {
		t.Errorf("names: got %s", got)
	}
	if _, ok := b.OptString("z"); ok || b.Object("gone").String("x") != "" || b.Object("gone").Has("x") {
		t.Error("something came of nothing")
	}
	if err := b.Err(); err != nil {
		t.Error(err)
	}
}

func TestBodyCollectsProblems(t *testing.T) {
	b := read(t, `{"email":5,"password":null,"n":1.0,"e":1e3,"huge":9223372036854775808,"ok":"true","l":["a",1],"l2":"a",
		"o":{"in":[]},"os":[{"x":1},2],"short":"é","long":"éé","low":1,"high":9,"few":[],"many":["a","b"]}`)
	b.String("email", wire.Required)
	b.String("password", wire.Required)
	b.String("app_id", wire.Required)
	b.Int("n")
	b.Int("e")
	b.Int("huge")
	b.Bool("ok")
	b.Strings("l")
	b.Strings("l2")
	b.Object("o").String("in")
	b.Object("o").String("gone", wire.Required)
	b.Object("l")
	b.Objects("os")
	b.String("short", wire.Min(2))
	b.String("long", wire.Max(1))
	b.Int("low", wire.Min(2))
	b.Int("high", wire.Max(8))
	b.Strings("few", wire.Min(1))
	b.Strings("many", wire.Max(1))
	b.Fail("email", wire.Invalid, "not an address")
	got := problems(t, b.Problems())
	want := `[{"loc":["body","email"],"msg":"must be a string","type":"string_type"},` +
		`{"loc":["body","password"],"msg":"must be a string","type":"string_type"},` +
		`{"loc":["body","app_id"],"msg":"field required","type":"missing"},` +
		`{"loc":["body","n"],"msg":"must be an integer","type":"int_type"},` +
		`{"loc":["body","e"],"msg":"must be an integer","type":"int_type"},` +
		`{"loc":["body","huge"],"msg":"must be an integer","type":"int_type"},` +
		`{"loc":["body","ok"],"msg":"must be true or false","type":"bool_type"},` +
		`{"loc":["body","l","1"],"msg":"must be a string","type":"string_type"},` +
		`{"loc":["body","l2"],"msg":"must be a list","type":"list_type"},` +
		`{"loc":["body","o","in"],"msg":"must be a string","type":"string_type"},` +
		`{"loc":["body","o","gone"],"msg":"field required","type":"missing"},` +
		`{"loc":["body","l"],"msg":"must be an object","type":"dict_type"},` +
		`{"loc":["body","os","1"],"msg":"must be an object","type":"dict_type"},` +
		`{"loc":["body","short"],"msg":"must have at least 2 characters","type":"string_too_short"},` +
		`{"loc":["body","long"],"msg":"must have at most 1 character","type":"string_too_long"},` +
		`{"loc":["body","low"],"msg":"must be at least 2","type":"greater_than_equal"},` +
		`{"loc":["body","high"],"msg":"must be at most 8","type":"less_than_equal"},` +
		`{"loc":["body","few"],"msg":"must have at least 1 element","type":"string_too_short"},` +
		`{"loc":["body","many"],"msg":"must have at most 1 element","type":"string_too_long"},` +
		`{"loc":["body","email"],"msg":"not an address","type":"value_error"}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if ps, ok := errors.AsType[wire.Problems](b.Err()); !ok || len(ps) != 20 {
		t.Errorf("Err: got %v", b.Err())
	}
}

func TestReadForm(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	p, err := wire.ReadForm(httptest.NewRecorder(), post(form, "grant_type=client_credentials&scope=a+b%2Bc&empty="), wire.MaxBody)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.String("scope"); got != "a b+c" {
		t.Errorf("scope: got %q", got)
	}
	if p.String("gone", wire.Required) != "" || !p.Has("empty") || p.Has("gone") {
		t.Error("absent and empty are mixed up")
	}
	if got, want := problems(t, p.Problems()), `[{"loc":["body","gone"],"msg":"field required","type":"missing"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, c := range map[string]struct {
		r    *http.Request
		want wire.BodyKind
	}{
		"JSON":      {post("application/json", "a=1"), wire.WrongType},
		"twice":     {post(form, "a=1&a=1"), wire.Malformed},
		"escape":    {post(form, "a=%zz"), wire.Malformed},
		"semicolon": {post(form, "a=1;b=2"), wire.Malformed},
		"NUL":       {post(form, "a=%00"), wire.Malformed},
		"NUL name":  {post(form, "%00=a"), wire.Malformed},
		"not UTF-8": {post(form, "a=%ff"), wire.Malformed},
		"large":     {post(form, "a="+strings.Repeat("x", wire.MaxBody)), wire.TooLarge},
	} {
		_, err := wire.ReadForm(httptest.NewRecorder(), c.r, wire.MaxBody)
		if e, ok := errors.AsType[*wire.BodyError](err); !ok || e.Kind != c.want {
			t.Errorf("%s: got %v, want kind %d", name, err, c.want)
		}
	}
}

func TestQueryRefusesOnlyWhatIsAskedFor(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/?utm=1&utm=2&page=2&limit=x&neg=-1&token=a&token=b&bad=%ff&email=j%40x", nil)
	q := wire.Query(r)
	if q.Int("page", wire.Min(1)) != 2 || q.String("email") != "j@x" || q.String("gone") != "" || q.Int("gone") != 0 {
		t.Error("a right value was not read")
	}
	if err := q.Err(); err != nil {
		t.Errorf("before anything wrong was asked for: %v", err)
	}
	if q.String("token") != "" || q.String("bad") != "" || q.Int("limit") != 0 || q.Int("neg", wire.Min(1)) != 0 {
		t.Error("a wrong value was read")
	}
	want := `[{"loc":["query","token"],"msg":"given more than once","type":"duplicate"},` +
		`{"loc":["query","bad"],"msg":"not UTF-8 or holds NUL","type":"encoding"},` +
		`{"loc":["query","limit"],"msg":"must be an integer","type":"int_type"},` +
		`{"loc":["query","neg"],"msg":"must be at least 1","type":"greater_than_equal"}]`
	if got := problems(t, q.Problems()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzReadForm asks that whatever is taken can be stored and read in one way only.
func FuzzReadForm(f *testing.F) {
	f.Add("grant_type=client_credentials&client_id=a&scope=b+c")
	f.Add("a=1&a=2")
	f.Add("a=%ff&%00=1;b")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := wire.ReadForm(httptest.NewRecorder(), post("application/x-www-form-urlencoded", text), 1<<10)
		if err != nil {
			if _, ok := errors.AsType[*wire.BodyError](err); !ok {
				t.Fatalf("got %T", err)
			}
			return
		}
		for pair := range strings.SplitSeq(text, "&") {
			name, _, _ := strings.Cut(pair, "=")
			if strings.ContainsAny(p.String(name), "\x00") || p.Err() != nil {
				t.Fatalf("%q: %v", text, p.Err())
			}
		}
	})
}
