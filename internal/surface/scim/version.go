package scim

import (
	"slices"
	"strconv"
	"strings"
)

// etag is the entity tag of a version (RFC 7644 §3.14). It is weak: one version may be
// shown with all its attributes or with some.
func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// versions reads the entity tags of a precondition: nil for none or for any ("*").
func versions(headers []string) ([]int64, error) {
	if len(headers) == 0 {
		return nil, nil
	}
	var all []int64
	for tag := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			return nil, nil
		}
		tag = strings.TrimPrefix(tag, "W/")
		n, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
		if err != nil || n < 1 { // a tag that was never given fits nothing
			n = -1
		}
		all = append(all, n)
	}
	return all, nil
}

func contains(all []int64, version int64) bool { return slices.Contains(all, version) }

// one is the version that a resource must have, 0 for any. Of several that it may have it
// is the one that it has now.
func (x exchange) one(now func() (int64, error)) (int64, error) {
	switch len(x.versions) {
	case 0:
		return 0, nil
	case 1:
		return x.versions[0], nil
	}
	v, err := now()
	if err == nil && !contains(x.versions, v) {
		v = -1
	}
	return v, err
}
