package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// errorBody is a refusal on the wire (RFC 6749 §5.2).
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// statuses are those of the codes that are not answered with 400.
var statuses = map[string]int{
	oauth.InvalidClient:          http.StatusUnauthorized,
	oauth.InvalidToken:           http.StatusUnauthorized,
	oauth.InsufficientScope:      http.StatusForbidden,
	oauth.LoginRequired:          http.StatusNotFound, // of an upstream's token, which there is none of
	oauth.ServerError:            http.StatusInternalServerError,
	oauth.TemporarilyUnavailable: http.StatusServiceUnavailable,
}

// refusal is the *oauth.Error that an error comes to, and its status. What
// nobody foresaw is a server_error without a reason.
func refusal(err error) (*oauth.Error, int) {
	var e *oauth.Error
	var bad *wire.BodyError
	f, isFault := wire.Fault(err)
	switch {
	case errors.As(err, &e):
		if status, ok := statuses[e.Code]; ok {
			return e, status
		}
		return e, http.StatusBadRequest
	case isFault && f.Code == fault.RateLimited:
		return &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "too many attempts", RetryAfter: f.RetryAfter}, http.StatusTooManyRequests
	case isFault && (f.Code == fault.Unavailable || f.Code == fault.Busy):
		return &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "try again later", RetryAfter: f.RetryAfter}, http.StatusServiceUnavailable
	case errors.As(err, &bad) && bad.Kind == wire.TooLarge:
		return badRequest("the body is too large"), http.StatusRequestEntityTooLarge
	case errors.As(err, &bad):
		return badRequest("the body could not be read"), http.StatusBadRequest
	case errors.Is(err, context.Canceled):
		return &oauth.Error{Code: oauth.TemporarilyUnavailable}, http.StatusServiceUnavailable
	}
	return &oauth.Error{Code: oauth.ServerError}, http.StatusInternalServerError
}

// fail answers with an error as JSON. The operator's log has what exactly was
// wrong.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, status := refusal(err)
	a.note(r, e, status, err)
	a.answerHeaders(w, r, e)
	if e.Code == oauth.InvalidClient && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+a.issuer(r.Context())+`", charset="UTF-8"`) // RFC 6749 §5.2
	}
	if e.Code == oauth.InvalidToken || e.Code == oauth.InsufficientScope {
		w.Header().Set("WWW-Authenticate", challenge("Bearer", e)) // RFC 6750 §3
	}
	w.Header().Set("Pragma", "no-cache")
	wire.WriteJSON(w, status, errorBody{e.Code, printable(e.Description)})
}

// answerHeaders says when to come back, and with which nonce.
func (a *API) answerHeaders(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(limit.RetryAfter(e.RetryAfter)))
	}
	if e.Nonce || r.Header.Get("DPoP") != "" {
		w.Header().Set("DPoP-Nonce", a.OAuth.Nonce()) // RFC 9449 §8
	}
}

// note writes down what the client is not told.
func (a *API) note(r *http.Request, e *oauth.Error, status int, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	level := slog.LevelInfo
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.Log.LogAttrs(r.Context(), level, "refused", slog.String("error", e.Code), slog.String("detail", e.Detail), slog.String("path", r.URL.Path),
		slog.String("request_id", wire.OriginOf(r.Context()).RequestID), slog.Any("err", err))
}

// challenge is a WWW-Authenticate header (RFC 6750 §3, RFC 9449 §7.1).
func challenge(scheme string, e *oauth.Error) string {
	var b strings.Builder
	b.WriteString(scheme)
	sep := " "
	if scheme == "DPoP" {
		b.WriteString(` algs="` + strings.Join(token.ProofAlgs, " ") + `"`)
		sep = ", "
	}
	if e.Code != "" {
		b.WriteString(sep + `error="` + e.Code + `"`)
		if d := printable(e.Description); d != "" {
			b.WriteString(`, error_description="` + d + `"`)
		}
	}
	return b.String()
}

// printable keeps what an error_description may hold (RFC 6749 §5.2).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
