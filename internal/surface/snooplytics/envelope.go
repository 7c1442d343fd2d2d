package snooplytics

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"sallyport/internal/wire"
)

// success is what every good answer is wrapped in (contract §1.2).
type success struct {
	Success bool   `json:"success"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data"`
	Meta    any    `json:"meta,omitempty"`
}

// failure is what every refusal is.
type failure struct {
	Success bool   `json:"success"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Meta    any    `json:"meta,omitempty"`
}

const completed = "Operation completed successfully"

// done answers 200 with data.
func done(w http.ResponseWriter, data any) error { return doneAs(w, http.StatusOK, completed, data) }

// doneAs is done with another status or other words.
func doneAs(w http.ResponseWriter, status int, message string, data any) error {
	return write(w, status, success{true, status, "OK", message, data, nil})
}

// page is which part of a list is asked for.
type page struct{ offset, limit int }

type pageMeta struct {
	Total   int  `json:"total"`
	Offset  int  `json:"offset"`
	Limit   int  `json:"limit"`
	HasMore bool `json:"hasMore"`
}

// list answers 200 with one page of a list; items is a slice, not nil.
func list(w http.ResponseWriter, items any, total int, p page) error {
	return write(w, http.StatusOK, success{true, http.StatusOK, "OK", completed, items, pageMeta{total, p.offset, p.limit, p.offset+p.limit < total}})
}

func write(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	wire.Write(w, status, "application/json; charset=UTF-8", bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	return nil
}

// moved answers a browser's navigation: it goes on to another address.
func moved(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
	return nil
}

// stamp is an instant as the wire has it: UTC with milliseconds.
type stamp time.Time

// MarshalJSON writes the instant, null for none.
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}
