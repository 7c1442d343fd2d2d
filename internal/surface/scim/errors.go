package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/provision"
	"sallyport/internal/wire"
)

// problem is a refusal as the wire has it (RFC 7644 §3.12): kind is its scimType, or "".
type problem struct {
	status int
	kind   string
	detail string
	after  int // seconds after which it may be tried again, 0 for none
}

func (p *problem) Error() string { return p.detail }

var errToken = &problem{status: 401, detail: "No token, or one that is not good here."}

func errSyntax(detail string) *problem {
	return &problem{status: 400, kind: "invalidSyntax", detail: detail}
}

// answers are the faults that an operation of this surface can end in; any other is a
// mistake of ours.
var answers = map[fault.Code]problem{
	fault.Unauthenticated: *errToken,
	fault.RateLimited:     {status: 429, detail: "Too many requests."},
	fault.Unavailable:     {status: 503, detail: "Not now; try again."},
}

// refusal words what provision refuses.
func refusal(e *provision.Error) *problem {
	switch e.Kind {
	case provision.NotFound:
		return &problem{status: 404, detail: "There is nothing of this id."}
	case provision.Taken:
		switch e.Field {
		case "emails":
			return &problem{status: 409, kind: "uniqueness", detail: "Another account has this address."}
		case "displayName":
			return &problem{status: 409, kind: "uniqueness", detail: "Another group has this displayName."}
		}
		return &problem{status: 409, kind: "uniqueness", detail: "Somebody has this userName, or this address, already."}
	case provision.Foreign:
		return &problem{status: 400, kind: "invalidValue", detail: fmt.Sprintf("%s is not of a domain that this organization has verified.", e.Value)}
	case provision.Changed:
		return &problem{status: 412, detail: "The resource was changed since."}
	case provision.TooMany:
		return &problem{status: 400, kind: "tooMany", detail: "Too many to look through for this filter. Filter by userName, externalId, displayName or id."}
	}
	switch e.Field {
	case "members":
		return &problem{status: 400, kind: "invalidValue", detail: "A member is nobody whom this directory has told us of."}
	case "emails":
		return &problem{status: 400, kind: "invalidValue", detail: "There must be an e-mail address: in emails, or as userName."}
	case "schemas":
		return &problem{status: 400, kind: "invalidValue", detail: "The resource is too large."}
	}
	return invalid(e.Field)
}

// asProblem finds what the directory may learn of an error; nil if only the log may.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*provision.Error](err); ok {
		return refusal(e)
	}
	if bad, ok := errors.AsType[*wire.BodyError](err); ok {
		switch bad.Kind {
		case wire.WrongType:
			return &problem{status: 415, detail: "The body must be " + mediaType + "."}
		case wire.TooLarge:
			return &problem{status: 413, detail: "The body is too large."}
		}
		return errSyntax("The body is not a JSON object.")
	}
	if f, ok := wire.Fault(err); ok {
		if p, ok := answers[f.Code]; ok {
			if f.RetryAfter > 0 {
				p.after = limit.RetryAfter(f.RetryAfter)
			}
			return &p
		}
	}
	if errors.Is(err, context.Canceled) {
		return &problem{status: 503, detail: "Not now; try again."} // the client has gone; nobody reads it
	}
	return nil
}

// problemOf is asProblem, with what nobody is to learn written to the log.
func (a *API) problemOf(ctx context.Context, err error) *problem {
	p := asProblem(err)
	if p == nil {
		a.Log.ErrorContext(ctx, "request failed", "request_id", wire.OriginOf(ctx).RequestID, "err", err)
		p = crashed
	}
	return p
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	a.problemOf(r.Context(), err).write(w)
}

func (p *problem) write(w http.ResponseWriter) {
	switch {
	case p.status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="scim"`)
	case p.after > 0:
		w.Header().Set("Retry-After", strconv.Itoa(p.after))
	}
	write(w, p.status, p.body())
}

// body is the message of a problem. Its status is a text (RFC 7644 §3.12).
func (p *problem) body() map[string]any {
	out := map[string]any{"schemas": []string{problemURN}, "status": strconv.Itoa(p.status), "detail": p.detail}
	if p.kind != "" {
		out["scimType"] = p.kind
	}
	return out
}

// write answers with JSON under SCIM's media type.
func write(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Errorf("scim: encode response: %w", err))
	}
	wire.Write(w, status, mediaType, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

var crashed = &problem{status: 500, detail: "Something went wrong."}

// NotFound answers a path that the surface does not have.
func (a *API) NotFound(w http.ResponseWriter, _ *http.Request) {
	(&problem{status: 404, detail: "No such path."}).write(w)
}

// MethodNotAllowed answers a method that a path does not have.
func (a *API) MethodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	(&problem{status: 405, detail: "The path does not have this method."}).write(w)
}

// Crash answers what nobody expected.
func (a *API) Crash(w http.ResponseWriter, _ *http.Request) { crashed.write(w) }
