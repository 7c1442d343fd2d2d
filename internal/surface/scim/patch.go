package scim

import (
	"maps"
	"slices"
	"strings"
)

// operation is one of a PATCH (RFC 7644 §3.5.2). Its path is empty where the value says
// what is meant.
type operation struct {
	op, path string
	value    any
	has      bool // a value is there, null maybe
}

// maxOperations bounds the operations of one PATCH, and of one bulk request.
const maxOperations = 100

// operations reads the body of a PATCH. Names are taken in any case of letters, and so is
// the operation: Entra writes "Replace".
func operations(body map[string]any) ([]operation, error) {
	list, ok := member(body, "Operations").([]any)
	if !ok || len(list) == 0 {
		return nil, errSyntax("Operations must be a list of what is to be done.")
	}
	if len(list) > 10*maxOperations {
		return nil, &problem{status: 413, kind: "tooMany", detail: "Too many operations."}
	}
	all := make([]operation, 0, len(list))
	for _, v := range list {
		o, ok := v.(map[string]any)
		if !ok {
			return nil, errSyntax("An operation must be an object.")
		}
		verb, _ := member(o, "op").(string)
		at, isText := member(o, "path").(string)
		if p := member(o, "path"); p != nil && !isText {
			return nil, errPath
		}
		next := operation{op: strings.ToLower(verb), path: strings.TrimSpace(at), value: member(o, "value"), has: has(o, "value")}
		if !slices.Contains([]string{"add", "replace", "remove"}, next.op) {
			return nil, errSyntax("op must be add, replace or remove.")
		}
		all = append(all, next)
	}
	return all, nil
}

// member is a member of an object by its name in any case of letters.
func member(o map[string]any, name string) any {
	if v, ok := o[name]; ok {
		return v
	}
	for n, v := range o {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

func has(o map[string]any, name string) bool {
	for n := range o {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

var (
	errTarget  = &problem{status: 400, kind: "noTarget", detail: "The operation names nothing that it could change."}
	errMutable = &problem{status: 400, kind: "mutability", detail: "The attribute cannot be changed."}
)

// flat makes of operations without a path some that have one: each member of their value
// is a path of its own, "name.givenName" too, as Entra sends them. In these, what cannot
// be changed is passed over: a client sends back what it read.
func (t resourceType) flat(all []operation) ([]operation, error) {
	var out []operation
	for _, o := range all {
		if o.path != "" {
			out = append(out, o)
			continue
		}
		parts, ok := o.value.(map[string]any)
		if !ok {
			return nil, errTarget
		}
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			if a, ok := t.find("", name); ok && (a.mutable == readOnly || a.name == "schemas") {
				continue
			}
			out = append(out, operation{op: o.op, path: name, value: parts[name], has: true})
		}
	}
	return out, nil
}

// patch changes a resource, which is its own from then on.
func (t resourceType) patch(res map[string]any, all []operation) error {
	all, err := t.flat(all)
	if err != nil {
		return err
	}
	for _, o := range all {
		at, err := parsePath(t, o.path)
		if err != nil {
			return err
		}
		if at.whole() {
			err = t.patchExtension(res, at.ext, o)
		} else {
			err = patchOne(res, at, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// patchExtension changes the attributes of an extension that is named as a whole.
func (t resourceType) patchExtension(res map[string]any, urn string, o operation) error {
	if o.op == "remove" {
		delete(res, urn)
		return nil
	}
	parts, ok := o.value.(map[string]any)
	if !ok {
		return invalid(urn)
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		at, err := resolve(t, urn+":"+name)
		if err != nil {
			return err
		}
		if err := patchOne(res, at, operation{op: o.op, value: parts[name], has: true}); err != nil {
			return err
		}
	}
	return nil
}

// patchOne does one operation at a path.
func patchOne(res map[string]any, at path, o operation) error {
	switch {
	case at.attr.mutable == readOnly || at.attr.name == "schemas":
		return errMutable
	case at.attr.mutable == writeOnly:
		return nil
	case o.op != "remove" && !o.has:
		return invalid(at.attr.name)
	case o.op != "remove" && o.value == nil:
		o.op = "remove" // to make it null is to take it away (RFC 7643 §2.5)
	}
	holder := res
	if at.ext != "" {
		holder, _ = res[at.ext].(map[string]any)
		if holder == nil {
			holder = map[string]any{}
		}
	}
	var err error
	switch {
	case at.attr.multi:
		err = patchList(holder, at, o)
	case at.sub.name != "":
		err = patchPart(holder, at, o)
	default:
		err = patchSingle(holder, at.attr, o)
	}
	if err != nil || at.ext == "" {
		return err
	}
	if res[at.ext] = holder; len(holder) == 0 {
		delete(res, at.ext)
	}
	return nil
}

// patchSingle changes an attribute that has one value. Of one with parts, the parts that
// are named are changed.
func patchSingle(holder map[string]any, a attribute, o operation) error {
	if o.op == "remove" {
		if a.required {
			return errMutable
		}
		delete(holder, a.name)
		return nil
	}
	v, err := a.normal(o.value)
	if err != nil {
		return err
	}
	had, _ := holder[a.name].(map[string]any)
	if parts, ok := v.(map[string]any); ok && had != nil {
		maps.Copy(had, parts)
		return nil
	}
	if v != nil {
		holder[a.name] = v
	}
	return nil
}

// patchPart changes a part of an attribute that has one value.
func patchPart(holder map[string]any, at path, o operation) error {
	parts, _ := holder[at.attr.name].(map[string]any)
	if parts == nil {
		parts = map[string]any{}
	}
	if err := setPart(parts, at.sub, o); err != nil {
		return err
	}
	if holder[at.attr.name] = parts; len(parts) == 0 {
		delete(holder, at.attr.name)
	}
	return nil
}

func setPart(parts map[string]any, sub attribute, o operation) error {
	if o.op == "remove" {
		delete(parts, sub.name)
		return nil
	}
	v, err := sub.normal(o.value)
	if err == nil && v != nil {
		parts[sub.name] = v
	}
	return err
}
