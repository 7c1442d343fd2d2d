package snooplytics

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/wire"
)

// The limits of fields.
const (
	required    = wire.Required
	maxEmail    = 1024 // what is no address is refused as such
	maxPassword = 1024 // beyond the policy's greatest, so that it is the policy that refuses
	maxOpaque   = 4096
	maxURL      = 2048
	maxName     = 100
)

// input is what a request carries: a JSON object, or the query of a GET. What is
// wrong with the fields that are read is noted, for one answer about all of them.
type input struct {
	body  *wire.Body
	query *wire.Params
	at    string
	own   []problem
}

// problem is one thing wrong with a request (contract §1.2).
type problem struct {
	Field    string `json:"field"`
	Error    string `json:"error"`
	Location string `json:"location"`
}

type problems struct {
	Errors []problem `json:"errors"`
}

func readBody(w http.ResponseWriter, r *http.Request) (*input, error) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	return &input{body: b, at: "body"}, bodyFault(err)
}

// optionalBody is readBody for a route that wants nothing of it.
func optionalBody(w http.ResponseWriter, r *http.Request) (*input, error) {
	if r.ContentLength == 0 {
		return &input{at: "body"}, nil
	}
	return readBody(w, r)
}

// bodyFault is the refusal of a body that could not be read.
func bodyFault(err error) error {
	bad, ok := errors.AsType[*wire.BodyError](err)
	switch {
	case !ok:
		return err
	case bad.Kind == wire.WrongType:
		return refuse("UNSUPPORTED_MEDIA_TYPE").because(err)
	case bad.Kind == wire.TooLarge:
		return refuse("BAD_REQUEST").because(err).saying("Request body too large")
	}
	return refuse("BAD_REQUEST").because(err).saying("Invalid JSON body")
}

// text reads a text, "" where there is none or it is wrong.
func (in *input) text(name string, rules ...wire.Rule) string {
	if in.query != nil {
		return in.query.String(name, rules...)
	}
	return in.body.String(name, rules...)
}

// email reads an address, normalised; one that is none is VALIDATION_ERROR.
func (in *input) email() string {
	const name = "email"
	s := in.text(name, required, wire.Max(maxEmail))
	if s == "" && in.err() != nil {
		return ""
	}
	normal, err := identity.NormalizeEmail(s)
	if err != nil {
		in.wrong(name, "Invalid email")
	}
	return normal
}

// webAddress reads the address of something on the web.
func (in *input) webAddress(name string) string {
	s := in.text(name, wire.Max(maxURL))
	if s == "" {
		return ""
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		in.wrong(name, "Invalid url")
	}
	return s
}

// flag reads a choice that is instead where nothing is said.
func (in *input) flag(name string, instead bool) bool {
	v, said := in.body.OptBool(name)
	if !said {
		return instead
	}
	return v
}

// page reads which part of a list is asked for (contract §1.2).
func (in *input) page() page {
	p := page{limit: 20}
	if in.query.Has("offset") && in.query.String("offset") != "null" {
		p.offset = in.query.Int("offset", wire.Min(0), wire.Max(1<<31-1))
	}
	if in.query.Has("limit") {
		p.limit = in.query.Int("limit", wire.Min(1), wire.Max(100))
	}
	return p
}

// wrong notes a problem of the handler's own.
func (in *input) wrong(name, words string) {
	in.own = append(in.own, problem{Field: name, Error: words, Location: in.at})
}

// err is what was wrong with the fields that were read.
func (in *input) err() error {
	noted := in.body.Problems()
	if in.query != nil {
		noted = in.query.Problems()
	}
	all := make([]problem, 0, len(noted)+len(in.own))
	for _, p := range noted {
		all = append(all, problem{Field: strings.Join(p.Loc[1:], "."), Error: in.words(p), Location: p.Loc[0]})
	}
	all = append(all, in.own...)
	if len(all) == 0 {
		return nil
	}
	return invalid(all...)
}

// invalid is the refusal of a request with wrong fields.
func invalid(all ...problem) *refusal {
	var names []string
	for _, p := range all {
		names = append(names, p.Field)
	}
	return refuse("VALIDATION_ERROR").saying("Validation failed for fields: " + strings.Join(names, ", ")).with(problems{all})
}

// badField is invalid for one field of the body.
func badField(name, words string) *refusal {
	return invalid(problem{Field: name, Error: words, Location: "body"})
}

// words say what is wrong with a field.
func (in *input) words(p wire.Problem) string {
	want := map[string]string{
		wire.NotString: "string", wire.NotInt: "number", wire.NotBool: "boolean", wire.NotList: "array", wire.NotObject: "object",
	}[p.Kind]
	switch {
	case p.Kind == wire.Missing:
		return "Required"
	case want != "":
		return "Expected " + want + ", received " + in.kind(p.Loc)
	}
	return strings.ToUpper(p.Msg[:1]) + p.Msg[1:]
}

// kind names the type of the value at a place of the body.
func (in *input) kind(loc []string) string {
	if in.query != nil {
		return "string"
	}
	raw := in.body.Raw(loc[1])
	for _, step := range loc[2:] {
		var members map[string]json.RawMessage
		var items []json.RawMessage
		if json.Unmarshal(raw, &members) == nil {
			raw = members[step]
		} else if json.Unmarshal(raw, &items) == nil {
			raw = nth(items, step)
		}
	}
	if len(raw) == 0 {
		return "undefined"
	}
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func nth(items []json.RawMessage, index string) json.RawMessage {
	for i, raw := range items {
		if index == decimal(i) {
			return raw
		}
	}
	return nil
}

func decimal(n int) string { return strconv.Itoa(n) }
