package oidc

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// maxParams bounds how many parameters a request may have.
const maxParams = 64

// params reads the parameters of a POST body: a form, or a JSON object of
// strings, since AccountMaker's clients send one (contract accountmaker §7).
// What stands in the query is not looked at: credentials do not belong there
// (RFC 6749 §2.3.1). The error is an *oauth.Error or a *wire.BodyError.
func (a *API) params(w http.ResponseWriter, r *http.Request) (oauth.Params, error) {
	given := r.Header["Content-Type"]
	if len(given) != 1 {
		return nil, badRequest("one Content-Type header is needed")
	}
	kind, _, err := mime.ParseMediaType(given[0])
	var p oauth.Params
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		p, err = formParams(w, r)
	case err == nil && kind == "application/json":
		p, err = jsonParams(w, r)
	default:
		return nil, badRequest("Content-Type is neither application/x-www-form-urlencoded nor application/json")
	}
	if err != nil {
		return nil, err
	}
	return spelt(p), checkParams(p)
}

// spelt writes a client id as it is stored where it is written as AccountMaker's
// clients know it (contract accountmaker §1.1): the provider is theirs, too.
func spelt(p oauth.Params) oauth.Params {
	if given := p["client_id"]; len(given) == 1 {
		p["client_id"] = []string{storedID(given[0])}
	}
	return p
}

func storedID(given string) string {
	if id, ok := identity.FromKSUID("cid", given); ok {
		return id
	}
	return given
}

// queryParams are the parameters in the query of a request.
func queryParams(r *http.Request) (oauth.Params, error) {
	vals, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is not form-encoded")
	}
	return spelt(oauth.Params(vals)), checkParams(oauth.Params(vals))
}

func formParams(w http.ResponseWriter, r *http.Request) (oauth.Params, error) {
	if r.Header.Get("Content-Encoding") != "" {
		return nil, badRequest("Content-Encoding is not supported")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &wire.BodyError{Kind: wire.TooLarge, Err: err}
	}
	if err != nil {
		return nil, &wire.BodyError{Kind: wire.Malformed, Err: err}
	}
	vals, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("the body is not form-encoded")
	}
	return oauth.Params(vals), nil
}

// jsonParams takes a string for each parameter, or a list of strings where a
// parameter may come more than once. Of any other value the JSON is taken, as a
// form would have it: an object such as claims.
func jsonParams(w http.ResponseWriter, r *http.Request) (oauth.Params, error) {
	b, err := wire.ReadBody(w, r, wire.MaxBody)
	if err != nil {
		return nil, err
	}
	p := oauth.Params{}
	for _, name := range b.Names() {
		raw := string(b.Raw(name))
		switch {
		case b.Null(name):
		case strings.HasPrefix(raw, `"`):
			p[name] = []string{b.String(name)}
		case strings.HasPrefix(raw, `[`) && (name == "resource" || name == "audience"):
			p[name] = b.Strings(name)
		default:
			p[name] = []string{raw}
		}
	}
	if b.Err() != nil {
		return nil, badRequest("a parameter is not a string")
	}
	return p, nil
}

// checkParams refuses what two readers could understand in two ways.
func checkParams(p oauth.Params) error {
	if len(p) > maxParams {
		return badRequest("too many parameters")
	}
	for name, vals := range p {
		for _, s := range append([]string{name}, vals...) {
			if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
				return badRequest("a parameter holds NUL or is not UTF-8")
			}
		}
	}
	if name := p.Duplicate(); name != "" {
		return badRequest("parameter " + printable(name) + " is given more than once")
	}
	return nil
}

func badRequest(description string) *oauth.Error {
	return &oauth.Error{Code: oauth.InvalidRequest, Description: description}
}
