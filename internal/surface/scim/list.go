package scim

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/provision"
)

// The number of resources in one answer (RFC 7644 §3.4.2.4).
const (
	usualCount = 100
	maxCount   = 200
)

// query is what a list is asked for.
type query struct {
	filter       string
	start, count int
}

// listing answers a query of an exchange: one page, and how many there are.
type listing func(context.Context, exchange, query) ([]map[string]any, int, error)

// list answers with the resources that the URL asks for.
func (a *API) list(do listing) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x, err := a.exchange(w, r)
		if err == nil {
			v := r.URL.Query()
			q := query{filter: v.Get("filter"), start: 1, count: usualCount}
			if err = q.read(v.Get("startIndex"), v.Get("count")); err == nil {
				a.answerList(w, r, x, q, do)
				return
			}
		}
		a.fail(w, r, err)
	}
}

// search answers with the resources that a body asks for (RFC 7644 §3.4.3).
func (a *API) search(do listing) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x, err := a.exchange(w, r)
		if err == nil {
			q := query{filter: str(x.body["filter"]), start: 1, count: usualCount}
			x.shown = projection{attributes: texts(x.body["attributes"]), excluded: texts(x.body["excludedAttributes"])}
			if err = q.read(number(x.body["startIndex"]), number(x.body["count"])); err == nil {
				a.answerList(w, r, x, q, do)
				return
			}
		}
		a.fail(w, r, err)
	}
}

// number is a number of a body as it was written, "" for none.
func number(v any) string {
	switch n := v.(type) {
	case nil:
		return ""
	case json.Number:
		return n.String()
	}
	return "?"
}

func texts(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, one := range list {
		all = append(all, str(one))
	}
	return names(all)
}

// read takes the page over. What is below its least counts as that.
func (q *query) read(start, count string) error {
	for _, c := range []struct {
		name, given string
		into        *int
		least       int
	}{{"startIndex", start, &q.start, 1}, {"count", count, &q.count, 0}} {
		if c.given == "" {
			continue
		}
		n, err := strconv.Atoi(c.given)
		if err != nil || n > 1<<30 {
			return invalid(c.name)
		}
		*c.into = max(n, c.least)
	}
	q.count = min(q.count, maxCount)
	return nil
}

func (a *API) answerList(w http.ResponseWriter, r *http.Request, x exchange, q query, do listing) {
	page, total, err := do(r.Context(), x, q)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if page == nil {
		page = []map[string]any{}
	}
	write(w, http.StatusOK, map[string]any{
		"schemas": []string{listURN}, "totalResults": total, "startIndex": q.start, "itemsPerPage": len(page), "Resources": page,
	})
}

func (a *API) listUsers(ctx context.Context, x exchange, q query) ([]map[string]any, int, error) {
	sought := provision.Query{Start: q.start, Count: q.count}
	var keep func(directory.User) bool
	if q.filter != "" {
		e, err := parseFilter(users, q.filter)
		if err != nil || mentions(e, "groups") {
			return nil, 0, errFilter
		}
		var rest bool
		if sought.Exact, rest = exactly(e); rest {
			keep = func(u directory.User) bool {
				res, err := userResource(u, x.base)
				return err == nil && e.holds(res)
			}
		}
	}
	found, total, err := a.Provision.Users(ctx, x.who, sought, keep)
	out := make([]map[string]any, len(found))
	for i, u := range found {
		if out[i], err = showUser(u, x.base); err != nil {
			return nil, 0, err
		}
		out[i] = x.shown.of(users, out[i])
	}
	return out, total, err
}

func (a *API) listGroups(ctx context.Context, x exchange, q query) ([]map[string]any, int, error) {
	sought := provision.Query{Start: q.start, Count: q.count}
	var keep func(directory.Group) bool
	if q.filter != "" {
		e, err := parseFilter(groups, q.filter)
		if err != nil {
			return nil, 0, errFilter
		}
		var rest bool
		if sought.Exact, rest = exactly(e); rest {
			// Members are looked for by the database or not at all.
			if e = lessMember(e); mentions(e, "members") {
				return nil, 0, errFilter
			}
			keep = func(g directory.Group) bool { return e == nil || e.holds(groupResource(g, x.base)) }
		}
	}
	found, total, err := a.Provision.Groups(ctx, x.who, sought, keep)
	if err != nil {
		return nil, 0, err
	}
	out, err := a.showGroups(ctx, x, found...)
	for i := range out {
		out[i] = x.shown.of(groups, out[i])
	}
	return out, total, err
}

// exactly finds what the database can look for by itself: equal to a name or an id, and
// all of it. rest reports whether the filter says more.
func exactly(e expression) (exact directory.Exact, rest bool) {
	switch f := e.(type) {
	case both:
		left, more := exactly(f.left)
		right, more2 := exactly(f.right)
		return join(left, right, more || more2)
	case some: // members[value eq "…"]
		if ids, ok := eachOf(f.at.filter); ok && len(ids) == 1 && f.at.attr.name == "members" {
			return directory.Exact{Member: ids[0]}, ids[0] == ""
		}
	case term:
		s, ok := f.value.(string)
		if !ok || f.op != "eq" || s == "" || f.at.filter != nil || f.at.ext != "" {
			return exact, true
		}
		switch f.at.attr.name {
		case "id":
			exact.ID = s
		case "externalId":
			exact.ExternalID = s
		case "userName", "displayName":
			if f.at.attr.unique == "" { // a person's displayName has no index
				return exact, true
			}
			exact.Name = s
		case "members":
			if f.at.sub.name != "" && f.at.sub.name != "value" {
				return exact, true
			}
			exact.Member = identity.UserID(s)
		default:
			return exact, true
		}
		return exact, false
	}
	return exact, true
}

// join is what both sides look for. Where both look for one thing, the rest is asked too.
func join(a, b directory.Exact, rest bool) (directory.Exact, bool) {
	for _, p := range []struct{ into, from *string }{
		{&a.ID, &b.ID}, {&a.Name, &b.Name}, {&a.ExternalID, &b.ExternalID}, {(*string)(&a.Member), (*string)(&b.Member)},
	} {
		switch {
		case *p.into == "":
			*p.into = *p.from
		case *p.from != "" && *p.from != *p.into:
			rest = true
		}
	}
	return a, rest
}

// lessMember is a filter of groups without what the database looks for in their members;
// nil if nothing is left.
func lessMember(e expression) expression {
	if f, ok := e.(both); ok {
		left, right := lessMember(f.left), lessMember(f.right)
		switch {
		case left == nil:
			return right
		case right == nil:
			return left
		}
		return both{left, right}
	}
	if exact, rest := exactly(e); !rest && exact.Member != "" {
		return nil
	}
	return e
}

// mentions reports whether a filter asks for an attribute.
func mentions(e expression, name string) bool {
	switch f := e.(type) {
	case either:
		return mentions(f.left, name) || mentions(f.right, name)
	case both:
		return mentions(f.left, name) || mentions(f.right, name)
	case opposite:
		return mentions(f.of, name)
	case some:
		return f.at.attr.name == name
	case term:
		return f.at.attr.name == name
	}
	return false
}

// projection is what of a resource is to be shown (RFC 7644 §3.9).
type projection struct{ attributes, excluded []string }

// names takes lists of names apart.
func names(lists []string) []string {
	var all []string
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// shows reports whether any of an attribute of groups is to be shown.
func (p projection) shows(name string) bool {
	in := func(list []string) bool {
		for _, n := range list {
			if at, err := resolve(groups, n); err == nil && at.attr.name == name {
				return true
			}
		}
		return false
	}
	if len(p.attributes) > 0 {
		return in(p.attributes)
	}
	return !in(p.excluded)
}

// of is what is shown of a resource. What is always there stays.
func (p projection) of(t resourceType, res map[string]any) map[string]any {
	if res == nil || len(p.attributes)+len(p.excluded) == 0 {
		return res
	}
	if len(p.attributes) == 0 {
		for _, name := range p.excluded {
			if ext, ok := t.extension(name); ok {
				delete(res, ext.urn)
			} else if at, err := resolve(t, name); err == nil && at.attr.returned != "always" {
				at.cut(res)
			}
		}
		return res
	}
	out := map[string]any{"schemas": res["schemas"], "id": res["id"]}
	for _, name := range p.attributes {
		if ext, ok := t.extension(name); ok {
			if v, ok := res[ext.urn]; ok {
				out[ext.urn] = v
			}
		} else if at, err := resolve(t, name); err == nil {
			at.copy(out, res)
		}
	}
	return out
}

// cut takes what a path leads to out of a resource.
func (p path) cut(res map[string]any) {
	holder := res
	if p.ext != "" {
		if holder, _ = res[p.ext].(map[string]any); holder == nil {
			return
		}
	}
	if p.sub.name == "" {
		delete(holder, p.attr.name)
		return
	}
	each(holder[p.attr.name], func(parts map[string]any) { delete(parts, p.sub.name) })
}

// copy puts what a path leads to in one resource into another.
func (p path) copy(out, res map[string]any) {
	if p.ext != "" {
		from, _ := res[p.ext].(map[string]any)
		into, _ := out[p.ext].(map[string]any)
		if into == nil {
			into = map[string]any{}
		}
		path{attr: p.attr, sub: p.sub}.copy(into, from)
		if len(into) > 0 {
			out[p.ext] = into
		}
		return
	}
	v, ok := res[p.attr.name]
	switch {
	case !ok:
	case p.sub.name == "":
		out[p.attr.name] = v
	default:
		out[p.attr.name] = onlyPart(v, out[p.attr.name], p.sub.name)
	}
}

// onlyPart is a value, or each of several, with one of its parts beside those that were
// shown already.
func onlyPart(v, shown any, sub string) any {
	if list, ok := v.([]any); ok {
		had, _ := shown.([]any)
		out := make([]any, len(list))
		for i, one := range list {
			var before any
			if i < len(had) {
				before = had[i]
			}
			out[i] = onlyPart(one, before, sub)
		}
		return out
	}
	parts, _ := v.(map[string]any)
	out, _ := shown.(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	if part, ok := parts[sub]; ok {
		out[sub] = part
	}
	return out
}

func each(v any, do func(map[string]any)) {
	switch x := v.(type) {
	case map[string]any:
		do(x)
	case []any:
		for _, one := range x {
			each(one, do)
		}
	}
}
