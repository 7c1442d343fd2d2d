package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/wire"
)

// surface is one API as the server mounts it.
type surface struct {
	name       string
	routes     []wire.Route
	alone      []wire.Route     // and those that only a mount of its own has
	notFound   http.HandlerFunc // in the surface's own words
	notAllowed http.HandlerFunc
	crash      http.HandlerFunc // its 500
	// own marks ours, which live at the root of the public URL and come after
	// those that are named there; the others are also mounted by prefix.
	own bool
	// first marks the one of ours whose documents at the root are those of the
	// public URL, whatever an API of others' has at the same path.
	first bool
	// whole marks an API whose original has a server to itself, and answers there
	// for paths that it does not have. It does so on a mount of its own; at the
	// root, which is not its own, it is asked for its routes and nothing else.
	whole bool
	// with names the surfaces that come along where this one is mounted by
	// itself, because its contract has their pages.
	with []string
	// lent names the surface some of whose routes this one has, too, for mounts
	// that the other is not on: which of the two answers is all the same.
	lent string
}

// mounts finds the surface of a request by its host, then by the first segment
// of its path, then at the root.
type mounts struct {
	hosts  map[string]mount // in lower case, with or without a port
	prefix map[string]mount // by surface
	root   mount
}

// mount is a place that surfaces are at.
type mount struct {
	at  wire.Mount
	mux http.Handler
}

// newMounts lays the surfaces out as the configuration says, probes first at
// the root. A root or host that
// names a surface which this release does not have is left out; checkHosts has
// refused such a host before.
func newMounts(probes surface, all []surface, c config.Config, log *slog.Logger) *mounts {
	m := &mounts{hosts: map[string]mount{}, prefix: map[string]mount{}}
	named := map[string]surface{}
	for _, s := range all {
		named[s.name] = s
	}
	secure := strings.HasPrefix(c.PublicURL, "https:")
	alone := func(s surface) http.Handler {
		whole := s
		whole.routes = slices.Concat(s.routes, s.alone)
		sets := []surface{whole}
		for _, name := range s.with {
			if w, ok := named[name]; ok {
				sets = append(sets, w)
			}
		}
		return newMux(sets, log)
	}
	for _, s := range all {
		if !s.own {
			path := "/" + s.name
			m.prefix[s.name] = mount{wire.Mount{Base: c.PublicURL + path, Path: path, Secure: secure}, http.StripPrefix(path, alone(s))}
		}
	}
	for host, name := range c.Hosts {
		if s, ok := named[name]; ok {
			base := hostURL(host, secure)
			m.hosts[host] = mount{wire.Mount{Base: base, Secure: strings.HasPrefix(base, "https:")}, alone(s)}
		}
	}
	sets := atRoot(probes, all, c.Root)
	root := newMux(sets, log)
	root.NotFound = http.NotFound
	for _, s := range sets[1:] {
		if !s.whole && !s.first {
			root.NotFound = s.notFound // in the words of the first API
			break
		}
	}
	m.root = mount{wire.Mount{Base: c.PublicURL, Secure: secure}, root}
	return m
}

// atRoot is who is asked at the root, in this order: the probes, ours whose
// documents are those of the public URL, the APIs that the configuration names,
// the rest of ours.
func atRoot(probes surface, all []surface, order []string) []surface {
	sets := []surface{probes}
	for _, s := range all {
		if s.first {
			sets = append(sets, s)
		}
	}
	for _, name := range order {
		i := slices.IndexFunc(all, func(s surface) bool { return s.name == name && !s.own })
		if i >= 0 {
			sets = append(sets, all[i])
		}
	}
	for _, s := range all {
		if s.own && !s.first {
			sets = append(sets, s)
		}
	}
	return sets
}

// hostURL is the base of a host of its own: https, except for this machine's
// own names beside a public URL that is not https either.
func hostURL(host string, secure bool) string {
	u := url.URL{Scheme: "https", Host: host}
	if !secure && client.Loopback(u.Hostname()) {
		u.Scheme = "http"
	}
	return u.String()
}

// newMux puts sets of routes behind each other. What none of them has is not
// found in the first one's words.
func newMux(sets []surface, log *slog.Logger) *wire.Mux {
	mux := &wire.Mux{NotFound: http.NotFound}
	for i, s := range sets {
		routes := slices.Clone(s.routes)
		for j := range routes {
			routes[j].Handler = noteSurface(s.name, wire.Recover(log, s.crash, routes[j].Handler).ServeHTTP)
		}
		mux.Add(routes, noteSurface(s.name, s.notAllowed))
		if i == 0 {
			mux.NotFound = s.notFound
		}
	}
	return mux
}

// ServeHTTP hands the request to the surface that it is for, with its mount in
// the context.
func (m *mounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := m.find(r)
	found.mux.ServeHTTP(w, r.WithContext(wire.WithMount(r.Context(), found.at)))
}

func (m *mounts) find(r *http.Request) mount {
	if own, ok := m.host(r.Host); ok {
		return own
	}
	first, _, deeper := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if found, ok := m.prefix[first]; ok && deeper {
		return found
	}
	return m.root
}

// host finds a host's own mount. A configured host without a port is meant with
// any: the port in front of a proxy is not known here.
func (m *mounts) host(given string) (mount, bool) {
	if len(m.hosts) == 0 {
		return mount{}, false
	}
	name := strings.ToLower(given)
	if found, ok := m.hosts[name]; ok {
		return found, true
	}
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	found, ok := m.hosts[strings.TrimSuffix(name, ".")]
	return found, ok
}

// visit is what the metrics learn about a request from further in.
type visit struct{ surface string }

type visitKey struct{}

// withVisit puts an empty visit around everything, for noteSurface to fill.
func withVisit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, &visit{})))
	})
}

// noteSurface says whose route it was that answered.
func noteSurface(name string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
			v.surface = name
		}
		h(w, r)
	}
}

// surfaceOf is the surface that answered the request of ctx, "" before or
// without one.
func surfaceOf(ctx context.Context) string {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v.surface
	}
	return ""
}
