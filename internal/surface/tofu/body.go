package tofu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/wire"
)

// The media types that a body may have (contract §2.3).
var parses = []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}

// maxMediaType is how much of a Content-Type DRF looks at.
const maxMediaType = 256

// maxFields is how many fields Django takes in a form.
const maxFields = 1000

// readData reads the body of a request, whatever it holds. One that is empty, of
// any type, holds no fields.
func readData(w http.ResponseWriter, r *http.Request) (value, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return value{}, refuse(http.StatusRequestEntityTooLarge, "Request body is too large.", "")
	}
	if err != nil { // cut off, or not what HTTP has: the client's mistake, and nothing for our log
		return value{}, refuse(http.StatusBadRequest, "Malformed request.", "")
	}
	if len(body) == 0 {
		return value{kind: dict}, nil
	}
	given := strings.Join(r.Header["Content-Type"], ",")
	full, params := mediaType(given)
	parser := ""
	for _, p := range parses {
		if len(given) <= maxMediaType && matches(p, full) {
			parser = p
			break
		}
	}
	switch parser {
	case "application/json":
		return readJSON(body, params["charset"])
	case "application/x-www-form-urlencoded":
		return readForm(body)
	case "multipart/form-data":
		return readMultipart(body, given)
	}
	return value{}, refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type \"%s\" in request.", string(latin1([]byte(given)))), "")
}

// mediaType reads a media type with its parameters, in small letters but for the
// values, as Django does: what is no media type is one that matches nothing.
func mediaType(s string) (full string, params map[string]string) {
	full, rest, _ := strings.Cut(s, ";")
	params = map[string]string{}
	for one := range strings.SplitSeq(rest, ";") {
		name, value, ok := strings.Cut(one, "=")
		if ok {
			params[strings.ToLower(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return strings.ToLower(strings.TrimSpace(full)), params
}

// matches reports whether a media range covers a media type of ours.
func matches(ours, given string) bool {
	a, b, _ := strings.Cut(ours, "/")
	x, y, _ := strings.Cut(given, "/")
	return (x == a || x == "*") && (y == b || y == "*")
}

func readJSON(body []byte, charset string) (value, error) {
	doc, err := decode(body, charset)
	var v value
	if err == nil {
		v, err = parseJSON(doc)
	}
	if err != nil {
		return value{}, refuse(http.StatusBadRequest, "JSON parse error - "+err.Error(), "")
	}
	return v, nil
}

// readForm reads a form; of a field that comes twice the last counts.
func readForm(body []byte) (value, error) {
	v := value{kind: dict, members: map[string]value{}}
	if bytes.Count(body, []byte("&")) >= maxFields {
		return v, refuse(http.StatusBadRequest, "The number of fields is too large.", "")
	}
	for pair := range strings.SplitSeq(string(body), "&") {
		if pair != "" {
			name, val, _ := strings.Cut(pair, "=")
			v.members[unquote(name)] = value{kind: text, text: unquote(val)}
		}
	}
	return v, nil
}

// unquote decodes a part of a form; what is not rightly escaped stays as it is.
func unquote(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				out.WriteString(c)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return replaced(out.String())
}

// readMultipart reads a form in parts. A file is a field that is no text.
func readMultipart(body []byte, contentType string) (value, error) {
	_, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || boundary == "" || len(boundary) > 70 {
		shown := boundary
		if shown == "" {
			shown = "None"
		}
		return value{}, refuse(http.StatusBadRequest, "Multipart form parse error - Invalid boundary in multipart: "+shown, "")
	}
	v := value{kind: dict, members: map[string]value{}}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	files := map[string]value{}
	for range maxFields {
		part, err := parts.NextRawPart()
		if err != nil {
			break // Django takes what it could read
		}
		content, err := io.ReadAll(part)
		if err != nil {
			break
		}
		_, disposition, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		switch name := disposition["name"]; {
		case name == "":
		case disposition["filename"] != "":
			files[name] = value{kind: list}
		default:
			v.members[name] = value{kind: text, text: replaced(string(content))}
		}
	}
	maps.Copy(v.members, files)
	return v, nil
}

// fields reads the members of a body by name, all of them texts that must be
// there (contract §2.4), and notes what is wrong with them. optional ones may be
// left out, and are not in the contract.
type fields struct {
	members map[string]value
	wrong   problems
}

// problem is what is wrong with one field.
type problem struct {
	field string
	words []string
}

// problems are written as an object in the order of the fields.
type problems []problem

func (p problems) Error() string {
	names := make([]string, len(p))
	for i, one := range p {
		names[i] = one.field
	}
	return "invalid fields: " + strings.Join(names, ", ")
}

// nonField is where DRF puts what is wrong with the whole.
const nonField = "non_field_errors"

// readFields reads a body that is an object.
func readFields(w http.ResponseWriter, r *http.Request) (*fields, error) {
	v, err := readData(w, r)
	switch {
	case err != nil:
		return nil, err
	case v.kind == none:
		return nil, problems{{nonField, []string{"No data provided"}}}
	case v.kind != dict:
		return nil, problems{{nonField, []string{fmt.Sprintf("Invalid data. Expected a dictionary, but got %s.", v.kind)}}}
	}
	return &fields{members: v.members}, nil
}

// text reads a field that must be there, trimmed.
func (f *fields) text(name string) string {
	v, words := f.members[name], []string(nil)
	trimmed := strip(v.text)
	switch {
	case v.kind == nobody:
		words = []string{"This field is required."}
	case v.kind == none:
		words = []string{"This field may not be null."}
	case v.kind == text && trimmed == "":
		words = []string{"This field may not be blank."}
	case v.kind != text && v.kind != whole && v.kind != float:
		words = []string{"Not a valid string."}
	default:
		if strings.ContainsRune(trimmed, 0) {
			words = append(words, "Null characters are not allowed.")
		}
		if r, ok := surrogate(trimmed); ok {
			words = append(words, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", r))
		}
	}
	if words != nil {
		f.wrong = append(f.wrong, problem{name, words})
		return ""
	}
	return trimmed
}

// optional is text of a field that may be left out or null.
func (f *fields) optional(name string) string {
	if k := f.members[name].kind; k == nobody || k == none {
		return ""
	}
	return f.text(name)
}

// err is what was wrong.
func (f *fields) err() error {
	if len(f.wrong) > 0 {
		return f.wrong
	}
	return nil
}
