package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Route is one endpoint. Pattern is an absolute path; a segment in braces, as
// in "/admin/apps/{app_id}", takes any non-empty segment, which the handler
// reads with r.PathValue. A GET route is asked for HEAD too and sees which in
// r.Method: what spends something must not do so for HEAD.
type Route struct {
	Method, Pattern string
	Handler         http.HandlerFunc
}

// Mux finds the route of a request. Unlike http.ServeMux it never redirects and
// never cleans a path: "//auth/login" and "/auth/login/" are other paths than
// "/auth/login", and not found. Build it first, then serve: it is not changed
// while it serves.
type Mux struct {
	// NotFound answers for paths that no route has; nil means a bare 404.
	NotFound http.HandlerFunc

	root branch
	sets int
}

// branch is a point in the tree of path segments.
type branch struct {
	next   map[string]*branch
	any    *branch
	leaves []leaf
}

// leaf is what one set of routes has at one path.
type leaf struct {
	set        int
	pattern    string
	params     []string // names of the pattern's braces, in order
	methods    map[string]http.HandlerFunc
	notAllowed http.HandlerFunc
	allow      string
}

// Add puts a set of routes behind those added before: where two sets claim one
// method and path, the earlier has it. notAllowed answers, in the set's own
// words, a method that a path does not have; Allow is set already. It returns
// the routes that can never be reached because an earlier set has them. A
// malformed or repeated route within the set panics: it is a mistake in the
// list.
func (m *Mux) Add(routes []Route, notAllowed http.HandlerFunc) (shadowed []Route) {
	m.sets++
	for _, r := range routes {
		if m.add(r, notAllowed) {
			shadowed = append(shadowed, r)
		}
	}
	return shadowed
}

func (m *Mux) add(r Route, notAllowed http.HandlerFunc) (shadowed bool) {
	if r.Method == "" || r.Handler == nil || !strings.HasPrefix(r.Pattern, "/") {
		panic(fmt.Sprintf("wire: malformed route %q %q", r.Method, r.Pattern))
	}
	at, params := &m.root, []string(nil)
	for seg := range strings.SplitSeq(r.Pattern[1:], "/") {
		name, brace := strings.CutPrefix(seg, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case brace != closed || strings.ContainsAny(name, "{}*?#%") || brace && name == "":
			panic(fmt.Sprintf("wire: malformed segment %q in route %q", seg, r.Pattern))
		case brace:
			if slices.Contains(params, name) {
				panic(fmt.Sprintf("wire: %q twice in route %q", name, r.Pattern))
			}
			params = append(params, name)
			if at.any == nil {
				at.any = &branch{}
			}
			at = at.any
		default:
			if at.next == nil {
				at.next = map[string]*branch{}
			}
			if at.next[seg] == nil {
				at.next[seg] = &branch{}
			}
			at = at.next[seg]
		}
	}
	for i := range at.leaves {
		_, has := at.leaves[i].methods[r.Method]
		switch {
		case at.leaves[i].set < m.sets:
			shadowed = shadowed || has
		case has || at.leaves[i].pattern != r.Pattern:
			panic(fmt.Sprintf("wire: route %s %s twice", r.Method, r.Pattern))
		default:
			at.leaves[i].methods[r.Method] = r.Handler
			at.leaves[i].allow = allow(at.leaves[i].methods)
			return shadowed
		}
	}
	methods := map[string]http.HandlerFunc{r.Method: r.Handler}
	at.leaves = append(at.leaves, leaf{m.sets, r.Pattern, params, methods, notAllowed, allow(methods)})
	return shadowed
}

// allow is the Allow header for a leaf (RFC 9110 §10.2.1).
func allow(methods map[string]http.HandlerFunc) string {
	names := make([]string, 0, len(methods)+1)
	for name := range methods {
		names = append(names, name)
	}
	if methods[http.MethodGet] != nil && methods[http.MethodHead] == nil {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (l *leaf) handler(method string) http.HandlerFunc {
	h := l.methods[method]
	if h == nil && method == http.MethodHead {
		return l.methods[http.MethodGet]
	}
	return h
}

// ServeHTTP answers by the route of the request, or as NotFound or the set's
// notAllowed do.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var best, other *match
	var methods []string
	m.find(r.URL.EscapedPath(), func(f match) {
		switch {
		case f.leaf.handler(r.Method) != nil:
			if best == nil || f.leaf.set < best.leaf.set {
				best = &f
			}
		default:
			methods = append(methods, f.leaf.allow)
			if other == nil || f.leaf.set < other.leaf.set {
				other = &f
			}
		}
	})
	switch {
	case best != nil:
		r.Pattern = best.leaf.pattern
		for i, name := range best.leaf.params {
			r.SetPathValue(name, best.vals[i])
		}
		notePattern(r.Context(), best.leaf.pattern)
		best.leaf.handler(r.Method)(w, r)
	case other != nil:
		notePattern(r.Context(), other.leaf.pattern)
		all := strings.Split(strings.Join(methods, ", "), ", ")
		slices.Sort(all)
		w.Header().Set("Allow", strings.Join(slices.Compact(all), ", "))
		if other.leaf.notAllowed == nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		other.leaf.notAllowed(w, r)
	case m.NotFound == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		m.NotFound(w, r)
	}
}

// Match returns the pattern of the route that a request of this method and
// path goes to, and whether there is one.
func (m *Mux) Match(method, path string) (pattern string, ok bool) {
	set := 0
	m.find(path, func(f match) {
		if f.leaf.handler(method) != nil && (!ok || f.leaf.set < set) {
			pattern, ok, set = f.leaf.pattern, true, f.leaf.set
		}
	})
	return pattern, ok
}

// match is a leaf whose path fits, with the values of its braces.
type match struct {
	leaf *leaf
	vals []string
}

// find calls found for every leaf that fits the path, the more literal first.
func (m *Mux) find(path string, found func(match)) {
	if strings.HasPrefix(path, "/") {
		m.root.find(path[1:], nil, found)
	}
}

func (b *branch) find(path string, vals []string, found func(match)) {
	seg, rest, more := strings.Cut(path, "/")
	seg, err := url.PathUnescape(seg)
	if err != nil || !clean(seg) {
		return
	}
	for _, at := range [...]*branch{b.next[seg], b.any} {
		if at == nil {
			continue
		}
		vals := vals
		if at == b.any {
			if seg == "" {
				continue
			}
			vals = append(slices.Clip(vals), seg)
		}
		if more {
			at.find(rest, vals, found)
			continue
		}
		for i := range at.leaves {
			found(match{&at.leaves[i], vals})
		}
	}
}
