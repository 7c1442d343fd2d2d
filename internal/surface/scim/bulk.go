package scim

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/directory"
)

// One request of many operations (RFC 7644 §3.7). Each is done by itself, as it would be
// alone, and some may fail. Where one names what another makes ("bulkId:…"), it waits for
// that other one.

// order is one operation of a bulk request.
type order struct {
	method, bulkID, path string
	data                 map[string]any
	versions             []int64
}

// job is a bulk request on its way: made are the ids of what its operations have made, by
// bulkId, and failed how many have failed.
type job struct {
	a      *API
	x      exchange
	most   int // failures after which nothing more is done, 0 for no bound
	made   map[string]string
	failed int
	out    []any
}

func (a *API) bulk(w http.ResponseWriter, r *http.Request) {
	x, err := a.exchange(w, r)
	var all []order
	var most int
	if err == nil {
		all, most, err = orders(x.body)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	x.body = nil
	j := &job{a: a, x: x, most: most, made: map[string]string{}, out: []any{}}
	j.run(r.Context(), all)
	write(w, http.StatusOK, map[string]any{"schemas": []string{bulkedURN}, "Operations": j.out})
}

// orders reads a bulk request.
func orders(body map[string]any) ([]order, int, error) {
	list, ok := member(body, "Operations").([]any)
	if !ok {
		return nil, 0, errSyntax("Operations must be a list of what is to be done.")
	}
	if len(list) > maxOperations {
		return nil, 0, &problem{status: 413, kind: "tooMany", detail: "Too many operations in one request."}
	}
	q := query{count: 0}
	if err := q.read("", number(member(body, "failOnErrors"))); err != nil {
		return nil, 0, invalid("failOnErrors")
	}
	seen := map[string]bool{}
	all := make([]order, len(list))
	for i, v := range list {
		o, ok := v.(map[string]any)
		if !ok {
			return nil, 0, errSyntax("An operation must be an object.")
		}
		data, ok := member(o, "data").(map[string]any)
		next := order{method: strings.ToUpper(str(member(o, "method"))), bulkID: str(member(o, "bulkId")), path: str(member(o, "path")), data: data}
		switch next.method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			if !ok {
				return nil, 0, errSyntax("An operation of this method must have data.")
			}
		case http.MethodDelete:
		default:
			return nil, 0, errSyntax("method must be POST, PUT, PATCH or DELETE.")
		}
		if next.method == http.MethodPost && next.bulkID == "" || seen[next.bulkID] {
			return nil, 0, errSyntax("Each POST must have a bulkId of its own.")
		}
		seen[next.bulkID] = next.bulkID != ""
		if tag := str(member(o, "version")); tag != "" {
			next.versions, _ = versions([]string{tag})
		}
		all[i] = next
	}
	return all, q.count, nil
}

// run does the operations: in their order, but for those that wait for one that comes
// later.
func (j *job) run(ctx context.Context, all []order) {
	for len(all) > 0 {
		coming := map[string]bool{}
		for _, o := range all {
			coming[o.bulkID] = o.bulkID != ""
		}
		var waiting []order
		for _, o := range all {
			if j.most > 0 && j.failed >= j.most {
				return
			}
			named := references(o)
			if waits(named, coming, o.bulkID) {
				waiting = append(waiting, o)
				continue
			}
			j.do(ctx, o, named)
			delete(coming, o.bulkID)
		}
		if len(waiting) == len(all) { // each for another: in a circle
			for _, o := range waiting {
				j.tell(o, answer{}, &problem{status: 409, kind: "invalidValue", detail: "The operations refer to one another in a circle."})
			}
			return
		}
		all = waiting
	}
}

const reference = "bulkId:"

// references are the bulkIds that an operation names.
func references(o order) (all []string) {
	visit(o.data, func(s string) string {
		if id, ok := strings.CutPrefix(s, reference); ok {
			all = append(all, id)
		}
		return s
	})
	if _, id, ok := strings.Cut(o.path, "/"+reference); ok {
		all = append(all, id)
	}
	return all
}

func waits(named []string, coming map[string]bool, own string) bool {
	for _, id := range named {
		if coming[id] && id != own {
			return true
		}
	}
	return false
}

// visit calls do for each text in a value and puts what it returns in its place.
func visit(v any, do func(string) string) any {
	switch x := v.(type) {
	case string:
		return do(x)
	case []any:
		for i := range x {
			x[i] = visit(x[i], do)
		}
	case map[string]any:
		for name := range x {
			x[name] = visit(x[name], do)
		}
	}
	return v
}

// do does one operation and tells of it.
func (j *job) do(ctx context.Context, o order, named []string) {
	for _, id := range named {
		if j.made[id] == "" {
			j.tell(o, answer{}, &problem{status: 409, kind: "invalidValue", detail: "There is nothing of the bulkId that the operation names."})
			return
		}
	}
	resolved := func(s string) string {
		if id, ok := strings.CutPrefix(s, reference); ok {
			return j.made[id]
		}
		return s
	}
	o.data, _ = visit(o.data, resolved).(map[string]any)
	handler, kind, id := j.a.handler(o.method, o.path)
	if handler == nil {
		j.tell(o, answer{}, &problem{status: 404, detail: "No such path."})
		return
	}
	if err := j.a.Provision.Count(ctx, j.x.who); err != nil {
		j.tell(o, answer{}, j.a.problemOf(ctx, err))
		return
	}
	x := j.x
	x.id, x.body, x.versions = resolved(id), o.data, o.versions
	out, err := handler(ctx, x)
	if o.method != http.MethodPost { // where it is, also of one that is not as it should be
		out.location = x.base + "/" + kind + "/" + x.id
	}
	if err != nil {
		j.tell(o, out, j.a.problemOf(ctx, err))
		return
	}
	if o.method == http.MethodPost {
		j.made[o.bulkID] = str(out.resource["id"])
	}
	j.tell(o, out, nil)
}

// handler is what does an operation at a path, and what the path is made of.
func (a *API) handler(method, path string) (do func(context.Context, exchange) (answer, error), kind, id string) {
	kind, id, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, directory.Path), "/"), "/")
	if (id == "") != (method == http.MethodPost) || strings.Contains(id, "/") {
		return nil, "", ""
	}
	do = map[string]func(context.Context, exchange) (answer, error){
		"POST Users": a.createUser, "PUT Users": a.replaceUser, "PATCH Users": a.patchUser, "DELETE Users": a.deleteUser,
		"POST Groups": a.createGroup, "PUT Groups": a.replaceGroup, "PATCH Groups": a.patchGroup, "DELETE Groups": a.deleteGroup,
	}[method+" "+kind]
	return do, kind, id
}

// tell writes down what became of an operation: where the resource is, or what is wrong.
func (j *job) tell(o order, out answer, p *problem) {
	told := map[string]any{"method": o.method}
	if o.bulkID != "" {
		told["bulkId"] = o.bulkID
	}
	if out.location != "" {
		told["location"] = out.location
	}
	if out.version != 0 {
		told["version"] = etag(out.version)
	}
	if p == nil {
		told["status"] = strconv.Itoa(out.status)
	} else {
		j.failed++
		told["status"], told["response"] = strconv.Itoa(p.status), p.body()
	}
	j.out = append(j.out, told)
}
