package hackillinois

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxBody is where the original cuts a body (contract §1.3); here it is refused.
const maxBody = 1 << 20

// text is a member that is to be a string. What is none counts as empty: the
// original's handlers see an empty field and answer to that (§1.3).
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	}
	return nil
}

// body are all members that any route reads. Their names match in any case, as
// the original's do.
type body struct {
	Code         text `json:"code"`
	CodeVerifier text `json:"code_verifier"`

	ID        text `json:"id"`
	Role      text `json:"role"`
	Username  text `json:"username"`
	FirstName text `json:"firstName"`
	LastName  text `json:"lastName"`
	Email     text `json:"email"`
}

// storable reports whether a text can be in a database; one that cannot is
// nobody's id.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// errMalformed reports a body that is not JSON, or holds what no database keeps.
var errMalformed = errors.New("hackillinois: malformed body")

// errLarge reports one over maxBody.
var errLarge = errors.New("hackillinois: body too large")

// readBody reads a body of any Content-Type. One that is not there, or is JSON
// but no object, has no members; one that is not JSON is refused before anything
// is done (§9 W17).
func readBody(w http.ResponseWriter, r *http.Request) (b body, err error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return b, errLarge
	}
	if err != nil {
		return b, errMalformed
	}
	if strings.TrimSpace(string(raw)) == "" {
		return b, nil
	}
	if !json.Valid(raw) {
		return b, errMalformed
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return body{}, nil // another value than an object
	}
	for _, t := range []text{b.Code, b.CodeVerifier, b.ID, b.Role, b.Username, b.FirstName, b.LastName, b.Email} {
		if !storable(string(t)) {
			return body{}, errMalformed
		}
	}
	return b, nil
}
