package scim

import (
	"strings"
)

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
