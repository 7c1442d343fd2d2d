package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
)

// maxParts bounds the parts of a form: each costs more than its bytes.
const maxParts = 32

// ReadUpload is ReadForm for a form that may hold files (multipart/form-data, RFC
// 7578) of at most limit bytes in all. A file is a parameter like any other, and so
// must be text; its name and type, which the sender chose, are not looked at. A
// file that was not chosen is "".
func ReadUpload(w http.ResponseWriter, r *http.Request, limit int64) (*Params, error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data;") {
		return ReadForm(w, r, limit)
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, &BodyError{WrongType, err}
	}
	vals := map[string][]string{}
	for range maxParts {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return &Params{at: "body", vals: vals}, nil
		}
		if err == nil {
			err = take(vals, part)
		}
		if err != nil {
			return nil, unreadable(err)
		}
	}
	return nil, &BodyError{Malformed, fmt.Errorf("more than %d parts", maxParts)}
}

// take adds a part to the values.
func take(vals map[string][]string, part *multipart.Part) error {
	text, err := io.ReadAll(part)
	if err != nil {
		return err
	}
	// Files of some systems begin with a mark of their encoding, which is none of the text.
	value := string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	name := part.FormName()
	switch {
	case name == "" || !clean(name) || !clean(value):
		return errors.New("a part has no name, holds NUL or is not UTF-8")
	case len(vals[name]) > 0:
		return errors.New("parameter given twice")
	}
	vals[name] = []string{value}
	return nil
}

// unreadable is why a body of parts could not be read.
func unreadable(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &BodyError{TooLarge, err}
	}
	return &BodyError{Malformed, err}
}
