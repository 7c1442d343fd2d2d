package admin_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
	"sallyport/internal/wire"
)

// document is an OpenAPI document, as far as the tests look at it.
type document struct {
	OpenAPI    string
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]any
	}
	Security []map[string][]string
}

type operation struct {
	OperationID string `json:"operationId"`
	Summary     string
	Parameters  []struct {
		Name, In string
		Schema   map[string]any
	}
	RequestBody *struct {
		Required bool
		Content  map[string]any
	}
	Responses map[string]struct {
		Description string
		Content     map[string]any
	}
}

func published(t *testing.T) (document, []byte, []wire.Route) {
	t.Helper()
	api, _ := newAPI(rig.New(t, dbtest.SQLite(t)))
	routes := api.Routes()
	mux := &wire.Mux{}
	mux.Add(routes, nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/admin/v1/openapi.json", nil))
	var d document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d, w.Body.Bytes(), routes
}

// The fixed fields that OpenAPI 3.1.0 requires (§4.8) are there.
func TestDocumentIsOpenAPI(t *testing.T) {
	d, text, _ := published(t)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Title == "" || d.Info.Version == "" || len(d.Paths) == 0 {
		t.Errorf("got %q, %+v, %d paths", d.OpenAPI, d.Info, len(d.Paths))
	}
	for _, s := range d.Security {
		for name := range s {
			if d.Components.SecuritySchemes[name] == nil {
				t.Errorf("security scheme %q is not defined", name)
			}
		}
	}
	if len(d.Security) == 0 {
		t.Error("no security")
	}
	for _, ref := range regexp.MustCompile(`"\$ref": *"([^"]*)"`).FindAllSubmatch(text, -1) {
		name, ok := strings.CutPrefix(string(ref[1]), "#/components/schemas/")
		if !ok || d.Components.Schemas[name] == nil {
			t.Errorf("$ref %s leads nowhere", ref[1])
		}
	}
	ids := map[string]bool{}
	for path, item := range d.Paths {
		for method, op := range item {
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" {
				t.Errorf("%s %s: operationId %q, summary %q", method, path, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			checkOperation(t, method+" "+path, op)
		}
	}
}

func checkOperation(t *testing.T, name string, op operation) {
	if body := op.RequestBody; body != nil && (!body.Required || body.Content["application/json"] == nil) {
		t.Errorf("%s: body %+v", name, body)
	}
	for _, p := range op.Parameters {
		if p.Name == "" || p.In != "query" && p.In != "path" || len(p.Schema) == 0 {
			t.Errorf("%s: parameter %+v", name, p)
		}
	}
	for status, res := range op.Responses {
		want := "application/problem+json"
		if status == "200" {
			want = "application/json"
		}
		if res.Description == "" || res.Content[want] == nil {
			t.Errorf("%s: answer %s: got %+v, want %s", name, status, res, want)
		}
	}
	for _, status := range []string{"200", "400", "401", "403", "422", "503"} {
		if _, there := op.Responses[status]; !there {
			t.Errorf("%s: no answer %s", name, status)
		}
	}
}

// The document has every route but the two that describe the others, and no more.
func TestDocumentHasEveryRoute(t *testing.T) {
	d, _, routes := published(t)
	n := 0
	for path, item := range d.Paths {
		for method := range item {
			n++
			if !has(routes, strings.ToUpper(method), path) {
				t.Errorf("%s %s is no route", method, path)
			}
		}
	}
	if n != len(routes)-2 {
		t.Errorf("%d operations, want %d", n, len(routes)-2)
	}
}

func has(routes []wire.Route, method, path string) bool {
	for _, r := range routes {
		if r.Method == method && r.Pattern == path {
			return true
		}
	}
	return false
}

// The page for people has every operation, and loads nothing.
func TestDocsPageHasEverythingAndNothingFromElsewhere(t *testing.T) {
	d, _, routes := published(t)
	mux := &wire.Mux{}
	mux.Add(routes, nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/admin/v1/docs", nil))
	page := w.Body.Bytes()
	for path, item := range d.Paths {
		for method, op := range item {
			if !bytes.Contains(page, []byte(strings.ToUpper(method)+" "+path+"<")) || !bytes.Contains(page, []byte(op.Summary)) {
				t.Errorf("%s %s is not on the page", method, path)
			}
			for _, p := range op.Parameters {
				if !bytes.Contains(page, []byte("<code>"+p.Name+"</code>")) {
					t.Errorf("parameter %s of %s is not on the page", p.Name, path)
				}
			}
		}
	}
	for _, bad := range []string{"<script", "src=", "http://", "https://", "@import", "<no value>"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page has %q", bad)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
}
