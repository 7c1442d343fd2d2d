package scim

import (
	"encoding/json"
	"maps"
	"reflect"
)

// patchList changes an attribute that may have several values.
func patchList(holder map[string]any, at path, o operation) error {
	list, _ := holder[at.attr.name].([]any)
	var err error
	switch {
	case at.filter != nil || at.sub.name != "":
		list, err = patchSome(list, at, o)
	case o.op == "remove":
		list, err = without(list, at.attr, o)
	default:
		list, err = patchAll(list, at.attr, o)
	}
	if err != nil {
		return err
	}
	if holder[at.attr.name] = list; len(list) == 0 {
		delete(holder, at.attr.name)
	}
	return nil
}

// patchAll adds values, or puts them in the place of all that are there.
func patchAll(list []any, a attribute, o operation) ([]any, error) {
	v, err := a.normal(o.value)
	if err != nil {
		return nil, err
	}
	fresh, _ := v.([]any)
	if o.op == "replace" {
		return fresh, nil
	}
	if len(list)+len(fresh) > maxList {
		return nil, invalid(a.name)
	}
	again := written(fresh)
	list = drop(list, func(had any) bool { return again[encoded(had)] })
	for _, one := range fresh {
		if key := encoded(one); again[key] {
			delete(again, key) // the second of two is no other one
			list = append(list, one)
			onlyPrimary(list, one)
		}
	}
	return list, nil
}

// maxList is how many values an attribute of a person can be given by and by: more are
// not kept anyway (provision).
const maxList = 1000

// encoded is a value as it is written: two that are equal are written alike.
func encoded(v any) string {
	raw, _ := json.Marshal(v) //nolint:errchkjson // it came as JSON
	return string(raw)
}

// written are values by how they are written. A list may be as long as a body is, and is
// not to be gone through for each value of another one.
func written(list []any) map[string]bool {
	all := make(map[string]bool, len(list))
	for _, v := range list {
		all[encoded(v)] = true
	}
	return all
}

// without takes values away: all of them, or those that the operation's value names, as
// Entra removes them. Which one is meant is told by its "value", if it has any.
func without(list []any, a attribute, o operation) ([]any, error) {
	if o.value == nil {
		return nil, nil
	}
	v, err := a.normal(o.value)
	if err != nil {
		return nil, err
	}
	gone, _ := v.([]any)
	named := map[any]bool{}
	for _, one := range gone {
		if value := valueOf(one); value != nil {
			named[value] = true
		}
	}
	whole := written(gone)
	return drop(list, func(had any) bool {
		if value := valueOf(had); value != nil {
			return named[value]
		}
		return whole[encoded(had)]
	}), nil
}

// valueOf is the "value" of one of an attribute's values, nil if it has none.
func valueOf(v any) any {
	parts, _ := v.(map[string]any)
	switch value := parts["value"].(type) {
	case string, bool:
		return value
	}
	return nil
}

func drop(list []any, gone func(any) bool) []any {
	out := make([]any, 0, len(list)+1)
	for _, v := range list {
		if !gone(v) {
			out = append(out, v)
		}
	}
	return out
}

// patchSome changes those values that the path's filter means. Where it means none, one
// is made as it says: Entra adds an address of type work by writing its value.
func patchSome(list []any, at path, o operation) ([]any, error) {
	if o.op == "remove" && at.sub.name == "" {
		return drop(list, func(v any) bool { return meant(at, v) }), nil
	}
	found := false
	for _, v := range list {
		if !meant(at, v) {
			continue
		}
		found = true
		if err := setValue(v.(map[string]any), at, o); err != nil {
			return nil, err
		}
		onlyPrimary(list, v)
	}
	if found || o.op == "remove" {
		return drop(list, func(v any) bool {
			parts, ok := v.(map[string]any)
			return ok && parts["value"] == nil && len(parts) <= len(labels(parts))
		}), nil
	}
	parts, ok := described(at.filter)
	if !ok {
		return nil, errTarget
	}
	if err := setValue(parts, at, o); err != nil {
		return nil, err
	}
	list = append(list, parts)
	onlyPrimary(list, parts)
	return list, nil
}

// meant reports whether a path means one of an attribute's values.
func meant(at path, v any) bool {
	parts, ok := v.(map[string]any)
	return ok && (at.filter == nil || at.filter.holds(parts))
}

// setValue changes one value of an attribute: a part of it, or the parts that are named.
func setValue(parts map[string]any, at path, o operation) error {
	if at.sub.name != "" {
		return setPart(parts, at.sub, o)
	}
	v, err := at.attr.single(o.value)
	fresh, _ := v.(map[string]any)
	maps.Copy(parts, fresh)
	return err
}

// labels are the parts that say what a value is for, and not what it is.
func labels(parts map[string]any) []string {
	var all []string
	for _, name := range []string{"type", "primary", "display"} {
		if _, ok := parts[name]; ok {
			all = append(all, name)
		}
	}
	return all
}

// described makes the value that a filter describes: one that says what its parts are.
func described(e expression) (map[string]any, bool) {
	switch f := e.(type) {
	case term:
		if f.op == "eq" && f.value != nil {
			v, err := f.at.attr.normal(f.value)
			return map[string]any{f.at.attr.name: v}, err == nil
		}
	case both:
		left, ok := described(f.left)
		right, ok2 := described(f.right)
		for name, v := range right {
			if ok {
				left[name] = v
			}
		}
		return left, ok && ok2
	}
	return nil, false
}

// onlyPrimary leaves a value that is the preferred one as the only one (RFC 7644 §3.5.2).
func onlyPrimary(list []any, v any) {
	parts, ok := v.(map[string]any)
	if !ok || parts["primary"] != true {
		return
	}
	for _, other := range list {
		if o, ok := other.(map[string]any); ok && reflect.ValueOf(o).Pointer() != reflect.ValueOf(parts).Pointer() && o["primary"] == true {
			o["primary"] = false
		}
	}
}
