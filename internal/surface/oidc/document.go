package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

// publicFor is how long anybody may keep the documents. A new key is published
// for longer than that before it signs.
const publicFor = "public, max-age=3600"

func (a *API) documentRoutes() []wire.Route {
	d := &documents{api: a}
	const known = "/.well-known/"
	routes := []wire.Route{
		{Method: http.MethodGet, Pattern: a.Prefix + known + "openid-configuration", Handler: d.serve(a.metadata)},
		{Method: http.MethodGet, Pattern: known + "oauth-authorization-server" + a.Prefix, Handler: d.serve(a.metadata)},
		{Method: http.MethodGet, Pattern: known + "oauth-protected-resource" + a.Prefix, Handler: d.serve(a.resource)},
		{Method: http.MethodGet, Pattern: a.Prefix + known + "jwks.json", Handler: a.jwks},
	}
	if a.Prefix != "" {
		routes = append(routes,
			// RFC 8414 §5 has the path last here too, and Snooplytics' contract
			// another name for the keys (§13).
			wire.Route{Method: http.MethodGet, Pattern: known + "openid-configuration" + a.Prefix, Handler: d.serve(a.metadata)},
			wire.Route{Method: http.MethodGet, Pattern: a.Prefix + "/jwks", Handler: a.jwks},
		)
	}
	return wire.CORS{}.Routes(routes)
}

// jwks serves our public keys (RFC 7517 §5), from memory; to who names a client,
// with that client's own first (contract accountmaker §7).
func (a *API) jwks(w http.ResponseWriter, r *http.Request) {
	named := r.URL.Query().Get("client_id")
	id, ok := identity.FromKSUID("cid", named)
	if !ok {
		id, _ = identity.ParseID(named)
	}
	body, etag := a.Keys.DocumentOf(client.ID(id))
	wire.WriteDocument(w, r, "application/json", publicFor, etag, body)
}

// documents keeps the metadata documents as bytes, each for an issuer and for as
// long as what it tells of stays the same.
type documents struct {
	api  *API
	mu   sync.Mutex
	made map[string]document // by issuer and path
}

type document struct {
	settings   oauth.Settings
	keys       uint64
	body, etag string
}

// serve answers with what build makes for the issuer of the request's mount.
// There are as many issuers as mounts.
func (d *documents) serve(build func(issuer string, s oauth.Settings) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		doc, err := d.of(d.api.issuer(r.Context()), r.Pattern, build)
		if err != nil {
			d.api.fail(w, r, err)
			return
		}
		wire.WriteDocument(w, r, "application/json", publicFor, doc.etag, []byte(doc.body))
	}
}

func (d *documents) of(issuer, path string, build func(string, oauth.Settings) any) (document, error) {
	settings, version := d.api.settings(), d.api.Keys.Version()
	at := issuer + " " + path
	d.mu.Lock()
	defer d.mu.Unlock()
	if doc, ok := d.made[at]; ok && doc.keys == version && sameSettings(doc.settings, settings) {
		return doc, nil
	}
	body, err := json.Marshal(build(issuer, settings))
	if err != nil {
		return document{}, err
	}
	if d.made == nil {
		d.made = map[string]document{}
	}
	doc := document{settings, version, string(body), `"` + secret.Fingerprint(body) + `"`}
	d.made[at] = doc
	return doc, nil
}

// settings are the operator's choices of this moment.
func (a *API) settings() oauth.Settings {
	if a.OAuth.Settings == nil {
		return oauth.Settings{}
	}
	return a.OAuth.Settings()
}

func sameSettings(a, b oauth.Settings) bool {
	return a.Registration == b.Registration && a.ClientDocuments == b.ClientDocuments &&
		slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Resources, b.Resources)
}
