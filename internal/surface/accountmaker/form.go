package accountmaker

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/internal/identity"
	"sallyport/internal/wire"
)

// The limits of fields (contract §3).
const (
	minEmail    = 3
	maxEmail    = 254
	maxPassword = 1024
	maxOpaque   = 4096 // a token or an id, with room to be told from one of ours
	maxLanguage = 35   // of a BCP 47 tag that anybody uses (RFC 5646 §4.4.1)
)

// form is what a request carries: a JSON object, or the query of a GET. It notes
// what is wrong with the fields that are read, for one answer about all of them.
type form struct {
	in    string
	body  *wire.Body
	query url.Values
	bad   []invalidParam
}

// readForm reads the JSON body of a request. Empty is no body at all, whatever type
// it is said to have: some routes take that.
func readForm(w http.ResponseWriter, r *http.Request) (*form, error) {
	if r.ContentLength == 0 {
		return &form{in: "body"}, nil
	}
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	return &form{in: "body", body: b}, err
}

// queryForm reads the query of a GET.
func queryForm(r *http.Request) (*form, error) {
	vals, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse("invalid-request")
	}
	return &form{in: "query", query: vals}, nil
}

// raw is the JSON of a field, nil if it is not there or null.
func (f *form) raw(name string) json.RawMessage {
	if f.in == "query" {
		vals := f.query[name]
		if len(vals) == 0 {
			return nil
		}
		b, err := json.Marshal(strings.Join(vals, ","))
		if err != nil {
			return nil
		}
		return b
	}
	if !f.body.Has(name) {
		return nil
	}
	return f.body.Raw(name)
}

// fault notes a problem with a field. A secret is never sent back.
func (f *form) fault(name, kind, expected string, secret bool) {
	received := f.raw(name)
	if received == nil || secret {
		received = null
	}
	f.bad = append(f.bad, invalidParam{In: f.in, Path: name, Type: kind, Received: received, Expected: expected})
}

// field is how a text is to be read.
type field struct {
	required, secret bool
	max              int // in characters
}

// text reads a text; "" if it is not there or wrong.
func (f *form) text(name string, want field) string {
	raw := f.raw(name)
	if raw == nil {
		if want.required {
			f.fault(name, "required", "", want.secret)
		}
		return ""
	}
	var s string
	if f.in == "query" {
		if s = f.query.Get(name); len(f.query[name]) > 1 || !utf8.ValidString(s) {
			f.fault(name, "single", "", want.secret)
			return ""
		}
	} else if json.Unmarshal(raw, &s) != nil {
		f.fault(name, "string", "string", want.secret)
		return ""
	}
	switch n := utf8.RuneCountInString(s); {
	case n == 0 && want.required:
		f.fault(name, "required", "", want.secret)
	case n > want.max:
		f.fault(name, "max_length", "at most "+strconv.Itoa(want.max)+" characters", want.secret)
	default:
		return s
	}
	return ""
}

// email reads an address, normalised.
func (f *form) email(required bool) string {
	s := f.text("email", field{required: required, max: 4 * maxEmail})
	if s == "" {
		return ""
	}
	s = strings.TrimSpace(s)
	normal, err := identity.NormalizeEmail(s)
	if err != nil || len(s) < minEmail || len(s) > maxEmail {
		f.fault("email", "email", "email address", false)
		return ""
	}
	return normal
}

// err is what was wrong with the fields that were read.
func (f *form) err() error {
	if len(f.bad) == 0 {
		return nil
	}
	return refuse("invalid-request", f.bad...)
}
