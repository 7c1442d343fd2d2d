package scim

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// invalid is the refusal of a value that an attribute cannot have.
func invalid(attr string) *problem {
	return &problem{status: 400, kind: "invalidValue", detail: "The value of " + attr + " is not one that it can have."}
}

// decode reads JSON whose numbers stay as they were written.
func decode(raw json.RawMessage) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// normal is a resource as a client sent it, under the names that its attributes have and
// with the values that they can have. What is read only, unknown or null is left out: a
// client sends back what it read, and what it has besides.
func (t resourceType) normal(in map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for name, v := range in {
		if ext, ok := t.extension(name); ok {
			parts, ok := v.(map[string]any)
			if !ok && v != nil {
				return nil, invalid(ext.urn)
			}
			some, err := known(ext.attributes, parts)
			if err != nil {
				return nil, err
			}
			if len(some) > 0 {
				out[ext.urn] = some
			}
			continue
		}
		a, ok := t.find("", name)
		if !ok || a.mutable == readOnly || a.name == "schemas" {
			continue
		}
		if _, twice := out[a.name]; twice {
			return nil, errSyntax("An attribute is there twice, in different cases of letters.")
		}
		v, err := a.normal(v)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[a.name] = v
		}
	}
	return out, nil
}

// known is an object with the attributes that there are.
func known(all []attribute, in map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for name, v := range in {
		a, ok := named(all, name)
		if !ok {
			continue
		}
		if _, twice := out[a.name]; twice {
			return nil, errSyntax("An attribute is there twice, in different cases of letters.")
		}
		v, err := a.normal(v)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[a.name] = v
		}
	}
	return out, nil
}

// normal is a value as the attribute has it, nil for none. One value where there may be
// several stands for a list of it.
func (a attribute) normal(v any) (any, error) {
	if v == nil || a.mutable == writeOnly {
		return nil, nil //nolint:nilnil // no value is a value here
	}
	list, isList := v.([]any)
	switch {
	case a.multi && !isList:
		list = []any{v}
	case a.multi:
	case isList && len(list) == 1: // Entra wraps some that stand alone
		return a.single(list[0])
	case isList:
		return nil, invalid(a.name)
	default:
		return a.single(v)
	}
	out := make([]any, 0, len(list))
	primaries := 0
	for _, one := range list {
		one, err := a.single(one)
		if err != nil {
			return nil, err
		}
		parts, _ := one.(map[string]any)
		if parts["primary"] == true {
			primaries++
		}
		if one != nil && (parts == nil || len(parts) > 0) {
			out = append(out, one)
		}
	}
	if primaries > 1 {
		return nil, invalid(a.name)
	}
	if len(out) == 0 {
		return nil, nil //nolint:nilnil // an empty list is none (RFC 7643 §2.5)
	}
	return out, nil
}

// single is one value of the attribute.
func (a attribute) single(v any) (any, error) {
	if v == nil {
		return nil, nil //nolint:nilnil // no value is a value here
	}
	switch a.kind {
	case complex:
		parts, ok := v.(map[string]any)
		if !ok { // Entra sends the manager, and some send members, as the value alone
			if _, has := named(a.subs, "value"); !has {
				return nil, invalid(a.name)
			}
			parts = map[string]any{"value": v}
		}
		out, err := known(a.subs, parts)
		if err != nil || len(out) == 0 {
			return nil, err
		}
		return out, nil
	case boolean:
		if b, ok := truth(v); ok {
			return b, nil
		}
	default:
		switch s := v.(type) {
		case string:
			if strings.IndexByte(s, 0) < 0 {
				return s, nil
			}
		case json.Number:
			return s.String(), nil
		case bool:
			return strconv.FormatBool(s), nil
		}
	}
	return nil, invalid(a.name)
}
