package oauth

import "slices"

// Params are the parameters of a request, by name. An empty value counts as
// absent, and unknown ones are ignored (RFC 6749 §3.1, §3.2).
type Params map[string][]string

// Get returns the first value that is not empty, or "".
func (p Params) Get(name string) string {
	for _, v := range p[name] {
		if v != "" {
			return v
		}
	}
	return ""
}

// Has reports whether the parameter was given a value.
func (p Params) Has(name string) bool { return p.Get(name) != "" }

// All returns the values that are not empty, in the order they came.
func (p Params) All(name string) []string {
	var all []string
	for _, v := range p[name] {
		if v != "" {
			all = append(all, v)
		}
	}
	return all
}

// Duplicate returns the first name, in alphabetical order, that was given more
// than once, or "". RFC 6749 §3.1 forbids that for every parameter; RFC 8707 §2
// and RFC 8693 §2.1 allow it for resource and audience. An empty value counts:
// two parties must not read one request in two ways.
func (p Params) Duplicate() string {
	var twice []string
	for name, values := range p {
		if len(values) > 1 && name != "resource" && name != "audience" {
			twice = append(twice, name)
		}
	}
	if len(twice) == 0 {
		return ""
	}
	return slices.Min(twice)
}
