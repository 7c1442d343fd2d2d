package admin

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sallyport/internal/wire"
)

// strict refuses a request that could be read in two ways, which huma reads in one of
// them: a filter that it cannot decode is left out there, so that all are listed; of
// two members of one name it takes the last, in any case of letters.
func strict(w http.ResponseWriter, r *http.Request) *problem {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, "The query could not be read")
	}
	for name, values := range query {
		if len(values) > 1 {
			return invalid("query."+name, "more than once")
		}
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return nil
	}
	return strictBody(w, r)
}

// strictBody reads the body as all of our APIs do, and leaves it to be read again.
func strictBody(w http.ResponseWriter, r *http.Request) *problem {
	var kept bytes.Buffer
	r.Body = io.NopCloser(io.TeeReader(r.Body, &kept))
	body, err := wire.ReadBody(w, r, wire.MaxBody)
	if bad, ok := errors.AsType[*wire.BodyError](err); ok {
		switch bad.Kind {
		case wire.WrongType:
			return newProblem(http.StatusUnsupportedMediaType, "The body must be application/json")
		case wire.TooLarge:
			return newProblem(http.StatusRequestEntityTooLarge, "The body is too large")
		}
		return newProblem(http.StatusBadRequest, "The body is not a JSON object")
	}
	for _, name := range body.Names() {
		if name != strings.ToLower(name) {
			return invalid("body."+name, "unexpected property")
		}
	}
	r.Body = io.NopCloser(&kept)
	return nil
}

// invalid words one thing that is wrong with a request, as huma does.
func invalid(at, what string) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "validation failed")
	p.Errors = []*huma.ErrorDetail{{Message: what, Location: at}}
	return p
}
