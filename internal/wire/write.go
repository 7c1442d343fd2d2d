package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// encoder keeps a buffer and the encoder that fills it, so that a response
// costs no allocation for either.
type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.enc = json.NewEncoder(&e.buf)
	e.enc.SetEscapeHTML(false)
	return e
}}

// WriteJSON answers with v as JSON: no HTML escaping, no newline at the end,
// Content-Length set, and Cache-Control: no-store unless the handler set one,
// since nearly every answer of ours is about one person. A v that does not
// encode is a programmer's mistake and panics before anything is sent.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	e := encoders.Get().(*encoder)
	e.buf.Reset()
	if err := e.enc.Encode(v); err != nil {
		panic(fmt.Errorf("wire: encode response: %w", err))
	}
	Write(w, status, "application/json", bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")))
	if e.buf.Cap() <= MaxBody {
		encoders.Put(e)
	}
}

// Write answers with a whole body of the given type, as WriteJSON does.
func Write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"no-store"}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is nobody's error
}

// WriteDocument answers a GET with a public document that is the same for
// everybody until etag changes, and with 304 when the client has it already
// (RFC 9110 §13.1.2). etag comes with its quotes; cacheControl is sent as it is.
func WriteDocument(w http.ResponseWriter, r *http.Request, contentType, cacheControl, etag string, body []byte) {
	h := w.Header()
	h.Set("Etag", etag)
	h.Set("Cache-Control", cacheControl)
	for given := range strings.SplitSeq(strings.Join(r.Header["If-None-Match"], ","), ",") {
		given = strings.TrimPrefix(strings.TrimSpace(given), "W/")
		if given == etag || given == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	Write(w, http.StatusOK, contentType, body)
}
