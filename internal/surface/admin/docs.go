package admin

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sallyport/internal/fault"
	"sallyport/internal/wire"
)

//go:embed docs.html
var docsPage string

// shownProblems are the faults that the docs page explains: those that operations
// have so far.
var shownProblems = []fault.Code{
	fault.Unauthenticated, fault.Forbidden, fault.ClientUnknown, fault.FieldInvalid, fault.OrgUnknown, fault.OrgHolds, fault.IssuerInvalid,
	fault.UpstreamUnreachable, fault.ConnectionChanged, fault.ConnectionUnready, fault.RoleInvalid, fault.DomainInvalid, fault.DomainUnproven, fault.DomainTaken,
	fault.DomainUnknown, fault.SetupLinkInvalid, fault.EmailInvalid, fault.RateLimited, fault.Unavailable,
}

// call is an operation on the docs page.
type call struct {
	Method, Path, Summary, Description string
	Params                             []field
	Body                               []field
	Answers                            string
}

type field struct {
	Name, Type, About string
	Required          bool
}

// docs is the page that says what the document says, for people: made once, with
// nothing from elsewhere and no script.
func docs(api *huma.OpenAPI) http.HandlerFunc {
	type fail struct {
		Code   fault.Code
		Status int
		Detail string
	}
	var fails []fail
	for _, c := range shownProblems {
		fails = append(fails, fail{c, answers[c].status, strings.ReplaceAll(answers[c].detail, "%s", "…")})
	}
	var calls []call
	for _, path := range paths {
		item := api.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if op != nil {
				calls = append(calls, callOf(api, op))
			}
		}
	}
	var page bytes.Buffer
	t := template.Must(template.New("docs").Parse(docsPage))
	if err := t.Execute(&page, map[string]any{"Title": api.Info.Title, "About": api.Info.Description, "Calls": calls, "Problems": fails, "Document": documentPath}); err != nil {
		panic("admin: the docs page cannot be made: " + err.Error())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		wire.PageHeaders(w, "style-src 'unsafe-inline'; form-action 'none'")
		serve("text/html; charset=utf-8", page.Bytes())(w, r)
	}
}

// paths is the order of the page.
var paths = []string{
	"/admin/v1/queue", "/admin/v1/queue/decisions", "/admin/v1/queue/next", "/admin/v1/queue/notify",
	"/admin/v1/orgs", "/admin/v1/orgs/{org}/sso", "/admin/v1/orgs/{org}/sso/keys", "/admin/v1/orgs/{org}/sso/keys/{key}", "/admin/v1/orgs/{org}/policy", "/admin/v1/orgs/{org}/domains", "/admin/v1/orgs/{org}/domains/{domain}",
	"/admin/v1/orgs/{org}/setup-links", "/admin/v1/orgs/{org}/setup-links/{link}", "/admin/v1/orgs/{org}/directory",
}

func callOf(api *huma.OpenAPI, op *huma.Operation) call {
	c := call{Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		c.Params = append(c.Params, field{p.Name, kind(p.Schema), p.Description, p.Required})
	}
	if op.RequestBody != nil {
		s := resolve(api, op.RequestBody.Content["application/json"].Schema)
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[name]
			c.Body = append(c.Body, field{name, kind(p), p.Description, slices.Contains(s.Required, name)})
		}
	}
	c.Answers = strings.Join(slices.Sorted(maps.Keys(op.Responses)), " ")
	return c
}

func resolve(api *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return api.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// kind says what a value is.
func kind(s *huma.Schema) string {
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i], _ = e.(string)
		}
		return strings.Join(words, " | ")
	}
	if s.Items != nil {
		return "list of " + s.Items.Type
	}
	return strings.TrimSpace(s.Type + " " + s.Format)
}
