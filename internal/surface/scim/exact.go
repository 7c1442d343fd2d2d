package scim

import (
	"sallyport/internal/directory"
	"sallyport/internal/identity"
)

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
