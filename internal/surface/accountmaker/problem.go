package accountmaker

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"sallyport/internal/limit"
	"sallyport/internal/password"
	"sallyport/internal/wire"
)

// problem is a refusal on the wire (contract §1.4, RFC 9457).
type problem struct {
	Type          string         `json:"type"`
	Title         string         `json:"title"`
	Status        int            `json:"status"`
	Code          string         `json:"code"`
	Detail        string         `json:"detail,omitempty"`
	Instance      string         `json:"instance,omitempty"`
	InvalidParams []invalidParam `json:"invalid_params,omitempty"`
}

// invalidParam is one thing wrong with a request. Received is what was sent, null
// for a secret and for what was not there.
type invalidParam struct {
	In       string          `json:"in"`
	Path     string          `json:"path"`
	Type     string          `json:"type"`
	Received json.RawMessage `json:"received"`
	Expected string          `json:"expected,omitempty"`
}

var null = json.RawMessage("null")

// refusal is a failure of this surface's own, by its code on the wire.
type refusal struct {
	code   string
	params []invalidParam
}

func (e *refusal) Error() string { return "accountmaker: " + e.code }

func refuse(code string, params ...invalidParam) error { return &refusal{code, params} }

// fail answers with an error: a refusal of ours or a fault in the contract's
// words, a body that cannot be read as an invalid request, anything else as a 500
// that only the log explains.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var own *refusal
	if !errors.As(err, &own) || own.code != "origin-not-allowed" {
		a.shareRefusal(w, r)
	}
	var bad *wire.BodyError
	switch f, ok := wire.Fault(err); {
	case own != nil:
		a.problem(w, r, own.code, own.params...)
	case errors.As(err, &bad):
		a.problem(w, r, "invalid-request")
	case ok:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(limit.RetryAfter(f.RetryAfter)))
		}
		code, params := wordsOf(f)
		if weak, ok := errors.AsType[*password.Weak](err); ok {
			params = passwordParams(passwordField(r), weak)
		}
		a.problem(w, r, code, params...)
	case errors.Is(err, context.Canceled):
		a.problem(w, r, "temporarily-unavailable") // the client has gone; nobody reads the answer
	default:
		a.Log.ErrorContext(r.Context(), "request failed", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
		a.problem(w, r, "internal-error")
	}
}

func (a *API) problem(w http.ResponseWriter, r *http.Request, code string, params ...invalidParam) {
	k := kinds[code]
	p := problem{
		Type: base(r.Context()) + "/problems/" + code, Title: k.title, Status: k.status, Code: code, Detail: k.detail, InvalidParams: params,
	}
	if id := wire.OriginOf(r.Context()).RequestID; id != "" {
		p.Instance = "urn:request:" + id
	}
	if code == "unauthenticated" {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(k.status)
		return
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic("accountmaker: " + err.Error()) // texts always marshal
	}
	wire.Write(w, k.status, "application/problem+json", body)
}

// NotFound answers a path that the surface does not have.
func (a *API) NotFound(w http.ResponseWriter, r *http.Request) { a.problem(w, r, "not-found") }

// MethodNotAllowed answers a method that a path does not have.
func (a *API) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	a.problem(w, r, "method-not-allowed")
}

// Crash answers what nobody expected.
func (a *API) Crash(w http.ResponseWriter, r *http.Request) { a.problem(w, r, "internal-error") }

// passwordField is what the route calls a new password (contract §6).
func passwordField(r *http.Request) string {
	if r.Pattern == "/auth/reset-password" {
		return "new_password"
	}
	return "password"
}
