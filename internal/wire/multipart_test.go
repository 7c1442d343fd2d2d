package wire

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
)

// upload is a form with the given parts, name and value in turn.
func upload(t *testing.T, pairs ...string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = new(bytes.Buffer)
	w := multipart.NewWriter(body)
	for i := 0; i < len(pairs); i += 2 {
		part, err := w.CreateFormFile(pairs[i], "file.xml")
		if err == nil {
			_, err = part.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body, w.FormDataContentType()
}

func TestReadUpload(t *testing.T) {
	many := make([]string, 0, 80)
	for i := range 40 {
		many = append(many, strings.Repeat("n", i+1), "")
	}
	for name, c := range map[string]struct {
		parts []string
		want  string
		kind  BodyKind
		fails bool
	}{
		"a file":          {parts: []string{"csrf", "1", "file", "<x/>"}, want: "<x/>"},
		"a byte order":    {parts: []string{"file", "\xef\xbb\xbf<x/>"}, want: "<x/>"},
		"none chosen":     {parts: []string{"file", ""}, want: ""},
		"given twice":     {parts: []string{"file", "1", "file", "2"}, fails: true, kind: Malformed},
		"no text":         {parts: []string{"file", "\xff\xfe<\x00"}, fails: true, kind: Malformed},
		"no name":         {parts: []string{"", "1"}, fails: true, kind: Malformed},
		"too much":        {parts: []string{"file", strings.Repeat("x", 20_000)}, fails: true, kind: TooLarge},
		"too many parts":  {parts: many, fails: true, kind: Malformed},
		"an unclosed one": {parts: []string{"file", strings.Repeat("x", 1000)}, fails: true, kind: Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			body, contentType := upload(t, c.parts...)
			if name == "an unclosed one" {
				body.Truncate(body.Len() / 2)
			}
			r := httptest.NewRequest("POST", "/", body)
			r.Header.Set("Content-Type", contentType)
			p, err := ReadUpload(httptest.NewRecorder(), r, 20_000)
			if bad, ok := errors.AsType[*BodyError](err); ok != c.fails || ok && bad.Kind != c.kind {
				t.Fatalf("got %v, want kind %d (%v)", err, c.kind, c.fails)
			}
			if got := p.String("file"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A browser that sends no file may send the form as ever.
func TestReadUploadTakesAForm(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("file=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p, err := ReadUpload(httptest.NewRecorder(), r, 100); err != nil || p.String("file") != "x" {
		t.Errorf("got %v, %v", p, err)
	}
}
