package tofu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// view is one endpoint as DRF has it.
type view struct {
	name, description string
	fields            []field
	user              bool                // it wants an access token
	there             func(Settings) bool // nil: always
	post              func(*API, http.ResponseWriter, *http.Request, request) error
}

// field is one of a view's, for OPTIONS.
type field struct {
	name     string
	readOnly bool
}

// request is what is known of a request when it gets to its view.
type request struct {
	settings Settings
	holder   *signin.Held // of a view that wants a user
}

// methods are what every view has.
const methods = "POST, OPTIONS"

// serve answers every method of every path.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	v, ok := views[r.URL.Path]
	if !ok {
		a.NotFound(w, r)
		return
	}
	a.view(w, r, v)
}

func (a *API) view(w http.ResponseWriter, r *http.Request, v view) {
	q := request{settings: a.Settings()}
	if !v.on(q.settings) {
		a.NotFound(w, r)
		return
	}
	middleware(w)
	w.Header().Set("Allow", methods)
	w.Header().Add("Vary", "Accept")
	if err := a.dispatch(w, r, v, q); err != nil {
		a.fail(w, r, err)
	}
}

// dispatch judges a request in DRF's order.
func (a *API) dispatch(w http.ResponseWriter, r *http.Request, v view, q request) error {
	if err := negotiate(r); err != nil {
		return err
	}
	if v.user {
		held, err := a.holder(r, q.settings)
		if err != nil {
			return err
		}
		q.holder = &held
	}
	method := strings.ToUpper(r.Method) // as Django reads it
	switch method {
	case http.MethodPost:
		return v.post(a, w, r, q)
	case http.MethodOptions:
		write(w, r, http.StatusOK, v.metadata())
		return nil
	}
	return refuse(http.StatusMethodNotAllowed, fmt.Sprintf("Method \"%s\" not allowed.", method), "")
}

// on reports whether there is such a view: the surface has a client, and the view
// what it needs.
func (v view) on(s Settings) bool { return s.Client != "" && (v.there == nil || v.there(s)) }

// metadata is the answer to OPTIONS (contract §2.2).
type metadata struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Renders     []string `json:"renders"`
	Parses      []string `json:"parses"`
	Actions     *actions `json:"actions,omitempty"`
}

type actions struct {
	Post inOrder `json:"POST"`
}

func (v view) metadata() metadata {
	m := metadata{Name: v.name, Description: v.description, Renders: renders[:1], Parses: parses}
	if len(v.fields) == 0 {
		return m
	}
	m.Actions = &actions{}
	for _, f := range v.fields {
		label := strings.ReplaceAll(strings.ToUpper(f.name[:1])+f.name[1:], "_", " ")
		m.Actions.Post = append(m.Actions.Post, member{f.name, struct {
			Type     string `json:"type"`
			Required bool   `json:"required"`
			ReadOnly bool   `json:"read_only"`
			Label    string `json:"label"`
		}{"string", !f.readOnly, f.readOnly, label}})
	}
	return m
}

// inOrder is a JSON object whose members come in an order.
type inOrder []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members.
func (o inOrder) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), v...)
	}
	return append(out, '}'), nil
}

// write answers with JSON, indented if the client asked for that.
func write(w http.ResponseWriter, r *http.Request, status int, v any) {
	indent := indentOf(r)
	if indent == 0 {
		wire.WriteJSON(w, status, v)
		return
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", strings.Repeat(" ", indent))
	if err := enc.Encode(v); err != nil {
		panic(fmt.Errorf("tofu: encode response: %w", err))
	}
	wire.Write(w, status, "application/json", bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}
