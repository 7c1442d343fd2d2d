package scim

import "strings"

// path leads to an attribute or a part of it (RFC 7644 §3.5.2, figure 7):
//
//	[URN:]attribute[.sub]           name.familyName
//	[URN:]attribute[filter][.sub]   emails[type eq "work"].value
//
// ext is the URN of an extension, "" for the resource's own schema. An extension as a
// whole has no attribute.
type path struct {
	ext    string
	attr   attribute
	filter expression // of the values that are meant, nil for all
	sub    attribute  // without a name where the attribute itself is meant
}

// whole reports whether the path leads to an extension as a whole.
func (p path) whole() bool { return p.attr.name == "" }

// parsePath reads a path to an attribute of a resource type.
func parsePath(t resourceType, s string) (path, error) {
	s = strings.TrimSpace(s)
	if ext, ok := t.extension(s); ok {
		return path{ext: ext.urn}, nil
	}
	p := &parser{s: s, t: t}
	out, err := p.path()
	if err == nil && p.i != len(p.s) {
		err = errPath
	}
	return out, err
}

// errPath reports a path that is none, or leads to nothing that a resource has.
var errPath = &problem{status: 400, kind: "invalidPath", detail: "The path leads to no attribute that there is here."}

// split takes a name apart: the URN before it, if there is one, and the attribute and its
// part.
func split(name string) (urn, attr, sub string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 && len(name) > 4 && strings.EqualFold(name[:4], "urn:") {
		urn, name = name[:i], name[i+1:]
	}
	// A URN may hold dots ("2.0"), but an attribute's name does not.
	attr, sub, _ = strings.Cut(name, ".")
	return urn, attr, sub
}

// resolve finds what a name means: an attribute of a resource type and maybe a part.
func resolve(t resourceType, name string) (path, error) {
	urn, attr, sub := split(name)
	var p path
	if ext, ok := t.extension(urn); ok {
		p.ext = ext.urn
	} else if urn != "" && !strings.EqualFold(urn, t.schemas[0].urn) {
		return path{}, errPath
	}
	var ok bool
	if p.attr, ok = t.find(urn, attr); !ok {
		return path{}, errPath
	}
	if sub != "" {
		p.sub, ok = named(p.attr.subs, sub)
	}
	if !ok {
		return path{}, errPath
	}
	return p, nil
}
