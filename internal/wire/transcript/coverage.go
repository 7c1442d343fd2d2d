package transcript

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/wire"
)

// Coverage fails for every route that no transcript in dir asks for, and logs
// which statuses the transcripts show of each. Preflights (OPTIONS) are not
// counted. A request counts for the path that the transcript spells out, so one
// for a captured address (> GET <link>) does not.
func Coverage(t *testing.T, routes []wire.Route, dir string) {
	t.Helper()
	var all []step
	for _, f := range files(t, dir) {
		steps, err := load(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, steps...)
	}
	seen := statuses(routes, all)
	for _, r := range routes {
		if r.Method == http.MethodOptions {
			continue
		}
		name := r.Method + " " + r.Pattern
		if len(seen[name]) == 0 {
			t.Errorf("%s has no transcript", name)
			continue
		}
		t.Logf("%-60s %v", name, seen[name])
	}
}

// statuses lists the statuses shown of each route, by "METHOD pattern".
func statuses(routes []wire.Route, steps []step) map[string][]int {
	mux := &wire.Mux{}
	mux.Add(routes, nil)
	seen := map[string][]int{}
	for _, s := range steps {
		path, _, _ := strings.Cut(s.target, "?")
		pattern, ok := mux.Match(s.method, path)
		if !ok {
			continue
		}
		name := fmt.Sprintf("%s %s", s.method, pattern)
		if at, found := slices.BinarySearch(seen[name], s.want.status); !found {
			seen[name] = slices.Insert(seen[name], at, s.want.status)
		}
	}
	return seen
}
