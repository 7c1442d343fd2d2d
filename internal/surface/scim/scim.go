// Package scim serves SCIM 2.0 (RFC 7643, RFC 7644) to the directory of an organization,
// such as Okta or Microsoft Entra: below /scim/v2, with a bearer token of that
// organization. What follows from what a directory says is package provision's to decide;
// this package knows the wire, and where the two directories that most people have depart
// from the standard (README.md).
//
//	request ─ token ─ body ─ normal form ─┬─ people: a whole resource, with its version
//	                                      └─ groups: steps, because they may be large
//
// A PATCH of a person is applied to the resource as it is and stored if nobody has changed
// it meanwhile. A group is changed in steps that need no reading.
package scim

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"sallyport/internal/directory"
	"sallyport/internal/provision"
	"sallyport/internal/wire"
)

// API is the surface.
type API struct {
	Provision *provision.Core
	Log       *slog.Logger
}

// The bounds of a body.
const (
	maxBody   = 1 << 20
	maxValues = 1 << 16
)

// The media types of bodies (RFC 7644 §3.1).
const mediaType = "application/scim+json"

var mediaTypes = []string{mediaType, "application/json"}

// exchange is one request of a directory, alone or within a bulk request. base is the
// absolute URL of the surface, id that of the resource, body what was sent. versions are
// those that the resource may have, nil for any.
type exchange struct {
	who      provision.Caller
	base     string
	id       string
	body     map[string]any
	versions []int64
	shown    projection
}

// answer is what there is to say. A nil resource is no body.
type answer struct {
	status   int
	resource map[string]any
	version  int64
	location string
}

// Routes lists every route of the surface; there are no others.
func (a *API) Routes() []wire.Route {
	at := func(method, pattern string, h http.HandlerFunc) wire.Route {
		return wire.Route{Method: method, Pattern: directory.Path + pattern, Handler: h}
	}
	return []wire.Route{
		at("GET", "/ServiceProviderConfig", a.document(providerConfig)),
		at("GET", "/ResourceTypes", a.document(resourceTypes)),
		at("GET", "/ResourceTypes/{id}", a.document(oneResourceType)),
		at("GET", "/Schemas", a.document(schemas)),
		at("GET", "/Schemas/{id}", a.document(oneSchema)),

		at("GET", "/Users", a.list(a.listUsers)),
		at("POST", "/Users", a.serve(users, a.createUser)),
		at("POST", "/Users/.search", a.search(a.listUsers)),
		at("GET", "/Users/{id}", a.serve(users, a.readUser)),
		at("PUT", "/Users/{id}", a.serve(users, a.replaceUser)),
		at("PATCH", "/Users/{id}", a.serve(users, a.patchUser)),
		at("DELETE", "/Users/{id}", a.serve(users, a.deleteUser)),

		at("GET", "/Groups", a.list(a.listGroups)),
		at("POST", "/Groups", a.serve(groups, a.createGroup)),
		at("POST", "/Groups/.search", a.search(a.listGroups)),
		at("GET", "/Groups/{id}", a.serve(groups, a.readGroup)),
		at("PUT", "/Groups/{id}", a.serve(groups, a.replaceGroup)),
		at("PATCH", "/Groups/{id}", a.serve(groups, a.patchGroup)),
		at("DELETE", "/Groups/{id}", a.serve(groups, a.deleteGroup)),

		at("POST", "/Bulk", a.bulk),
	}
}

// caller finds whose directory a request is of.
func (a *API) caller(r *http.Request) (provision.Caller, error) {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return provision.Caller{}, errToken
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return provision.Caller{}, errToken
	}
	o := wire.OriginOf(r.Context())
	return a.Provision.Open(r.Context(), provision.Visit{Token: strings.TrimSpace(token), Agent: r.UserAgent(), IP: o.IP, RequestID: o.RequestID})
}

// serve answers for one resource of a type. Whose token it is comes before all else of the
// request.
func (a *API) serve(t resourceType, do func(context.Context, exchange) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x, err := a.exchange(w, r)
		if err == nil {
			var out answer
			if out, err = do(r.Context(), x); err == nil {
				out.resource = x.shown.of(t, out.resource)
				reply(w, r, out)
				return
			}
		}
		a.fail(w, r, err)
	}
}

// exchange reads what a request is, its body where its method has one.
func (a *API) exchange(w http.ResponseWriter, r *http.Request) (x exchange, err error) {
	if x.who, err = a.caller(r); err != nil {
		return x, err
	}
	x.base, x.id = wire.MountOf(r.Context()).Base+directory.Path, r.PathValue("id")
	if x.versions, err = versions(r.Header["If-Match"]); err != nil {
		return x, err
	}
	q := r.URL.Query()
	x.shown = projection{attributes: names(q["attributes"]), excluded: names(q["excludedAttributes"])}
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		x.body, err = readBody(w, r)
	}
	return x, err
}

func readBody(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	raw, err := wire.ReadJSON(w, r, maxBody, maxValues, mediaTypes...)
	if err != nil {
		return nil, err
	}
	v, err := decode(raw)
	if err != nil {
		return nil, errSyntax("The body is not JSON.")
	}
	return v.(map[string]any), nil
}

// reply writes an answer. A resource that the client has already is not sent again.
func reply(w http.ResponseWriter, r *http.Request, out answer) {
	h := w.Header()
	if out.location != "" && out.status == http.StatusCreated {
		h.Set("Location", out.location)
	}
	if out.version != 0 {
		h.Set("Etag", etag(out.version))
		have, err := versions(r.Header["If-None-Match"])
		if r.Method == http.MethodGet && err == nil && contains(have, out.version) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if out.resource == nil {
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(out.status)
		return
	}
	write(w, out.status, out.resource)
}
