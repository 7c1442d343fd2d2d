package wire_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/wire"
)

func TestWriteJSONIsExact(t *testing.T) {
	w := httptest.NewRecorder()
	wire.WriteJSON(w, 201, map[string]string{"redirect": "https://a.test/?x=1&y=<2>"})
	if got, want := w.Body.String(), `{"redirect":"https://a.test/?x=1&y=<2>"}`; got != want || w.Code != 201 {
		t.Errorf("got %d %s, want 201 %s", w.Code, got, want)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Content-Length": "40", "Cache-Control": "no-store"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestWriteJSONKeepsTheHandlersCacheControl(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "public, max-age=60")
	wire.WriteJSON(w, 200, 1)
	if got := w.Header().Get("Cache-Control"); got != "public, max-age=60" {
		t.Errorf("got %q", got)
	}
}

func TestWriteJSONPanicsBeforeItSends(t *testing.T) {
	w := httptest.NewRecorder()
	defer func() {
		if recover() == nil || w.Body.Len() > 0 {
			t.Errorf("want a panic and no body, got %q", w.Body)
		}
	}()
	wire.WriteJSON(w, 200, func() {})
}

func TestWriteJSONPoolDoesNotMixAnswers(t *testing.T) {
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for i := range 300 {
				want := strings.Repeat("x", i)
				w := httptest.NewRecorder()
				wire.WriteJSON(w, 200, want)
				if got := w.Body.String(); got != `"`+want+`"` {
					t.Fatalf("got %s, want %s", got, want)
				}
			}
		})
	}
}

func TestWriteDocumentKnowsWhatTheClientHas(t *testing.T) {
	for given, want := range map[string]int{"": 200, `"b"`: 200, `"a"`: 304, `W/"a"`: 304, `"x", "a"`: 304, "*": 304} {
		r := httptest.NewRequest("GET", "/", nil)
		if given != "" {
			r.Header.Set("If-None-Match", given)
		}
		w := httptest.NewRecorder()
		wire.WriteDocument(w, r, "application/json", "public, max-age=3600", `"a"`, []byte("{}"))
		if w.Code != want || w.Header().Get("Etag") != `"a"` || w.Header().Get("Cache-Control") != "public, max-age=3600" {
			t.Errorf("If-None-Match %s: got %d %v, want %d", given, w.Code, w.Header(), want)
		}
		if w.Code == http.StatusNotModified && w.Body.Len() > 0 {
			t.Error("304 with a body")
		}
	}
}

func BenchmarkWriteJSON(b *testing.B) {
	v := struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Expires int    `json:"expires_in"`
	}{strings.Repeat("a", 600), strings.Repeat("b", 64), 900}
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		w.Body.Reset()
		wire.WriteJSON(w, 200, &v)
	}
}

func BenchmarkReadBody(b *testing.B) {
	const body = `{"refresh_token":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","app_id":"7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11"}`
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		in, err := wire.ReadBody(w, post("application/json", body), wire.MaxBody)
		if err != nil || in.String("refresh_token", wire.Required) == "" {
			b.Fatal(err)
		}
	}
}
