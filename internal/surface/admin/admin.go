// Package admin serves the operator's REST API under /admin/v1. It is ours, not
// another product's: described by an OpenAPI 3.1 document that is made from the
// same types as the answers, with failures as RFC 9457 problems. What it can do so
// far is the queue of who may come in, and how organizations sign their own people in.
//
// Who asks is found by their access token, as Keymaster's admin API finds them
// (contract keymaster §8); how far their rights reach is for the core to say. There
// is no CORS and no cookie: no page of another origin calls it, and no browser does
// on its own.
package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sallyport/internal/admin"
	"sallyport/internal/enterprise"
	"sallyport/internal/wire"
)

// API is the surface. Caller finds whose token a request carries.
type API struct {
	Admin      *admin.Core
	Enterprise *enterprise.Core
	Caller     func(*http.Request) (admin.Caller, error)
	Log        *slog.Logger
}

// Where the API describes itself.
const (
	documentPath = "/admin/v1/openapi.json"
	docsPath     = "/admin/v1/docs"
)

// Routes lists every route of the surface; there are no others.
func (a *API) Routes() []wire.Route {
	var all routes
	config := huma.DefaultConfig("Sallyport admin API", "1")
	config.Info.Description = "For operators. A bearer token is an access token of the console client, whose administrators reach everything, or of another client, whose administrators reach that client."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	format := huma.Format{Marshal: encode, Unmarshal: huma.DefaultJSONFormat.Unmarshal}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format} // the second for problem+json
	config.RejectUnknownQueryParameters = true
	config.Servers = []*huma.Server{{URL: "/"}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"operator": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"}}
	config.Security = []map[string][]string{{"operator": {}}}
	api := humago.New(&all, config)
	a.queueRoutes(api)
	a.orgRoutes(api)
	for i := range all {
		all[i].Handler = a.authenticated(all[i].Handler)
	}
	document, err := json.MarshalIndent(api.OpenAPI(), "", "  ")
	if err != nil {
		panic("admin: the API cannot be described: " + err.Error())
	}
	return append(all,
		wire.Route{Method: "GET", Pattern: documentPath, Handler: serve("application/json", document)},
		wire.Route{Method: "GET", Pattern: docsPath, Handler: docs(api.OpenAPI())},
	)
}

// routes takes what huma would add to a mux of net/http, which cleans and redirects
// paths as ours does not.
type routes []wire.Route

// HandleFunc takes a route, "METHOD /path".
func (all *routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	method, path, _ := strings.Cut(pattern, " ")
	*all = append(*all, wire.Route{Method: method, Pattern: path, Handler: h})
}

// ServeHTTP is asked for by huma's interface alone: the routes are served by ours.
func (all *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

type callerKey struct{}

// authenticated hands a request on with whose it is, before anything else of it is
// looked at, if it can be read in one way alone.
func (a *API) authenticated(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		who, err := a.Caller(r)
		if err != nil {
			write(w, a.problem(r.Context(), err))
			return
		}
		if p := strict(w, r); p != nil {
			write(w, p)
			return
		}
		h(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	}
}

// caller is whose request ctx is of.
func caller(ctx context.Context) admin.Caller {
	who, _ := ctx.Value(callerKey{}).(admin.Caller)
	return who
}

func serve(kind string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(text)
	}
}
